//! From intent to topology: every derived value is put in place here.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::allowed::Derivation;
use super::links::{self, Links};
use super::paths::Paths;
use super::{Forwarding, Interface, InterfaceId, Node, NodeId, NodeKind, Peer, Topology};
use crate::inventory::{Host, HostInterface, Inventory, PskMode, UnmanagedPeer};
use crate::model::{
    Endpoint, Family, HostName, Keepalive, Located, Location, Mtu, NetworkName, Port, RouteTable,
};

/// Bytes that `WireGuard` adds to a packet over IPv6: 40 + 8 + 32.
const OVERHEAD: u16 = 80;
/// Bytes of an underlay that says nothing else.
const ETHERNET: u16 = 1500;

/// Looks up allocated tunnel addresses of a member of a network; explicit ones are among them.
pub trait Addresses {
    /// The addresses, at most one for each family; empty where none are known.
    fn of(&self, network: &NetworkName, member: &HostName) -> Vec<IpAddr>;
}

impl<F: Fn(&NetworkName, &HostName) -> Vec<IpAddr>> Addresses for F {
    fn of(&self, network: &NetworkName, member: &HostName) -> Vec<IpAddr> {
        self(network, member)
    }
}

/// Derives the whole topology. Never fails: what is wrong with it is for the checker to say.
#[must_use]
pub fn build(inventory: &Inventory, addresses: &dyn Addresses) -> Topology {
    let mut topology = Topology::default();
    for (index, host) in inventory.hosts.iter().enumerate() {
        add_host(&mut topology, inventory, index, host, addresses);
    }
    for (index, peer) in inventory.peers.iter().enumerate() {
        add_unmanaged(&mut topology, inventory, index, peer, addresses);
    }
    let mut members = vec![Vec::new(); inventory.networks.len()];
    for (id, interface) in (0..).map(InterfaceId).zip(&topology.interfaces) {
        members[interface.network].push(id);
    }
    for (network, members) in members.iter().enumerate() {
        let links = links::resolve(inventory, &topology, network, members);
        mark_transit(&mut topology, &links);
        add_peers(&mut topology, inventory, network, members, &links);
    }
    settle_mtus(&mut topology, inventory);
    settle_forwarding(&mut topology, inventory);
    topology
}

fn next_id(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

fn add_host(
    topology: &mut Topology,
    inventory: &Inventory,
    index: usize,
    host: &Host,
    addresses: &dyn Addresses,
) {
    let id = NodeId(next_id(topology.nodes.len()));
    let mut subnets = host.subnets.clone();
    if host.gateway
        && let Some(site) = host.site
    {
        subnets.extend(inventory.sites[site].subnets.iter().cloned());
    }
    let mut node = Node {
        name: host.name.value.clone(),
        kind: NodeKind::Host(index),
        site: host.site,
        at: host.name.at,
        subnets,
        nat: host.nat,
        forwards: Forwarding::default(),
        masquerade: Vec::new(),
        exit: host.exit,
        interfaces: Vec::new(),
    };
    for interface in &host.interfaces {
        let network = &inventory.networks[interface.network];
        node.interfaces.push(InterfaceId(next_id(topology.interfaces.len())));
        topology.interfaces.push(Interface {
            node: id,
            network: interface.network,
            name: interface.interface.as_ref().unwrap_or(&network.interface).value.clone(),
            at: interface.at,
            addresses: tunnel_addresses(
                inventory,
                interface.network,
                &host.name,
                &interface.addresses,
                addresses,
            ),
            listen_port: listen_port(host, interface, network.listen_port.as_ref()),
            mtu: interface.mtu.as_ref().or(network.mtu.as_ref()).map_or(Mtu::DEFAULT, |m| m.value),
            table: interface.table,
            fwmark: interface.fwmark.as_ref().map(|mark| mark.value),
            dns: interface.dns.iter().map(|dns| dns.value.clone()).collect(),
            peers: Vec::new(),
        });
    }
    topology.nodes.push(node);
}

fn add_unmanaged(
    topology: &mut Topology,
    inventory: &Inventory,
    index: usize,
    peer: &UnmanagedPeer,
    addresses: &dyn Addresses,
) {
    let node = NodeId(next_id(topology.nodes.len()));
    let interface = InterfaceId(next_id(topology.interfaces.len()));
    let network = &inventory.networks[peer.network];
    topology.nodes.push(Node {
        name: peer.name.value.clone(),
        kind: NodeKind::Unmanaged(index),
        site: None,
        at: peer.name.at,
        subnets: peer.subnets.clone(),
        nat: peer.endpoint.is_none(),
        forwards: Forwarding::default(),
        masquerade: Vec::new(),
        exit: false,
        interfaces: vec![interface],
    });
    topology.interfaces.push(Interface {
        node,
        network: peer.network,
        name: network.interface.value.clone(),
        at: peer.name.at,
        addresses: tunnel_addresses(
            inventory,
            peer.network,
            &peer.name,
            &peer.addresses,
            addresses,
        ),
        listen_port: peer.endpoint.as_ref().map(|endpoint| endpoint.value.port),
        mtu: peer.mtu.as_ref().or(network.mtu.as_ref()).map_or(Mtu::DEFAULT, |mtu| mtu.value),
        table: RouteTable::Auto,
        fwmark: None,
        dns: peer.dns.iter().map(|dns| dns.value.clone()).collect(),
        peers: Vec::new(),
    });
}

/// Tunnel addresses with the prefix length of the network's prefix of their family.
fn tunnel_addresses(
    inventory: &Inventory,
    network: usize,
    name: &Located<HostName>,
    explicit: &[Located<IpAddr>],
    addresses: &dyn Addresses,
) -> Vec<Located<IpNet>> {
    let network = &inventory.networks[network];
    let mut all: Vec<Located<IpAddr>> = explicit.to_vec();
    for addr in addresses.of(&network.name.value, &name.value) {
        if !all.iter().any(|known| known.value.is_ipv4() == addr.is_ipv4()) {
            all.push(Located::new(addr, name.at));
        }
    }
    all.sort_by_key(|addr| addr.value.is_ipv6());
    all.into_iter()
        .map(|addr| {
            let prefix = network.prefixes.iter().find(|prefix| prefix.value.contains(&addr.value));
            let length = prefix.map_or(if addr.value.is_ipv4() { 32 } else { 128 }, |prefix| {
                prefix.value.prefix_len()
            });
            let net = IpNet::new(addr.value, length).unwrap_or_else(|_| IpNet::from(addr.value));
            Located::new(net, addr.at)
        })
        .collect()
}

fn listen_port(
    host: &Host,
    interface: &HostInterface,
    network: Option<&Located<Port>>,
) -> Option<Port> {
    let declared = interface.listen_port.as_ref().map(|port| port.value);
    let of_endpoint = interface.endpoint.as_ref().map(|endpoint| endpoint.value.port);
    let of_local = interface.local_endpoint.as_ref().map(|endpoint| endpoint.value.port);
    let of_network = network.map(|port| port.value);
    let reachable = if host.nat { of_local.or(of_endpoint) } else { of_endpoint.or(of_local) };
    declared.or(reachable).or(of_network)
}

fn mark_transit(topology: &mut Topology, links: &Links) {
    for id in links.transit.keys() {
        let node = topology.interface(*id).node;
        let families = families_of(topology, *id);
        let node = &mut topology.nodes[node.0 as usize];
        node.forwards.v4 |= families.contains(&Family::V4);
        node.forwards.v6 |= families.contains(&Family::V6);
    }
}

fn families_of(topology: &Topology, id: InterfaceId) -> Vec<Family> {
    topology.tunnel_addresses(id).map(|addr| Family::of_addr(&addr)).collect()
}

fn shared(endpoint: &Located<Endpoint>) -> Arc<Endpoint> {
    Arc::new(endpoint.value.clone())
}

/// One end of a link as the inventory describes it.
struct End<'a> {
    name: &'a HostName,
    site: Option<usize>,
    nat: bool,
    managed: bool,
    endpoint: Option<Arc<Endpoint>>,
    local_endpoint: Option<Arc<Endpoint>>,
    /// What the file says about its keepalive, which may be "off".
    keepalive: Option<&'a Located<Option<Keepalive>>>,
    interface: Option<&'a HostInterface>,
}

impl<'a> End<'a> {
    fn of(inventory: &'a Inventory, topology: &'a Topology, id: InterfaceId) -> Self {
        let node = topology.node(topology.interface(id).node);
        let network = topology.interface(id).network;
        match node.kind {
            NodeKind::Host(index) => {
                let host = &inventory.hosts[index];
                let interface = host.interfaces.iter().find(|own| own.network == network);
                Self {
                    name: &host.name.value,
                    site: host.site,
                    nat: host.nat,
                    managed: true,
                    endpoint: interface.and_then(|own| own.endpoint.as_ref()).map(shared),
                    local_endpoint: interface
                        .and_then(|own| own.local_endpoint.as_ref())
                        .map(shared),
                    keepalive: interface.and_then(|own| own.keepalive.as_ref()),
                    interface,
                }
            }
            NodeKind::Unmanaged(index) => {
                let peer = &inventory.peers[index];
                Self {
                    name: &peer.name.value,
                    site: None,
                    nat: peer.endpoint.is_none(),
                    managed: false,
                    endpoint: peer.endpoint.as_ref().map(shared),
                    local_endpoint: None,
                    keepalive: peer.keepalive.as_ref(),
                    interface: None,
                }
            }
        }
    }

    /// Where this end finds `other`, overrides aside.
    fn endpoint_of<'o>(&self, other: &'o End<'a>) -> Option<&'o Arc<Endpoint>> {
        let together = self.site.is_some() && self.site == other.site;
        let local = other.local_endpoint.as_ref().filter(|_| together);
        local.or(other.endpoint.as_ref())
    }

    /// Keepalive towards `other` at `endpoint`, overrides of it aside: the side that cannot be found keeps the way
    /// open; phones are spared it unless the file asks.
    fn keepalive_to(&self, other: &End<'a>, endpoint: Option<&Endpoint>) -> Option<Keepalive> {
        if let Some(declared) = self.keepalive {
            return declared.value;
        }
        let hidden = self.nat || other.endpoint_of(self).is_none();
        let together = self.site.is_some() && self.site == other.site;
        let found = endpoint.is_some();
        let needs = hidden && found && self.managed && !(together && self.local_endpoint.is_some());
        needs.then_some(Keepalive::DEFAULT)
    }
}

/// Where the links of each member are written, in order of the neighbour: few places, many links.
struct Places {
    distinct: Vec<Location>,
    of: Vec<Vec<(InterfaceId, u32)>>,
}

impl Places {
    fn new(members: &[InterfaceId], links: &Links) -> Self {
        let mut places = Self { distinct: Vec::new(), of: vec![Vec::new(); members.len()] };
        let mut known: HashMap<Location, u32> = HashMap::new();
        // In order of both ends: those below a member come before those above it.
        for ((a, b), at) in &links.edges {
            let index = *known.entry(*at).or_insert_with(|| {
                places.distinct.push(*at);
                next_id(places.distinct.len() - 1)
            });
            for (end, other) in [(a, b), (b, a)] {
                if let Ok(end) = members.binary_search(end) {
                    places.of[end].push((*other, index));
                }
            }
        }
        places
    }
}

fn add_peers(
    topology: &mut Topology,
    inventory: &Inventory,
    network: usize,
    members: &[InterfaceId],
    links: &Links,
) {
    let settings = &inventory.networks[network];
    let peers: Vec<(InterfaceId, Vec<Peer>)> = {
        let topology = &*topology;
        let name = |id| topology.node(topology.interface(id).node).name.as_str();
        let paths = Paths::new(links, name);
        let derivation = Derivation::new(topology, settings, &paths, members);
        let ends: Vec<End<'_>> =
            members.iter().map(|id| End::of(inventory, topology, *id)).collect();
        let end = |id: InterfaceId| {
            let index = members.binary_search(&id).unwrap_or_default();
            &ends[index]
        };
        let places = Places::new(members, links);
        let peers_of = |(id, lists): (InterfaceId, super::allowed::Lists)| {
            let index = members.binary_search(&id).unwrap_or_default();
            // Both are in order of the remote.
            let mut told = places.of[index].iter().peekable();
            let mut peer = |(remote, allowed_ips)| {
                while told.next_if(|(near, _)| *near < remote).is_some() {}
                let place = told.peek().filter(|(near, _)| *near == remote);
                let at = place
                    .map_or(topology.interface(id).at, |(_, at)| places.distinct[*at as usize]);
                let psk = settings.psk == PskMode::Pairwise
                    && psk_possible(inventory, topology, id, remote);
                make_peer(end(id), end(remote), remote, allowed_ips, psk, at)
            };
            (id, lists.into_iter().map(&mut peer).collect())
        };
        let all = derivation.all(|id| exit_of(inventory, topology, id));
        all.into_iter().map(peers_of).collect()
    };
    for (id, list) in peers {
        topology.interfaces[id.0 as usize].peers = list;
    }
}

/// A peer whose private key somebody else keeps has no PSK that the vault could derive for it, but
/// one can still be issued; partners that brought their own public key are left without.
fn psk_possible(
    inventory: &Inventory,
    topology: &Topology,
    a: InterfaceId,
    b: InterfaceId,
) -> bool {
    [a, b].into_iter().all(|id| match topology.node(topology.interface(id).node).kind {
        NodeKind::Host(_) => true,
        NodeKind::Unmanaged(index) => inventory.peers[index].public_key.is_none(),
    })
}

fn make_peer<'a>(
    this: &End<'a>,
    other: &End<'a>,
    remote: InterfaceId,
    derived: Arc<[IpNet]>,
    psk: bool,
    at: Location,
) -> Peer {
    let overrides =
        this.interface.and_then(|own| own.peers.iter().find(|p| p.peer.value == *other.name));
    let list = overrides.and_then(|o| o.allowed_ips.as_ref());
    let endpoint = overrides
        .and_then(|o| o.endpoint.as_ref())
        .map(shared)
        .or_else(|| this.endpoint_of(other).cloned());
    let keepalive = overrides
        .and_then(|o| o.keepalive.as_ref())
        .map_or_else(|| this.keepalive_to(other, endpoint.as_deref()), |keepalive| keepalive.value);
    Peer {
        remote,
        allowed_ips: list
            .map_or(derived, |list| list.iter().map(|net| net.value.trunc()).collect()),
        allowed_ips_at: overrides.filter(|o| o.allowed_ips.is_some()).map(|o| o.peer.at),
        endpoint,
        heard: false,
        keepalive,
        psk,
        at,
    }
}

/// The interface that an end sends everything through.
fn exit_of(inventory: &Inventory, topology: &Topology, id: InterfaceId) -> Option<InterfaceId> {
    let interface = topology.interface(id);
    let via = match topology.node(interface.node).kind {
        NodeKind::Host(index) => inventory.hosts[index]
            .interfaces
            .iter()
            .find(|own| own.network == interface.network)?
            .full_tunnel_via
            .as_ref()?,
        NodeKind::Unmanaged(index) => {
            let peer = &inventory.peers[index];
            peer.via.first().filter(|_| peer.full_tunnel)?
        }
    };
    let node = topology.node(topology.find(&via.value)?);
    node.interfaces.iter().copied().find(|id| topology.interface(*id).network == interface.network)
}

/// An interface's packets must fit the underlays of both ends of each of its links.
fn settle_mtus(topology: &mut Topology, inventory: &Inventory) {
    let underlay = |node: &Node| {
        let site = node.site.map(|site| &inventory.sites[site].underlay);
        site.and_then(|underlay| underlay.mtu.as_ref()).map_or(ETHERNET, |mtu| mtu.value.get())
    };
    let declared = |interface: &Interface| {
        let network = &inventory.networks[interface.network];
        let own = match topology.node(interface.node).kind {
            NodeKind::Host(index) => inventory.hosts[index]
                .interfaces
                .iter()
                .find(|own| own.network == interface.network)
                .and_then(|own| own.mtu.as_ref()),
            NodeKind::Unmanaged(index) => inventory.peers[index].mtu.as_ref(),
        };
        own.or(network.mtu.as_ref()).is_some()
    };
    let mtus: Vec<Mtu> = topology
        .interfaces
        .iter()
        .map(|interface| {
            if declared(interface) {
                return interface.mtu;
            }
            let own = underlay(topology.node(interface.node));
            let least = interface
                .peers
                .iter()
                .map(|peer| underlay(topology.remote(peer)))
                .fold(own.min(ETHERNET), u16::min);
            Mtu::new(u32::from(least.saturating_sub(OVERHEAD))).unwrap_or(Mtu::DEFAULT)
        })
        .collect();
    for (interface, mtu) in topology.interfaces.iter_mut().zip(mtus) {
        interface.mtu = mtu;
    }
}

/// Gateways, hubs and exits forward; exits and hosts that ask for it masquerade.
fn settle_forwarding(topology: &mut Topology, inventory: &Inventory) {
    let exits: Vec<NodeId> = (0..)
        .map(InterfaceId)
        .take(topology.interfaces.len())
        .filter_map(|id| exit_of(inventory, topology, id))
        .map(|id| topology.interface(id).node)
        .collect();
    for exit in exits {
        topology.nodes[exit.0 as usize].exit = true;
    }
    for index in 0..topology.nodes.len() {
        let NodeKind::Host(host) = topology.nodes[index].kind else { continue };
        let interfaces = topology.nodes[index].interfaces.clone();
        let mut families: Vec<Family> = Vec::new();
        for id in &interfaces {
            families.extend(families_of(topology, *id));
        }
        let node = &mut topology.nodes[index];
        let subnets: Vec<Family> =
            node.subnets.iter().map(|subnet| Family::of(&subnet.value)).collect();
        for family in [Family::V4, Family::V6] {
            let routes = subnets.contains(&family) || (node.exit && families.contains(&family));
            match family {
                Family::V4 => node.forwards.v4 |= routes,
                Family::V6 => node.forwards.v6 |= routes,
            }
        }
        if node.exit || inventory.hosts[host].masquerade {
            topology.nodes[index].masquerade = tunnel_sources(topology, inventory, &interfaces);
        }
    }
}

/// Where packets that come out of these tunnels are from: tunnel addresses, and LANs behind peers.
fn tunnel_sources(
    topology: &Topology,
    inventory: &Inventory,
    interfaces: &[InterfaceId],
) -> Vec<IpNet> {
    let mut sources: Vec<IpNet> = Vec::new();
    for interface in interfaces.iter().map(|id| topology.interface(*id)) {
        let prefixes = &inventory.networks[interface.network].prefixes;
        sources.extend(prefixes.iter().map(|prefix| prefix.value.trunc()));
        let behind = interface.peers.iter().flat_map(|peer| peer.allowed_ips.iter());
        sources.extend(behind.filter(|net| net.prefix_len() > 0).copied());
    }
    IpNet::aggregate(&sources)
}
