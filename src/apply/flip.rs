//! Having a host do what it has prepared, at the moment at which the others of its group do.

use tokio::time::Instant;

use super::host::refused;
use super::job::Logins;
use super::member::Member;
use crate::event::{Outcome, Reason};
use crate::remote::{Answer, Connect, Host};

/// What came of a flip.
#[derive(Debug)]
pub(super) enum Flip {
    /// It is done and armed.
    Done {
        /// How long after the agreed moment it was begun, in milliseconds.
        late: u64,
    },
    /// The host has what it had, or says that it does not know.
    Failed(Outcome),
    /// Nobody knows.
    Unclear(Reason),
}

impl Flip {
    /// Why it is not done.
    pub(super) const fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Done { .. } => None,
            Self::Failed(outcome) => outcome.reason(),
            Self::Unclear(reason) => Some(reason),
        }
    }

    /// What became of the host, where that is settled.
    pub(super) fn ended(self) -> Option<Outcome> {
        match self {
            Self::Failed(outcome) => Some(outcome),
            Self::Done { .. } | Self::Unclear(_) => None,
        }
    }
}

/// Has a host flip at the moment `at`, with a timer that ends at `until`.
pub(super) async fn flip<C: Connect>(
    logins: &Logins<'_, C>,
    member: &mut Member<'_, C::Host>,
    at: Instant,
    until: Instant,
) -> Flip {
    let Some(host) = &member.connection else { return Flip::Unclear(Reason::DeadlinePassed) };
    let (job, clock) = (&member.job, &member.clock);
    let words = [job.id.as_str(), &clock.word(at), &clock.word(until)];
    let limit = until.saturating_duration_since(Instant::now());
    let reply = match host.run("flip", &words, &[], limit).await {
        Ok(reply) => reply,
        Err(error) => {
            member.connection = None;
            return Flip::Unclear(Reason::from(&error));
        }
    };
    match reply.answer() {
        Answer::Flipped { late } => Flip::Done { late },
        // Nobody flipped it in time, or it lost its power.
        Answer::Gone => Flip::Unclear(Reason::DeadlinePassed),
        _ => refused(logins, job, &reply).await.map_or_else(Flip::Unclear, Flip::Failed),
    }
}
