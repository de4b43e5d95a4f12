//! Sessions: who can begin them, and what their graph falls apart into.

use std::collections::{HashMap, HashSet};

use petgraph::algo::articulation_points::articulation_points;
use petgraph::algo::{bridges, connected_components};
use petgraph::graph::{EdgeIndex, UnGraph};
use petgraph::unionfind::UnionFind;

use super::carriers::{Carried, Side};
use super::entry::entry;
use super::underlay::{Reach, Underlay};
use crate::inventory::Inventory;
use crate::model::Keepalive;
use crate::topology::{InterfaceId, Node, NodeId, NodeKind, Peer, Topology};

/// Whether one end of a link can send to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionStart {
    /// This end can begin the session, or the other end holds it open.
    Ready,
    /// Only the other end can begin it, and it does so when it has something to send.
    Asleep,
    /// Neither end can begin it: no endpoint is known.
    Never,
    /// The endpoint is private to another place than that of whoever is told it.
    Private,
    /// Both ends are behind one NAT, and know each other by its outside.
    Hairpin,
    /// A tunnel takes the encrypted packets of an end, and does not bring them to the other.
    Swallowed,
    /// The endpoint has a port that the host there does not listen on.
    Unheard,
}

/// Seconds without a packet after which a NAT may forget who is behind it: RFC 4787 lets it do so after
/// two minutes, and no sooner.
pub(super) const NAT_FORGETS: u16 = 120;

impl SessionStart {
    /// All of them.
    pub(super) const ALL: [Self; 7] = [
        Self::Ready,
        Self::Asleep,
        Self::Never,
        Self::Private,
        Self::Hairpin,
        Self::Swallowed,
        Self::Unheard,
    ];

    /// Whether there can be one at all.
    #[must_use]
    pub fn possible(self) -> bool {
        matches!(self, Self::Ready | Self::Asleep)
    }
}

/// The sessions that a fleet can have.
#[derive(Debug)]
pub struct Sessions<'t> {
    inventory: &'t Inventory,
    topology: &'t Topology,
    underlay: Underlay<'t>,
}

impl<'t> Sessions<'t> {
    /// As far as the file says.
    #[must_use]
    pub fn new(inventory: &'t Inventory, topology: &'t Topology) -> Self {
        Self { inventory, topology, underlay: Underlay::new(inventory, topology, None) }
    }

    /// The same where endpoints that were heard from in what runs are reached.
    #[must_use]
    pub fn heard(
        inventory: &'t Inventory,
        topology: &'t Topology,
        running: Option<&'t Topology>,
    ) -> Self {
        Self { inventory, topology, underlay: Underlay::new(inventory, topology, running) }
    }

    /// What an interface and the remote of one of its peers can have.
    #[must_use]
    pub fn of(&self, from: InterfaceId, peer: &Peer) -> SessionStart {
        let back = entry(self.topology, peer.remote, from);
        back.map_or(SessionStart::Never, |back| self.between(from, peer, back))
    }

    /// What one end of a link can have, by its entry for the other end and the other's for it.
    pub(super) fn between(&self, from: InterfaceId, peer: &Peer, back: &Peer) -> SessionStart {
        self.across((from, peer), self, (peer.remote, back))
    }

    /// The same of a link whose other end is in another state of the fleet.
    pub(super) fn across(
        &self,
        (from, peer): (InterfaceId, &Peer),
        far: &Sessions<'_>,
        (remote, back): (InterfaceId, &Peer),
    ) -> SessionStart {
        let there = self.underlay.reach_in(from, peer, (&far.underlay, remote));
        let again = far.underlay.reach_in(remote, back, (&self.underlay, from));
        // Where one end's packets are lost, it does not help that the other's arrive.
        if [there, again].contains(&Reach::Swallowed) {
            return SessionStart::Swallowed;
        }
        if [there, again].contains(&Reach::Nowhere) {
            return SessionStart::Private;
        }
        match (there, again) {
            (Reach::Arrives, _) => SessionStart::Ready,
            (_, Reach::Arrives) if far.holds(remote, back) => SessionStart::Ready,
            (_, Reach::Arrives) => SessionStart::Asleep,
            (Reach::Untold, Reach::Untold) => SessionStart::Never,
            (Reach::Turns, _) | (_, Reach::Turns) => SessionStart::Hairpin,
            (Reach::Unheard, _) | (_, Reach::Unheard) => SessionStart::Unheard,
            _ => SessionStart::Private,
        }
    }

    /// The tunnels that carry the encrypted packets of one side of a link, and those that carry theirs.
    pub(super) fn carried_by(&self, side: Side) -> Vec<InterfaceId> {
        self.carriers_of(side).into_iter().flat_map(|(a, b)| [a, b]).collect()
    }

    /// The same as the sides of their links.
    pub(super) fn carriers_of(&self, side: Side) -> Vec<Side> {
        let all = self.underlay.carriers().all();
        let (mut found, mut left) = (Vec::new(), vec![side]);
        while let Some(side) = left.pop() {
            let sides = match all.get(&side) {
                Some(Carried::Through { sides, .. } | Carried::Circle(sides)) => sides.as_slice(),
                Some(Carried::Itself) | None => &[],
            };
            for (a, b) in sides.iter().copied() {
                if !found.contains(&(a, b)) {
                    found.push((a, b));
                    left.extend([(a, b), (b, a)]);
                }
            }
        }
        found
    }

    /// Whether an end keeps a session open, so that the other one can always use it: behind a NAT it has
    /// to speak before that forgets it.
    fn holds(&self, own: InterfaceId, peer: &Peer) -> bool {
        let node = self.topology.node(self.topology.interface(own).node);
        let keepalive = peer.keepalive();
        let speaks = |keepalive: Keepalive| !node.nat.value || keepalive.get() <= NAT_FORGETS;
        keepalive.is_some_and(speaks) || kept_by_its_owner(self.inventory, node)
    }
}

/// A peer that brought its own key has a configuration that nobody here sees: it is assumed to
/// hold its session open, unless the file says that it does not.
fn kept_by_its_owner(inventory: &Inventory, node: &Node) -> bool {
    let peer = node.unmanaged(inventory);
    peer.is_some_and(|peer| peer.settings.public_key.is_some() && peer.settings.keepalive.is_none())
}

/// Nodes, and an edge for each two of them that can have a session: one of their links, and how
/// many there are.
#[derive(Debug)]
pub struct Graph {
    graph: UnGraph<NodeId, (InterfaceId, InterfaceId, u32)>,
    parts: Vec<usize>,
}

impl Graph {
    /// The graph of a fleet.
    #[must_use]
    pub fn new(inventory: &Inventory, topology: &Topology) -> Self {
        let mut graph: UnGraph<NodeId, (InterfaceId, InterfaceId, u32)> = UnGraph::default();
        let mut known: HashMap<(usize, usize), EdgeIndex> = HashMap::new();
        let nodes: Vec<_> =
            (0..).map(NodeId).take(topology.nodes.len()).map(|id| graph.add_node(id)).collect();
        let mut parts = UnionFind::new(nodes.len());
        let sessions = Sessions::new(inventory, topology);
        for (id, interface) in (0..).map(InterfaceId).zip(&topology.interfaces) {
            for peer in interface.peers.iter().filter(|peer| id < peer.remote) {
                if sessions.of(id, peer).possible() {
                    let a = interface.node.0 as usize;
                    let b = topology.interface(peer.remote).node.0 as usize;
                    parts.union(a, b);
                    // petgraph takes parallel edges for bridges.
                    let edge = *known.entry((a.min(b), a.max(b))).or_insert_with(|| {
                        graph.add_edge(nodes[a], nodes[b], (id, peer.remote, 0))
                    });
                    graph[edge].2 += 1;
                }
            }
        }
        Self { graph, parts: parts.into_labeling() }
    }

    /// How many parts there are that no session joins.
    #[must_use]
    pub fn components(&self) -> usize {
        connected_components(&self.graph)
    }

    /// Whether some chain of sessions joins two nodes.
    #[must_use]
    pub fn joined(&self, a: NodeId, b: NodeId) -> bool {
        self.parts.get(a.0 as usize) == self.parts.get(b.0 as usize)
    }

    /// The links without which the fleet falls apart, in order.
    #[must_use]
    pub fn bridges(&self) -> Vec<(InterfaceId, InterfaceId)> {
        let mut links: Vec<_> = bridges(&self.graph)
            .map(|edge| *edge.weight())
            .filter(|(_, _, links)| *links == 1)
            .map(|(a, b, _)| (a, b))
            .collect();
        links.sort_unstable();
        links
    }

    /// The nodes without which the fleet falls apart, in order.
    #[must_use]
    pub fn articulation_points(&self) -> Vec<NodeId> {
        let points = articulation_points(&self.graph);
        let mut nodes: Vec<NodeId> = points.into_iter().map(|node| self.graph[node]).collect();
        nodes.sort_unstable();
        nodes
    }

    /// The hosts without which other hosts lose touch, in order: unlike
    /// [`Self::articulation_points`], what hangs on a host without being managed does not count.
    #[must_use]
    pub fn hubs_of_hosts(&self, topology: &Topology) -> Vec<NodeId> {
        Self { graph: self.managed(topology), parts: Vec::new() }.articulation_points()
    }

    /// The bridges between two parts that each have several hosts, in order.
    #[must_use]
    pub fn bridges_between_hosts(&self, topology: &Topology) -> Vec<(InterfaceId, InterfaceId)> {
        let graph = self.managed(topology);
        let leaves: HashSet<NodeId> = graph
            .node_indices()
            .filter(|at| graph.neighbors(*at).take(2).count() < 2)
            .map(|at| graph[at])
            .collect();
        let leaf = |id: InterfaceId| leaves.contains(&topology.interface(id).node);
        let links = Self { graph, parts: Vec::new() }.bridges();
        links.into_iter().filter(|(a, b)| !leaf(*a) && !leaf(*b)).collect()
    }

    /// The graph of the managed hosts alone.
    fn managed(&self, topology: &Topology) -> UnGraph<NodeId, (InterfaceId, InterfaceId, u32)> {
        let mut graph = self.graph.clone();
        graph.retain_nodes(|graph, at| matches!(topology.node(graph[at]).kind, NodeKind::Host(_)));
        graph
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;
    use std::path::PathBuf;

    fn graph(links: &str) -> (Graph, Topology) {
        let mut text = format!(
            "fleet: g\nnetworks:\n  a: {{ prefixes: 10.1.0.0/24, links: {links} }}\nhosts:\n"
        );
        for host in ["h0", "h1", "h2", "h3"] {
            let line = format!("  {host}: {{ ssh: x, endpoint: \"{host}.example.com:5\" }}\n");
            text.push_str(&line);
        }
        let inventory = crate::inventory::parse(PathBuf::from("fleet.yaml"), text)
            .inventory
            .expect("the file is valid");
        let topology =
            crate::topology::build(&inventory, &|_: &_, _: &_| -> Vec<IpAddr> { Vec::new() });
        (Graph::new(&inventory, &topology), topology)
    }

    #[test]
    fn a_chain_hangs_on_each_link_and_a_ring_on_none() {
        let (chain, _) = graph("[[h0, h1], [h1, h2], [h2, h3]]");
        assert_eq!(chain.components(), 1);
        assert_eq!(chain.bridges().len(), 3);
        assert_eq!(chain.articulation_points(), [NodeId(1), NodeId(2)]);
        let (ring, _) = graph("[[h0, h1], [h1, h2], [h2, h3], [h3, h0]]");
        assert_eq!(ring.bridges(), []);
        assert_eq!(ring.articulation_points(), []);
        let (parts, _) = graph("[[h0, h1], [h2, h3]]");
        assert_eq!(parts.components(), 2);
        assert!(parts.joined(NodeId(0), NodeId(1)) && !parts.joined(NodeId(1), NodeId(2)));
    }

    #[test]
    fn the_end_without_endpoint_is_reached_while_it_keeps_alive() {
        let text = "fleet: g\nnetworks:\n  a: { prefixes: 10.1.0.0/24, links: mesh }\nhosts:\n  \
                    h0: { ssh: x, endpoint: \"h0.example.com:5\" }\n  h1: { ssh: x, nat: true }\n";
        let inventory = crate::inventory::parse(PathBuf::from("fleet.yaml"), text.to_owned())
            .inventory
            .expect("the file is valid");
        let mut topology =
            crate::topology::build(&inventory, &|_: &_, _: &_| -> Vec<IpAddr> { Vec::new() });
        let (hub, spoke) = (InterfaceId(0), InterfaceId(1));
        let of = |topology: &Topology, id: InterfaceId| {
            Sessions::new(&inventory, topology).of(id, &topology.interface(id).peers[0])
        };
        assert_eq!(
            (of(&topology, hub), of(&topology, spoke)),
            (SessionStart::Ready, SessionStart::Ready)
        );
        let peer = &mut topology.interfaces[1].peers[0];
        std::sync::Arc::make_mut(&mut peer.settings).keepalive.value = None;
        assert_eq!(
            (of(&topology, hub), of(&topology, spoke)),
            (SessionStart::Asleep, SessionStart::Ready)
        );
        topology.interfaces[1].peers[0].endpoint = None;
        assert_eq!(
            (of(&topology, hub), of(&topology, spoke)),
            (SessionStart::Never, SessionStart::Never)
        );
    }
}
