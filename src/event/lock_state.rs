//! How the lock of a host stands.

use super::holder::Holder;
use crate::model::Untrusted;
use crate::observed::Unanswered;

/// Who has the lock of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockState {
    /// Nobody.
    Free,
    /// A run.
    Locked(Holder),
    /// A change is armed, which keeps others out until it is confirmed or rolled back.
    Armed(Untrusted),
    /// Somebody had it, and it was taken away.
    Broken,
    /// The host gave no answer.
    Unread(Unanswered),
}
