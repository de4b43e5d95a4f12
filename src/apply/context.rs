//! What is the same for all hosts of one run.

use std::sync::Arc;
use std::time::Duration;

use super::job::Job;
use crate::event::{Event, Sink};

/// What every step of every host needs.
pub(super) struct Context<'a, S> {
    pub(super) secrets: &'a S,
    /// How long a host keeps an unconfirmed change.
    pub(super) deadline: Duration,
    pub(super) sink: &'a Arc<dyn Sink>,
}

impl<S> Context<'_, S> {
    pub(super) fn working(&self, job: &Job<'_>, what: &str) {
        self.sink.event(Event::Working { host: job.plan.host.clone(), what: what.to_owned() });
    }
}
