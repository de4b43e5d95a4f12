//! Drift: what a host has that is not what wgfleet left there, as opposed to what the inventory changes.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::drifted::Drifted;
use super::left::Left;
use super::paths::conf;
use super::{Change, FileAction, HostPlan, NewInterface, RenderedHost, Target};
use crate::desired::key_mark;
use crate::model::InterfaceName;
use crate::observed::{ObservedHost, ObservedInterface, Record, UnitState};

impl HostPlan {
    /// Says which of the changes undo drift: all others follow from the inventory. Nothing is said
    /// where there is no record to compare with.
    pub fn tell_drift(
        &mut self,
        target: &Target<'_>,
        rendered: &RenderedHost,
        observed: &ObservedHost,
        kept: Option<&Record>,
    ) {
        let comparable = |record: &&Record| {
            record.host == self.host && record.fingerprint_key == key_mark(&rendered.key)
        };
        let Some(record) = kept.filter(comparable) else { return };
        let then = Then { target, observed, record, left: RefCell::default() };
        let drift: BTreeSet<Drifted> = self
            .changes
            .iter()
            .filter(|change| then.differs(change))
            .filter_map(Drifted::of)
            .collect();
        if !drift.is_empty() {
            let words: Vec<String> = drift.iter().take(NAMED).map(ToString::to_string).collect();
            let more = match drift.len().saturating_sub(NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let verb = if drift.len() == 1 { "is" } else { "are" };
            let words = words.join(", ");
            self.notes.push(format!("drift: {words}{more} {verb} not as wgfleet left them there"));
        }
        self.drift = Some(drift);
    }
}

impl HostPlan {
    /// Whether a change undoes drift.
    #[must_use]
    pub fn is_drift(&self, change: &Change) -> bool {
        let drift = self.drift.as_ref();
        Drifted::of(change).is_some_and(|thing| drift.is_some_and(|drift| drift.contains(&thing)))
    }
}

/// Things that a note names.
const NAMED: usize = 6;

/// A host as it is, as it is to be, and as it was left.
struct Then<'a> {
    target: &'a Target<'a>,
    observed: &'a ObservedHost,
    record: &'a Record,
    /// What was read of the files of interfaces that were left there.
    left: RefCell<BTreeMap<InterfaceName, Option<Left>>>,
}

impl Then<'_> {
    /// Whether what a change does undoes what another hand did.
    fn differs(&self, change: &Change) -> bool {
        match change {
            Change::File { path, action, .. } => {
                *action == FileAction::Protect || self.file_drifted(path)
            }
            Change::Unit { unit, from, .. } => {
                let on = self.record.units.contains(unit.as_str());
                *from != UnitState { enabled: on, active: on, masked: false }
            }
            Change::Forward { on, .. } => *on && self.unchanged(&self.target.names.sysctl_file),
            Change::Firewall { table, digest: None } => {
                !self.record.tables.contains(&format!("inet {table}"))
            }
            Change::Firewall { .. } => self.unchanged(&self.target.names.firewall_file),
            Change::Create(NewInterface { interface, .. }) => {
                self.record.interfaces.contains_key(interface)
            }
            Change::Delete { interface } => !self.record.interfaces.contains_key(interface),
            Change::Device { interface, fields } => {
                let live = self.observed.interfaces.get(interface);
                let left = self.record.interfaces.get(interface).copied();
                left != live.and_then(|live| live.public_key)
                    || self.drifted(interface, |left, live| {
                        fields.iter().any(|change| left.device_drifted(live, change))
                    })
            }
            Change::Restart { interface, backend, .. } => {
                // Another backend is as well the inventory's wish.
                let live = self.observed.interfaces.get(interface).map(|live| live.backend);
                live == Some(*backend) && self.unchanged(&conf(interface))
            }
            Change::AddAddress { interface, address } => {
                self.drifted(interface, |left, _| left.has_address(address))
            }
            Change::RemoveAddress { interface, address } => {
                self.drifted(interface, |left, _| !left.has_address(address))
            }
            Change::AddRoute { interface, table, prefix } => {
                // The kernel makes that of an address itself.
                self.drifted(interface, |left, live| {
                    live.unrouted.contains(prefix) || left.had_route(*table, prefix)
                })
            }
            Change::RemoveRoute { interface, prefix, .. } => {
                self.drifted(interface, |left, _| !left.leads_to(prefix))
            }
            Change::ChangePeer { interface, peer, fields } => {
                self.drifted(interface, |left, live| left.peer_drifted(live, &peer.key, fields))
            }
            Change::AddPeer { interface, peer, .. } => {
                self.drifted(interface, |left, _| left.has(&peer.key))
            }
            Change::RemovePeer { interface, peer } => {
                self.drifted(interface, |left, _| !left.has(&peer.key))
            }
            Change::PushHelper { .. }
            | Change::Rename(_)
            | Change::Hook { .. }
            | Change::Record { .. } => false,
        }
    }

    /// Whether a file is not the one that was left there.
    fn file_drifted(&self, path: &str) -> bool {
        let there = self.observed.files.get(path).map(|file| file.fingerprint);
        there != self.record.fingerprints.get(path).copied()
    }

    /// Whether a file is to be what it was when it was left there: then the inventory changes nothing
    /// of what it says.
    fn unchanged(&self, path: &str) -> bool {
        let wanted = self.target.files.get(path).map(|file| file.fingerprint);
        wanted.is_some() && wanted == self.record.fingerprints.get(path).copied()
    }

    /// Whether another hand changed something of an interface. Where the inventory changes nothing in
    /// its file, it did; otherwise `differs` compares what runs with the file that was left there.
    /// Where that is gone nobody can tell.
    fn drifted(
        &self,
        name: &InterfaceName,
        differs: impl FnOnce(&Left, &ObservedInterface) -> bool,
    ) -> bool {
        let path = conf(name);
        if self.unchanged(&path) {
            return true;
        }
        let mut known = self.left.borrow_mut();
        let left = known.entry(name.clone()).or_insert_with(|| {
            let file = self.observed.files.get(&path).filter(|_| !self.file_drifted(&path));
            file.map(|file| Left::of(&file.public_text))
        });
        let live = self.observed.interfaces.get(name);
        left.as_ref().zip(live).is_some_and(|(left, live)| differs(left, live))
    }
}
