//! Changing all hosts of a plan, in parallel.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;

use super::Outcome;
use super::host::{Context, apply_host};
use super::verdict::Logins;
use crate::desired::Secrets;
use crate::event::{Event, Sink, Stage};
use crate::model::HostName;
use crate::observed::{ObservedHost, Record};
use crate::plan::{HostPlan, RenderedHost, Target};
use crate::remote::{Connector, Host, Look};

/// One host's share of a plan.
#[derive(Debug)]
pub struct Job<'a> {
    /// Names the change on the host: letters, digits and `-`.
    pub id: String,
    /// What is to be done.
    pub plan: &'a HostPlan,
    /// What it is to have.
    pub target: Target<'a>,
    /// Its rendered files.
    pub rendered: &'a RenderedHost,
    /// What it had when the plan was made.
    pub observed: &'a ObservedHost,
    /// What it keeps about this change once it has confirmed it.
    pub record: Record,
    /// How to look at it again.
    pub look: Look,
    /// Binaries that can be pushed, by `uname -m`.
    pub agents: Arc<BTreeMap<String, Vec<u8>>>,
}

/// Changes the hosts of all jobs, at most `parallel` at a time.
pub async fn apply_all<S: Secrets>(
    connector: &Connector,
    jobs: Vec<(Job<'_>, Host)>,
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
