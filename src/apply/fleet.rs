//! Changing all hosts of a plan, group by group, in parallel.

use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::sync::Semaphore;

use super::context::Context;
use super::host::apply_host;
use super::job::{Job, Logins};
use super::transaction::Transaction;
use super::verify::Rekeyed;
use crate::desired::Secrets;
use crate::event::{Ending, Event, Stage};
use crate::journal::Intent;
use crate::remote::Connect;
use crate::sys::Events;

/// Changes the hosts of all groups, at most `parallel` at a time but for larger groups. The hosts of a
/// group change at the same moment, and all of them or none; a host alone is a group, too. That they are
/// about to be changed is on disk: nobody has an [`Intent`] before.
pub async fn apply_groups<C: Connect, S: Secrets>(
    connector: &C,
    _: &Intent,
    groups: Vec<Vec<(Job<'_>, C::Host)>>,
    secrets: &S,
    deadline: Duration,
    parallel: usize,
    events: &Events,
) -> Vec<Ending> {
    let hosts = groups.iter().map(Vec::len).sum();
    events.tell(Event::Begin { stage: Stage::Apply, hosts });
    let context = Context { secrets, deadline, events };
    let (context, logins) = (&context, &Logins::new(connector, parallel));
    let most = parallel.clamp(1, Semaphore::MAX_PERMITS);
    let places = &Semaphore::new(most);
    let outcomes = futures_util::stream::iter(groups)
        .map(|group| async move {
            let size = u32::try_from(group.len().min(most)).unwrap_or(u32::MAX);
            // The semaphore is never closed.
            let _places = places.acquire_many(size).await;
            let endings = change(context, logins, connector, group).await;
            for ending in &endings {
                events.tell(Event::Ended { ending: ending.clone() });
            }
            endings
        })
        .buffer_unordered(most)
        .collect::<Vec<_>>()
        .await;
    events.tell(Event::End { stage: Stage::Apply });
    outcomes.into_iter().flatten().collect()
}

async fn change<C: Connect, S: Secrets>(
    context: &Context<'_, S>,
    logins: &Logins<'_, C>,
    connector: &C,
    mut group: Vec<(Job<'_>, C::Host)>,
) -> Vec<Ending> {
    if group.len() > 1 {
        // Two groups that wait for each other's room would wait for ever: their logins wait instead.
        let keys = &Rekeyed::of(group.iter().map(|(job, _)| job));
        return Transaction { context, logins, keys }.run(group).await;
    }
    let Some((job, host)) = group.pop() else { return Vec::new() };
    // A change is armed only where its confirming login will not have to wait for others'.
    let _room = connector.room(&job.target.desired.ssh).await;
    let begun = context.events.now();
    let outcome = apply_host(context, logins, &job, host).await;
    vec![job.ending(begun, context.events.now(), outcome)]
}
