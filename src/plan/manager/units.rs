//! Units, and what is done to them.

use crate::model::UnitName;
use crate::plan::Op;

/// What runs units.
pub(in crate::plan) trait Units: Sync {
    /// The folder of their files.
    fn folder(&self) -> &'static str;

    /// Whether a file of that folder counts in the course of a change; otherwise only with the next boot.
    /// A unit's own file has to outlast the unit.
    fn reads_now(&self, path: &str, goes: bool) -> bool;

    /// Has it read its files again.
    fn reload(&self) -> Op;

    /// Does something to a unit.
    fn operation(&self, step: Step, unit: UnitName) -> Op;
}

/// What is done to a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::plan) enum Step {
    /// What keeps it from every start goes.
    Unmask,
    /// It starts with the next boot.
    Enable,
    /// It does not start with the next boot.
    Disable,
    /// It starts.
    Start,
    /// It stops and starts.
    Restart,
    /// It stops.
    Stop,
}
