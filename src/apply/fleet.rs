//! Changing all hosts of a plan, in parallel.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;

use super::context::Context;
use super::host::apply_host;
use super::job::{Job, Logins};
use super::outcome::{Outcome, event};
use crate::desired::Secrets;
use crate::event::{Event, Sink, Stage};
use crate::model::HostName;
use crate::remote::Connect;

/// Changes the hosts of all jobs, at most `parallel` at a time.
pub async fn apply_all<C: Connect, S: Secrets>(
    connector: &C,
    jobs: Vec<(Job<'_>, C::Host)>,
    secrets: &S,
    deadline: Duration,
    parallel: usize,
    sink: &Arc<dyn Sink>,
) -> Vec<(HostName, Outcome)> {
    sink.event(Event::Begin { stage: Stage::Apply, hosts: jobs.len() });
    let context = Context { secrets, deadline, sink };
    let context = &context;
    let logins = &Logins::new(connector, parallel);
    let outcomes = futures_util::stream::iter(jobs)
        .map(|(job, host)| async move {
            // A change is armed only where its confirming login will not have to wait for others'.
            let _room = connector.room(&job.target.desired.ssh).await;
            let outcome = apply_host(context, logins, &job, host).await;
            let name = job.plan.host.clone();
            sink.event(event(&name, &outcome));
            (name, outcome)
        })
        .buffer_unordered(parallel.max(1))
        .collect()
        .await;
    sink.event(Event::End { stage: Stage::Apply });
    outcomes
}
