//! What the intent means: interfaces with addresses, and links with derived `AllowedIPs`.
//!
//! A [`Topology`] is the fleet as the checker proves it and as `desired` renders it: every
//! interface of every host and unmanaged peer, and on each the full list of its peers.

mod allowed;
mod build;
mod derived;
mod ends;
mod id;
mod links;
mod list;
mod mix;
mod origin;
mod paths;
mod settle;

pub use build::{Addresses, build};
pub use derived::{Because, Derived};
pub use id::{InterfaceId, NodeId};
pub use list::AllowedIps;
pub use mix::mix;
pub use origin::{Origins, origin};

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::inventory::{Host, HostInterface, Inventory, Selector, UnmanagedPeer};
use crate::model::{
    Endpoint, Family, FwMark, HostName, InterfaceName, Keepalive, Located, Location, Mtu, Port,
    RouteTable,
};

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
    pub nat: Derived<bool>,
    /// Families it forwards between interfaces: hubs, gateways, transit hosts and exits.
    pub forwards: Forwards,
    /// Source prefixes that it masquerades when they leave the tunnel.
    pub masquerade: Derived<Vec<IpNet>>,
    /// Whether it sends full-tunnel traffic on to the Internet.
    pub exit: Derived<bool>,
    /// Its interfaces.
    pub interfaces: Vec<InterfaceId>,
}

impl Node {
    /// The unmanaged peer that it is, where it is one.
    #[must_use]
    pub fn unmanaged<'i>(&self, inventory: &'i Inventory) -> Option<&'i UnmanagedPeer> {
        match self.kind {
            NodeKind::Host(_) => None,
            NodeKind::Unmanaged(index) => inventory.peers.get(index),
        }
    }

    /// The key that a peer brought, and by which wg(8) orders it.
    #[must_use]
    pub fn known_key(&self, inventory: &Inventory) -> Option<[u8; 32]> {
        let key = self.unmanaged(inventory)?.settings.public_key.as_ref()?;
        Some(*key.value.as_bytes())
    }

    /// Whether wgfleet writes its configuration: a host, or a peer whose config it issues.
    #[must_use]
    pub fn is_ours(&self, inventory: &Inventory) -> bool {
        self.unmanaged(inventory).is_none_or(|peer| peer.settings.public_key.is_none())
    }

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

/// The families that a node forwards, each with what decided it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forwards {
    /// `net.ipv4.ip_forward`.
    pub v4: Derived<bool>,
    /// `net.ipv6.conf.all.forwarding`.
    pub v6: Derived<bool>,
}

impl Default for Forwards {
    fn default() -> Self {
        Self { v4: Derived::default_of(false), v6: Derived::default_of(false) }
    }
}

impl Forwards {
    /// What was seen on a host.
    #[must_use]
    pub const fn seen(v4: bool, v6: bool) -> Self {
        Self { v4: Derived::seen(v4), v6: Derived::seen(v6) }
    }

    /// Whether it forwards a family.
    #[must_use]
    pub const fn of(&self, family: Family) -> bool {
        match family {
            Family::V4 => self.v4.value,
            Family::V6 => self.v6.value,
        }
    }

    /// Whether it forwards any family.
    #[must_use]
    pub const fn any(&self) -> bool {
        self.v4.value || self.v6.value
    }

    /// The families alone.
    #[must_use]
    pub const fn families(&self) -> Forwarding {
        Forwarding { v4: self.v4.value, v6: self.v6.value }
    }

    /// Turns a family on; what has already done so stays the reason.
    fn turn_on(&mut self, family: Family, because: Because) {
        let switch = match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        };
        if !switch.value {
            *switch = Derived::new(true, because);
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
    pub name: Derived<InterfaceName>,
    /// Where its membership is written.
    pub at: Location,
    /// Tunnel addresses with the prefix length of the network.
    pub addresses: Vec<Derived<IpNet>>,
    /// UDP port; `None`: the kernel chooses.
    pub listen_port: Derived<Option<Port>>,
    /// MTU in bytes.
    pub mtu: Derived<Mtu>,
    /// Where its routes go.
    pub table: Derived<RouteTable>,
    /// Mark of its encrypted packets.
    pub fwmark: Derived<Option<FwMark>>,
    /// DNS servers and search domains.
    pub dns: Derived<Vec<String>>,
    /// Its peers, in order of the remote's interface id.
    pub peers: Vec<Peer>,
}

/// One peer of one interface: this side's view of a link.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The other end.
    pub remote: InterfaceId,
    /// What is sent to it and accepted from it. Shared between interfaces that say the same.
    pub allowed_ips: Derived<AllowedIps>,
    /// Where this side finds the other; `None`: the other begins. Shared by all who are told it.
    pub endpoint: Option<Arc<Derived<Endpoint>>>,
    /// Whether packets came from there: what runs knows, a file does not.
    pub heard: bool,
    /// The rest, shared by the peers of an interface that have the same.
    pub settings: Arc<PeerSettings>,
}

/// Settings of a peer that most peers of an interface have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerSettings {
    /// Where the link is written.
    pub at: Location,
    /// Keepalive of this side.
    pub keepalive: Derived<Option<Keepalive>>,
    /// Whether the pair has a preshared key.
    pub psk: Derived<bool>,
}

impl PeerSettings {
    /// The settings in memory that those before them have too, where they are the same.
    #[must_use]
    pub fn shared(self, last: &mut Option<Arc<Self>>) -> Arc<Self> {
        match last {
            Some(last) if **last == self => Arc::clone(last),
            _ => Arc::clone(last.insert(Arc::new(self))),
        }
    }
}

impl Peer {
    /// Where the operator overrode the derived `AllowedIPs`.
    #[must_use]
    pub fn overridden(&self) -> Option<Location> {
        self.allowed_ips.because.declared()
    }

    /// Where this side finds the other, whatever says it.
    #[must_use]
    pub fn address(&self) -> Option<&Endpoint> {
        self.endpoint.as_deref().map(|endpoint| &endpoint.value)
    }

    /// Where the link is written.
    #[must_use]
    pub fn at(&self) -> Location {
        self.settings.at
    }

    /// Keepalive of this side.
    #[must_use]
    pub fn keepalive(&self) -> Option<Keepalive> {
        self.settings.keepalive.value
    }
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

    /// The host of an interface with what the file says about that interface; `None` for
    /// unmanaged peers.
    #[must_use]
    pub fn membership<'i>(
        &self,
        inventory: &'i Inventory,
        interface: &Interface,
    ) -> Option<(&'i Host, &'i HostInterface)> {
        let NodeKind::Host(index) = self.node(interface.node).kind else { return None };
        let host = &inventory.hosts[index];
        host.membership(interface.network).map(|own| (host, own))
    }

    /// Where it is written how an interface finds a peer; the peer where that is not written.
    #[must_use]
    pub fn endpoint_at(&self, peer: &Peer) -> Location {
        let told = peer.endpoint.as_ref().and_then(|endpoint| endpoint.because.at());
        told.unwrap_or(self.interface(peer.remote).at)
    }

    /// The interface of a node in a network.
    #[must_use]
    pub fn member(&self, node: NodeId, network: usize) -> Option<InterfaceId> {
        let mut own = self.node(node).interfaces.iter().copied();
        own.find(|id| self.interface(*id).network == network)
    }

    /// The families that an interface has addresses of.
    fn families(&self, id: InterfaceId) -> Vec<Family> {
        self.tunnel_addresses(id).map(|addr| Family::of_addr(&addr)).collect()
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
