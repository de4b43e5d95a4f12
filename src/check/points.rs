//! Single points of failure: hosts and links without which the fleet falls apart.

use super::session::Graph;
use crate::finding::{Code, Finding};
use crate::inventory::Inventory;
use crate::topology::{NodeId, NodeKind, Topology};

/// Places that one finding names.
const NAMED: usize = 4;

/// One finding for all hosts, one for all links: information, never more. What hangs on a host as
/// a mere leaf without being managed (a phone on its gateway) is not counted.
pub(super) fn single(inventory: &Inventory, topology: &Topology) -> Vec<Finding> {
    let managed = topology.nodes.iter().filter(|node| matches!(node.kind, NodeKind::Host(_)));
    if managed.count() < 3 {
        return Vec::new();
    }
    let graph = Graph::new(inventory, topology);
    let mut findings = Vec::new();
    findings.extend(hosts(topology, &graph));
    findings.extend(links(topology, &graph));
    findings
}

fn hosts(topology: &Topology, graph: &Graph) -> Option<Finding> {
    let points = graph.hubs_of_hosts(topology);
    let (first, rest) = points.split_first()?;
    let name = |id: &NodeId| topology.node(*id).name.as_str();
    let title = if rest.is_empty() {
        format!("`{}` is a single point of failure", name(first))
    } else {
        format!("{} hosts are single points of failure", points.len())
    };
    let mut finding = Finding::new(Code::SinglePoint, title, topology.node(*first).at)
        .label("every way between some hosts goes through it");
    for id in rest.iter().take(NAMED - 1) {
        finding = finding.also(topology.node(*id).at, "so it is here");
    }
    Some(finding.help(
        "nothing is wrong; where that matters, give the network a second hub (`links: { hub: [a, \
         b] }`) or a link around it",
    ))
}

fn links(topology: &Topology, graph: &Graph) -> Option<Finding> {
    let bridges = graph.bridges_between_hosts(topology);
    let ((a, b), rest) = bridges.split_first()?;
    let name = |id| topology.node(topology.interface(id).node).name.as_str();
    let title = if rest.is_empty() {
        format!("the link between `{}` and `{}` is a single point of failure", name(*a), name(*b))
    } else {
        format!("{} links are single points of failure", bridges.len())
    };
    let at =
        super::session::entry(topology, *a, *b).map_or(topology.interface(*a).at, |peer| peer.at);
    let mut finding =
        Finding::new(Code::SinglePoint, title, at).label("the only way between two parts of it");
    for (a, b) in rest.iter().take(NAMED - 1) {
        if let Some(peer) = super::session::entry(topology, *a, *b)
            && peer.at != at
        {
            finding = finding.also(peer.at, format!("`{}` and `{}`", name(*a), name(*b)));
        }
    }
    Some(finding.help("nothing is wrong; where that matters, link the two parts a second time"))
}
