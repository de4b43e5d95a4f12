//! What is lost with each hub, gateway, link and uplink: the fleet less one thing, over and over (N−1).
//!
//! Where packets go does not hang on what is up: `WireGuard` has one peer for each prefix. So a flow is
//! lost with exactly what it crosses, and only flows that cross something of the kind that fails are
//! walked again. What fails is looked at by classes, as flows are: of hosts, links and sites that the fleet
//! treats alike, one is taken away.

mod classes;
mod effect;
mod listed;
mod row;
mod survey;

use rayon::prelude::*;

pub use listed::{Failing, Failures, LostFlows, Role, Without};

use super::failure::Failure;
use super::tables::Tables;
use crate::inventory::Inventory;
use crate::topology::Topology;
use classes::Kinds;
use effect::effect;
use survey::Survey;

/// Takes away each thing of a fleet in turn, one of each class.
#[must_use]
pub fn failures(inventory: &Inventory, topology: &Topology) -> Failures {
    let tables = Tables::new(inventory, topology);
    let survey = Survey::new(inventory, &tables);
    let kinds = Kinds::new(inventory, topology, &survey);
    let mut rows: Vec<Without> = kinds
        .all()
        .par_iter()
        .map(|kind| {
            let effect = effect(&survey, &kinds, kind.first);
            row::row(inventory, topology, kind, effect, survey.flows)
        })
        .collect();
    // The worst first; otherwise hosts, links and uplinks in the order of the file.
    rows.sort_by_key(|row| std::cmp::Reverse(row.lost));
    Failures { flows: survey.flows, without: rows, ..Failures::default() }
}

/// How many wanted flows end at each thing that fails, and how many others are lost with it.
#[must_use]
pub fn lost_with(
    inventory: &Inventory,
    topology: &Topology,
    failures: &[Failure],
) -> Vec<(u64, u64)> {
    let tables = Tables::new(inventory, topology);
    let survey = Survey::new(inventory, &tables);
    let kinds = Kinds::new(inventory, topology, &survey);
    let one = |failure: &Failure| {
        let effect = effect(&survey, &kinds, *failure);
        (effect.ends, effect.lost)
    };
    failures.iter().map(one).collect()
}
