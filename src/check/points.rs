//! Single points of failure: hosts and links without which the fleet falls apart.

use std::collections::HashSet;

use super::advice::{Spare, spare};
use super::failure::Failure;
use super::session::{Graph, Sessions};
use crate::finding::{Code, Finding};
use crate::inventory::Inventory;
use crate::topology::{Node, NodeId, NodeKind, Topology};

/// Places that one finding names.
const NAMED: usize = 4;
/// Hosts that are asked whether they know all others.
const TRIED: usize = 16;

/// One finding for all hosts, one for all links: information, never more. What hangs on a host as
/// a mere leaf without being managed (a phone on its gateway) is not counted.
pub(super) fn single(inventory: &Inventory, topology: &Topology) -> Vec<Finding> {
    let managed = topology.nodes.iter().filter(|node| matches!(node.kind, NodeKind::Host(_)));
    let count = managed.count();
    if count < 3 || two_know_all(inventory, topology, count) {
        return Vec::new();
    }
    let graph = Graph::new(inventory, topology);
    let mut findings = Vec::new();
    findings.extend(hosts(inventory, topology, &graph));
    findings.extend(links(inventory, topology, &graph));
    findings
}

/// Whether two hosts can have a session with every other host: then nothing is a single point, and
/// the graph of a mesh, which is by far the largest, need not be made.
fn two_know_all(inventory: &Inventory, topology: &Topology, count: usize) -> bool {
    let sessions = Sessions::new(inventory, topology);
    let peers = |node: &Node| -> usize {
        node.interfaces.iter().map(|id| topology.interface(*id).peers.len()).sum()
    };
    let knows_all = |node: &&Node| {
        let mut known: HashSet<NodeId> = HashSet::new();
        for id in &node.interfaces {
            for peer in &topology.interface(*id).peers {
                let far = topology.interface(peer.remote).node;
                let host = matches!(topology.node(far).kind, NodeKind::Host(_));
                if host && sessions.of(*id, peer).possible() {
                    known.insert(far);
                }
            }
        }
        known.len() + 1 == count
    };
    let candidates = topology
        .nodes
        .iter()
        .filter(|node| matches!(node.kind, NodeKind::Host(_)) && peers(node) + 1 >= count);
    candidates.take(TRIED).filter(knows_all).take(2).count() == 2
}

fn hosts(inventory: &Inventory, topology: &Topology, graph: &Graph) -> Option<Finding> {
    let points = graph.hubs_of_hosts(topology);
    let (first, rest) = points.split_first()?;
    let name = |id: &NodeId| topology.node(*id).name.as_str();
    let title = if rest.is_empty() {
        format!("`{}` is a single point of failure", name(first))
    } else {
        format!("{} hosts are single points of failure", points.len())
    };
    let mut finding = Finding::new(Code::SinglePoint, title, topology.node(*first).at)
        .label("all paths between some hosts cross this host");
    for id in rest.iter().take(NAMED - 1) {
        finding = finding.also(topology.node(*id).at, "also a single point of failure");
    }
    let spare = spare(inventory, topology, Failure::Node(*first));
    Some(finding.help(help(spare, topology.node(*first).name.as_str())))
}

/// What keeps two hosts together, where that is proved; what a second hub does not do, in any case.
fn help(spare: Option<Spare>, without: &str) -> String {
    const ELSE: &str = "a second hub does not take over by itself, for each two hosts have one way, \
                        through the first hub that leads there; `wgfleet check --failures` shows what \
                        would be lost";
    match spare {
        Some(Spare { a, b, network }) => format!(
            "nothing is wrong; where that matters, link the hosts that need one another directly: with \
             `[{a}, {b}]` among the `links` of network `{network}` those two would reach one another \
             without `{without}`; {ELSE}"
        ),
        None => format!("nothing is wrong; {ELSE}"),
    }
}

fn links(inventory: &Inventory, topology: &Topology, graph: &Graph) -> Option<Finding> {
    let bridges = graph.bridges_between_hosts(topology);
    let ((a, b), rest) = bridges.split_first()?;
    let name = |id| topology.node(topology.interface(id).node).name.as_str();
    let title = if rest.is_empty() {
        format!("the link between `{}` and `{}` is a single point of failure", name(*a), name(*b))
    } else {
        format!("{} links are single points of failure", bridges.len())
    };
    let at = super::entry::entry(topology, *a, *b)
        .map_or(topology.interface(*a).at, crate::topology::Peer::at);
    let mut finding = Finding::new(Code::SinglePoint, title, at)
        .label("the only link between two parts of the network");
    for (a, b) in rest.iter().take(NAMED - 1) {
        if let Some(peer) = super::entry::entry(topology, *a, *b)
            && peer.at() != at
        {
            finding = finding.also(peer.at(), format!("`{}` and `{}`", name(*a), name(*b)));
        }
    }
    let spare = spare(inventory, topology, Failure::Link(*a, *b));
    Some(finding.help(help(spare, "that link").replace("`that link`", "that link")))
}
