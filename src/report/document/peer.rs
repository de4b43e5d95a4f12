//! What the commands of `wgfleet peer` print as JSON.

use std::path::PathBuf;

use ipnet::IpNet;
use serde::Serialize;

use crate::model::{
    Document, Endpoint, HostName, InterfaceName, Keepalive, Kind, Mtu, NetworkName, PublicKey,
    Version,
};

/// An unmanaged peer, and what was done with it. No secret is in it.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Peer<'a> {
    /// `peer`.
    pub kind: Kind<Self>,
    /// Its version.
    pub version: Version<Self>,
    /// Its name.
    pub name: &'a HostName,
    /// What was done.
    pub action: PeerAction,
    /// What it is to have; null where it was removed.
    pub device: Option<Device>,
    /// The files of this fleet that were changed, and those that were written for the peer.
    #[cfg_attr(test, schemars(with = "Vec<crate::model::schema::AnyPath>"))]
    pub files: Vec<PathBuf>,
}

impl Document for Peer<'_> {
    const KIND: &'static str = "peer";
    const VERSION: u32 = 1;
}

/// What was done with a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum PeerAction {
    /// It was shown.
    Shown,
    /// It is new.
    Added,
    /// It has another key.
    Rotated,
    /// It left the file.
    Removed,
}

/// What an unmanaged peer is to have.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Device {
    /// Its network.
    pub network: NetworkName,
    /// The interface's name in the file that is issued.
    pub interface: InterfaceName,
    /// Its public key.
    pub public_key: PublicKey,
    /// Who has its private key.
    pub private_key: KeyHolder,
    /// Its tunnel addresses, with the length of the network's prefix.
    #[cfg_attr(test, schemars(with = "Vec<crate::model::schema::Prefix>"))]
    pub addresses: Vec<IpNet>,
    /// DNS servers and search domains.
    #[cfg_attr(test, schemars(with = "Vec<crate::model::schema::Word>"))]
    pub dns: Vec<String>,
    /// The MTU of its interface.
    pub mtu: Mtu,
    /// The hosts that it is linked to.
    pub via: Vec<Via>,
}

/// Who has the private key of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum KeyHolder {
    /// The vault.
    Vault,
    /// The peer alone: its public key stands in the file.
    Peer,
}

/// A host that a peer is linked to.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Via {
    /// Its name.
    pub name: HostName,
    /// Its public key.
    pub public_key: PublicKey,
    /// Where the peer finds it; null where it cannot be reached.
    pub endpoint: Option<Endpoint>,
    /// What the peer sends to it.
    #[cfg_attr(test, schemars(with = "Vec<crate::model::schema::Prefix>"))]
    pub allowed_ips: Vec<IpNet>,
    /// The keepalive of the peer, in seconds.
    pub keepalive: Option<Keepalive>,
    /// Whether the two have a preshared key.
    pub preshared_key: bool,
}
