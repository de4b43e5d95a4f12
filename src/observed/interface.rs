//! Interfaces and their peers, as they are live.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::model::{Backend, Family, Keepalive, PublicKey};

/// What carries an interface's packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum LiveBackend {
    /// The kernel.
    Kernel,
    /// wgfleet's own tunnel.
    Embedded,
    /// Another userspace implementation.
    Userspace,
}

impl LiveBackend {
    /// Every one.
    const ALL: [Self; 3] = [Self::Kernel, Self::Embedded, Self::Userspace];

    /// The word of the host's script.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Kernel => Backend::Kernel.as_str(),
            Self::Embedded => Backend::Embedded.as_str(),
            Self::Userspace => "userspace",
        }
    }
}

impl FromStr for LiveBackend {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|backend| backend.word() == word).ok_or(())
    }
}

/// As people are told: with the word that an inventory has for it.
impl fmt::Display for LiveBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Userspace => Backend::WireguardGo.as_str(),
            other => other.word(),
        })
    }
}

/// One live interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedInterface {
    /// What carries its packets.
    pub backend: LiveBackend,
    /// Whether the link is up.
    pub up: bool,
    /// MTU in bytes.
    pub mtu: u32,
    /// Public key; `None` where no private key is set.
    pub public_key: Option<PublicKey>,
    /// UDP port; 0 where none is bound.
    pub listen_port: u16,
    /// Mark of encrypted packets; 0 where off.
    pub fwmark: u32,
    /// Addresses with prefix lengths; link-local IPv6 left out.
    pub addresses: BTreeSet<IpNet>,
    /// Routes that were added to the device, as (table, prefix); connected ones left out.
    pub routes: BTreeSet<(u32, IpNet)>,
    /// Prefixes of its addresses that the kernel's own route is missing for.
    pub unrouted: BTreeSet<IpNet>,
    /// Families whose default route is in the table of its mark, while the rules are missing that
    /// lead there.
    pub unruled: BTreeSet<Family>,
    /// Peers by key.
    pub peers: BTreeMap<PublicKey, ObservedPeer>,
}

/// How a live preshared key stands to the one in the host's file; the key itself stays there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ObservedPsk {
    /// None is set.
    None,
    /// The one that the file has.
    AsFile,
    /// Another.
    Other,
}

/// One live peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedPeer {
    /// How its preshared key stands to the file's.
    pub psk: ObservedPsk,
    /// Where it was last seen or configured.
    pub endpoint: Option<SocketAddr>,
    /// Its `AllowedIPs`.
    pub allowed_ips: BTreeSet<IpNet>,
    /// Time of the last handshake in seconds since the epoch; 0: never.
    pub latest_handshake: u64,
    /// Bytes received.
    pub received: u64,
    /// Bytes sent.
    pub sent: u64,
    /// Its keepalive.
    pub keepalive: Option<Keepalive>,
}
