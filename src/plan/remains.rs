//! What is still there of a host that the inventory no longer has, as far as its machine can be read.
//!
//! A machine is only taken for the host where its own record says so: whatever else it is by now is named,
//! and nothing of it is told.

use std::collections::BTreeSet;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::identity::is_copy;
use super::names::Names;
use super::ownership::Others;
use super::{forwarding, manager};
use crate::model::{Family, FleetName, HostName, InterfaceName, SshTarget, Untrusted, worded};
use crate::observed::{CommitId, ObservedHost, ObservedInterface, Record, Unanswered};

/// Seconds after which a session takes no more packets without a new handshake: the `WireGuard` paper's
/// Reject-After-Time.
const REJECT_AFTER: u64 = 180;

/// Folders that files of wgfleet lie in.
const FOLDERS: [&str; 3] = ["/etc/wireguard/", "/etc/sysctl.d/", "/etc/systemd/system/"];

/// What is known of the machine of a host that the inventory no longer has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Remains {
    /// Where it was logged in to; `None` where it was not.
    pub login: Option<FormerTarget>,
    /// What was found there.
    pub found: Found,
}

/// Where a host is logged in to that the inventory no longer has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct FormerTarget {
    /// Its ssh target.
    pub ssh: SshTarget,
    /// The commit that had it, of those that hosts recorded; `None`: this controller's last login went
    /// there.
    #[cfg_attr(test, schemars(with = "Option<crate::model::schema::Word>"))]
    pub commit: Option<CommitId>,
}

/// What was found on the machine of a host that the inventory no longer has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", tag = "state", deny_unknown_fields)]
pub enum Found {
    /// Nobody logged in there.
    NotAsked {
        /// Why not.
        why: NotAsked,
    },
    /// It could not be read.
    Unreadable {
        /// Why not.
        #[serde(with = "worded")]
        #[cfg_attr(test, schemars(with = "worded::Worded<Unanswered>"))]
        reason: Unanswered,
    },
    /// The machine is not that host, or not any more.
    Another {
        /// What it says that it is.
        says: Says,
        /// The fleet that it is a host of, where it is one.
        fleet: Option<FleetName>,
        /// Which host of that fleet it is.
        host: Option<HostName>,
    },
    /// The machine is that host still.
    Own {
        /// Who changed it last, when and from what.
        text: Untrusted,
        /// What runs there with the keys that were recorded.
        interfaces: Vec<LiveInterface>,
        /// Units that start it at boot.
        #[cfg_attr(test, schemars(with = "Vec<crate::model::schema::Word>"))]
        units: Vec<String>,
        /// Files of its fleet.
        #[cfg_attr(test, schemars(with = "Vec<crate::model::schema::Word>"))]
        files: Vec<String>,
        /// Families that are forwarded because its fleet turned that on.
        forwarding: Vec<Family>,
        /// Whether rules of its fleet masquerade.
        masquerades: bool,
    },
}

/// Why nobody logged in to a host that the inventory no longer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum NotAsked {
    /// The command was about other hosts.
    OutsideLimit,
    /// Neither a recorded commit nor an earlier login says where it is.
    NoTarget,
    /// It was an unmanaged peer, which nobody logs in to.
    Peer,
}

/// What a machine says that it is, where it is not the host that it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Says {
    /// Another host of this fleet.
    OtherHost,
    /// A host of another fleet, and none of this one.
    OtherFleet,
    /// That host, but with another machine-id and other ssh host keys: a copied disk.
    Copy,
    /// Nothing that can be read: its record is damaged, or of a later version.
    Unclear,
    /// Nothing: it has no record.
    Nothing,
}

/// An interface that still runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LiveInterface {
    /// Its name.
    pub interface: InterfaceName,
    /// Its addresses.
    #[cfg_attr(test, schemars(with = "Vec<crate::model::schema::Prefix>"))]
    pub addresses: BTreeSet<IpNet>,
    /// Peers that it has.
    pub peers: u64,
    /// Those of them with a session that still takes packets.
    pub sessions: u64,
    /// Seconds since the last handshake with any of them; `None`: there was none.
    pub handshake_age: Option<u64>,
}

impl Remains {
    /// Of a host that nobody logged in to.
    #[must_use]
    pub const fn not_asked(why: NotAsked) -> Self {
        Self { login: None, found: Found::NotAsked { why } }
    }
}

impl Found {
    /// What a machine is that was `name` of `fleet`, and what of that still runs there.
    #[must_use]
    pub fn on(fleet: &FleetName, name: &HostName, observed: &ObservedHost) -> Self {
        let another = |says, fleet: Option<&FleetName>, host: Option<&HostName>| Self::Another {
            says,
            fleet: fleet.cloned(),
            host: host.cloned(),
        };
        let kept = observed.records.get(fleet.as_str()).map(|text| Record::parse(fleet, text));
        match kept {
            Some(Ok(record)) if record.host != *name => {
                another(Says::OtherHost, Some(fleet), Some(&record.host))
            }
            Some(Ok(record)) if is_copy(&record, observed) => another(Says::Copy, None, None),
            Some(Ok(record)) => Self::own(&record, observed),
            Some(Err(_)) => another(Says::Unclear, None, None),
            None => match Others::of(fleet, observed).first() {
                Some(record) => another(Says::OtherFleet, Some(&record.fleet), Some(&record.host)),
                None => another(Says::Nothing, None, None),
            },
        }
    }

    /// What still runs on the machine that keeps `record`.
    pub(super) fn own(record: &Record, observed: &ObservedHost) -> Self {
        let names = Names::of(&record.fleet);
        let units = record.interfaces.keys().flat_map(manager::units_of);
        let units = units.filter(|unit| observed.units.get(unit).is_some_and(|unit| unit.enabled));
        let files = record.fingerprints.keys().filter(|path| is_plain(path));
        let files = files.filter(|path| observed.files.contains_key(path.as_str()));
        let families = [Family::V4, Family::V6].into_iter();
        Self::Own {
            text: Untrusted::new(record.summary()),
            interfaces: running(record, observed)
                .map(|(name, live)| LiveInterface::of(name, live, observed.now))
                .collect(),
            units: units.map(|unit| unit.to_string()).collect(),
            files: files.cloned().collect(),
            forwarding: families
                .filter(|family| forwarding::begun_by(&names, observed, *family))
                .collect(),
            masquerades: names.masquerades(observed),
        }
    }

    /// The interfaces that still run; `None` where that is not known.
    pub(super) fn runs(&self) -> Option<Vec<InterfaceName>> {
        match self {
            Self::Own { interfaces, .. } => {
                Some(interfaces.iter().map(|live| live.interface.clone()).collect())
            }
            Self::NotAsked { .. } | Self::Unreadable { .. } | Self::Another { .. } => None,
        }
    }
}

impl LiveInterface {
    fn of(name: &InterfaceName, live: &ObservedInterface, now: u64) -> Self {
        let shaken = live.peers.values().map(|peer| peer.latest_handshake);
        let ages: Vec<u64> =
            shaken.filter(|time| *time > 0).map(|time| now.saturating_sub(time)).collect();
        Self {
            interface: name.clone(),
            addresses: live.addresses.clone(),
            peers: live.peers.len() as u64,
            sessions: ages.iter().filter(|age| **age < REJECT_AFTER).count() as u64,
            handshake_age: ages.into_iter().min(),
        }
    }
}

/// The interfaces of a record that run still.
pub(super) fn running<'a>(
    record: &'a Record,
    observed: &'a ObservedHost,
) -> impl Iterator<Item = (&'a InterfaceName, &'a ObservedInterface)> {
    record.interfaces.iter().filter_map(|(name, key)| {
        let live = observed.interfaces.get(name)?;
        (live.public_key.as_ref() == Some(key)).then_some((name, live))
    })
}

/// Whether a path of a record is one that wgfleet writes, and can be pasted into a shell: root of that
/// machine may have put any other there.
fn is_plain(path: &str) -> bool {
    let usual = |c: char| c.is_ascii_alphanumeric() || "_=+.@/-".contains(c);
    FOLDERS.iter().any(|folder| path.starts_with(folder))
        && path.chars().all(usual)
        && !path.contains("..")
}

#[cfg(test)]
#[path = "remains_tests.rs"]
mod tests;
