//! What the host's script saves before a change, and how it gives that back: `snapshot()` and
//! `revert()`, each step in their order.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use wgfleet::model::{Family, HostPath, InterfaceName, UnitName};
use wgfleet::observed::UnitState;
use wgfleet::plan::{Op, units_of};

use super::ops::Files;
use super::{File, Link, Machine, Table};

/// What was saved.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    links: BTreeMap<InterfaceName, Option<Link>>,
    files: BTreeMap<HostPath, Option<File>>,
    prepared: BTreeSet<HostPath>,
    sysctls: BTreeMap<String, u8>,
    tables: BTreeMap<String, Option<Table>>,
    units: BTreeMap<UnitName, UnitState>,
    masked: BTreeSet<UnitName>,
    rules: Option<BTreeSet<(Family, u32)>>,
}

impl Snapshot {
    /// What the script saves of a machine before these operations.
    pub(crate) fn of(machine: &Machine, ops: &[Op]) -> Self {
        let mut saved = Self::default();
        for op in ops {
            saved.add(machine, op);
        }
        saved
    }

    fn add(&mut self, machine: &Machine, op: &Op) {
        let starts = matches!(
            op,
            Op::QuickUp { .. }
                | Op::QuickDown { .. }
                | Op::Start { .. }
                | Op::Stop { .. }
                | Op::Restart { .. }
        );
        if starts {
            self.rules.get_or_insert_with(|| machine.rules.clone());
        }
        let file = |path: &HostPath| (path.clone(), machine.files.get(path).cloned());
        let table = |name: &String| (name.clone(), machine.tables.get(name).cloned());
        match op {
            Op::Touch { interface } => {
                self.links.insert(interface.clone(), machine.links.get(interface).cloned());
            }
            Op::File { path, .. }
            | Op::Keep { path, .. }
            | Op::Remove { path }
            | Op::Protect { path, .. } => self.files.extend([file(path)]),
            Op::Prepare { path, .. } => self.prepared.extend([path.clone()]),
            Op::Sysctl { setting, .. } => {
                let path = setting.to_string();
                let value = machine.sysctl(&path);
                self.sysctls.insert(path, value);
            }
            Op::Nft { table: new, old, .. } => {
                self.tables.extend([table(new)]);
                self.tables.extend(old.iter().map(table));
            }
            Op::NftDelete { table: old } => self.tables.extend([table(old)]),
            Op::Unmask { unit } => self.masked.extend([unit.clone()]),
            Op::Enable { unit }
            | Op::Disable { unit }
            | Op::Start { unit }
            | Op::Restart { unit }
            | Op::Stop { unit } => {
                let state = machine.units.get(unit).copied().unwrap_or_default();
                self.units.entry(unit.clone()).or_insert(state);
            }
            Op::Create { .. }
            | Op::Delete { .. }
            | Op::SetConf { .. }
            | Op::AddConf { .. }
            | Op::Forget { .. }
            | Op::Private { .. }
            | Op::Port { .. }
            | Op::FwMark { .. }
            | Op::Keepalive { .. }
            | Op::Endpoint { .. }
            | Op::Psk { .. }
            | Op::NoPsk { .. }
            | Op::Batch { .. }
            | Op::Drop { .. }
            | Op::Try { .. }
            | Op::QuickUp { .. }
            | Op::QuickDown { .. }
            | Op::Reload => {}
        }
    }
}

/// Whether operations that were begun have stopped or started an interface.
fn began(begun: &[Op], name: &InterfaceName) -> bool {
    let units: Vec<UnitName> = units_of(name).collect();
    begun.iter().any(|op| match op {
        Op::QuickUp { interface, .. } | Op::QuickDown { interface } | Op::Delete { interface } => {
            interface == name
        }
        Op::Start { unit } | Op::Stop { unit } | Op::Restart { unit } => units.contains(unit),
        _ => false,
    })
}

fn began_unit(begun: &[Op], name: &UnitName, ran: bool) -> bool {
    begun.iter().any(|op| match op {
        Op::Stop { unit } | Op::Restart { unit } | Op::Enable { unit } | Op::Disable { unit } => {
            unit == name
        }
        Op::Start { unit } => unit == name && !ran,
        _ => false,
    })
}

impl Machine {
    /// Takes back what was begun of a change.
    pub(crate) fn revert(
        &mut self,
        saved: &Snapshot,
        (ops, begun, undo): (&[Op], &[Op], &[Op]),
        files: &Files,
    ) -> Result<(), String> {
        for op in undo {
            if let Op::QuickDown { interface } = op
                && began(begun, interface)
            {
                self.perform(op, files)?;
            }
        }
        let absent = saved.links.iter().filter(|(_, link)| link.is_none()).map(|(name, _)| name);
        for name in absent.clone() {
            let made = ops
                .iter()
                .any(|op| matches!(op, Op::Create { interface, .. } if interface == name));
            if self.links.contains_key(name) && !made {
                self.quick_down(name);
            }
        }
        let touched: Vec<(&UnitName, UnitState)> = saved
            .units
            .iter()
            .filter(|(unit, state)| began_unit(begun, unit, state.active))
            .map(|(unit, state)| (unit, *state))
            .collect();
        for (unit, state) in &touched {
            let own = self.units.entry((*unit).clone()).or_default();
            own.enabled &= state.enabled;
            let gone = |name: &InterfaceName| units_of(name).any(|own| own == **unit);
            // Its interface had gone without it, and has now: it only thinks that it runs.
            if !(state.active && own.active && absent.clone().any(gone)) {
                own.active = false;
            }
        }
        for name in absent {
            self.links.remove(name);
        }
        for path in &saved.prepared {
            self.beside.remove(path);
        }
        for (path, file) in &saved.files {
            self.beside.remove(path);
            match file {
                Some(file) => drop(self.files.insert(path.clone(), file.clone())),
                None => drop(self.files.remove(path)),
            }
        }
        // The links that mask a unit are files, too.
        for unit in &saved.masked {
            self.units.entry(unit.clone()).or_default().masked = true;
        }
        self.reload();
        for (unit, state) in &touched {
            drop(self.unit_on(unit, *state));
        }
        for (name, was) in
            saved.links.iter().filter_map(|(name, link)| Some((name, link.as_ref()?)))
        {
            if self.links.get(name).is_some_and(|link| link.backend != was.backend) {
                self.links.remove(name);
            }
            if !self.links.contains_key(name) {
                drop(self.quick_up(name, was.backend));
                self.links.entry(name.clone()).or_insert_with(|| Link::new(was.backend));
            }
            if self.links.get(name).is_some_and(|link| link.backend != was.backend) {
                self.quick_down(name);
                self.links.insert(name.clone(), Link::new(was.backend));
            }
            if self.links[name].backend != was.backend {
                return Err(format!("{name} came back as another kind"));
            }
            self.links.insert(name.clone(), was.clone());
        }
        // One that could not start its interface takes what is there.
        for (unit, state) in &touched {
            self.unit_on(unit, *state)?;
        }
        for (name, table) in &saved.tables {
            match table {
                Some(table) => drop(self.tables.insert(name.clone(), table.clone())),
                None => drop(self.tables.remove(name)),
            }
        }
        for (path, value) in &saved.sysctls {
            self.sysctls.insert(path.clone(), *value);
        }
        if let Some(rules) = &saved.rules {
            self.rules.clone_from(rules);
        }
        Ok(())
    }

    fn unit_on(&mut self, unit: &UnitName, state: UnitState) -> Result<(), String> {
        let own = self.units.entry(unit.clone()).or_default();
        own.enabled |= state.enabled;
        if !state.active {
            return Ok(());
        }
        // Where it is masked again already, that is lifted for as long as it takes.
        let masked = std::mem::take(&mut own.masked);
        let started = self.start(unit);
        self.units.entry(unit.clone()).or_default().masked = masked;
        started
    }
}
