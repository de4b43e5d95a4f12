//! What became of one host's change.

use crate::event::Event;
use crate::model::HostName;

/// How a host's change ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing had to be done.
    Unchanged,
    /// Done, and confirmed over a new connection.
    Applied,
    /// Confirmed and live, but what the next boot reads could not be written: what of it.
    NotForNextBoot(String),
    /// Not begun: the host was not any more what the plan saw; what moved.
    Moved(String),
    /// Not begun: the host could not be read, or its change cannot be made.
    Skipped(String),
    /// Failed before anything changed.
    Failed(String),
    /// Failed or not confirmed, rolled back, and seen to be as before.
    RolledBack(String),
    /// Nobody knows: the connection broke, and the host rolls the change back by itself.
    Unknown(String),
}

/// What a run tells of it.
pub(super) fn event(host: &HostName, outcome: &Outcome) -> Event {
    let host = host.clone();
    match outcome {
        Outcome::Unchanged => Event::Done { host, outcome: "unchanged".to_owned() },
        Outcome::Applied => Event::Done { host, outcome: "applied".to_owned() },
        Outcome::NotForNextBoot(what) => Event::Failed {
            host,
            reason: format!(
                "applied, but not for the next boot: {what}; run `wgfleet apply` again"
            ),
        },
        Outcome::Moved(reason) | Outcome::Skipped(reason) | Outcome::Failed(reason) => {
            Event::Failed { host, reason: reason.clone() }
        }
        Outcome::RolledBack(reason) => {
            Event::Failed { host, reason: format!("rolled back: {reason}") }
        }
        Outcome::Unknown(reason) => {
            Event::Failed { host, reason: format!("state unknown: {reason}") }
        }
    }
}
