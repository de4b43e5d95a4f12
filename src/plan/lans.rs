//! Where live `AllowedIPs` lead that no file leads to: LANs, exits, and hosts that were not asked.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use ipnet::IpNet;

use super::names::Names;
use super::seen::Seen;
use crate::check::tables::Tables;
use crate::inventory::Inventory;
use crate::model::{Endpoint, HostName, Keepalive, Located, covers, host_net};
use crate::topology::{Derived, InterfaceId, NodeId, Peer, PeerSettings, Topology};

/// Hops after which a path is none.
const FAR: usize = 32;

/// Gives LANs and exits to those whom the hosts that were `read` send packets for them to, and
/// hosts that `base` does not have the peers that they must have.
pub(super) fn settle(
    base: &Topology,
    inventory: &Inventory,
    runs: &mut Topology,
    read: &BTreeSet<NodeId>,
    seen: &Seen<'_, '_>,
) {
    let known: HashSet<&HostName> = base.nodes.iter().map(|node| &node.name).collect();
    let all = (0..).map(NodeId).zip(&runs.nodes);
    let former: BTreeSet<NodeId> =
        all.filter(|(_, node)| !known.contains(&node.name)).map(|(id, _)| id).collect();
    let led = Led::new(base, runs, read);
    let tunnels = tunnels(inventory, runs);
    let fleet = Names::of(&inventory.fleet.value);
    for (net, edges) in &led.nets {
        if net.prefix_len() == 0 {
            for node in edges.owners(read) {
                exit(runs, node, former.contains(&node), &fleet, seen);
            }
            continue;
        }
        if tunnels.iter().any(|tunnel| covers(tunnel, net)) {
            continue;
        }
        let owners = edges.owners(read);
        let certain: Vec<NodeId> =
            owners.iter().copied().filter(|node| read.contains(node)).collect();
        let elsewhere =
            base.nodes.iter().any(|node| node.subnets.iter().any(|own| own.value.trunc() == *net));
        let owners = match (certain.is_empty(), elsewhere) {
            (false, _) => certain,
            (true, true) => continue,
            (true, false) => {
                let asked: Vec<NodeId> =
                    owners.iter().copied().filter(|node| !former.contains(node)).collect();
                if asked.is_empty() { owners } else { asked }
            }
        };
        // A gateway of the file that nobody sends to is none yet, where another one is.
        for id in read.iter().filter(|id| !edges.all.contains(*id) && !owners.contains(*id)) {
            let (site, node) = (runs.node(*id).site, &runs.nodes[id.0 as usize]);
            let beside = |owner: &NodeId| site.is_some() && runs.node(*owner).site == site;
            if node.subnets.iter().any(|own| own.value.trunc() == *net)
                && owners.iter().all(|owner| read.contains(owner) && !beside(owner))
            {
                let subnets = &mut runs.nodes[id.0 as usize].subnets;
                subnets.retain(|own| own.value.trunc() != *net);
            }
        }
        for owner in owners {
            let node = &mut runs.nodes[owner.0 as usize];
            if !node.subnets.iter().any(|own| own.value.trunc() == *net) {
                node.subnets.push(Located::new(*net, node.at));
            }
        }
    }
    if !former.is_empty() {
        peers(base, inventory, runs, &former);
    }
}

/// Who sends packets for a prefix, and to whom.
#[derive(Debug, Default)]
struct Edges {
    from: BTreeSet<NodeId>,
    /// Those whom the base does not send it to.
    to: BTreeSet<NodeId>,
    /// All to whom it is sent.
    all: BTreeSet<NodeId>,
}

impl Edges {
    /// Those who get its packets and send them to nobody; of several the ones that were read.
    fn owners(&self, read: &BTreeSet<NodeId>) -> Vec<NodeId> {
        let ends = self.to.difference(&self.from).copied();
        let (certain, others): (Vec<NodeId>, Vec<NodeId>) = ends.partition(|id| read.contains(id));
        if certain.is_empty() { others } else { certain }
    }
}

/// The prefixes that some host sends to another otherwise than `base` says.
struct Led {
    nets: BTreeMap<IpNet, Edges>,
}

impl Led {
    fn new(base: &Topology, runs: &Topology, read: &BTreeSet<NodeId>) -> Self {
        let ids: HashMap<&HostName, NodeId> =
            (0..).map(NodeId).zip(&runs.nodes).map(|(id, node)| (&node.name, id)).collect();
        let mut known: HashMap<NodeId, HashSet<IpNet>> = HashMap::new();
        // Lists are shared between interfaces; each is looked at once for a host.
        let mut lists: HashSet<(NodeId, *const IpNet, usize)> = HashSet::new();
        for peer in base.interfaces.iter().flat_map(|own| &own.peers) {
            let Some(to) = ids.get(&base.remote(peer).name) else { continue };
            // What one leaves out of a list, another one of its like has.
            let (at, base) = peer.allowed_ips.base();
            if lists.insert((*to, at, base.len())) {
                known.entry(*to).or_default().extend(base.iter().map(IpNet::trunc));
            }
        }
        let mut nets: BTreeMap<IpNet, Edges> = BTreeMap::new();
        let live = || runs.interfaces.iter().filter(|own| read.contains(&own.node));
        for own in live() {
            for peer in &own.peers {
                let to = runs.interface(peer.remote).node;
                let known = known.get(&to);
                for net in peer.allowed_ips.iter() {
                    if known.is_none_or(|known| !known.contains(net)) {
                        nets.entry(*net).or_default().to.insert(to);
                    }
                }
            }
        }
        if !nets.is_empty() {
            for own in live() {
                for peer in &own.peers {
                    for net in peer.allowed_ips.iter() {
                        if let Some(edges) = nets.get_mut(net) {
                            edges.from.insert(own.node);
                            edges.all.insert(runs.interface(peer.remote).node);
                        }
                    }
                }
            }
        }
        Self { nets }
    }
}

/// The prefixes that tunnel addresses are of, now and in the file.
fn tunnels(inventory: &Inventory, runs: &Topology) -> Vec<IpNet> {
    let networks = inventory.networks.iter().flat_map(|network| &network.prefixes);
    let live = runs.interfaces.iter().flat_map(|own| &own.addresses);
    let live = live.map(|net| net.value.trunc());
    let all = networks.map(|net| net.value.trunc()).chain(live);
    IpNet::aggregate(&all.collect::<BTreeSet<_>>().into_iter().collect())
}

/// Somebody sends it everything: it is an exit where it masquerades, as far as that is known.
fn exit(runs: &mut Topology, id: NodeId, former: bool, fleet: &Names, seen: &Seen<'_, '_>) {
    let node = &mut runs.nodes[id.0 as usize];
    let masks = (seen.of)(&node.name).map_or(former, |host| fleet.masquerades(host));
    if masks && !node.exit.value {
        node.exit = Derived::seen(true);
        let all = [IpNet::V4(ipnet::Ipv4Net::default()), IpNet::V6(ipnet::Ipv6Net::default())];
        node.masquerade = Derived::seen(all.to_vec());
    }
}

/// A host that nobody asked has those for peers that have it, and takes from each what comes
/// through it.
fn peers(base: &Topology, inventory: &Inventory, runs: &mut Topology, former: &BTreeSet<NodeId>) {
    let mut lists: BTreeMap<InterfaceId, BTreeMap<InterfaceId, BTreeSet<IpNet>>> = BTreeMap::new();
    {
        let runs = &*runs;
        let tables = Tables::new(inventory, runs);
        let own = former.iter().flat_map(|id| &runs.node(*id).interfaces);
        for id in own.copied() {
            let network = runs.interface(id).network;
            let mut near: BTreeMap<InterfaceId, BTreeSet<IpNet>> = BTreeMap::new();
            let members = (0..).map(InterfaceId).zip(&runs.interfaces);
            let members = members.filter(|(other, own)| own.network == network && *other != id);
            let members: Vec<InterfaceId> = members.map(|(other, _)| other).collect();
            for other in &members {
                if runs.interface(*other).peers.iter().any(|peer| peer.remote == id) {
                    near.insert(*other, own_prefixes(runs, *other));
                }
            }
            let mut probes: Vec<_> = runs.tunnel_addresses(id).collect();
            if probes.is_empty() {
                let prefixes = &inventory.networks[network].prefixes;
                probes.extend(prefixes.iter().map(|prefix| prefix.value.network()));
            }
            for other in members
                .iter()
                .filter(|other| !near.contains_key(*other))
                .copied()
                .collect::<Vec<_>>()
            {
                let last = probes.iter().find_map(|addr| {
                    let mut at = other;
                    for _ in 0..FAR {
                        let next = tables.peer(at, *addr)?.to;
                        if next == id {
                            return Some(at);
                        }
                        at = next;
                    }
                    None
                });
                if let Some(nets) = last.and_then(|last| near.get_mut(&last)) {
                    nets.extend(own_prefixes(runs, other));
                }
            }
            lists.insert(id, near);
        }
    }
    // Whoever it had a session with had told it where it is: as others are told, now or by the file.
    let mut told: HashMap<HostName, Arc<Derived<Endpoint>>> = HashMap::new();
    for topology in [&*runs, base] {
        for peer in topology.interfaces.iter().flat_map(|own| &own.peers) {
            if let Some(endpoint) = &peer.endpoint {
                let name = &topology.remote(peer).name;
                told.entry(name.clone()).or_insert_with(|| Arc::clone(endpoint));
            }
        }
    }
    for (id, near) in lists {
        let settings = Arc::new(PeerSettings {
            at: runs.interface(id).at,
            keepalive: Derived::seen(Some(Keepalive::DEFAULT)),
            psk: Derived::seen(false),
        });
        let peers = near
            .into_iter()
            .map(|(remote, nets)| Peer {
                remote,
                allowed_ips: Derived::seen(nets.into_iter().collect()),
                endpoint: told.get(&runs.node(runs.interface(remote).node).name).cloned(),
                heard: true,
                settings: Arc::clone(&settings),
            })
            .collect();
        runs.interfaces[id.0 as usize].peers = peers;
    }
}

fn own_prefixes(runs: &Topology, id: InterfaceId) -> BTreeSet<IpNet> {
    let node = runs.node(runs.interface(id).node);
    let lans = node.subnets.iter().map(|own| own.value.trunc());
    runs.tunnel_addresses(id).map(host_net).chain(lans).collect()
}
