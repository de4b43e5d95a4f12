//! How large a plan may be that is read. A file of some megabytes can stand for gigabytes: its changes
//! refer to tables, and a change of a peer that is written once is there for each reference.

use std::mem::size_of;

use super::{Change, FieldChange, NewPeer, PeerField, PeerRef, Plan};
use crate::model::InterfaceName;

/// The most values in a plan's JSON. The first plan of a mesh of 1,000 hosts has 1.1 million.
pub(super) const MOST_VALUES: usize = 5_000_000;

/// The most bytes of memory that changes which refer to tables may take. In a mesh of 1,000 hosts in
/// which each setting of each peer changes they take some 700 MiB.
pub(super) const MOST_MEMORY: usize = 1 << 30;

/// Why a plan is refused for its size. Whoever reads it, reads no more of it than that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooLarge {
    /// Too many values.
    #[error("it has more than {MOST_VALUES} values")]
    Values,
    /// Too much of what its changes refer to.
    #[error("its changes to peers take more than {} MiB of memory", MOST_MEMORY >> 20)]
    Memory,
}

/// Refuses JSON with too many values, before any of it is read: each takes some bytes of the text, and
/// many times that in memory.
///
/// # Errors
/// [`TooLarge::Values`].
pub(super) fn count_values(json: &[u8]) -> Result<(), TooLarge> {
    let (mut values, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b',' | b'[' | b'{' if !quoted => values += 1,
            _ => {}
        }
    }
    if values > MOST_VALUES { Err(TooLarge::Values) } else { Ok(()) }
}

/// The bytes that a reference to a new peer takes.
pub(super) const fn of_new_peer() -> usize {
    size_of::<std::sync::Arc<NewPeer>>()
}

/// About the bytes that the change of a peer takes.
pub(super) fn of_change(
    interface: &InterfaceName,
    peer: &PeerRef,
    fields: &[FieldChange<PeerField>],
) -> usize {
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let name = peer.name.as_ref().map_or(0, |name| name.as_str().len());
    let fields = fields
        .iter()
        .map(|field| size_of::<FieldChange<PeerField>>() + text(&field.from) + text(&field.to));
    size_of::<Change>() + interface.as_str().len() + name + fields.sum::<usize>()
}

/// Refuses a plan that could not be read from these bytes.
///
/// # Errors
/// [`TooLarge`].
pub(super) fn refuse_large(plan: &Plan, json: &[u8]) -> Result<(), TooLarge> {
    count_values(json)?;
    if memory(plan) > MOST_MEMORY { Err(TooLarge::Memory) } else { Ok(()) }
}

/// The bytes that a plan's changes take that are read from tables.
fn memory(plan: &Plan) -> usize {
    let changes = plan.hosts.iter().flat_map(|host| &host.changes);
    let each = changes.map(|change| match change {
        Change::Create(new) => new.peers.len() * of_new_peer(),
        Change::ChangePeer { interface, peer, fields } => of_change(interface, peer, fields),
        _ => 0,
    });
    each.sum()
}

#[cfg(test)]
#[path = "weight_tests.rs"]
mod tests;
