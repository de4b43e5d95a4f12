//! Whether a machine is the host that the inventory takes it for.
//!
//! A wrong letter in `ssh:` leads to another machine, and what one host is to have would be written
//! over what another one has. The record that a machine keeps says who it is; where it keeps none,
//! the key that it runs with does, or the file of an interface.

use std::collections::BTreeMap;

use crate::desired::DesiredHost;
use crate::model::{
    Fingerprint, FleetName, HostName, HostPath, InterfaceName, PublicKey, Untrusted,
};
use crate::observed::{ObservedHost, Record, RecordError};

use super::heading::Heading;
use super::obstacle::Obstacle;
use super::{HostPlan, HostState};

impl HostPlan {
    /// Keeps a host from being changed, whatever else does: the machine is not the one that is meant.
    pub fn refuse(&mut self, obstacle: Obstacle) {
        self.state = HostState::Blocked(obstacle);
    }
}

/// Why a machine is not to be taken for a host of the fleet; `kept` is the record that it has of this
/// fleet, `names` the names that keys have or had.
#[must_use]
pub fn stranger(
    fleet: &FleetName,
    desired: &DesiredHost,
    observed: &ObservedHost,
    kept: Option<&Result<Record, RecordError>>,
    names: &BTreeMap<PublicKey, HostName>,
) -> Option<Obstacle> {
    let (name, ssh) = (&desired.name, &desired.ssh);
    let other = |other: &HostName, because: String| Obstacle::OtherHost {
        ssh: ssh.clone(),
        host: name.clone(),
        other: other.clone(),
        because: Untrusted::new(because),
    };
    match kept {
        Some(Ok(record)) if record.host != *name => {
            Some(other(&record.host, format!("so says the record of {}", record.summary())))
        }
        Some(Ok(record)) if is_copy(record, observed) => Some(Obstacle::OtherMachine {
            ssh: ssh.clone(),
            host: name.clone(),
            record: Untrusted::new(record.summary()),
            path: Record::path(fleet).to_string(),
        }),
        Some(Err(RecordError::Newer { found })) => {
            Some(Obstacle::NewerRecord { host: name.clone(), found: *found })
        }
        Some(Ok(_)) => None,
        // What is damaged says nothing, and is written anew.
        Some(Err(_)) | None => {
            if let Some((interface, owner)) = runs_as(name, observed, names) {
                return Some(other(&owner, format!("{interface} runs with its key")));
            }
            let (path, owner) = written_for(fleet, name, observed)?;
            Some(other(&owner, format!("so says {path}")))
        }
    }
}

/// Whether a record came to another machine, with a copied disk: keys of ssh(1) change with an upgrade,
/// and machine-ids with a repair, but not both.
pub(super) fn is_copy(record: &Record, observed: &ObservedHost) -> bool {
    let differ = |one: Option<Fingerprint>, other: Option<Fingerprint>| {
        one.zip(other).is_some_and(|(one, other)| one != other)
    };
    differ(record.machine_id, observed.machine_id) && differ(record.host_key, observed.host_key)
}

/// The interface that runs with another host's key, and that host.
fn runs_as(
    name: &HostName,
    observed: &ObservedHost,
    names: &BTreeMap<PublicKey, HostName>,
) -> Option<(InterfaceName, HostName)> {
    let live = observed.interfaces.iter().filter_map(|(interface, live)| {
        let owner = names.get(&live.public_key?)?;
        Some((interface.clone(), owner.clone()))
    });
    let live: Vec<(InterfaceName, HostName)> = live.collect();
    if live.iter().any(|(_, owner)| owner == name) {
        return None;
    }
    live.into_iter().next()
}

/// The file of an interface that was written for another host of this fleet, and that host.
fn written_for(
    fleet: &FleetName,
    name: &HostName,
    observed: &ObservedHost,
) -> Option<(HostPath, HostName)> {
    let owners = observed.files.iter().filter_map(|(path, file)| {
        let heading = Heading::of(&file.public_text)?;
        (heading.fleet == *fleet).then(|| (path.clone(), heading.host))
    });
    let owners: Vec<(HostPath, HostName)> = owners.collect();
    if owners.iter().any(|(_, owner)| owner == name) {
        return None;
    }
    owners.into_iter().next()
}

/// Which other host of the inventory each host shares its machine with, of those that were read.
///
/// Two machines with one machine-id and the same ssh host keys are copies of one disk. They are told
/// apart by the keys that they run with, once they do.
#[must_use]
pub fn same_machines<'a>(
    seen: impl IntoIterator<Item = (&'a HostName, &'a ObservedHost)>,
) -> BTreeMap<HostName, HostName> {
    let mut machines: BTreeMap<_, Vec<&HostName>> = BTreeMap::new();
    for (name, host) in seen {
        let Some(id) = host.machine_id else { continue };
        let keys: Vec<_> = host.interfaces.values().map(|live| live.public_key).collect();
        machines.entry((id, host.host_key, keys)).or_default().push(name);
    }
    let shared = machines.into_values().filter(|names| names.len() > 1);
    shared
        .flat_map(|names| {
            let next = names.clone().into_iter().cycle().skip(1);
            let pairs: Vec<_> = names.into_iter().zip(next).collect();
            pairs.into_iter().map(|(name, other)| (name.clone(), other.clone()))
        })
        .collect()
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;
