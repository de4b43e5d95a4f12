//! `fleet.lock`: the tunnel addresses that hosts and peers keep, whatever else changes.
//!
//! It holds every address of every member, allocated or declared, in one order for all: the same
//! fleet gives the same bytes. A pin outlives its host, so that a host that comes back has its
//! address again; only a full prefix takes such pins away.
//!
//! Outside git it also counts the runs that have changed the fleet: its generation.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

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
    /// Written by a later version.
    #[error("the lock file has version {found}, this wgfleet reads version {VERSION}")]
    Version {
        /// The version of the file.
        found: u32,
    },
}

impl LockError {
    /// Line and column of the error, from 1, where there is one.
    #[must_use]
    pub fn position(&self) -> (usize, usize) {
        match self {
            Self::Syntax { source } => (source.line().max(1), source.column().max(1)),
            Self::Version { .. } => (1, 1),
        }
    }
}

/// Pinned tunnel addresses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LockFile {
    generation: Option<u64>,
    pins: BTreeMap<NetworkName, BTreeMap<HostName, Vec<IpAddr>>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    #[serde(default)]
    generation: Option<u64>,
    networks: BTreeMap<NetworkName, BTreeMap<HostName, Vec<IpAddr>>>,
}

impl LockFile {
    /// Parses the text of a lock file; an empty one is an empty lock.
    ///
    /// # Errors
    /// [`LockError`] where it is not what this version of wgfleet writes.
    pub fn parse(text: &str) -> Result<Self, LockError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let syntax = |source| LockError::Syntax { source };
        let versioned: Versioned = serde_json::from_str(text).map_err(syntax)?;
        if !(PLAIN..=VERSION).contains(&versioned.version) {
            return Err(LockError::Version { found: versioned.version });
        }
        let file: File = serde_json::from_str(text).map_err(syntax)?;
        let mut lock = Self { generation: file.generation, pins: file.networks };
        for addresses in lock.pins.values_mut().flat_map(BTreeMap::values_mut) {
            addresses.sort_unstable();
            addresses.dedup();
        }
        Ok(lock)
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
