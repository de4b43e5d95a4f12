//! What a topology would do wrong, found without a packet.

use crate::finding::Finding;
use crate::inventory::Inventory;
use crate::topology::Topology;

/// Runs every rule; findings in no particular order.
#[must_use]
pub fn check(_inventory: &Inventory, _topology: &Topology) -> Vec<Finding> {
    Vec::new()
}
