//! The public index: which keys there are, since when, and in which state; no secret.
//!
//! The file is JSON with one entry on each line, sorted, so that a diff of it reads as what changed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::{FleetName, HostName, PublicKey};

/// The newest version of the index that this program reads and writes.
pub(super) const VERSION: u32 = 1;

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
}

/// The public index of a vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    fleet: FleetName,
    /// Whom every file is encrypted to, as of the last rekey.
    pub(super) recipients: Vec<String>,
    pub(super) epochs: BTreeMap<u32, PskEpoch>,
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
    #[error("{text:?} is no time; write it like 2026-01-31T12:00:00Z")]
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
    psk: Vec<WireEpoch>,
    keys: Vec<WireKey>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireEpoch {
    epoch: u32,
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
        Self { fleet, recipients, epochs: BTreeMap::new(), keys: BTreeMap::new() }
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

    /// The newest epoch of PSK material: the one to derive from.
    #[must_use]
    pub fn epoch(&self) -> Option<u32> {
        self.epochs.last_key_value().map(|(epoch, _)| *epoch)
    }

    /// All epochs of PSK material, oldest first.
    #[must_use]
    pub fn epochs(&self) -> &BTreeMap<u32, PskEpoch> {
        &self.epochs
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
        for WireEpoch { epoch, created, check } in wire.psk {
            let created = parse_time(created)?;
            if index.epochs.insert(epoch, PskEpoch { created, check }).is_some() {
                return Err(IndexError::TwoEpochs { epoch });
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
        let psk = self.epochs.iter().map(|(epoch, PskEpoch { created, check })| {
            line(&WireEpoch { epoch: *epoch, created: created.to_string(), check: check.clone() })
        });
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
            "{{\n  \"version\": {VERSION},\n  \"fleet\": {},\n  \"recipients\": {},\n  \"psk\": {},\n  \"keys\": {}\n}}\n",
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(byte: u8) -> PublicKey {
        PublicKey::from_bytes([byte; 32])
    }

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn sample() -> Index {
        let mut index = Index::new("acme".parse().unwrap(), vec!["age1example".to_owned()]);
        let created = time("2026-11-22T13:00:00Z");
        index.epochs.insert(1, PskEpoch { created, check: "0123456789abcdef".to_owned() });
        for (name, byte, state) in [
            ("paris-gw", 3, KeyState::Next),
            ("paris-gw", 2, KeyState::Current),
            ("b7", 1, KeyState::Current),
        ] {
            index.add(name.parse().unwrap(), Generation { public_key: key(byte), created, state });
        }
        index
    }

    #[test]
    fn the_file_has_one_entry_a_line() {
        insta::assert_snapshot!(String::from_utf8(sample().to_bytes()).unwrap(), @r#"
    {
      "version": 1,
      "fleet": "acme",
      "recipients": [
        "age1example"
      ],
      "psk": [
        {"epoch":1,"created":"2026-11-22T13:00:00Z","check":"0123456789abcdef"}
      ],
      "keys": [
        {"name":"b7","state":"current","public_key":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=","created":"2026-11-22T13:00:00Z"},
        {"name":"paris-gw","state":"current","public_key":"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=","created":"2026-11-22T13:00:00Z"},
        {"name":"paris-gw","state":"next","public_key":"AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=","created":"2026-11-22T13:00:00Z"}
      ]
    }
    "#);
    }

    #[test]
    fn ages_are_whole_days() {
        let (index, name) = (sample(), "b7".parse().unwrap());
        assert_eq!(index.age_days(&name, time("2026-12-22T12:59:59Z")), Some(29));
        assert_eq!(index.age_days(&name, time("2026-12-22T13:00:00Z")), Some(30));
        assert_eq!(index.age_days(&name, time("2026-11-01T00:00:00Z")), Some(0));
        assert_eq!(index.older_than(30, time("2026-12-22T13:00:00Z")).len(), 2);
        assert!(index.older_than(31, time("2026-12-22T13:00:00Z")).is_empty());
    }

    #[test]
    fn what_cannot_be_true_is_refused() {
        let good = String::from_utf8(sample().to_bytes()).unwrap();
        let message = |text: String| Index::parse(text.as_bytes()).unwrap_err().to_string();
        let cases = [
            message(good.replace("\"version\": 1", "\"version\": 2")),
            message(good.replace("\"state\":\"next\"", "\"state\":\"current\"")),
            message(good.replace(
                "\"name\":\"b7\",\"state\":\"current\"",
                "\"name\":\"b7\",\"state\":\"next\"",
            )),
            message(good.replace(&key(1).to_string(), &key(2).to_string())),
            message(good.replace("2026-11-22T13:00:00Z", "yesterday")),
            message(good.replace("\"b7\"", "\"../b7\"")),
            message(good.replace("\"psk\"", "\"psks\"")),
            message(good[..good.len() / 2].to_owned()),
        ];
        insta::assert_snapshot!(cases.join("\n"), @r#"
    it has format version 2, this wgfleet knows 1: run a newer wgfleet
    paris-gw has two keys that are current
    b7 has keys, but none that is current
    b7 and paris-gw have the same key AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=
    "yesterday" is no time; write it like 2026-01-31T12:00:00Z
    it is not an index: a host name cannot contain '/'; use a-z, 0-9, '-' and '.' at line 11 column 19
    it is not an index: unknown field `psks`, expected one of `version`, `fleet`, `recipients`, `psk`, `keys` at line 7 column 8
    it is not an index: EOF while parsing a string at line 11 column 111
    "#);
    }

    fn any_index() -> impl Strategy<Value = Index> {
        let host = "[a-z][a-z0-9]{0,5}";
        let hosts = proptest::collection::btree_map(host, (0..3_u8, any::<bool>()), 0..8);
        let epochs = proptest::collection::btree_set(any::<u32>(), 0..4);
        (hosts, epochs, 0..4_000_000_000_i64).prop_map(|(hosts, epochs, second)| {
            let created = Timestamp::from_second(second).unwrap();
            let mut index = Index::new("acme".parse().unwrap(), vec!["age1example".to_owned()]);
            for epoch in epochs {
                index.epochs.insert(epoch, PskEpoch { created, check: format!("{epoch:016x}") });
            }
            let mut count = 0_u32;
            let mut public_key = || {
                count += 1;
                let mut bytes = [0; 32];
                bytes[..4].copy_from_slice(&count.to_be_bytes());
                PublicKey::from_bytes(bytes)
            };
            for (name, (retired, next)) in hosts {
                let name: HostName = name.parse().unwrap();
                let states = std::iter::repeat_n(KeyState::Retired, retired.into())
                    .chain([KeyState::Current])
                    .chain(next.then_some(KeyState::Next));
                for state in states {
                    let public_key = public_key();
                    index.add(name.clone(), Generation { public_key, created, state });
                }
            }
            index
        })
    }

    proptest! {
        #[test]
        fn an_index_survives_its_file(index in any_index()) {
            let bytes = index.to_bytes();
            let again = Index::parse(&bytes).unwrap();
            prop_assert_eq!(&again, &index);
            prop_assert_eq!(again.to_bytes(), bytes);
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in any::<prop::sample::Index>()) {
            let _ = Index::parse(&bytes);
            let mut file = sample().to_bytes();
            let at = at.index(file.len());
            file.splice(at..at, bytes);
            let _ = Index::parse(&file);
        }
    }
}
