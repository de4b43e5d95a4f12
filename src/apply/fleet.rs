//! Changing all hosts of a plan, in parallel.

use std::time::Duration;

use futures_util::StreamExt as _;

use super::context::Context;
use super::host::apply_host;
use super::job::{Job, Logins};
use crate::desired::Secrets;
use crate::event::{Ending, Event, Stage};
use crate::remote::Connect;
use crate::sys::Events;

/// Changes the hosts of all jobs, at most `parallel` at a time.
pub async fn apply_all<C: Connect, S: Secrets>(
    connector: &C,
    jobs: Vec<(Job<'_>, C::Host)>,
    secrets: &S,
    deadline: Duration,
    parallel: usize,
    events: &Events,
) -> Vec<Ending> {
    events.tell(Event::Begin { stage: Stage::Apply, hosts: jobs.len() });
    let context = Context { secrets, deadline, events };
    let context = &context;
    let logins = &Logins::new(connector, parallel);
    let outcomes = futures_util::stream::iter(jobs)
        .map(|(job, host)| async move {
            // A change is armed only where its confirming login will not have to wait for others'.
            let _room = connector.room(&job.target.desired.ssh).await;
            let begun = events.now();
            let outcome = apply_host(context, logins, &job, host).await;
            let ending = job.ending(begun, events.now(), outcome);
            events.tell(Event::Ended { ending: ending.clone() });
            ending
        })
        .buffer_unordered(parallel.max(1))
        .collect()
        .await;
    events.tell(Event::End { stage: Stage::Apply });
    outcomes
}
