//! What is the same for all hosts of one run.

use std::time::Duration;

use super::job::Job;
use crate::event::{Event, Step};
use crate::sys::Events;

/// What every step of every host needs.
pub(super) struct Context<'a, S> {
    pub(super) secrets: &'a S,
    /// How long a host keeps an unconfirmed change.
    pub(super) deadline: Duration,
    /// Hears what happens.
    pub(super) events: &'a Events,
}

impl<S> Context<'_, S> {
    pub(super) fn working(&self, job: &Job<'_>, step: Step) {
        let (host, transaction) = (job.plan.host.clone(), Some(job.id.clone()));
        self.events.tell(Event::Working { host, transaction, step });
    }
}
