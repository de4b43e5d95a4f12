//! What other fleets have on a machine: two fleets live there side by side.

use super::heading::Heading;
use super::obstacle::{Obstacle, Owner};
use super::paths;
use crate::desired::DesiredHost;
use crate::model::{FleetName, InterfaceName};
use crate::observed::{ObservedHost, Record};

/// The other fleets that a machine is a host of, with what their records claim.
#[derive(Debug)]
pub(super) struct Others<'a> {
    fleet: &'a FleetName,
    observed: &'a ObservedHost,
    records: Vec<Record>,
}

impl<'a> Others<'a> {
    /// Those that are not `fleet`.
    pub(super) fn of(fleet: &'a FleetName, observed: &'a ObservedHost) -> Self {
        let records = observed.records.iter().filter(|(name, _)| name.as_str() != fleet.as_str());
        let records = records.filter_map(|(name, text)| {
            let name: FleetName = name.parse().ok()?;
            Record::parse(&name, text).ok()
        });
        Self { fleet, observed, records: records.collect() }
    }

    /// The record of the first of them, in order of their names.
    pub(super) fn first(&self) -> Option<&Record> {
        self.records.first()
    }

    /// Whether one of them recorded a file as its own.
    pub(super) fn recorded(&self, path: &str) -> bool {
        self.records.iter().any(|record| record.has_file(path))
    }

    /// Who has an interface: a record counts while the interface runs with the key that it says, so
    /// that one which outlived its fleet claims nothing.
    pub(super) fn has_interface(&self, name: &InterfaceName) -> Option<Owner> {
        let path = paths::conf(name);
        let Some(live) = self.observed.interfaces.get(name) else { return self.written_for(&path) };
        let owner = self.records.iter().find(|record| {
            let key = record.interfaces.get(name);
            key.is_some() && key == live.public_key.as_ref()
        });
        owner.map(Owner::from).or_else(|| self.written_for(&path))
    }

    /// Whom the first line of a file names.
    fn written_for(&self, path: &str) -> Option<Owner> {
        let Heading { host, fleet, .. } = Heading::of(&self.observed.files.get(path)?.public_text)?;
        (fleet != *self.fleet).then_some(Owner { host, fleet })
    }
}

/// Why a host cannot have what the file gives it: another fleet has an interface of that name there,
/// or a port.
#[must_use]
pub fn clash(
    fleet: &FleetName,
    desired: &DesiredHost,
    observed: &ObservedHost,
) -> Option<Obstacle> {
    let others = Others::of(fleet, observed);
    let wanted = || Owner { host: desired.name.clone(), fleet: fleet.clone() };
    for own in &desired.interfaces {
        let name = &own.name;
        let live = observed.interfaces.get(name);
        // A fleet that has got another name has its keys still.
        let ours = live.is_some_and(|live| live.public_key == Some(own.public_key));
        if let Some(owner) = others.has_interface(name).filter(|_| !ours) {
            let (interface, wanted) = (name.clone(), wanted());
            return Some(Obstacle::InterfaceTaken { interface, owner, wanted });
        }
        let Some(port) = own.listen_port else { continue };
        let taken = observed.interfaces.iter().find_map(|(other, live)| {
            let same = live.listen_port == port.get() && other != name;
            let owner = same.then(|| others.has_interface(other)).flatten()?;
            Some((other, owner))
        });
        if let Some((other, owner)) = taken {
            return Some(Obstacle::PortTaken {
                port,
                by: other.clone(),
                owner,
                interface: name.clone(),
                wanted: wanted(),
            });
        }
    }
    None
}

#[cfg(test)]
#[path = "ownership_tests.rs"]
mod tests;
