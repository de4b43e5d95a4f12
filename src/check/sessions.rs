//! Sessions: somebody has to begin them.

use super::entry::entry;
use super::folded::Folded;
use crate::finding::{Code, Finding};
use crate::inventory::Inventory;
use crate::model::{Location, host_net};
use crate::topology::{Interface, InterfaceId, Node, NodeKind, Peer, Topology};

/// A link where neither end knows an endpoint of the other. One finding for each place that says
/// so, counting its links.
pub(super) fn initiators(inventory: &Inventory, topology: &Topology) -> Vec<Finding> {
    let mut findings: Folded<(usize, Location)> = Folded::new();
    for (id, interface) in (0..).map(InterfaceId).zip(&topology.interfaces) {
        let silent =
            interface.peers.iter().filter(|peer| peer.endpoint.is_none() && id < peer.remote);
        for peer in silent {
            if entry(topology, peer.remote, id).is_some_and(|back| back.endpoint.is_some()) {
                continue;
            }
            findings.add((interface.network, peer.at()), || {
                finding(inventory, topology, interface, peer)
            });
        }
    }
    findings.into_findings()
}

fn finding(
    inventory: &Inventory,
    topology: &Topology,
    interface: &Interface,
    peer: &Peer,
) -> Finding {
    let (a, b) = (topology.node(interface.node), topology.remote(peer));
    let why =
        |nat: bool| if nat { "behind NAT, without an endpoint" } else { "without an endpoint" };
    let network = &inventory.networks[interface.network];
    let finding = Finding::new(
        Code::NoInitiator,
        format!("neither `{}` nor `{}` can begin their session", a.name, b.name),
        peer.at(),
    )
    .label(format!("links them in network `{}`", network.name.value))
    .also(a.at, why(a.nat.value))
    .also(b.at, why(b.nat.value));
    let endpoint = "give one of them an `endpoint:` (behind NAT: a forwarded port)";
    match relay(topology, interface, peer.remote) {
        Some(relay) => {
            let name = &topology.node(topology.interface(relay).node).name;
            let list = |id: InterfaceId, node: &Node| {
                let addresses = topology.tunnel_addresses(id).map(host_net);
                let lans = node.subnets.iter().map(|lan| lan.value.trunc());
                let nets: Vec<String> = addresses.chain(lans).map(|net| net.to_string()).collect();
                nets.join(", ")
            };
            let own = topology.interface(peer.remote).peers.iter().map(|back| back.remote);
            let id = own.into_iter().find(|id| std::ptr::eq(topology.interface(*id), interface));
            let ours = id.map(|id| list(id, a)).unwrap_or_default();
            let theirs = list(peer.remote, b);
            finding.also(topology.interface(relay).at, "could relay").help(format!(
                "{endpoint}, or let `{name}` relay: `links: [{{ hub: {name} }}]`; then the \
                 AllowedIPs of `{name}` hold {theirs} on `{}`, and {ours} on `{}`",
                a.name, b.name
            ))
        }
        None => finding.help(format!("{endpoint}, or link both to a hub that has one")),
    }
}

/// A host of the network that both ends could reach: a neighbour of both, otherwise any that says
/// where it is.
fn relay(topology: &Topology, interface: &Interface, other: InterfaceId) -> Option<InterfaceId> {
    let managed = |id: InterfaceId| {
        matches!(topology.node(topology.interface(id).node).kind, NodeKind::Host(_))
    };
    let near = |peers: &[Peer]| -> Vec<InterfaceId> {
        peers.iter().filter(|peer| peer.endpoint.is_some()).map(|peer| peer.remote).collect()
    };
    let theirs = near(&topology.interface(other).peers);
    let common = near(&interface.peers)
        .into_iter()
        .find(|id| managed(*id) && theirs.binary_search(id).is_ok());
    common.or_else(|| {
        // Whoever somebody has an endpoint of.
        let all = topology.interfaces.iter().filter(|own| own.network == interface.network);
        let told = all.flat_map(|own| &own.peers).filter(|peer| peer.endpoint.is_some());
        told.map(|peer| peer.remote).filter(|id| managed(*id)).min()
    })
}
