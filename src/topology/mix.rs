//! One fleet out of two states of it: some hosts as in one, the others as in the other.
//!
//! What runs is seldom one file's: a host that was not read is as an older file says, one that is
//! outside `--limit` stays as it is. The states are matched by the names of hosts, networks and
//! sites; the result is whole, each index in place.

use std::collections::HashMap;

use super::{Interface, InterfaceId, Node, NodeId, NodeKind, Topology};
use crate::inventory::{Host, Inventory, Network, RolloutPolicy, Site, UnmanagedPeer};
use crate::model::{HostName, NetworkName, SiteName};

/// `base`, but with those nodes of `other` that `take` names; a node that neither has is nowhere.
///
/// Sites and networks are those of both, with the prefixes of both: a walk asks them only for
/// what is inside of the fleet. Peer entries lead to whatever interface the remote host has in
/// their network now; where it has none they are gone.
#[must_use]
pub fn mix(
    base: (&Inventory, &Topology),
    other: (&Inventory, &Topology),
    take: impl Fn(&HostName) -> bool,
) -> (Inventory, Topology) {
    let mut mixing = Mixing::new(base.0, other.0);
    let sides = [base, other];
    let known = |topology: &'_ Topology| -> HashMap<HostName, usize> {
        topology.nodes.iter().enumerate().map(|(at, node)| (node.name.clone(), at)).collect()
    };
    let (in_base, in_other) = (known(base.1), known(other.1));
    // In order of the base, then what only the other has; managed hosts first, as everywhere.
    let mut nodes: Vec<(usize, usize)> = Vec::new();
    for (index, node) in base.1.nodes.iter().enumerate() {
        if take(&node.name) {
            nodes.extend(in_other.get(&node.name).map(|index| (1, *index)));
        } else {
            nodes.push((0, index));
        }
    }
    let new = other.1.nodes.iter().enumerate();
    let new = new.filter(|(_, node)| take(&node.name) && !in_base.contains_key(&node.name));
    nodes.extend(new.map(|(index, _)| (1, index)));
    nodes
        .sort_by_key(|(side, at)| matches!(sides[*side].1.nodes[*at].kind, NodeKind::Unmanaged(_)));
    let mut topology = Topology::default();
    let mut remotes: HashMap<(NodeId, usize), InterfaceId> = HashMap::new();
    for (side, index) in &nodes {
        mixing.node(&mut topology, sides[*side], *side, *index, &mut remotes);
    }
    let ids: HashMap<HostName, NodeId> =
        (0..).map(NodeId).zip(&topology.nodes).map(|(id, node)| (node.name.clone(), id)).collect();
    let mut at = 0;
    for (side, index) in &nodes {
        let from = sides[*side].1;
        for own in &from.nodes[*index].interfaces {
            let own = from.interface(*own);
            let peers = own.peers.iter().filter_map(|peer| {
                let remote = from.interface(peer.remote);
                let node = ids.get(&from.node(remote.node).name)?;
                let network = mixing.networks[*side][remote.network];
                Some(super::Peer { remote: *remotes.get(&(*node, network))?, ..peer.clone() })
            });
            let mut peers: Vec<super::Peer> = peers.collect();
            peers.sort_by_key(|peer| peer.remote);
            topology.interfaces[at].peers = peers;
            at += 1;
        }
    }
    (mixing.inventory, topology)
}

/// The inventory that comes into being, and what the indices of both become in it.
struct Mixing {
    inventory: Inventory,
    networks: [Vec<usize>; 2],
    sites: [Vec<usize>; 2],
}

impl Mixing {
    fn new(base: &Inventory, other: &Inventory) -> Self {
        let mut inventory = Inventory {
            networks: Vec::new(),
            sites: Vec::new(),
            hosts: Vec::new(),
            peers: Vec::new(),
            expects: Vec::new(),
            rollout: RolloutPolicy::default(),
            ..base.clone()
        };
        let (mut networks, mut sites) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
        for (side, from) in [base, other].into_iter().enumerate() {
            let known: HashMap<NetworkName, usize> = inventory
                .networks
                .iter()
                .enumerate()
                .map(|(index, network)| (network.name.value.clone(), index))
                .collect();
            for network in &from.networks {
                networks[side].push(add_network(&mut inventory.networks, &known, network));
            }
            let known: HashMap<SiteName, usize> = inventory
                .sites
                .iter()
                .enumerate()
                .map(|(index, site)| (site.name.value.clone(), index))
                .collect();
            for site in &from.sites {
                sites[side].push(add_site(&mut inventory.sites, &known, site));
            }
        }
        Self { inventory, networks, sites }
    }

    fn node(
        &mut self,
        topology: &mut Topology,
        from: (&Inventory, &Topology),
        side: usize,
        index: usize,
        remotes: &mut HashMap<(NodeId, usize), InterfaceId>,
    ) {
        let node = &from.1.nodes[index];
        let id = NodeId(u32::try_from(topology.nodes.len()).unwrap_or(u32::MAX));
        let kind = match node.kind {
            NodeKind::Host(host) => {
                let host = self.host(&from.0.hosts[host], side);
                self.inventory.hosts.push(host);
                NodeKind::Host(self.inventory.hosts.len() - 1)
            }
            NodeKind::Unmanaged(peer) => {
                let peer = &from.0.peers[peer];
                let network = self.networks[side][peer.network];
                self.inventory.peers.push(UnmanagedPeer { network, ..peer.clone() });
                NodeKind::Unmanaged(self.inventory.peers.len() - 1)
            }
        };
        let mut interfaces = Vec::new();
        for own in node.interfaces.iter().map(|own| from.1.interface(*own)) {
            let network = self.networks[side][own.network];
            let own_id = InterfaceId(u32::try_from(topology.interfaces.len()).unwrap_or(u32::MAX));
            let peers = Vec::new();
            topology.interfaces.push(Interface { node: id, network, peers, ..own.clone() });
            remotes.entry((id, network)).or_insert(own_id);
            interfaces.push(own_id);
        }
        let mut node = Node { kind, interfaces, ..node.clone() };
        node.site = node.site.map(|site| self.sites[side][site]);
        topology.nodes.push(node);
    }

    fn host(&self, host: &Host, side: usize) -> Host {
        let mut host = host.clone();
        host.site = host.site.map(|site| self.sites[side][site]);
        for own in &mut host.interfaces {
            own.network = self.networks[side][own.network];
        }
        host
    }
}

fn add_network(
    all: &mut Vec<Network>,
    known: &HashMap<NetworkName, usize>,
    network: &Network,
) -> usize {
    let Some(index) = known.get(&network.name.value) else {
        all.push(network.clone());
        return all.len() - 1;
    };
    let prefixes = &mut all[*index].prefixes;
    for prefix in &network.prefixes {
        if !prefixes.iter().any(|known| known.value == prefix.value) {
            prefixes.push(prefix.clone());
        }
    }
    *index
}

fn add_site(all: &mut Vec<Site>, known: &HashMap<SiteName, usize>, site: &Site) -> usize {
    let Some(index) = known.get(&site.name.value) else {
        all.push(site.clone());
        return all.len() - 1;
    };
    let subnets = &mut all[*index].subnets;
    for subnet in &site.subnets {
        if !subnets.iter().any(|known| known.value == subnet.value) {
            subnets.push(subnet.clone());
        }
    }
    *index
}
