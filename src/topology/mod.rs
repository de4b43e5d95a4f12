//! What the intent means: interfaces with addresses, and links with derived `AllowedIPs`.
//!
//! A [`Topology`] is the fleet as the checker proves it and as `desired` renders it: every
//! interface of every host and unmanaged peer, and on each the full list of its peers.

mod allowed;
mod build;
mod links;
mod mix;
mod paths;

pub use build::{Addresses, build};
pub use mix::mix;

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::inventory::{Inventory, Selector};
use crate::model::{
    Endpoint, FwMark, HostName, InterfaceName, Keepalive, Located, Location, Mtu, Port, RouteTable,
};

/// Index into [`Topology::nodes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

/// Index into [`Topology::interfaces`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceId(pub u32);

/// The fleet, every derived value in place.
#[derive(Debug, Clone, Default)]
pub struct Topology {
    /// Hosts in order of the file, then unmanaged peers.
    pub nodes: Vec<Node>,
    /// Every tunnel interface, grouped by node.
    pub interfaces: Vec<Interface>,
}

/// What kind of machine a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NodeKind {
    /// Index into [`crate::inventory::Inventory::hosts`].
    Host(usize),
    /// Index into [`crate::inventory::Inventory::peers`].
    Unmanaged(usize),
}

/// A machine: a host or an unmanaged peer.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its name.
    pub name: HostName,
    /// Managed or not.
    pub kind: NodeKind,
    /// Index into the inventory's sites.
    pub site: Option<usize>,
    /// Where it is written.
    pub at: Location,
    /// Prefixes that it delivers to: its site's subnets where it is a gateway, and its own.
    pub subnets: Vec<Located<IpNet>>,
    /// Whether its packets leave through a source NAT.
    pub nat: bool,
    /// Families it forwards between interfaces: hubs, gateways, transit hosts and exits.
    pub forwards: Forwarding,
    /// Source prefixes that it masquerades when they leave the tunnel.
    pub masquerade: Vec<IpNet>,
    /// Whether it sends full-tunnel traffic on to the Internet.
    pub exit: bool,
    /// Its interfaces.
    pub interfaces: Vec<InterfaceId>,
}

impl Node {
    /// Whether a selector names it, its site or one of its groups.
    #[must_use]
    pub fn is_of(&self, inventory: &Inventory, selector: &Selector) -> bool {
        match selector {
            Selector::Host(name) => self.name == *name,
            Selector::Site(name) => {
                self.site.is_some_and(|site| inventory.sites[site].name.value == *name)
            }
            Selector::Group(name) => match self.kind {
                NodeKind::Host(index) => inventory.hosts[index].groups.contains(name),
                NodeKind::Unmanaged(_) => false,
            },
            Selector::Network(_) | Selector::Net(_) | Selector::Internet => false,
        }
    }
}

/// The families that a node forwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Forwarding {
    /// `net.ipv4.ip_forward`.
    pub v4: bool,
    /// `net.ipv6.conf.all.forwarding`.
    pub v6: bool,
}

/// One tunnel interface of one node.
#[derive(Debug, Clone)]
pub struct Interface {
    /// Whose it is.
    pub node: NodeId,
    /// Index into the inventory's networks.
    pub network: usize,
    /// Its name.
    pub name: InterfaceName,
    /// Where its membership is written.
    pub at: Location,
    /// Tunnel addresses with the prefix length of the network.
    pub addresses: Vec<Located<IpNet>>,
    /// UDP port; `None`: the kernel chooses.
    pub listen_port: Option<Port>,
    /// MTU in bytes.
    pub mtu: Mtu,
    /// Where its routes go.
    pub table: RouteTable,
    /// Mark of its encrypted packets.
    pub fwmark: Option<FwMark>,
    /// DNS servers and search domains.
    pub dns: Vec<String>,
    /// Its peers, in order of the remote's interface id.
    pub peers: Vec<Peer>,
}

/// One peer of one interface: this side's view of a link.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The other end.
    pub remote: InterfaceId,
    /// What is sent to it and accepted from it. Shared between interfaces that say the same.
    pub allowed_ips: Arc<[IpNet]>,
    /// Where the operator overrode the derived list.
    pub allowed_ips_at: Option<Location>,
    /// Where this side finds the other; `None`: the other begins. Shared by all who are told it.
    pub endpoint: Option<Arc<Endpoint>>,
    /// Whether packets came from there: what runs knows, a file does not.
    pub heard: bool,
    /// Keepalive of this side.
    pub keepalive: Option<Keepalive>,
    /// Whether the pair has a preshared key.
    pub psk: bool,
    /// Where the link is written.
    pub at: Location,
}

impl Topology {
    /// The node of an id of this topology.
    #[must_use]
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// The interface of an id of this topology.
    #[must_use]
    pub fn interface(&self, id: InterfaceId) -> &Interface {
        &self.interfaces[id.0 as usize]
    }

    /// The node at the other end of a peer entry.
    #[must_use]
    pub fn remote(&self, peer: &Peer) -> &Node {
        self.node(self.interface(peer.remote).node)
    }

    /// The node of a name.
    #[must_use]
    pub fn find(&self, name: &HostName) -> Option<NodeId> {
        let index = self.nodes.iter().position(|node| node.name == *name)?;
        u32::try_from(index).ok().map(NodeId)
    }

    /// Tunnel addresses of an interface without prefix lengths.
    pub fn tunnel_addresses(&self, id: InterfaceId) -> impl Iterator<Item = IpAddr> + '_ {
        self.interface(id).addresses.iter().map(|address| address.value.addr())
    }
}
