//! The operator's intent: one inventory, parsed, inherited and validated, each value with its place.
//!
//! [`Inventory`] is what the file says once defaults and groups are resolved; nothing is derived
//! yet (see [`crate::topology`]).

mod allocate;
mod bind;
mod declared;
mod draft;
mod fields;
pub mod keys;
mod links;
mod lock;
mod membership;
mod names;
mod node;
mod reader;
mod resolve;
pub mod schema;
mod select;
mod settings;
mod value;
mod yaml;

pub use allocate::{allocate, usable};
pub use declared::{Declared, Level, Place, Setting};
pub use lock::{LockError, LockFile, MAX_LOCK_BYTES};
pub use reader::{Parsed, Reader, parse};
pub use select::Index;
pub use yaml::MAX_FILE_BYTES;

use ipnet::IpNet;

use crate::model::{
    Backend, Become, Endpoint, FleetName, FwMark, Hook, HostName, InterfaceName, Keepalive,
    Located, Location, Mtu, NetworkName, Port, PublicKey, RouteTable, SiteName, SourceMap,
    SshTarget,
};

/// One fleet, as its files say it.
#[derive(Debug, Clone)]
pub struct Inventory {
    /// Name of the fleet.
    pub fleet: Located<FleetName>,
    /// Overlay networks, in order of the file.
    pub networks: Vec<Network>,
    /// Places, in order of the file.
    pub sites: Vec<Site>,
    /// Managed hosts, in order of the file, defaults and groups already inherited.
    pub hosts: Vec<Host>,
    /// Unmanaged peers, in order of the file.
    pub peers: Vec<UnmanagedPeer>,
    /// What must and must not flow.
    pub expects: Vec<Expect>,
    /// The files that all of this was read from.
    pub sources: SourceMap,
}

/// One overlay: prefixes, interface name, link shape.
#[derive(Debug, Clone)]
pub struct Network {
    /// Its name.
    pub name: Located<NetworkName>,
    /// Interface name on every member; default `wg0`, or the network's name where several networks
    /// exist and it fits.
    pub interface: Located<InterfaceName>,
    /// Prefixes that tunnel addresses come from, at most one for each family, masked.
    pub prefixes: Vec<Located<IpNet>>,
    /// Link shapes; their union counts. Empty: hosts are not linked, only `via` of peers.
    pub links: Vec<LinkShape>,
    /// Whether each pair has a preshared key.
    pub psk: Setting<PskMode>,
    /// MTU of its members' interfaces.
    pub mtu: Option<Declared<Mtu>>,
}

/// Whether pairs of peers have preshared keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PskMode {
    /// None.
    #[default]
    None,
    /// One for each pair, derived from the vault.
    Pairwise,
}

/// Which hosts of a network are linked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkShape {
    /// Every pair of members, or of the selected ones.
    Mesh {
        /// The members that take part; `None` for all.
        members: Option<Vec<Located<Selector>>>,
        /// Where it is written.
        at: Location,
    },
    /// Every member to every hub; spokes reach one another through the hubs.
    Hub {
        /// The hubs.
        hubs: Vec<Located<Selector>>,
        /// The spokes; `None` for all other members.
        spokes: Option<Vec<Located<Selector>>>,
        /// Whether the hubs are linked to one another too; default true.
        mesh_hubs: bool,
        /// Where it is written.
        at: Location,
    },
    /// One link.
    Pair {
        /// One end.
        a: Located<HostName>,
        /// The other end.
        b: Located<HostName>,
        /// Where it is written.
        at: Location,
    },
}

/// A host, or all hosts of a site or group, by name. A parse has already resolved which.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Selector {
    /// One host or unmanaged peer.
    Host(HostName),
    /// All hosts of a site, and its subnets.
    Site(SiteName),
    /// All hosts of a group.
    Group(crate::model::GroupName),
    /// A whole network: all its tunnel addresses.
    Network(NetworkName),
    /// A literal prefix (only in `expect`).
    Net(IpNet),
    /// The outside world (only in `expect`): what a full tunnel reaches.
    Internet,
}

/// A place with LAN subnets and an underlay.
#[derive(Debug, Clone)]
pub struct Site {
    /// Its name.
    pub name: Located<SiteName>,
    /// LAN prefixes, masked.
    pub subnets: Vec<Located<IpNet>>,
    /// What lies between the site and the other sites.
    pub underlay: Underlay,
}

/// What lies below the tunnels at one site.
#[derive(Debug, Clone, Default)]
pub struct Underlay {
    /// MTU of the way out in bytes, where it is not 1500.
    pub mtu: Option<Located<Mtu>>,
    /// Name of a private underlay that sites share (an MPLS, a VPC): endpoints within it are
    /// reachable from its other sites even where they are private addresses.
    pub name: Option<Located<String>>,
}

/// One managed machine.
#[derive(Debug, Clone)]
pub struct Host {
    /// Its name.
    pub name: Located<HostName>,
    /// Index into [`Inventory::sites`].
    pub site: Option<usize>,
    /// Groups it belongs to, in order of inheritance.
    pub groups: Vec<crate::model::GroupName>,
    /// How ssh(1) reaches it; the place of its name where nothing is declared.
    pub ssh: Located<SshTarget>,
    /// How the login user becomes root.
    pub r#become: Setting<Become>,
    /// Whether its packets leave through a source NAT, so that nobody can begin a session with it
    /// unless an endpoint is declared (a port-forward).
    pub nat: Setting<bool>,
    /// Whether it routes its site's subnets.
    pub gateway: Setting<bool>,
    /// Whether it forwards between its peers even where it is no hub.
    pub transit: Setting<bool>,
    /// Whether it sends full-tunnel traffic on to the Internet.
    pub exit: Setting<bool>,
    /// Whether traffic that leaves the tunnel through this host is masqueraded.
    pub masquerade: Setting<bool>,
    /// Prefixes behind it beside its site's subnets, masked.
    pub subnets: Vec<Located<IpNet>>,
    /// What runs its tunnels.
    pub backend: Setting<Backend>,
    /// Its interfaces, one for each network that it is a member of, in order of the networks.
    pub interfaces: Vec<HostInterface>,
}

impl Host {
    /// What it says about its interface in a network; `None` where it is not a member.
    #[must_use]
    pub fn membership(&self, network: usize) -> Option<&HostInterface> {
        self.interfaces.iter().find(|own| own.network == network)
    }
}

impl HostInterface {
    /// What it overrides for a peer.
    #[must_use]
    pub fn override_of(&self, peer: &HostName) -> Option<&PeerOverride> {
        self.peers.iter().find(|own| own.peer.value == *peer)
    }
}

/// What a host says about one of its tunnel interfaces.
#[derive(Debug, Clone)]
pub struct HostInterface {
    /// Index into [`Inventory::networks`].
    pub network: usize,
    /// Where the membership is written (the host, where it is implied).
    pub at: Location,
    /// Interface name where it differs from the network's.
    pub interface: Option<Declared<InterfaceName>>,
    /// Tunnel addresses, at most one for each family; missing ones are allocated.
    pub addresses: Vec<Declared<std::net::IpAddr>>,
    /// Where other sites reach it.
    pub endpoint: Option<Declared<Endpoint>>,
    /// Where hosts of its own site reach it.
    pub local_endpoint: Option<Declared<Endpoint>>,
    /// UDP port; default: the endpoint's port without NAT, else the network's, else a free choice
    /// of the kernel where nobody has to reach it.
    pub listen_port: Option<Declared<Port>>,
    /// MTU.
    pub mtu: Option<Declared<Mtu>>,
    /// Routing table of its routes.
    pub table: Setting<RouteTable>,
    /// Mark of its encrypted packets; `Some(None)`: declared off.
    pub fwmark: Option<Declared<Option<FwMark>>>,
    /// DNS servers and search domains, as wg-quick takes them, validated.
    pub dns: Option<Declared<Vec<Located<String>>>>,
    /// Interval that it keeps its NAT mapping open with; `Some(None)`: declared off.
    pub keepalive: Option<Declared<Option<Keepalive>>>,
    /// Commands around its life.
    pub hooks: Hooks,
    /// Sends everything through this host.
    pub full_tunnel_via: Option<Declared<HostName>>,
    /// Overrides for single peers.
    pub peers: Vec<PeerOverride>,
}

/// Commands around the life of an interface, run by wg-quick(8).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hooks {
    /// Before it comes up.
    pub pre_up: Vec<Declared<Hook>>,
    /// After it came up.
    pub post_up: Vec<Declared<Hook>>,
    /// Before it goes down.
    pub pre_down: Vec<Declared<Hook>>,
    /// After it went down.
    pub post_down: Vec<Declared<Hook>>,
}

/// What a host says about one of its peers instead of what would be derived.
#[derive(Debug, Clone)]
pub struct PeerOverride {
    /// The peer.
    pub peer: Located<HostName>,
    /// Replaces the derived `AllowedIPs` whole.
    pub allowed_ips: Option<Vec<Located<IpNet>>>,
    /// Replaces the derived endpoint.
    pub endpoint: Option<Located<Endpoint>>,
    /// Replaces the derived keepalive; `Some(None)`: off.
    pub keepalive: Option<Located<Option<Keepalive>>>,
}

/// A phone, a partner's router: nobody logs in there.
#[derive(Debug, Clone)]
pub struct UnmanagedPeer {
    /// Its name.
    pub name: Located<HostName>,
    /// Index into [`Inventory::networks`].
    pub network: usize,
    /// The hosts that it is linked to.
    pub via: Vec<Located<HostName>>,
    /// Its public key; where it is missing, the vault makes a pair and issues its config.
    pub public_key: Option<Located<PublicKey>>,
    /// Tunnel addresses, at most one for each family; missing ones are allocated.
    pub addresses: Vec<Declared<std::net::IpAddr>>,
    /// Where it can be reached.
    pub endpoint: Option<Declared<Endpoint>>,
    /// Whether it sends everything through its first `via`.
    pub full_tunnel: bool,
    /// Prefixes behind it, masked.
    pub subnets: Vec<Located<IpNet>>,
    /// Its keepalive, for the config that is issued; `Some(None)`: off.
    pub keepalive: Option<Declared<Option<Keepalive>>>,
    /// DNS servers and search domains for the config that is issued.
    pub dns: Vec<Located<String>>,
    /// MTU for the config that is issued.
    pub mtu: Option<Declared<Mtu>>,
}

/// One rule of `expect`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expect {
    /// Whether the flow must or must not exist.
    pub allow: bool,
    /// Where it begins.
    pub from: Located<Selector>,
    /// Where it ends.
    pub to: Located<Selector>,
    /// Where the rule is written.
    pub at: Location,
}
