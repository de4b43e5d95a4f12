//! Which flows a file's shape implies, whatever `expect` says.
//!
//! Two members of a network are to reach one another where a link joins them, or a chain of links
//! through members that pass traffic on: hubs, and hosts that say `transit: true`. That goes for
//! their tunnel addresses in this network and for the LANs behind them. A host that is a member of
//! two networks joins them for nobody but itself.

use std::collections::BTreeSet;

use petgraph::unionfind::UnionFind;

use super::ends::End;
use super::flows::Member;
use super::tables::Tables;
use crate::inventory::{Inventory, LinkShape, Selector};
use crate::topology::{InterfaceId, NodeId, NodeKind, Topology};

/// Who is to reach whom.
#[derive(Debug)]
pub(super) struct Wanted<'t> {
    topology: &'t Topology,
    /// For each interface, the groups of transit members that it is linked to, in order.
    through: Vec<Vec<usize>>,
}

impl<'t> Wanted<'t> {
    #[must_use]
    pub(super) fn new(inventory: &Inventory, topology: &'t Topology) -> Self {
        let transit = transit(inventory, topology);
        let is_transit = |id: InterfaceId| transit.contains(&id);
        let mut groups = UnionFind::new(topology.interfaces.len());
        for id in &transit {
            for peer in topology.interface(*id).peers.iter().filter(|peer| is_transit(peer.remote))
            {
                groups.union(id.0 as usize, peer.remote.0 as usize);
            }
        }
        let through = (0..)
            .map(InterfaceId)
            .zip(&topology.interfaces)
            .map(|(id, interface)| {
                let near = interface.peers.iter().map(|peer| peer.remote);
                let near = near.chain([id]).filter(|id| is_transit(*id));
                let groups: BTreeSet<usize> = near.map(|id| groups.find(id.0 as usize)).collect();
                groups.into_iter().collect()
            })
            .collect();
        Self { topology, through }
    }

    /// Whether a flow between two ends is implied.
    #[must_use]
    pub(super) fn flow(&self, tables: &Tables<'_>, from: &End, to: &End) -> bool {
        let ends = |end: &End| -> Vec<InterfaceId> {
            let of = |node: NodeId| self.topology.node(node).interfaces.iter().copied();
            match end.member {
                Member::Lan { site: Some(site), addr, .. } => tables
                    .gateways(addr)
                    .iter()
                    .filter(|node| self.topology.node(**node).site == Some(site))
                    .flat_map(|node| of(*node))
                    .collect(),
                _ => of(end.node)
                    .filter(|id| {
                        let network = self.topology.interface(*id).network;
                        end.network.is_none_or(|own| own == network)
                    })
                    .collect(),
            }
        };
        let theirs = ends(to);
        ends(from).into_iter().any(|a| theirs.iter().any(|b| self.joined(a, *b)))
    }

    fn joined(&self, a: InterfaceId, b: InterfaceId) -> bool {
        let (one, two) = (self.topology.interface(a), self.topology.interface(b));
        if one.network != two.network || a == b {
            return false;
        }
        let linked = one.peers.binary_search_by_key(&b, |peer| peer.remote).is_ok();
        let (left, right) = (&self.through[a.0 as usize], &self.through[b.0 as usize]);
        linked || left.iter().any(|group| right.contains(group))
    }
}

/// The interfaces that pass traffic on between the peers of their network.
fn transit(inventory: &Inventory, topology: &Topology) -> BTreeSet<InterfaceId> {
    let index = inventory.index();
    let mut transit = BTreeSet::new();
    let mut add = |host: usize, network: usize| {
        let node = u32::try_from(host).ok().map(NodeId);
        transit.extend(node.and_then(|node| topology.member(node, network)));
    };
    for (network, settings) in inventory.networks.iter().enumerate() {
        for shape in &settings.links {
            let LinkShape::Hub { hubs, .. } = shape else { continue };
            let named = |hub: &Selector| {
                matches!(hub, Selector::Host(_) | Selector::Site(_) | Selector::Group(_))
            };
            for hub in hubs.iter().filter(|hub| named(&hub.value)) {
                index.select(&hub.value).iter().for_each(|host| add(*host, network));
            }
        }
    }
    for (host, settings) in
        inventory.hosts.iter().enumerate().filter(|(_, host)| host.settings.transit.get())
    {
        settings.interfaces.iter().for_each(|own| add(host, own.network));
    }
    transit
}

/// The unmanaged peers and hosts that send everything through another.
pub(super) fn full_tunnels(inventory: &Inventory, topology: &Topology) -> Vec<NodeId> {
    let full = |kind: NodeKind| match kind {
        NodeKind::Host(index) => {
            inventory.hosts[index].interfaces.iter().any(|own| own.full_tunnel_via.is_some())
        }
        NodeKind::Unmanaged(index) => inventory.peers[index].settings.full_tunnel.get(),
    };
    let all = (0..).map(NodeId).zip(&topology.nodes);
    all.filter(|(_, node)| full(node.kind)).map(|(id, _)| id).collect()
}
