//! The first flow between two selectors that works, and the first that does not.

use super::flow::{Broken, Flow, Trip};
use super::flows::{self, Member};
use super::tables::Tables;
use super::walk::{Doubt, Walker};
use crate::inventory::{Inventory, Selector};
use crate::model::Family;

/// What the flows between two selectors come to.
#[derive(Debug, Default)]
pub(super) struct First {
    pub(super) flows: u64,
    pub(super) reachable: u64,
    /// Whether ends were left out because they are at one place.
    pub(super) together: bool,
    pub(super) trip: Option<(Member, Member, Trip)>,
    pub(super) broken: Option<Box<Broken>>,
}

/// Proves the flows between two selectors; keeps the first that works and the first that does not.
pub(super) fn first(
    inventory: &Inventory,
    tables: &Tables<'_>,
    from: &Selector,
    to: &Selector,
) -> First {
    let topology = tables.topology();
    let index = inventory.index();
    let walker = Walker::new(inventory, tables, Doubt::Fails);
    let targets = flows::expand(inventory, &index, tables, to);
    let mut first = First::default();
    for from in &flows::expand(inventory, &index, tables, from) {
        for to in &targets {
            if from.together(to, topology) {
                first.together = true;
                continue;
            }
            for family in [Family::V4, Family::V6] {
                let flow = Flow { topology, tables, walker: &walker, from, to, family };
                let Some(result) = flow.prove() else { continue };
                first.flows += 1;
                match result {
                    Ok(trip) => {
                        first.reachable += 1;
                        first.trip.get_or_insert((*from, *to, trip));
                    }
                    Err(broken) => drop(first.broken.get_or_insert(broken)),
                }
            }
        }
    }
    first
}
