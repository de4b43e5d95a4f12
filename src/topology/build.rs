//! From intent to topology: every derived value is put in place here.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::allowed::Derivation;
use super::ends::End;
use super::links::{self, Links};
use super::paths::Paths;
use super::settle::{self, exit_of};
use super::{
    Because, Derived, Forwards, Interface, InterfaceId, Node, NodeId, NodeKind, Peer, PeerSettings,
    Topology,
};
use crate::inventory::{
    Declared, Host, HostInterface, Inventory, Level, Network, Place, UnmanagedPeer,
};
use crate::model::{
    Endpoint, HostName, InterfaceName, Located, Location, Mtu, NetworkName, Port, RouteTable,
};

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
    settle::mtus(&mut topology, inventory);
    settle::forwarding(&mut topology, inventory);
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
    if host.settings.gateway.get()
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
        nat: (&host.settings.nat).into(),
        forwards: Forwards::default(),
        masquerade: Derived::default_of(Vec::new()),
        exit: (&host.settings.exit).into(),
        interfaces: Vec::new(),
    };
    for interface in &host.interfaces {
        let network = &inventory.networks[interface.network];
        node.interfaces.push(InterfaceId(next_id(topology.interfaces.len())));
        topology.interfaces.push(Interface {
            node: id,
            network: interface.network,
            name: interface
                .settings
                .interface
                .as_ref()
                .map_or_else(|| interface_name(network), Derived::written),
            at: interface.at,
            addresses: {
                let on_link = interface.settings.on_link.declared().is_none_or(|told| told.value);
                tunnel_addresses(network, &host.name, interface.addresses(), addresses, on_link)
            },
            listen_port: listen_port(host, interface),
            mtu: declared_mtu(interface.settings.mtu.as_ref()),
            table: (&interface.settings.table).into(),
            fwmark: interface
                .settings
                .fwmark
                .as_ref()
                .map_or_else(|| Derived::default_of(None), Derived::written),
            dns: Derived::default_of(Vec::new()),
            peers: Vec::new(),
        });
    }
    for (id, interface) in node.interfaces.iter().zip(&host.interfaces) {
        if let Some(dns) = &interface.settings.dns {
            let dns = dns_of(topology, &node.interfaces, dns);
            topology.interfaces[id.0 as usize].dns = dns;
        }
    }
    topology.nodes.push(node);
}

/// The DNS servers of a host: of those that it inherits, itself is none.
fn dns_of(
    topology: &Topology,
    own: &[InterfaceId],
    dns: &Declared<Vec<Located<String>>>,
) -> Derived<Vec<String>> {
    let itself = |text: &String| {
        let addr: Option<IpAddr> = text.parse().ok();
        let mut addresses = own.iter().flat_map(|id| topology.tunnel_addresses(*id));
        dns.level != Level::Own && addr.is_some_and(|addr| addresses.any(|own| own == addr))
    };
    let mut servers = texts(&dns.value);
    servers.retain(|text| !itself(text));
    Derived::new(servers, Because::Written(dns.place()))
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
    let endpoint = peer.settings.endpoint.as_ref().map(Declared::place);
    topology.nodes.push(Node {
        name: peer.name.value.clone(),
        kind: NodeKind::Unmanaged(index),
        site: None,
        at: peer.name.at,
        subnets: peer.settings.subnets.clone(),
        nat: Derived::new(
            peer.settings.endpoint.is_none(),
            endpoint.map_or(Because::NoEndpoint, Because::Endpoint),
        ),
        forwards: Forwards::default(),
        masquerade: Derived::default_of(Vec::new()),
        exit: Derived::default_of(false),
        interfaces: vec![interface],
    });
    topology.interfaces.push(Interface {
        node,
        network: peer.network,
        name: interface_name(network),
        at: peer.name.at,
        addresses: tunnel_addresses(network, &peer.name, peer.addresses(), addresses, true),
        listen_port: Derived::new(
            peer.settings.endpoint.as_ref().map(|endpoint| endpoint.value.port),
            endpoint.map_or(Because::Default, Because::Endpoint),
        ),
        mtu: declared_mtu(peer.settings.mtu.as_ref().or(network.mtu.as_ref())),
        table: Derived::default_of(RouteTable::Auto),
        fwmark: Derived::default_of(None),
        dns: peer.dns().first().map_or_else(
            || Derived::default_of(Vec::new()),
            |first| Derived::new(texts(peer.dns()), Because::Written(Place::own(first.at))),
        ),
        peers: Vec::new(),
    });
}

fn texts(all: &[Located<String>]) -> Vec<String> {
    all.iter().map(|text| text.value.clone()).collect()
}

/// What the file declares; otherwise it follows from the peers, once they are known.
fn declared_mtu(declared: Option<&Declared<Mtu>>) -> Derived<Mtu> {
    declared.map_or_else(|| Derived::new(Mtu::DEFAULT, Because::Ethernet), Derived::written)
}

/// The interface name of a network's members.
fn interface_name(network: &Network) -> Derived<InterfaceName> {
    let Located { value, at } = &network.interface;
    // One that is not written stands at the name of the network.
    let because = if *at != network.name.at {
        Because::Written(Place { at: *at, level: Level::Network })
    } else if value.as_str() == network.name.value.as_str() {
        Because::NetworkName(*at)
    } else {
        Because::Default
    };
    Derived::new(value.clone(), because)
}

/// Tunnel addresses with the prefix length of the network's prefix of their family, or with their own
/// where that prefix is not on the link.
fn tunnel_addresses(
    network: &Network,
    name: &Located<HostName>,
    explicit: &[Declared<IpAddr>],
    addresses: &dyn Addresses,
    on_link: bool,
) -> Vec<Derived<IpNet>> {
    let mut all: Vec<Derived<IpAddr>> = explicit.iter().map(Derived::written).collect();
    for addr in addresses.of(&network.name.value, &name.value) {
        if !all.iter().any(|known| known.value.is_ipv4() == addr.is_ipv4()) {
            all.push(Derived::new(addr, Because::Pinned(name.at)));
        }
    }
    all.sort_by_key(|addr| addr.value.is_ipv6());
    all.into_iter()
        .map(|addr| {
            let mut prefixes = network.prefixes.iter().filter(|_| on_link);
            let prefix = prefixes.find(|prefix| prefix.value.contains(&addr.value));
            let length = prefix.map_or(if addr.value.is_ipv4() { 32 } else { 128 }, |prefix| {
                prefix.value.prefix_len()
            });
            let net = IpNet::new(addr.value, length).unwrap_or_else(|_| IpNet::from(addr.value));
            Derived::new(net, addr.because)
        })
        .collect()
}

/// The declared port, else that of an endpoint, the one that no NAT forwards from another port first.
fn listen_port(host: &Host, interface: &HostInterface) -> Derived<Option<Port>> {
    let told = |endpoint: Option<&Declared<Endpoint>>, because: fn(Place) -> Because| {
        let endpoint = endpoint?;
        Some(Derived::new(endpoint.value.port, because(endpoint.place())))
    };
    let of_endpoint = told(interface.settings.endpoint.as_ref(), Because::Endpoint);
    let of_local = told(interface.settings.local_endpoint.as_ref(), Because::LocalEndpoint);
    let reachable =
        if host.settings.nat.get() { of_local.or(of_endpoint) } else { of_endpoint.or(of_local) };
    let declared = interface.settings.listen_port.as_ref().map(Derived::written);
    declared.or(reachable).map_or_else(
        || Derived::default_of(None),
        |port| Derived::new(Some(port.value), port.because),
    )
}

fn mark_transit(topology: &mut Topology, links: &Links) {
    for (id, transit) in &links.transit {
        let node = topology.interface(*id).node;
        for family in topology.families(*id) {
            topology.nodes[node.0 as usize].forwards.turn_on(family, transit.because);
        }
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
        let derivation = Derivation::new(topology, inventory, settings, &paths, members);
        let ends: Vec<End<'_>> =
            members.iter().map(|id| End::of(inventory, topology, *id)).collect();
        let end = |id: InterfaceId| {
            let index = members.binary_search(&id).unwrap_or_default();
            &ends[index]
        };
        let places = Places::new(members, links);
        let mut shared: Option<Arc<PeerSettings>> = None;
        let peers_of = |(id, lists): (InterfaceId, super::allowed::Lists)| {
            let index = members.binary_search(&id).unwrap_or_default();
            // Both are in order of the remote.
            let mut told = places.of[index].iter().peekable();
            let mut peer = |(remote, allowed_ips)| {
                while told.next_if(|(near, _)| *near < remote).is_some() {}
                let place = told.peek().filter(|(near, _)| *near == remote);
                let at = place
                    .map_or(topology.interface(id).at, |(_, at)| places.distinct[*at as usize]);
                let (this, other) = (end(id), end(remote));
                let endpoint = this.endpoint_told(other);
                let settings = PeerSettings {
                    at,
                    keepalive: this.keepalive_to(other, endpoint.is_some()),
                    psk: this.psk_with(other, &settings.psk),
                };
                // Most peers of a network have the same.
                let settings = settings.shared(&mut shared);
                let allowed_ips = this.allowed_ips_of(other, allowed_ips);
                Peer { remote, allowed_ips, endpoint, heard: false, settings }
            };
            (id, lists.into_iter().map(&mut peer).collect())
        };
        let all = derivation.all(|id| exit_of(inventory, topology, id).map(|(exit, _)| exit));
        all.into_iter().map(peers_of).collect()
    };
    for (id, list) in peers {
        topology.interfaces[id.0 as usize].peers = list;
    }
}
