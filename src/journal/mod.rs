//! What runs do to a fleet, on disk before it is done: who, when, from which files, to which hosts, and
//! how each of them ended.
//!
//! A run has a file of its own, one JSON object a line. No host is touched before an [`Intent`] that
//! names it, and there is none before it is on disk: a full disk stops a run before anything has
//! changed, and a run that was killed leaves behind what it was about to do. It holds no secret.

mod close;
mod entry;
mod past;
mod write;

pub use close::close;
pub use entry::{Entry, Header, RunKind};
pub use past::{Past, PastState, past};
pub use write::{Intent, Journal};

#[cfg(test)]
mod tests;
