//! What can fail, in classes of what the fleet treats alike.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use petgraph::unionfind::UnionFind;

use super::survey::Survey;
use crate::check::failure::Failure;
use crate::check::flows::Member;
use crate::inventory::{Inventory, Site};
use crate::topology::{InterfaceId, NodeId, Topology};

/// A link's class: those of its ends in order, its network, and whether it stays within one site.
type LinkClass = (u32, u32, usize, bool);

/// Things that fail alike.
#[derive(Debug)]
pub(super) struct Kind {
    /// The first of them.
    pub(super) first: Failure,
    /// How many there are.
    pub(super) count: usize,
    /// The nodes, where they are nodes.
    pub(super) nodes: Vec<NodeId>,
    /// Whether they pass packets on for others.
    pub(super) transit: bool,
}

/// All kinds of failures, and which flows each may touch.
#[derive(Debug)]
pub(super) struct Kinds<'t> {
    inventory: &'t Inventory,
    topology: &'t Topology,
    /// The class of each node.
    of: Vec<u32>,
    /// The same, where one end that is alike is enough: flows are in classes by their ends.
    like: Vec<u32>,
    /// Indices of the kinds of flows that cross a link between two nodes that are like these, in a network.
    crossed: HashMap<(u32, u32, usize), Vec<usize>>,
    all: Vec<Kind>,
    /// The ends at each node: its addresses, and the LANs that it leads to.
    ends: Vec<Vec<usize>>,
}

impl<'t> Kinds<'t> {
    pub(super) fn new(
        inventory: &'t Inventory,
        topology: &'t Topology,
        survey: &Survey<'_>,
    ) -> Self {
        let mut ends = vec![Vec::new(); topology.nodes.len()];
        for (index, end) in survey.ends.all.iter().enumerate() {
            match end.member {
                Member::Lan { addr, site: Some(site), .. } => {
                    for node in survey.tables.gateways(addr) {
                        if topology.node(*node).site == Some(site) {
                            ends[node.0 as usize].push(index);
                        }
                    }
                }
                _ => ends[end.node.0 as usize].push(index),
            }
        }
        let of = node_classes(topology, survey, &ends);
        let like = like(topology, survey, &ends);
        let (all, crossed) = (Vec::new(), HashMap::new());
        let mut kinds = Self { inventory, topology, of, like, crossed, all, ends };
        for (index, kind) in survey.kinds.iter().enumerate() {
            let classes: BTreeSet<_> = kind.links.iter().map(|link| kinds.between(*link)).collect();
            for class in classes {
                kinds.crossed.entry(class).or_default().push(index);
            }
        }
        kinds.all = kinds.list(survey);
        kinds
    }

    /// What fails, one of each class.
    pub(super) fn all(&self) -> &[Kind] {
        &self.all
    }

    /// The ends at a node.
    pub(super) fn ends(&self, node: NodeId) -> &[usize] {
        &self.ends[node.0 as usize]
    }

    /// The kinds of flows that may be lost with a failure: those that cross a link like one that it takes.
    pub(super) fn touched(&self, failure: Failure) -> BTreeSet<usize> {
        let cut =
            |(a, b): (InterfaceId, InterfaceId)| failure.cuts(self.inventory, self.topology, a, b);
        let of_node = |node: NodeId| {
            let interfaces = self.topology.node(node).interfaces.iter();
            interfaces.flat_map(|own| {
                self.topology.interface(*own).peers.iter().map(|peer| (*own, peer.remote))
            })
        };
        let links: BTreeSet<_> = match failure {
            Failure::Node(node) => of_node(node).map(|link| self.between(link)).collect(),
            Failure::Link(a, b) => [self.between((a, b))].into(),
            Failure::Uplink(site) => self
                .nodes_at(site)
                .flat_map(of_node)
                .filter(|link| cut(*link))
                .map(|link| self.between(link))
                .collect(),
        };
        links.iter().filter_map(|class| self.crossed.get(class)).flatten().copied().collect()
    }

    /// The nodes of a site.
    pub(super) fn nodes_at(&self, site: usize) -> impl Iterator<Item = NodeId> {
        let all = (0..).map(NodeId).zip(&self.topology.nodes);
        all.filter(move |(_, node)| node.site == Some(site)).map(|(id, _)| id)
    }

    /// Other sites on the private net of a site.
    pub(super) fn joined(&self, site: usize) -> Vec<usize> {
        let name = |site: &Site| site.underlay.name.as_ref().map(|name| name.value.clone());
        let Some(own) = name(&self.inventory.sites[site]) else { return Vec::new() };
        let all = self.inventory.sites.iter().enumerate();
        all.filter(|(index, other)| *index != site && name(other).as_ref() == Some(&own))
            .map(|(index, _)| index)
            .collect()
    }

    fn between(&self, (a, b): (InterfaceId, InterfaceId)) -> (u32, u32, usize) {
        let (one, two) = (self.topology.interface(a), self.topology.interface(b));
        let like = |node: NodeId| self.like[node.0 as usize];
        let (low, high) = (like(one.node), like(two.node));
        (low.min(high), low.max(high), one.network)
    }

    fn link_class(&self, (a, b): (InterfaceId, InterfaceId)) -> LinkClass {
        let (one, two) = (self.topology.interface(a), self.topology.interface(b));
        let class = |node: NodeId| self.of[node.0 as usize];
        let site = |node: NodeId| self.topology.node(node).site;
        let (low, high) = (class(one.node), class(two.node));
        let near = site(one.node).is_some() && site(one.node) == site(two.node);
        (low.min(high), low.max(high), one.network, near)
    }

    fn list(&self, survey: &Survey<'_>) -> Vec<Kind> {
        let topology = self.topology;
        let mut nodes: BTreeMap<u32, Vec<NodeId>> = BTreeMap::new();
        for (id, class) in (0..).map(NodeId).zip(&self.of) {
            nodes.entry(*class).or_default().push(id);
        }
        // Who is in the middle of a way passes packets on.
        let mut passing: BTreeSet<NodeId> = BTreeSet::new();
        for kind in &survey.kinds {
            let mut met: HashMap<NodeId, u32> = HashMap::new();
            for (a, b) in &kind.links {
                for id in [a, b] {
                    *met.entry(topology.interface(*id).node).or_default() += 1;
                }
            }
            passing.extend(met.into_iter().filter(|(_, links)| *links > 1).map(|(node, _)| node));
        }
        let mut all: Vec<Kind> = nodes
            .into_values()
            .map(|nodes| Kind {
                first: Failure::Node(nodes[0]),
                count: nodes.len(),
                transit: nodes.iter().any(|node| passing.contains(node)),
                nodes,
            })
            .collect();
        let mut links: BTreeMap<LinkClass, (Failure, usize)> = BTreeMap::new();
        for (id, interface) in (0..).map(InterfaceId).zip(&topology.interfaces) {
            for peer in interface.peers.iter().filter(|peer| id < peer.remote) {
                let class = self.link_class((id, peer.remote));
                links.entry(class).or_insert((Failure::Link(id, peer.remote), 0)).1 += 1;
            }
        }
        let mut sites: BTreeMap<Vec<u32>, (Failure, usize)> = BTreeMap::new();
        for site in 0..self.inventory.sites.len() {
            let mut classes: Vec<u32> =
                self.nodes_at(site).map(|node| self.of[node.0 as usize]).collect();
            classes.sort_unstable();
            if classes.is_empty() {
                continue;
            }
            // Sites on named private nets are told apart, because those are no uplinks.
            if let Some(name) = &self.inventory.sites[site].underlay.name {
                let mut sites = self.inventory.sites.iter();
                let first = sites.position(|site| {
                    site.underlay.name.as_ref().is_some_and(|own| own.value == name.value)
                });
                classes.push(u32::MAX - first.and_then(|at| u32::try_from(at).ok()).unwrap_or(0));
            }
            sites.entry(classes).or_insert((Failure::Uplink(site), 0)).1 += 1;
        }
        let mut other: Vec<(Failure, usize)> =
            links.into_values().chain(sites.into_values()).collect();
        other.sort_unstable();
        all.sort_by_key(|kind| kind.first);
        all.extend(other.into_iter().map(|(first, count)| Kind {
            first,
            count,
            nodes: Vec::new(),
            transit: false,
        }));
        all
    }
}

/// The first node that each is joined with by ends that are alike.
fn like(topology: &Topology, survey: &Survey<'_>, ends: &[Vec<usize>]) -> Vec<u32> {
    let mut at: Vec<Vec<usize>> = vec![Vec::new(); survey.ends.all.len()];
    for (node, ends) in ends.iter().enumerate() {
        for end in ends {
            at[*end].push(node);
        }
    }
    let mut groups: UnionFind<usize> = UnionFind::new(topology.nodes.len());
    for class in &survey.ends.classes {
        let mut nodes = class.iter().flat_map(|end| &at[*end]);
        if let Some(first) = nodes.next() {
            for node in nodes {
                groups.union(*first, *node);
            }
        }
    }
    groups.into_labeling().into_iter().map(|node| u32::try_from(node).unwrap_or(u32::MAX)).collect()
}

/// Nodes are alike where their ends are, one by one, and those of the hosts at their sites.
fn node_classes(topology: &Topology, survey: &Survey<'_>, ends: &[Vec<usize>]) -> Vec<u32> {
    let mut class_of = vec![0_usize; survey.ends.all.len()];
    for (class, members) in survey.ends.classes.iter().enumerate() {
        for end in members {
            class_of[*end] = class;
        }
    }
    let plain: Vec<Vec<usize>> = ends
        .iter()
        .enumerate()
        .map(|(index, ends)| {
            let mut classes: Vec<usize> = ends.iter().map(|end| class_of[*end]).collect();
            if classes.is_empty() {
                // Nothing is known of it, so nothing is like it.
                classes.push(usize::MAX - index);
            }
            classes.sort_unstable();
            classes
        })
        .collect();
    let mut at_site: BTreeMap<usize, Vec<&Vec<usize>>> = BTreeMap::new();
    for (node, classes) in topology.nodes.iter().zip(&plain) {
        if let Some(site) = node.site {
            at_site.entry(site).or_default().push(classes);
        }
    }
    for classes in at_site.values_mut() {
        classes.sort_unstable();
    }
    // A site's crowd counts where it is more than the node itself.
    let mut crowds: HashMap<&Vec<&Vec<usize>>, usize> = HashMap::new();
    let mut known: HashMap<(&Vec<usize>, Option<usize>), u32> = HashMap::new();
    let mut of = Vec::with_capacity(plain.len());
    for (node, classes) in topology.nodes.iter().zip(&plain) {
        let crowd = node.site.and_then(|site| at_site.get(&site)).map(|crowd| {
            let next = crowds.len();
            *crowds.entry(crowd).or_insert(next)
        });
        let next = u32::try_from(known.len()).unwrap_or(u32::MAX);
        of.push(*known.entry((classes, crowd)).or_insert(next));
    }
    of
}
