//! What hosts say about themselves, as typed values.
//!
//! The text comes from `src/remote/host/observe.sh`; every line of it is hostile until
//! [`parse`] has read it.

mod bounds;
mod digest;
mod drops;
mod error;
mod interface;
mod lacking;
mod odd;
mod parse;
mod protocol;
mod read;
mod record;
mod routing;
mod unanswered;
mod word;

pub use drops::{DropCounts, ObservedDrops};
pub use error::ObserveError;
pub use interface::{LiveBackend, ObservedInterface, ObservedPeer, ObservedPsk};
pub use lacking::Lacking;
pub use odd::PathKind;
pub use parse::parse;
pub use protocol::PROTOCOL;
pub use record::{Commit, CommitId, Record, RecordError};
pub use unanswered::Unanswered;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::model::{Fingerprint, HostPath, InterfaceName, Tool, UnitName};

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
    pub files: BTreeMap<HostPath, ObservedFile>,
    /// What is at the paths of such files and is none.
    pub odd: BTreeMap<HostPath, PathKind>,
    /// State of the units that wgfleet looks at, by name.
    pub units: BTreeMap<UnitName, UnitState>,
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
    /// The host compares it before it arms a change. Made by [`ObservedHost::read`].
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
    pub tools: BTreeSet<Tool>,
    /// SHA-256 of wgfleet's own binary on the host, where it was pushed.
    pub helper: Option<Fingerprint>,
}

impl Facts {
    /// Whether a program is there.
    #[must_use]
    pub fn has(&self, tool: Tool) -> bool {
        self.tools.contains(&tool)
    }
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedFile {
    /// Permission bits, in octal as `stat` prints them.
    pub mode: u32,
    /// Whether root owns it.
    pub root: bool,
    /// As [`ObservedHost::read`] leaves it: see
    /// [`FingerprintKey::of_file`](crate::model::FingerprintKey::of_file). As a host tells it: SHA-256
    /// of the content.
    pub fingerprint: Fingerprint,
    /// The content, secrets replaced by [`HIDDEN`].
    pub public_text: String,
}

/// What stands for a secret in text that leaves a host or reaches a person.
pub const HIDDEN: &str = crate::model::HIDDEN;

/// State of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
