//! `fleet.lock`: the tunnel addresses that hosts and peers keep, whatever else changes.
//!
//! It holds every address of every member, allocated or declared, in one order for all: the same
//! fleet gives the same bytes. A pin outlives its host, so that a host that comes back has its
//! address again; only a full prefix takes such pins away.
//!
//! Outside git it also counts the runs that have changed the fleet: its generation.

use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Write as _};
use std::net::IpAddr;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

use super::moved::Moved;
use crate::model::{HostName, NetworkName};

/// The format of a lock file without a generation, which every wgfleet reads.
const PLAIN: u32 = 1;

/// The newest format that this version reads, and writes where there is a generation.
const VERSION: u32 = 2;

/// Most bytes that a lock file may have: 100,000 hosts in four networks.
pub const MAX_LOCK_BYTES: u64 = 64 << 20;

/// Why a lock file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Not the JSON that wgfleet writes.
    #[error("the lock file is not what wgfleet wrote: {source}")]
    Syntax {
        /// What is wrong, with line and column.
        #[source]
        source: serde_json::Error,
    },
    /// A host of a network twice, or an address of a network on two hosts.
    #[error("{}", twice(.network, .what))]
    Twice {
        /// The network.
        network: NetworkName,
        /// What is there twice.
        what: Twice,
    },
    /// Nothing at all.
    #[error("the lock file is empty")]
    Empty,
    /// Written by a later version.
    #[error("the lock file has version {found}, this wgfleet reads version {VERSION}")]
    Version {
        /// The version of the file.
        found: u32,
    },
}

/// What a lock file has twice in a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Twice {
    /// A host, or an unmanaged peer.
    Host(HostName),
    /// An address, on two hosts.
    Address(IpAddr, [HostName; 2]),
}

fn twice(network: &NetworkName, what: &Twice) -> String {
    match what {
        Twice::Host(host) => {
            format!("the lock file has `{host}` of network `{network}` twice")
        }
        Twice::Address(addr, [a, b]) => {
            format!("the lock file pins {addr} of network `{network}` to `{a}` and to `{b}`")
        }
    }
}

impl LockError {
    /// Line and column of the error, from 1, where there is one.
    #[must_use]
    pub fn position(&self) -> (usize, usize) {
        match self {
            Self::Syntax { source } => (source.line().max(1), source.column().max(1)),
            Self::Version { .. } | Self::Twice { .. } | Self::Empty => (1, 1),
        }
    }
}

/// Pinned tunnel addresses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LockFile {
    generation: Option<u64>,
    pins: BTreeMap<NetworkName, BTreeMap<HostName, Vec<IpAddr>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[expect(dead_code, reason = "was read before, and is no unknown field")]
    version: u32,
    #[serde(default)]
    generation: Option<u64>,
    networks: BTreeMap<NetworkName, Rows>,
}

/// The rows of a network as the file has them, so that one which is there twice is seen.
#[derive(Default)]
struct Rows(Vec<(HostName, Vec<IpAddr>)>);

impl<'de> Deserialize<'de> for Rows {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Rows;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("hosts, each with its addresses")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Rows, A::Error> {
                let mut rows = Rows::default();
                while let Some(row) = map.next_entry()? {
                    rows.0.push(row);
                }
                Ok(rows)
            }
        }
        deserializer.deserialize_map(Read)
    }
}

/// The rows of a network by host: each host once, each address on one of them.
fn unique(network: &NetworkName, rows: Rows) -> Result<BTreeMap<HostName, Vec<IpAddr>>, LockError> {
    let error = |what| LockError::Twice { network: network.clone(), what };
    let mut hosts: BTreeMap<HostName, Vec<IpAddr>> = BTreeMap::new();
    let mut owners: HashMap<IpAddr, HostName> = HashMap::new();
    for (host, mut addresses) in rows.0 {
        addresses.sort_unstable();
        addresses.dedup();
        for addr in &addresses {
            if let Some(other) = owners.insert(*addr, host.clone()).filter(|other| *other != host) {
                return Err(error(Twice::Address(*addr, [other, host])));
            }
        }
        if hosts.insert(host.clone(), addresses).is_some() {
            return Err(error(Twice::Host(host)));
        }
    }
    Ok(hosts)
}

impl LockFile {
    /// Parses the text of a lock file.
    ///
    /// # Errors
    /// [`LockError`] where it is not what this version of wgfleet writes: also where two branches that
    /// were merged gave one address to two hosts, which git(1) sees no conflict in.
    pub fn parse(text: &str) -> Result<Self, LockError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        if text.trim().is_empty() {
            return Err(LockError::Empty);
        }
        let syntax = |source| LockError::Syntax { source };
        let versioned: Versioned = serde_json::from_str(text).map_err(syntax)?;
        if !(PLAIN..=VERSION).contains(&versioned.version) {
            return Err(LockError::Version { found: versioned.version });
        }
        let file: File = serde_json::from_str(text).map_err(syntax)?;
        let mut pins = BTreeMap::new();
        for (network, rows) in file.networks {
            let hosts = unique(&network, rows)?;
            pins.insert(network, hosts);
        }
        Ok(Self { generation: file.generation, pins })
    }

    /// The text of the lock file: JSON with one host on each line, sorted by name.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = match self.generation {
            None => format!("{{\n  \"version\": {PLAIN},\n"),
            Some(generation) => {
                format!("{{\n  \"version\": {VERSION},\n  \"generation\": {generation},\n")
            }
        };
        text.push_str("  \"networks\": {");
        let mut first = true;
        // Writing to a String cannot fail.
        for (network, hosts) in &self.pins {
            text.push_str(if first { "\n" } else { ",\n" });
            first = false;
            let _ = write!(text, "    \"{network}\": {{");
            for (index, (host, addresses)) in hosts.iter().enumerate() {
                let list: Vec<String> = addresses.iter().map(|a| format!("\"{a}\"")).collect();
                let comma = if index == 0 { "" } else { "," };
                let _ = write!(text, "{comma}\n      \"{host}\": [{}]", list.join(", "));
            }
            text.push_str("\n    }");
        }
        text.push_str("\n  }\n}\n");
        text
    }

    /// The addresses of a host or unmanaged peer in a network: at most one of each family, IPv4
    /// first; empty where it has none.
    #[must_use]
    pub fn address(&self, network: &NetworkName, host: &HostName) -> &[IpAddr] {
        self.pins.get(network).and_then(|hosts| hosts.get(host)).map_or(&[], Vec::as_slice)
    }

    /// Every network with each of its members, those that have left the inventory among them.
    pub fn members(&self) -> impl Iterator<Item = (&NetworkName, &HostName)> {
        let networks = self.pins.iter();
        networks.flat_map(|(network, hosts)| hosts.keys().map(move |host| (network, host)))
    }

    /// How many runs have changed the fleet, where that is counted.
    #[must_use]
    pub const fn generation(&self) -> Option<u64> {
        self.generation
    }

    /// The same pins as of another generation.
    #[must_use]
    pub fn of_generation(&self, generation: u64) -> Self {
        Self { generation: Some(generation), ..self.clone() }
    }

    /// Whether nothing is pinned.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pins.values().all(BTreeMap::is_empty)
    }

    /// All pins of a network.
    pub(super) fn pins(
        &self,
        network: &NetworkName,
    ) -> impl Iterator<Item = (&HostName, &[IpAddr])> {
        self.pins
            .get(network)
            .into_iter()
            .flatten()
            .map(|(host, addresses)| (host, addresses.as_slice()))
    }

    /// The same, with the addresses of hosts and peers under the names that they have now.
    #[must_use]
    pub(super) fn renamed(&self, moved: &[Moved]) -> Self {
        let mut lock = self.clone();
        for hosts in lock.pins.values_mut() {
            for Moved { old, new } in moved {
                if !hosts.contains_key(&new.value)
                    && let Some(addresses) = hosts.remove(&old.value)
                {
                    hosts.insert(new.value.clone(), addresses);
                }
            }
        }
        lock
    }

    /// Replaces all pins of a network.
    pub(super) fn set(&mut self, network: &NetworkName, hosts: BTreeMap<HostName, Vec<IpAddr>>) {
        if hosts.is_empty() {
            self.pins.remove(network);
        } else {
            self.pins.insert(network.clone(), hosts);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_merge_left_there_twice_is_an_error() {
        let parse = |rows: &str| {
            LockFile::parse(&format!("{{\"version\": 1, \"networks\": {{\"n\": {{{rows}}}}}}}"))
        };
        assert!(parse(r#""a": ["10.0.0.1"], "b": ["10.0.0.2"]"#).is_ok());
        let error = |rows: &str| parse(rows).unwrap_err().to_string();
        assert_eq!(
            error(r#""a": ["10.0.0.1"], "b": ["10.0.0.1"]"#),
            "the lock file pins 10.0.0.1 of network `n` to `a` and to `b`"
        );
        assert_eq!(
            error(r#""a": ["10.0.0.1"], "a": ["10.0.0.2"]"#),
            "the lock file has `a` of network `n` twice"
        );
        for empty in ["", " \n"] {
            assert!(matches!(LockFile::parse(empty), Err(LockError::Empty)));
        }
    }

    #[test]
    fn only_a_lock_file_with_a_generation_has_the_new_format() {
        let plain = "{\n  \"version\": 1,\n  \"networks\": {\n    \"net\": {\n      \"a\": [\"10.0.0.1\"]\n    }\n  }\n}\n";
        let lock = LockFile::parse(plain).unwrap();
        assert_eq!((lock.to_text().as_str(), lock.generation()), (plain, None));
        let counted = lock.of_generation(7);
        assert_eq!(LockFile::parse(&counted.to_text()).unwrap(), counted);
        assert!(counted.to_text().starts_with("{\n  \"version\": 2,\n  \"generation\": 7,\n"));
        assert_eq!((counted.generation(), counted == lock), (Some(7), false));
        for version in [0, 3] {
            let other = plain.replace(": 1,", &format!(": {version},"));
            assert!(
                matches!(LockFile::parse(&other), Err(LockError::Version { found }) if found == version)
            );
        }
    }
}
