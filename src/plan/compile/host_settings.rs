//! What concerns the host as a whole: forwarding, rules, and its units.

use zeroize::Zeroizing;

use super::op::Op;
use super::payload::Compiler;
use super::word::Sysctl;
use crate::desired::Secrets;
use crate::model::{Family, InterfaceName, UnitName};
use crate::plan::firewall::removal;
use crate::plan::manager::{self, Step};
use crate::plan::{Change, HEARS_AS_A_ROUTER, NewInterface, Rename};

impl<S: Secrets> Compiler<'_, S> {
    pub(super) fn host_settings(&mut self) {
        for change in &self.plan.changes {
            match change {
                Change::Forward { family: Family::V4, on, .. } => {
                    self.op(Op::Sysctl { setting: Sysctl::ForwardV4, value: u8::from(*on) });
                }
                Change::Forward { family: Family::V6, on, accept_ra } => {
                    // Before: what the kernel forgets when it begins to forward comes with the next
                    // advertisement alone.
                    for interface in accept_ra {
                        self.op(Op::Sysctl {
                            setting: Sysctl::AcceptRa(interface.clone()),
                            value: HEARS_AS_A_ROUTER,
                        });
                    }
                    self.op(Op::Sysctl { setting: Sysctl::ForwardV6, value: u8::from(*on) });
                }
                Change::Firewall { digest: Some(_), .. } => self.firewall(None),
                Change::Rename(Rename::Table { from, .. }) => self.firewall(Some(from)),
                Change::Firewall { digest: None, table } => {
                    self.op(Op::NftDelete { table: table.clone() });
                }
                _ => {}
            }
        }
    }

    /// Puts the rules in place, and takes those away that had another name: all in one transaction, so
    /// that no packet leaves between them.
    fn firewall(&mut self, old: Option<&str>) {
        let (Some(firewall), false) = (&self.target.firewall, self.filters) else { return };
        self.filters = true;
        let table = &self.target.names.table;
        let mut text = old.map(removal).unwrap_or_default();
        text.push_str(&firewall.text);
        let rules = self.payload.file("nft", Zeroizing::new(text));
        self.op(Op::Nft { rules, table: table.clone(), old: old.map(str::to_owned) });
    }

    /// Units that nothing could start or enable.
    pub(super) fn unmask(&mut self) {
        for change in &self.plan.changes {
            if let Change::Unit { unit, from, to } = change
                && from.masked
                && !to.masked
            {
                self.unit_op(Step::Unmask, unit);
            }
        }
    }

    /// Units that go down before everything else, or come up after everything else.
    pub(super) fn units(&mut self, up: bool) {
        for change in &self.plan.changes {
            let Change::Unit { unit, from, to } = change else { continue };
            if (to.enabled || to.active) != up {
                continue;
            }
            if from.active != to.active {
                self.unit_op(if to.active { Step::Start } else { Step::Stop }, unit);
            }
        }
    }

    /// Units that run already, and whose interface was made anew under them.
    pub(super) fn units_anew(&mut self) {
        for change in &self.plan.changes {
            let (name, stopped) = match change {
                Change::Restart { interface, .. } => (interface, true),
                // Its interface went away without it, so it thinks that it runs.
                Change::Create(NewInterface { interface, .. }) => (interface, false),
                _ => continue,
            };
            let quick = self.wanted(name).is_some_and(|wanted| wanted.quick);
            if let Some(unit) = self.running_unit(name)
                && (quick || stopped)
                && self.target.units.contains_key(&unit)
            {
                self.unit_op(if stopped { Step::Start } else { Step::Restart }, &unit);
            }
        }
    }

    /// The unit of an interface, where it is active.
    pub(super) fn running_unit(&self, name: &InterfaceName) -> Option<UnitName> {
        let active = |unit: &UnitName| self.observed.units.get(unit).is_some_and(|own| own.active);
        manager::units_of(name).find(active)
    }

    /// Does something to a unit in the course of the change.
    pub(super) fn unit_op(&mut self, step: Step, unit: &UnitName) {
        if let Some(op) = manager::operation(step, unit) {
            self.op(op);
        }
    }
}
