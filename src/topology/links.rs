//! Link shapes resolved to edges between the members of one network.

use std::collections::{BTreeMap, BTreeSet};

use super::{Because, InterfaceId, NodeKind, Topology};
use crate::inventory::{Inventory, LinkShape, Selector};
use crate::model::{HostName, Located, Location};

/// The links of one network.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// Each pair once, lower interface first, with the place that says it.
    pub(super) edges: BTreeMap<(InterfaceId, InterfaceId), Location>,
    /// Interfaces whose nodes pass traffic on between their peers.
    pub(super) transit: BTreeMap<InterfaceId, Transit>,
}

/// That a node passes traffic on between its peers.
#[derive(Debug)]
pub(super) struct Transit {
    /// A lower one is preferred. Only lists of hubs give ranks, so the order of hosts in the file
    /// means nothing.
    pub(super) rank: u32,
    /// Why it does.
    pub(super) because: Because,
}

/// Rank of hosts that pass traffic on without being a hub.
const UNRANKED: u32 = u32::MAX;

impl Links {
    fn add(&mut self, a: InterfaceId, b: InterfaceId, at: Location) {
        if a != b {
            self.edges.entry((a.min(b), a.max(b))).or_insert(at);
        }
    }

    fn add_transit(&mut self, id: InterfaceId, rank: u32, because: Because) {
        self.transit.entry(id).or_insert(Transit { rank, because });
    }
}

/// Resolves the shapes of `network` over its members.
pub(super) fn resolve(
    inventory: &Inventory,
    topology: &Topology,
    network: usize,
    members: &[InterfaceId],
) -> Links {
    let hosts: Vec<InterfaceId> = members
        .iter()
        .copied()
        .filter(|id| matches!(kind(topology, *id), NodeKind::Host(_)))
        .collect();
    let select = |selectors: &[Located<Selector>]| -> BTreeSet<InterfaceId> {
        let chosen = |id: &InterfaceId| {
            let node = topology.node(topology.interface(*id).node);
            selectors.iter().any(|selector| node.is_of(inventory, &selector.value))
        };
        hosts.iter().copied().filter(chosen).collect()
    };
    let by_name: BTreeMap<&HostName, InterfaceId> =
        members.iter().map(|id| (&topology.node(topology.interface(*id).node).name, *id)).collect();
    let named = |name: &HostName| by_name.get(name).copied();

    let mut links = Links::default();
    let mut rank = 0;
    for shape in &inventory.networks[network].links {
        match shape {
            LinkShape::Mesh { members: chosen, at } => {
                let chosen: Vec<InterfaceId> = match chosen {
                    Some(selectors) => select(selectors).into_iter().collect(),
                    None => hosts.clone(),
                };
                for (index, a) in chosen.iter().enumerate() {
                    for b in &chosen[index + 1..] {
                        links.add(*a, *b, *at);
                    }
                }
            }
            LinkShape::Hub { hubs, spokes, mesh_hubs, at } => {
                let mut ordered = Vec::new();
                for hub in hubs {
                    for id in select(std::slice::from_ref(hub)) {
                        links.add_transit(id, rank, Because::Hub(hub.at));
                        if !ordered.contains(&id) {
                            ordered.push(id);
                        }
                    }
                    rank += 1;
                }
                let spokes: BTreeSet<InterfaceId> = match spokes {
                    Some(selectors) => select(selectors),
                    None => hosts.iter().copied().collect(),
                };
                for (index, hub) in ordered.iter().enumerate() {
                    for spoke in spokes.iter().filter(|spoke| !ordered.contains(spoke)) {
                        links.add(*hub, *spoke, *at);
                    }
                    if *mesh_hubs {
                        for other in &ordered[index + 1..] {
                            links.add(*hub, *other, *at);
                        }
                    }
                }
            }
            LinkShape::Pair { a, b, at } => {
                if let (Some(a), Some(b)) = (named(&a.value), named(&b.value)) {
                    links.add(a, b, *at);
                }
            }
        }
    }
    for id in members {
        match kind(topology, *id) {
            NodeKind::Host(index) => {
                let transit = inventory.hosts[index].settings.transit.declared();
                if let Some(transit) = transit.filter(|transit| transit.value) {
                    links.add_transit(*id, UNRANKED, Because::Written(transit.place()));
                }
            }
            NodeKind::Unmanaged(index) => {
                for via in &inventory.peers[index].via {
                    if let Some(host) = named(&via.value) {
                        links.add(*id, host, via.at);
                    }
                }
            }
        }
    }
    // A full tunnel is a link of its own, whatever the shapes say.
    for id in &hosts {
        let own = topology.membership(inventory, topology.interface(*id));
        if let Some(via) = own.and_then(|(_, own)| own.full_tunnel_via.as_ref())
            && let Some(exit) = named(&via.value)
        {
            links.add(*id, exit, via.at);
        }
    }
    links
}

fn kind(topology: &Topology, id: InterfaceId) -> NodeKind {
    topology.node(topology.interface(id).node).kind
}
