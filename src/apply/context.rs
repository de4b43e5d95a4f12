//! What is the same for all hosts of one run.

use std::time::Duration;

use super::job::Job;
use super::run_lock::RunLock;
use crate::event::{Event, Step};
use crate::sys::{Events, Slept, Stop};

/// How long a call to a host that is under way may still take once the run is to stop: most end in a moment,
/// and what is known needs not be found out.
pub(super) const BRIEF: Duration = Duration::from_secs(5);

/// How a run changes hosts.
#[derive(Debug, Clone, Copy)]
pub struct Conduct<'a> {
    /// How long a host keeps an unconfirmed change.
    pub deadline: Duration,
    /// How many hosts change at a time, and how many logins are begun at a time.
    pub parallel: usize,
    /// Whether sessions that worked before are to be proved by traffic.
    pub probes: bool,
    /// Hears what happens.
    pub events: &'a Events,
    /// Asks the run to stop: what is not confirmed is rolled back then.
    pub stop: &'a Stop,
    /// Tells how long this machine has slept, while hosts did not.
    pub slept: &'a Slept,
    /// Keeps other runs away from its hosts.
    pub lock: &'a RunLock,
}

/// What every step of every host needs.
pub(super) struct Context<'a, S> {
    pub(super) secrets: &'a S,
    /// How long a host keeps an unconfirmed change.
    pub(super) deadline: Duration,
    /// Whether sessions are to be proved by traffic.
    pub(super) probes: bool,
    /// Hears what happens.
    pub(super) events: &'a Events,
    /// Asks the run to stop.
    pub(super) stop: &'a Stop,
    /// Tells how long this machine has slept.
    pub(super) slept: &'a Slept,
    /// Keeps other runs away.
    pub(super) lock: &'a RunLock,
}

impl<'a, S> Context<'a, S> {
    pub(super) const fn new(secrets: &'a S, conduct: &Conduct<'a>) -> Self {
        let Conduct { deadline, probes, events, stop, slept, lock, .. } = *conduct;
        Self { secrets, deadline, probes, events, stop, slept, lock }
    }

    pub(super) fn working(&self, job: &Job<'_>, step: Step) {
        let (host, transaction) = (job.plan.host.clone(), Some(job.id.clone()));
        self.events.tell(Event::Working { host, transaction, step });
    }
}
