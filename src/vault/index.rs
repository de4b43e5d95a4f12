//! The public index: which keys there are, since when, and in which state; no secret.
//!
//! The file is JSON with one entry on each line, sorted, so that a diff of it reads as what changed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::{Fingerprint, FleetName, HostName, PublicKey};

/// The newest version of the index that this program reads and writes.
pub(super) const VERSION: u32 = 3;
/// The version of an index without keys of pairs.
const WITHOUT_PAIRS: u32 = 2;

/// Where a key stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyState {
    /// The host uses it.
    Current,
    /// The host gets it with the next rotation.
    Next,
    /// The host used it; it is kept until its successor is proven.
    Retired,
}

impl KeyState {
    /// The state's word in the index.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Next => "next",
            Self::Retired => "retired",
        }
    }
}

/// One key of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// The public key.
    pub public_key: PublicKey,
    /// When it was made or imported, in whole seconds.
    pub created: Timestamp,
    /// Where it stands.
    pub state: KeyState,
}

/// One epoch of PSK material.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PskEpoch {
    /// When it was made, in whole seconds.
    pub created: Timestamp,
    /// The public mark of its master secret: 16 hex digits.
    pub check: String,
    /// What shows that whoever made it had the master of the epoch before; none for epoch 1.
    pub mac: Option<Fingerprint>,
}

/// A file of preshared keys that came from elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairsEntry {
    /// The epoch in which they are used.
    pub epoch: u32,
    /// When they came, in whole seconds.
    pub created: Timestamp,
    /// What shows that whoever wrote the file had the master of the epoch.
    pub mac: Fingerprint,
}

/// The secret that the keys of all fingerprints are derived from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FingerprintEntry {
    /// When it was made, in whole seconds.
    pub created: Timestamp,
    /// Its public mark: 16 hex digits.
    pub check: String,
}

/// The public index of a vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    pub(super) fleet: FleetName,
    /// Whom every file is encrypted to, as of the last rekey.
    pub(super) recipients: Vec<String>,
    pub(super) fingerprint: Option<FingerprintEntry>,
    pub(super) epochs: BTreeMap<u32, PskEpoch>,
    /// Files of preshared keys that came from elsewhere, by their numbers.
    pub(super) pairs: BTreeMap<u32, PairsEntry>,
    pub(super) keys: BTreeMap<HostName, Vec<Generation>>,
}

/// Why an index cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// It is no JSON of the right shape.
    #[error("it is not an index: {0}")]
    Syntax(#[from] serde_json::Error),
    /// It was written by a newer wgfleet.
    #[error("it has format version {found}, this wgfleet knows {VERSION}: run a newer wgfleet")]
    Newer {
        /// The version it has.
        found: u32,
    },
    /// A time is none.
    #[error("{text:?} is not a timestamp; write it like 2026-01-31T12:00:00Z")]
    Time {
        /// What is there.
        text: String,
    },
    /// A host has two keys in one state.
    #[error("{name} has two keys that are {}", .state.as_str())]
    TwoOf {
        /// The host.
        name: HostName,
        /// The state.
        state: KeyState,
    },
    /// A host has a next or retired key and no current one.
    #[error("{name} has keys, but none that is current")]
    NoCurrent {
        /// The host.
        name: HostName,
    },
    /// Two entries name the same key.
    #[error("{one} and {other} have the same key {key}")]
    SharedKey {
        /// A host.
        one: HostName,
        /// Another, or the same again.
        other: HostName,
        /// The key.
        key: PublicKey,
    },
    /// An epoch of PSK material that no command of wgfleet can have made.
    #[error(
        "epoch {epoch} of the PSK material has no proof that a command of wgfleet made it, so whoever \
         added it may know every preshared key: find the commit with `git log -p -- vault/index.json` \
         and revert it"
    )]
    Unproved {
        /// The epoch.
        epoch: u32,
    },
    /// A file of preshared keys is named twice, or for an epoch that is not there.
    #[error("the preshared keys of pairs-{number}.age are there twice, or belong to no epoch")]
    Pairs {
        /// The file's number.
        number: u32,
    },
    /// Two entries name the same epoch.
    #[error("epoch {epoch} is there twice")]
    TwoEpochs {
        /// The epoch.
        epoch: u32,
    },
}

#[derive(Deserialize)]
struct Probe {
    version: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    #[serde(rename = "version")]
    _version: u32,
    fleet: FleetName,
    recipients: Vec<String>,
    #[serde(default)]
    fingerprint: Option<WireFingerprint>,
    psk: Vec<WireEpoch>,
    #[serde(default)]
    pairs: Vec<WirePairs>,
    keys: Vec<WireKey>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireEpoch {
    epoch: u32,
    created: String,
    check: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mac: Option<Fingerprint>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WirePairs {
    number: u32,
    epoch: u32,
    created: String,
    mac: Fingerprint,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireFingerprint {
    created: String,
    check: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireKey {
    name: HostName,
    state: KeyState,
    public_key: PublicKey,
    created: String,
}

/// A moment without its fraction of a second.
pub(super) fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

fn parse_time(text: String) -> Result<Timestamp, IndexError> {
    text.parse::<Timestamp>().map(whole_seconds).map_err(|_| IndexError::Time { text })
}

impl Index {
    pub(super) fn new(fleet: FleetName, recipients: Vec<String>) -> Self {
        Self {
            fleet,
            recipients,
            fingerprint: None,
            epochs: BTreeMap::new(),
            pairs: BTreeMap::new(),
            keys: BTreeMap::new(),
        }
    }

    /// The fleet whose keys these are.
    #[must_use]
    pub fn fleet(&self) -> &FleetName {
        &self.fleet
    }

    /// Whom every file is encrypted to, as of the last rekey; sorted.
    #[must_use]
    pub fn recipients(&self) -> &[String] {
        &self.recipients
    }

    /// The hosts and unmanaged peers that have keys, sorted.
    pub fn names(&self) -> impl Iterator<Item = &HostName> {
        self.keys.keys()
    }

    /// All keys of a host: current, next, then retired ones; empty where it has none.
    #[must_use]
    pub fn generations(&self, name: &HostName) -> &[Generation] {
        self.keys.get(name).map_or(&[], Vec::as_slice)
    }

    /// The host's generation in that state; of several retired ones the youngest.
    #[must_use]
    pub fn generation(&self, name: &HostName, state: KeyState) -> Option<&Generation> {
        self.generations(name).iter().rfind(|generation| generation.state == state)
    }

    /// The key that the host uses.
    #[must_use]
    pub fn current(&self, name: &HostName) -> Option<PublicKey> {
        self.generation(name, KeyState::Current).map(|generation| generation.public_key)
    }

    /// The key that the host gets with the rotation under way.
    #[must_use]
    pub fn next(&self, name: &HostName) -> Option<PublicKey> {
        self.generation(name, KeyState::Next).map(|generation| generation.public_key)
    }

    /// How many whole days ago the host's current key was made.
    #[must_use]
    pub fn age_days(&self, name: &HostName, now: Timestamp) -> Option<i64> {
        let created = self.generation(name, KeyState::Current)?.created;
        Some(days_between(created, now))
    }

    /// The hosts whose current key was made at least that many days ago, sorted.
    #[must_use]
    pub fn older_than(&self, days: i64, now: Timestamp) -> Vec<HostName> {
        let old = |name: &&HostName| self.age_days(name, now).is_some_and(|age| age >= days);
        self.names().filter(old).cloned().collect()
    }

    /// Whose key that is, in whatever state.
    #[must_use]
    pub fn owner(&self, key: &PublicKey) -> Option<(&HostName, &Generation)> {
        self.keys.iter().find_map(|(name, generations)| {
            generations.iter().find(|one| one.public_key == *key).map(|one| (name, one))
        })
    }

    /// The secret of the fingerprints; none in a vault of version 0.1.0 that nothing has written
    /// since, where their keys come from the PSK material.
    #[must_use]
    pub fn fingerprint(&self) -> Option<&FingerprintEntry> {
        self.fingerprint.as_ref()
    }

    /// The public mark of what the keys of fingerprints are derived from: fingerprints made under
    /// different marks cannot be compared. 16 hex digits; none in a vault without secrets.
    #[must_use]
    pub fn fingerprint_key_id(&self) -> Option<&str> {
        let of_epoch = || self.epochs.last_key_value().map(|(_, epoch)| epoch.check.as_str());
        self.fingerprint.as_ref().map(|entry| entry.check.as_str()).or_else(of_epoch)
    }

    /// The version that the file needs: the first where nothing is in it that came later.
    fn version(&self) -> u32 {
        if !self.pairs.is_empty() {
            return VERSION;
        }
        let later = self.fingerprint.is_some() || self.epochs.values().any(|one| one.mac.is_some());
        if later { WITHOUT_PAIRS } else { 1 }
    }

    /// The newest epoch of PSK material: the one to derive from.
    #[must_use]
    pub fn epoch(&self) -> Option<u32> {
        self.epochs.last_key_value().map(|(epoch, _)| *epoch)
    }

    /// The oldest epoch of PSK material.
    pub(super) fn first_epoch(&self) -> Option<u32> {
        self.epochs.first_key_value().map(|(epoch, _)| *epoch)
    }

    /// All epochs of PSK material, oldest first.
    #[must_use]
    pub fn epochs(&self) -> &BTreeMap<u32, PskEpoch> {
        &self.epochs
    }

    /// The files of preshared keys that came from elsewhere, by their numbers.
    #[must_use]
    pub fn pairs(&self) -> &BTreeMap<u32, PairsEntry> {
        &self.pairs
    }

    pub(super) fn add(&mut self, name: HostName, generation: Generation) {
        let generations = self.keys.entry(name).or_default();
        generations.push(generation);
        sort(generations);
    }

    /// Reads the bytes of an index.
    ///
    /// # Errors
    /// [`IndexError`], the first one met.
    pub fn parse(bytes: &[u8]) -> Result<Self, IndexError> {
        let Probe { version } = serde_json::from_slice(bytes)?;
        if version > VERSION {
            return Err(IndexError::Newer { found: version });
        }
        let wire: Wire = serde_json::from_slice(bytes)?;
        let mut index = Self::new(wire.fleet, wire.recipients);
        index.recipients.sort_unstable();
        index.recipients.dedup();
        if let Some(WireFingerprint { created, check }) = wire.fingerprint {
            let created = parse_time(created)?;
            index.fingerprint = Some(FingerprintEntry { created, check });
        }
        for WireEpoch { epoch, created, check, mac } in wire.psk {
            let created = parse_time(created)?;
            if index.epochs.insert(epoch, PskEpoch { created, check, mac }).is_some() {
                return Err(IndexError::TwoEpochs { epoch });
            }
        }
        // The MAC itself needs an identity: whoever opens an epoch checks it.
        for (epoch, one) in &index.epochs {
            let proved = match epoch {
                0 => false,
                1 => one.mac.is_none(),
                later => one.mac.is_some() && index.epochs.contains_key(&(later - 1)),
            };
            if !proved {
                return Err(IndexError::Unproved { epoch: *epoch });
            }
        }
        for WirePairs { number, epoch, created, mac } in wire.pairs {
            let entry = PairsEntry { epoch, created: parse_time(created)?, mac };
            if !index.epochs.contains_key(&epoch) || index.pairs.insert(number, entry).is_some() {
                return Err(IndexError::Pairs { number });
            }
        }
        let mut owners: BTreeMap<PublicKey, HostName> = BTreeMap::new();
        for WireKey { name, state, public_key: key, created } in wire.keys {
            let created = parse_time(created)?;
            if let Some(one) = owners.insert(key, name.clone()) {
                return Err(IndexError::SharedKey { one, other: name, key });
            }
            let taken = state != KeyState::Retired && index.generation(&name, state).is_some();
            if taken {
                return Err(IndexError::TwoOf { name, state });
            }
            index.keys.entry(name).or_default().push(Generation {
                public_key: key,
                created,
                state,
            });
        }
        for (name, generations) in &mut index.keys {
            sort(generations);
            if generations.iter().all(|one| one.state != KeyState::Current) {
                return Err(IndexError::NoCurrent { name: name.clone() });
            }
        }
        Ok(index)
    }

    /// The bytes of the index: the same for the same index.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let fingerprint = self.fingerprint.as_ref().map_or_else(String::new, |entry| {
            let FingerprintEntry { created, check } = entry;
            let entry = WireFingerprint { created: created.to_string(), check: check.clone() };
            format!("  \"fingerprint\": {},\n", line(&entry))
        });
        let psk = self.epochs.iter().map(|(epoch, PskEpoch { created, check, mac })| {
            line(&WireEpoch {
                epoch: *epoch,
                created: created.to_string(),
                check: check.clone(),
                mac: *mac,
            })
        });
        let pairs = self.pairs.iter().map(|(number, PairsEntry { epoch, created, mac })| {
            let (number, epoch, created) = (*number, *epoch, created.to_string());
            line(&WirePairs { number, epoch, created, mac: *mac })
        });
        let pairs = if self.pairs.is_empty() {
            String::new()
        } else {
            format!("  \"pairs\": {},\n", array(pairs))
        };
        let keys = self.keys.iter().flat_map(|(name, generations)| {
            generations.iter().map(|one| {
                line(&WireKey {
                    name: name.clone(),
                    state: one.state,
                    public_key: one.public_key,
                    created: one.created.to_string(),
                })
            })
        });
        format!(
            "{{\n  \"version\": {},\n  \"fleet\": {},\n  \"recipients\": {},\n{fingerprint}  \"psk\": {},\n{pairs}  \"keys\": {}\n}}\n",
            self.version(),
            line(&self.fleet),
            array(self.recipients.iter().map(line)),
            array(psk),
            array(keys),
        )
        .into_bytes()
    }
}

/// How many whole days lie between two moments, never less than 0.
pub(super) fn days_between(from: Timestamp, to: Timestamp) -> i64 {
    (to.as_second().saturating_sub(from.as_second()) / 86_400).max(0)
}

/// Current, next, retired; within a state by time, then by key.
fn sort(generations: &mut [Generation]) {
    generations.sort_unstable_by_key(|one| (one.state, one.created, one.public_key));
}

fn line<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("strings and numbers are JSON")
}

fn array(lines: impl Iterator<Item = String>) -> String {
    let lines: Vec<String> = lines.map(|line| format!("    {line}")).collect();
    if lines.is_empty() { "[]".to_owned() } else { format!("[\n{}\n  ]", lines.join(",\n")) }
}

#[cfg(test)]
mod tests;
