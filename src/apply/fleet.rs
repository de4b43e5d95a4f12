//! Changing all hosts of a plan, group by group, in parallel.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use tokio::sync::Semaphore;

use super::context::{Conduct, Context};
use super::host::apply_host;
use super::job::{Job, Logins};
use super::lock;
use super::rekeyed::Rekeyed;
use super::transaction::Transaction;
use crate::desired::Secrets;
use crate::event::{Ending, Event, Outcome, Reason, Stage};
use crate::journal::Intent;
use crate::remote::{Connect, Host};

/// Changes the hosts of all groups, some at a time but for larger groups. The hosts of a
/// group change at the same moment, and all of them or none; a host alone is a group, too. That they are
/// about to be changed is on disk: nobody has an [`Intent`] before. Once the run is asked to stop no group is
/// begun, and those that were are rolled back unless all of their hosts have confirmed. Where another run has
/// one of the hosts, nothing is begun.
pub async fn apply_groups<C: Connect, S: Secrets>(
    connector: &C,
    _: &Intent,
    mut groups: Vec<Vec<(Job<'_>, C::Host)>>,
    secrets: &S,
    conduct: &Conduct<'_>,
) -> Vec<Ending> {
    let (events, parallel) = (conduct.events, conduct.parallel);
    let hosts = groups.iter().map(Vec::len).sum();
    events.tell(Event::Begin { stage: Stage::Apply, hosts });
    let context = Context::new(secrets, conduct);
    let (context, logins) = (&context, &Logins::new(connector, parallel));
    let shares = groups.iter_mut().flatten().collect();
    if let Some(endings) = lock::take(context, logins, shares).await {
        for ending in &endings {
            events.tell(Event::Ended { ending: ending.clone() });
        }
        join_all(groups.into_iter().flatten().map(|(_, host)| host.close())).await;
        events.tell(Event::End { stage: Stage::Apply });
        return endings;
    }
    let locked = groups.iter().flatten().map(|(job, _)| job.into()).collect();
    let most = parallel.clamp(1, Semaphore::MAX_PERMITS);
    let places = &Semaphore::new(most);
    let changed = futures_util::stream::iter(groups)
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
        .collect::<Vec<_>>();
    let outcomes = lock::while_locked(context, logins, locked, changed).await;
    events.tell(Event::End { stage: Stage::Apply });
    outcomes.into_iter().flatten().collect()
}

async fn change<C: Connect, S: Secrets>(
    context: &Context<'_, S>,
    logins: &Logins<'_, C>,
    connector: &C,
    mut group: Vec<(Job<'_>, C::Host)>,
) -> Vec<Ending> {
    if context.stop.is_asked() {
        return leave(context, group).await;
    }
    if group.len() > 1 {
        // Two groups that wait for each other's room would wait for ever: their logins wait instead.
        let keys = &Rekeyed::of(group.iter().map(|(job, _)| job));
        return Transaction { context, logins, keys }.run(group).await;
    }
    let Some((job, host)) = group.pop() else { return Vec::new() };
    // A change is armed only where its confirming login will not have to wait for others'.
    let Some(_room) =
        context.stop.unless(connector.room(&job.target.desired.ssh), Duration::ZERO).await
    else {
        return leave(context, vec![(job, host)]).await;
    };
    let begun = context.events.now();
    let (outcome, unverified) = apply_host(context, logins, &job, host).await;
    vec![job.ending(begun, context.events.now(), outcome).unverified(unverified)]
}

/// Does not begin a group, because the run is to stop.
async fn leave<H: Host, S>(context: &Context<'_, S>, group: Vec<(Job<'_>, H)>) -> Vec<Ending> {
    let left = group.into_iter().map(|(job, host)| async move {
        lock::give_back(context, &host).await;
        host.close().await;
        Ending::not_begun(job.plan.host.clone(), Outcome::Skipped(Reason::Interrupted))
    });
    join_all(left).await
}
