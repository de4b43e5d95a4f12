//! Packets to what nobody has that hosts send in a circle until their hop limit.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use ipnet::IpNet;

use super::flow::Broken;
use super::flows::Member;
use super::tables::{Out, Tables};
use super::trace;
use super::walk::{Act, Cause, Doubt, Packet, Start, Walk, Walker};
use crate::finding::{Code, Finding, Severity};
use crate::inventory::Inventory;
use crate::model::{Family, Location, covers};
use crate::topology::{InterfaceId, NodeId, Topology};

/// Neighbours of a circle that are asked whether their packets get into it.
const NEIGHBOURS: usize = 64;

/// Circles for addresses that nothing in the fleet has: no wanted flow shows them, and each packet that
/// gets into one uses up the links many times over.
pub(super) fn unwanted(
    inventory: &Inventory,
    tables: &Tables<'_>,
    others: &[Finding],
) -> Vec<Finding> {
    let topology = tables.topology();
    let told: BTreeSet<Location> =
        others.iter().filter(|f| f.code == Code::Loop).map(|f| f.primary.at).collect();
    let walker = Walker::new(inventory, tables, Doubt::Fails);
    let mut findings: BTreeMap<Location, Finding> = BTreeMap::new();
    for (net, addr) in nobodys(tables) {
        for circle in circles(tables, addr) {
            let Some(walk) = enters(tables, &walker, &circle, addr) else { continue };
            let at = place(topology, &walk, circle[0]);
            if told.contains(&at) {
                continue;
            }
            if let Some(known) = findings.get_mut(&at) {
                known.count += 1;
            } else {
                let mut finding = finding(topology, &circle, net, walk, at);
                // Nobody wants these packets, and few send any to an address that is still free.
                let networks = inventory.networks.iter().flat_map(|network| &network.prefixes);
                let free = networks.into_iter().any(|own| covers(&own.value, &net));
                finding.severity = if free { Severity::Info } else { Severity::Warning };
                findings.insert(at, finding);
            }
        }
    }
    findings.into_values().collect()
}

/// The classes of addresses that some peer gets and nothing has.
fn nobodys(tables: &Tables<'_>) -> Vec<(IpNet, IpAddr)> {
    let everything = [IpNet::V4(ipnet::Ipv4Net::default()), IpNet::V6(ipnet::Ipv6Net::default())];
    let classes = everything.into_iter().flat_map(|net| tables.classes(net));
    classes
        .filter(|class| tables.holders(class.addr).is_empty())
        .filter(|class| tables.gateways(class.addr).is_empty())
        .map(|class| (class.net, class.addr))
        .collect()
}

/// Whom each node sends an address on to that comes to it.
fn onward(tables: &Tables<'_>, node: NodeId, addr: IpAddr) -> Option<NodeId> {
    let topology = tables.topology();
    if !topology.node(node).forwards.of(Family::of_addr(&addr)) {
        return None;
    }
    let Out::Tunnel(id) = tables.route(node, addr)?.to else { return None };
    Some(topology.interface(tables.peer(id, addr)?.to).node)
}

/// The circles that an address goes in, each in order of its first node.
fn circles(tables: &Tables<'_>, addr: IpAddr) -> Vec<Vec<NodeId>> {
    let topology = tables.topology();
    let senders: BTreeSet<NodeId> = tables
        .around(addr)
        .flat_map(|entry| tables.peers_of(entry))
        .map(|(holder, _)| topology.interface(holder).node)
        .collect();
    let mut found = Vec::new();
    let mut seen: HashMap<NodeId, NodeId> = HashMap::new();
    for start in senders {
        let mut path = Vec::new();
        let mut at = Some(start);
        while let Some(node) = at {
            match seen.get(&node) {
                Some(first) if *first == start => {
                    let begin = path.iter().position(|other| *other == node).unwrap_or_default();
                    found.push(path[begin..].to_vec());
                    break;
                }
                Some(_) => break,
                None => {}
            }
            seen.insert(node, start);
            path.push(node);
            at = onward(tables, node, addr);
        }
    }
    found
}

/// A packet to an address that gets into a circle: of a node on it, of what is behind that, or of a
/// neighbour.
fn enters(
    tables: &Tables<'_>,
    walker: &Walker<'_>,
    circle: &[NodeId],
    addr: IpAddr,
) -> Option<Walk> {
    let topology = tables.topology();
    let near = |node: &NodeId| {
        let interfaces = topology.node(*node).interfaces.iter();
        let peers = interfaces.flat_map(|id| &topology.interface(*id).peers);
        peers.map(|peer| topology.interface(peer.remote).node).take(NEIGHBOURS).collect::<Vec<_>>()
    };
    let nodes = circle.iter().copied().chain(circle.iter().flat_map(near));
    let family = Family::of_addr(&addr);
    nodes
        .flat_map(|node| {
            let here = topology.node(node);
            let own = here.interfaces.iter().flat_map(|id| topology.tunnel_addresses(*id));
            let own = own.map(move |source| (Start::Node(node), source));
            let lans = here.subnets.iter().flat_map(|lan| tables.classes(lan.value));
            own.chain(lans.map(move |class| (Start::Through(node), class.addr)))
        })
        .filter(|(_, source)| Family::of_addr(source) == family)
        .map(|(start, source)| walker.walk(start, Packet { source, destination: addr }, &[]))
        .find(|walk| walk.end == Err(Cause::Loop))
}

/// The links of a walk.
fn links(walk: &Walk) -> impl Iterator<Item = (InterfaceId, InterfaceId)> + '_ {
    walk.steps.iter().filter_map(|step| match (step.interface, step.act) {
        (Some(from), Act::Send(to)) => Some((from, to)),
        _ => None,
    })
}

/// The first place that is to change: an override of a link on the way, else the first host.
fn place(topology: &Topology, walk: &Walk, first: NodeId) -> Location {
    let overrides =
        links(walk).filter_map(|(from, to)| super::entry::entry(topology, from, to)?.overridden());
    let nodes = walk.steps.iter().map(|step| topology.node(step.node).at);
    overrides.min().or_else(|| nodes.min()).unwrap_or(topology.node(first).at)
}

fn finding(
    topology: &Topology,
    circle: &[NodeId],
    net: IpNet,
    walk: Walk,
    at: Location,
) -> Finding {
    let names: Vec<String> =
        circle.iter().map(|node| format!("`{}`", topology.node(*node).name)).collect();
    let names = match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => names.concat(),
    };
    let Packet { source, destination } = walk.packet;
    let title = format!("{names} send what nobody has of {net} in a circle");
    let first = walk.steps.first().map_or(NodeId(0), |step| step.node);
    let mut finding = Finding::new(Code::Loop, title, at)
        .label("each sends it on to the next, until its hop limit")
        .witness(source, destination)
        .help(format!(
            "give each of them only the prefixes that are behind the other: a packet to another \
             address of {net} uses up the link many times over"
        ));
    let (from, to) = (Member::Node(first), Member::Nowhere(destination));
    let broken = Broken { from, to, out: walk, back: None, cause: Some(Cause::Loop) };
    finding.trace = trace::hops(topology, &broken);
    finding
}
