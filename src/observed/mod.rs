//! What hosts say about themselves, as typed values.
//!
//! The text comes from `src/remote/host/observe.sh`; every line of it is hostile until
//! [`parse`] has read it.

mod bounds;
mod drops;
mod lacking;
mod odd;
mod parse;
mod record;
mod routing;

pub use drops::{DropCounts, ObservedDrops};
pub use lacking::Lacking;
pub use odd::PathKind;
pub use parse::{ObserveError, parse};
pub use record::{Commit, CommitId, Record, RecordError};

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::model::{Family, Fingerprint, InterfaceName, Keepalive, PublicKey};

/// What one round trip to a host brought.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ObservedHost {
    /// What the machine is and has.
    pub facts: Facts,
    /// Every `WireGuard` interface that is up, wgfleet's or not.
    pub interfaces: BTreeMap<InterfaceName, ObservedInterface>,
    /// What embedded tunnels dropped; interfaces that dropped nothing are not in the map.
    pub dropped: BTreeMap<InterfaceName, ObservedDrops>,
    /// The files that wgfleet looks at, by path; absent ones are not in the map.
    pub files: BTreeMap<String, ObservedFile>,
    /// What is at the paths of such files and is none.
    pub odd: BTreeMap<String, PathKind>,
    /// State of the units that wgfleet looks at, by name.
    pub units: BTreeMap<String, UnitState>,
    /// The nftables tables of wgfleet's fleets by name, and the digest that the live rules of each
    /// carry; `None` where they carry none.
    pub firewalls: BTreeMap<String, Option<String>>,
    /// `net.ipv4.ip_forward`.
    pub forward_v4: bool,
    /// `net.ipv6.conf.all.forwarding`.
    pub forward_v6: bool,
    /// Interfaces whose IPv6 default route a router's advertisements give.
    pub advertised: BTreeSet<InterfaceName>,
    /// Digest of the machine's id, where it has one: a copied disk brings it along.
    pub machine_id: Option<Fingerprint>,
    /// Digest of its ssh host keys, where it has some.
    pub host_key: Option<Fingerprint>,
    /// What each fleet keeps there about its own changes, as JSON, by the fleet's name; not parsed.
    pub records: BTreeMap<String, String>,
    /// Keyed digest of everything above and below that does not change by itself: endpoints,
    /// handshakes, counters, records and armed changes are left out, and wgfleet's own binary.
    /// The host compares it before it arms a change.
    pub digest: Option<Fingerprint>,
    /// A change that is armed and not yet confirmed: its id.
    pub armed: Option<String>,
    /// Seconds since the epoch on the host's clock, for handshake ages.
    pub now: u64,
}

/// What a machine is and has.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Facts {
    /// `uname -m`.
    pub machine: String,
    /// `uname -r`.
    pub kernel: String,
    /// Whether systemd is PID 1.
    pub systemd: bool,
    /// Whether the kernel has `WireGuard`, loaded or loadable.
    pub kernel_wireguard: bool,
    /// Whether /dev/net/tun can be opened.
    pub tun: bool,
    /// Programs of interest that are there.
    pub tools: BTreeSet<String>,
    /// SHA-256 of wgfleet's own binary on the host, where it was pushed.
    pub agent: Option<Fingerprint>,
}

impl Facts {
    /// Whether a program is there.
    #[must_use]
    pub fn has(&self, tool: &str) -> bool {
        self.tools.contains(tool)
    }
}

/// What carries an interface's packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LiveBackend {
    /// The kernel.
    Kernel,
    /// wgfleet's own tunnel.
    Embedded,
    /// Another userspace implementation.
    Userspace,
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

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedFile {
    /// Permission bits, in octal as `stat` prints them.
    pub mode: u32,
    /// Whether root owns it.
    pub root: bool,
    /// SHA-256 over the fingerprint key and the content.
    pub fingerprint: Fingerprint,
    /// The content, secrets replaced by [`HIDDEN`].
    pub public_text: String,
}

/// What stands for a secret in text that leaves a host or reaches a person.
pub const HIDDEN: &str = crate::model::HIDDEN;

/// State of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitState {
    /// Starts at boot.
    pub enabled: bool,
    /// Is active now.
    pub active: bool,
    /// Is masked, itself or as all of its template: nothing starts it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub masked: bool,
}
