//! The operator's intent: one inventory, parsed, inherited and validated, each value with its place.
//!
//! [`Inventory`] is what the file says once defaults and groups are resolved; nothing is derived
//! yet (see [`crate::topology`]).

mod absent;
mod allocate;
mod bind;
mod declared;
mod draft;
pub mod edit;
mod expect;
mod fields;
mod file;
mod form;
mod host;
mod inherit;
pub mod keys;
mod links;
mod lock;
mod membership;
mod moved;
mod names;
mod network;
mod node;
mod peer;
mod presence;
mod reader;
mod resolve;
mod rollout;
mod rows;
pub mod schema;
mod select;
mod settings;
mod site;
mod spec;
mod value;
mod yaml;

pub use allocate::{allocate, usable};
pub use declared::{Declared, Level, Place, Setting};
pub use host::OverrideSettings;
pub use lock::{LockError, LockFile, MAX_LOCK_BYTES, Twice};
pub use moved::Moved;
pub use network::PskMode;
pub use peer::PeerSettings;
pub use presence::Presence;
pub use reader::{Parsed, Reader, parse};
pub use rollout::RolloutPolicy;
pub use select::Index;
pub use settings::{HostSettings, InterfaceSettings};
pub use site::Underlay;
pub use yaml::MAX_FILE_BYTES;

use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;

use crate::model::{
    FleetName, HostName, InterfaceName, Located, Location, Mtu, NetworkName, SiteName, SourceMap,
    SshTarget, Until,
};

use keys::KeySpec;
use rows::Rows as _;

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
    /// Hosts and peers that have got another name.
    pub moved: Vec<Moved>,
    /// How rollouts are to go.
    pub rollout: RolloutPolicy,
    /// What is written and does not count: disabled, or its time is over.
    pub absent: Vec<Absent>,
    /// The moment that it was read for, which says whose time is over; `None`: nobody's.
    pub now: Option<Timestamp>,
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
    /// Whether it counts, and until when.
    pub presence: Presence,
    /// What it says about itself, or inherits.
    pub settings: HostSettings,
    /// Prefixes behind it beside its site's subnets, masked.
    pub subnets: Vec<Located<IpNet>>,
    /// Its interfaces, one for each network that it is a member of, in order of the networks.
    pub interfaces: Vec<HostInterface>,
}

impl Host {
    /// What it says about its interface in a network; `None` where it is not a member.
    #[must_use]
    pub fn membership(&self, network: usize) -> Option<&HostInterface> {
        self.interfaces.iter().find(|own| own.network == network)
    }

    /// Where each of its settings is written, in order of the rows: the level that counts.
    #[must_use]
    pub fn places(&self) -> Vec<(&'static KeySpec, Place)> {
        self.settings.places()
    }
}

/// What a host says about one of its tunnel interfaces.
#[derive(Debug, Clone)]
pub struct HostInterface {
    /// Index into [`Inventory::networks`].
    pub network: usize,
    /// Where the membership is written (the host, where it is implied).
    pub at: Location,
    /// What the host says about it, or inherits. It has no `listen_port` where an endpoint says the
    /// port, and at most one address of each family; missing ones are allocated.
    pub settings: InterfaceSettings,
    /// Sends everything through this host.
    pub full_tunnel_via: Option<Declared<HostName>>,
    /// Overrides for single peers.
    pub peers: Vec<PeerOverride>,
}

impl HostInterface {
    /// Its tunnel addresses that are declared.
    #[must_use]
    pub fn addresses(&self) -> &[Declared<IpAddr>] {
        self.settings.address.as_deref().unwrap_or_default()
    }

    /// What it overrides for a peer.
    #[must_use]
    pub fn override_of(&self, peer: &HostName) -> Option<&PeerOverride> {
        self.peers.iter().find(|own| own.peer.value == *peer)
    }

    /// Where each of its settings is written, in order of the rows: the levels that count.
    #[must_use]
    pub fn places(&self) -> Vec<(&'static KeySpec, Place)> {
        self.settings.places()
    }
}

/// What a host says about one of its peers instead of what would be derived.
#[derive(Debug, Clone)]
pub struct PeerOverride {
    /// The peer.
    pub peer: Located<HostName>,
    /// What it says.
    pub settings: OverrideSettings,
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
    /// Whether it counts, and until when.
    pub presence: Presence,
    /// What it says of itself; at most one address of each family, missing ones are allocated.
    pub settings: PeerSettings,
}

impl UnmanagedPeer {
    /// DNS servers and search domains for the configuration that is issued.
    #[must_use]
    pub fn dns(&self) -> &[Located<String>] {
        self.settings.dns.as_ref().map_or(&[], |dns| dns.value.as_slice())
    }

    /// Its tunnel addresses that are declared.
    #[must_use]
    pub fn addresses(&self) -> &[Declared<IpAddr>] {
        self.settings.address.as_deref().unwrap_or_default()
    }
}

/// Something that is written and does not count.
#[derive(Debug, Clone)]
pub struct Absent {
    /// What it is.
    pub who: Who,
    /// Why it does not count.
    pub why: Absence,
}

/// What does not count.
#[derive(Debug, Clone)]
pub enum Who {
    /// A host.
    Host(Box<Host>),
    /// An unmanaged peer.
    Peer(Box<UnmanagedPeer>),
}

/// Why something does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Absence {
    /// `enabled: false` is written here.
    Disabled(Location),
    /// Its time is over.
    Over(Declared<Until>),
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
    /// What has failed meanwhile, of a flow that must survive that.
    pub without: Option<Located<LossOf>>,
    /// Where the rule is written.
    pub at: Location,
}

/// What a `survive` rule takes away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LossOf {
    /// A host or an unmanaged peer.
    Host(HostName),
    /// The uplink of a site.
    Uplink(SiteName),
    /// The links between two hosts or peers.
    Link(HostName, HostName),
}
