//! Networks that meet on one host: what can pass from one to the other though nobody asked.

use super::entry::entry;
use crate::finding::{Code, Finding};
use crate::inventory::{Inventory, Selector};
use crate::model::{Family, RouteTable, host_net};
use crate::topology::{Interface, InterfaceId, Node, NodeKind, Peer, Topology};

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// A full tunnel of one network whose host stands in another one too: it forwards, and the members
/// of the other network accept it where they send everything there themselves.
pub(super) fn transit(inventory: &Inventory, topology: &Topology) -> Vec<Finding> {
    let mut findings = Vec::new();
    for node in topology.nodes.iter().filter(|node| node.interfaces.len() > 1) {
        let on = node.forwards.any();
        if !on || !matches!(node.kind, NodeKind::Host(_)) {
            continue;
        }
        for from in &node.interfaces {
            for to in node.interfaces.iter().filter(|to| *to != from) {
                let table = topology.interface(*to).table.value;
                if matches!(table, RouteTable::Auto | RouteTable::Number(254)) {
                    findings.extend(between(inventory, topology, node, *from, *to));
                }
            }
        }
    }
    findings
}

/// The two entries of a link: the gateway's, and the far end's.
fn entries(topology: &Topology, id: InterfaceId) -> impl Iterator<Item = (&Peer, &Peer)> {
    let interface: &Interface = topology.interface(id);
    interface.peers.iter().filter_map(move |peer| Some((peer, entry(topology, peer.remote, id)?)))
}

fn between(
    inventory: &Inventory,
    topology: &Topology,
    gate: &Node,
    from: InterfaceId,
    to: InterfaceId,
) -> Option<Finding> {
    let forwarded = FAMILIES.into_iter().filter(|family| gate.forwards.of(*family));
    forwarded.into_iter().find_map(|family| passes(inventory, topology, gate, (from, to), family))
}

/// A packet of one family that passes from one interface of a gateway to another.
fn passes(
    inventory: &Inventory,
    topology: &Topology,
    gate: &Node,
    (from, to): (InterfaceId, InterfaceId),
    family: Family,
) -> Option<Finding> {
    let address = |id: InterfaceId| {
        topology.tunnel_addresses(id).find(|addr| Family::of_addr(addr) == family)
    };
    let everything = |peer: &Peer| peer.allowed_ips.up_to(1).any(|net| Family::of(net) == family);
    // Who sends everything to the gateway sends it the other network's packets too.
    let mut senders = entries(topology, from)
        .filter(|(peer, theirs)| everything(theirs) && address(peer.remote).is_some());
    let (sender, _) = senders.next()?;
    let source = address(sender.remote)?;
    let one = topology.remote(sender);
    let accepts = |theirs: &Peer| theirs.allowed_ips.hold(&host_net(source));
    let takes = |(peer, theirs): &(&Peer, &Peer)| accepts(theirs) && address(peer.remote).is_some();
    // A host that is in both networks needs no gateway to itself.
    let other = |(peer, _): &(&Peer, &Peer)| topology.remote(peer).name != one.name;
    let mut receivers = entries(topology, to).filter(takes).filter(other);
    let (receiver, _) = receivers.next()?;
    let destination = address(receiver.remote)?;
    let two = topology.remote(receiver);
    if asked(inventory, topology, one, two) {
        return None;
    }
    let count = (1 + senders.count()) * (1 + receivers.count());
    let name = |id: InterfaceId| &inventory.networks[topology.interface(id).network].name;
    let title = format!(
        "`{}` lets network `{}` into network `{}`",
        gate.name,
        name(from).value,
        name(to).value
    );
    let mut finding = Finding::new(Code::UnwantedTransit, title, gate.at)
        .label(format!("forwards {family} between its networks"))
        .also(one.at, format!("sends everything to `{}`", gate.name))
        .also(two.at, format!("accepts it from `{}`", gate.name))
        .witness(source, destination)
        .help(format!(
            "if that is meant, say so: `expect: [{{ allow: {{ from: {}, to: {} }} }}]`; if not, let \
             two hosts be the gateways, or drop it in a firewall between {} and {} (`post_up`)",
            name(from).value,
            name(to).value,
            topology.interface(from).name,
            topology.interface(to).name
        ));
    finding.count = u32::try_from(count).unwrap_or(u32::MAX);
    Some(finding)
}

/// Whether a rule of `expect` is about flows between two nodes.
fn asked(inventory: &Inventory, topology: &Topology, from: &Node, to: &Node) -> bool {
    inventory.expects.iter().any(|rule| {
        stands_for(inventory, topology, &rule.from.value, from)
            && stands_for(inventory, topology, &rule.to.value, to)
    })
}

fn stands_for(
    inventory: &Inventory,
    topology: &Topology,
    selector: &Selector,
    node: &Node,
) -> bool {
    let interfaces = || node.interfaces.iter().map(|id| topology.interface(*id));
    match selector {
        Selector::Network(name) => {
            interfaces().any(|interface| inventory.networks[interface.network].name.value == *name)
        }
        Selector::Net(net) => interfaces()
            .flat_map(|interface| &interface.addresses)
            .any(|addr| net.contains(&addr.value.addr())),
        selector => node.is_of(inventory, selector),
    }
}
