//! `wgfleet explain`: every setting of a host, its value, and why it has it.

mod collect;
mod human;

pub use collect::{Keys, explain};
pub use human::human;

use serde::Serialize;
use serde_json::Value;

use crate::model::{Document, FleetName, HostName, InterfaceName, Kind, NetworkName, Version};

/// Every setting of a host or an unmanaged peer, or those towards one of its peers.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Explanation {
    /// `explain`.
    pub kind: Kind<Self>,
    /// Its version.
    pub version: Version<Self>,
    /// The fleet.
    pub fleet: FleetName,
    /// The host or unmanaged peer.
    pub host: HostName,
    /// Settings of the host as a whole; none where one peer is asked for.
    pub settings: Vec<Setting>,
    /// Its interfaces, in order of the networks.
    pub interfaces: Vec<InterfaceSettings>,
}

impl Document for Explanation {
    const KIND: &'static str = "explain";
    const VERSION: u32 = 1;
}

/// The settings of one tunnel interface.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct InterfaceSettings {
    /// Its name.
    pub interface: InterfaceName,
    /// The network that it is in.
    pub network: NetworkName,
    /// Settings of the interface; none where one peer is asked for.
    pub settings: Vec<Setting>,
    /// Its peers, in order of their names.
    pub peers: Vec<PeerSettings>,
}

/// The settings of one peer of an interface.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PeerSettings {
    /// The peer.
    pub peer: HostName,
    /// Its settings.
    pub settings: Vec<Setting>,
}

/// One setting; a list has one for each item, and one whose value is null where it is empty.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Setting {
    /// Which: a stable word.
    #[cfg_attr(test, schemars(with = "crate::model::schema::Word"))]
    pub setting: &'static str,
    /// Its value: a number, a boolean, a text, or null where it is not set. Secrets are `(hidden)`.
    #[cfg_attr(test, schemars(with = "crate::model::schema::Scalar"))]
    pub value: Value,
    /// Why it has this value.
    pub because: Reason,
    /// The level of inheritance that decided, where one did.
    pub level: Option<Level>,
    /// Who or what decided: the name of a host, peer, site, group or network; null where that is the
    /// host itself.
    #[cfg_attr(test, schemars(with = "Option<crate::model::schema::Word>"))]
    pub of: Option<String>,
    /// The place of the file that decided, where there is one.
    pub at: Option<Place>,
}

/// Why a setting has its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The host or peer says it itself, or inherits it from `level`.
    Written,
    /// The host says it under its `peers:`, for this peer alone.
    Override,
    /// The peer's `endpoint` says it.
    PeerEndpoint,
    /// The peer's `local_endpoint` says it: both are at one site.
    PeerLocalEndpoint,
    /// It is the port of the host's own `endpoint`; of an unmanaged peer: that it has one.
    Endpoint,
    /// It is the port of the host's own `local_endpoint`.
    LocalEndpoint,
    /// It is the name of the network.
    NetworkName,
    /// It was allocated, and is pinned in the lock file.
    Pinned,
    /// It is what the underlay of an end of the tunnel carries, less 80 bytes for the encryption.
    Underlay,
    /// It is what Ethernet carries, less 80 bytes for the encryption.
    Ethernet,
    /// The host is behind a NAT, which forgets what nobody uses.
    Nat,
    /// The peer does not know where the host is: the host keeps the session.
    Unknown,
    /// No endpoint is known: the other side begins the session.
    NoEndpoint,
    /// It follows from what is behind the peer, and nothing is.
    Derived,
    /// It is a tunnel address of the host or peer `of`.
    Address,
    /// It is a LAN that `of` delivers to.
    Subnet,
    /// It is a prefix of the network: its other members are reached through this peer.
    Network,
    /// Everything is sent through the host: `full_tunnel`.
    FullTunnel,
    /// The host is a hub of links.
    Hub,
    /// The host has subnets behind it.
    Routes,
    /// The peer brought a public key of its own, so that the vault derives nothing for it.
    OwnKey,
    /// A link joins the two.
    Link,
    /// The vault has it.
    Vault,
    /// It was seen on the host.
    Seen,
    /// Nothing says otherwise.
    Default,
}

/// A level of inheritance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// What a host or peer says itself.
    Own,
    /// `defaults` of its site.
    Site,
    /// A group.
    Group,
    /// The network.
    Network,
    /// `defaults` of the fleet.
    Fleet,
}

/// A place of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Place {
    /// The file, as it was given.
    #[cfg_attr(test, schemars(with = "crate::model::schema::AnyPath"))]
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}
