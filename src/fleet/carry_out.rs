//! Carrying out a plan: which host has what to do, and with what.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::pace::{NextWave, Pace};
use super::read::Fleet;
use super::survey::{BINARY_LIMIT, Survey};
use super::{Context, Error, Kind};
use crate::apply::{Conduct, Job, apply_groups};
use crate::event::{Ending, Event, Outcome, Reason};
use crate::journal::RunKind;
use crate::model::HostName;
use crate::plan::{Change, Group, HostPlan, HostState, Plan, Rollout, record, resolve};
use crate::remote::{Connect, Host};
use crate::sys::Events;

/// Carries out a plan that was just made; gives the outcome of every host of it.
///
/// # Errors
/// Where what is to be pushed cannot be read, or the lock file or the journal cannot be written; no host
/// was touched.
pub async fn carry_out<C: Connect>(
    context: &Context,
    fleet: &Fleet,
    mut survey: Survey<C>,
    plan: &Plan,
    deadline: Duration,
    parallel: usize,
    pace: &Pace<'_>,
) -> Result<Vec<Ending>, Error> {
    let changes = plan.hosts.iter().any(HostPlan::can_apply);
    let run = changes.then(|| survey.begin(context, fleet, RunKind::Apply)).transpose()?;
    let mut outcomes = Vec::new();
    let mut hosts = BTreeMap::new();
    let mut observed = BTreeMap::new();
    for (name, (seen, host)) in std::mem::take(&mut survey.seen) {
        hosts.insert(name.clone(), host);
        observed.insert(name, seen);
    }
    let helpers = Arc::new(read_helpers(&survey, plan)?);
    let mut jobs = Vec::new();
    for host_plan in &plan.hosts {
        let name = &host_plan.host;
        match &host_plan.state {
            // Why it cannot be read was said when that was tried.
            HostState::Unreadable(reason) => {
                let reason = Reason::Unanswered { reason: reason.clone() };
                outcomes.push(Ending::not_begun(name.clone(), Outcome::Skipped(reason)));
                continue;
            }
            HostState::Blocked(reason) => {
                let outcome = Outcome::Skipped(Reason::Blocked { reason: reason.clone() });
                let ending = Ending::not_begun(name.clone(), outcome);
                survey.events.tell(Event::Ended { ending: ending.clone() });
                outcomes.push(ending);
                continue;
            }
            HostState::Ready if host_plan.changes.is_empty() => {
                outcomes.push(Ending::not_begun(name.clone(), Outcome::Unchanged));
                continue;
            }
            HostState::Ready => {}
        }
        let Some(job) = job(&survey, &observed, host_plan, &helpers)? else { continue };
        let Some(host) = hosts.remove(name) else { continue };
        jobs.push((job, host));
    }
    futures_util::future::join_all(hosts.into_values().map(Host::close)).await;
    if let Some(run) = run {
        run.not_begun(&outcomes);
        let all = waves(jobs, plan.rollout.as_ref());
        let name = |(job, _): &Share<'_, C::Host>| job.plan.host.clone();
        let names = |group: &Vec<_>| group.iter().map(name).collect();
        let grouped = all.iter().map(|groups: &Vec<_>| groups.iter().map(names).collect());
        let saved = plan.to_saved(survey.plan_key()?.as_ref());
        // Of one that nobody could read, the next plan says what is left.
        if let Ok(saved) = saved {
            run.keep_plan(&saved)?;
        }
        let intent = &run.intend(grouped.collect())?;
        let (events, stop) = (run.events(), &context.stop);
        stop.heed();
        let conduct = Conduct {
            deadline,
            parallel,
            probes: survey.probes,
            events,
            stop,
            slept: &context.slept,
            lock: run.lock(),
        };
        let (connector, secrets) = (&*survey.connector, &survey.secrets);
        let (mut stopped, mut failed) = (None, Vec::new());
        let waves = all.len();
        for (wave, groups) in all.into_iter().enumerate() {
            if wave > 0 && stopped.is_none() && !stop.is_asked() {
                let hosts = groups.iter().map(Vec::len).sum();
                let next = NextWave { number: wave + 1, waves, hosts };
                let pause = pace.pause(survey.events.clock(), next);
                let pause = stop.unless(pause, Duration::ZERO).await.flatten();
                stopped = pause.map(|why| Reason::Paused { why });
            }
            let ended = match &stopped {
                _ if stop.is_asked() => leave(groups, &Reason::Interrupted, events).await,
                None => apply_groups(connector, intent, groups, secrets, &conduct).await,
                Some(reason) => leave(groups, reason, events).await,
            };
            failed.extend(ended.iter().filter(|one| is_failure(one)).map(|one| one.host.clone()));
            if let (None, Some(host), true) = (&stopped, failed.first(), failed.len() > pace.budget)
            {
                stopped = Some(Reason::EarlierWave { host: host.clone() });
            }
            outcomes.extend(ended);
        }
        run.end();
    }
    let in_plan = |name: &HostName| plan.hosts.iter().position(|host| host.host == *name);
    outcomes.sort_by_key(|ending| in_plan(&ending.host));
    Ok(outcomes)
}

/// A job, and the connection to its host.
type Share<'a, H> = (Job<'a>, H);

/// The jobs wave by wave, and in each those of a group together. A host that the rollout does not name
/// changes alone, with the last ones.
fn waves<'a, H>(jobs: Vec<Share<'a, H>>, rollout: Option<&Rollout>) -> Vec<Vec<Vec<Share<'a, H>>>> {
    let waves = rollout.map_or(&[][..], |rollout| &rollout.waves);
    let mut place = BTreeMap::new();
    for (wave, groups) in waves.iter().enumerate() {
        for (group, Group { hosts, .. }) in groups.groups.iter().enumerate() {
            place.extend(hosts.iter().map(|host| (host, (wave, group))));
        }
    }
    let last = (waves.len().saturating_sub(1), usize::MAX);
    let mut all: BTreeMap<usize, BTreeMap<usize, Vec<_>>> = BTreeMap::new();
    for share in jobs {
        let (wave, group) = place.get(&share.0.plan.host).copied().unwrap_or(last);
        all.entry(wave).or_default().entry(group).or_default().push(share);
    }
    let alone = |(group, shares): (usize, Vec<Share<'a, H>>)| -> Vec<Vec<Share<'a, H>>> {
        if group == usize::MAX {
            shares.into_iter().map(|share| vec![share]).collect()
        } else {
            vec![shares]
        }
    };
    all.into_values().map(|groups| groups.into_iter().flat_map(alone).collect()).collect()
}

/// Whether a wave that ended so is the last: what failed on one host may fail on the others.
const fn is_failure(ending: &Ending) -> bool {
    match ending.outcome {
        Outcome::Failed(_)
        | Outcome::RolledBack(_)
        | Outcome::Unknown(_)
        | Outcome::Moved(_)
        | Outcome::Skipped(Reason::Locked { .. } | Reason::OthersLocked { .. }) => true,
        Outcome::Unchanged
        | Outcome::Applied
        | Outcome::NotForNextBoot(_)
        | Outcome::Skipped(_) => false,
    }
}

/// Does not begin a wave.
async fn leave<H: Host>(
    groups: Vec<Vec<Share<'_, H>>>,
    reason: &Reason,
    events: &Events,
) -> Vec<Ending> {
    let (mut endings, mut closing) = (Vec::new(), Vec::new());
    for (job, host) in groups.into_iter().flatten() {
        let outcome = Outcome::Skipped(reason.clone());
        let ending = Ending::not_begun(job.plan.host.clone(), outcome);
        events.tell(Event::Ended { ending: ending.clone() });
        endings.push(ending);
        closing.push(host.close());
    }
    futures_util::future::join_all(closing).await;
    endings
}

/// One host's share of a plan; `None` where the survey did not bring what it needs.
pub(super) fn job<'a, C: Connect>(
    survey: &'a Survey<C>,
    observed: &'a BTreeMap<HostName, crate::observed::ObservedHost>,
    plan: &'a HostPlan,
    helpers: &Arc<BTreeMap<String, Vec<u8>>>,
) -> Result<Option<Job<'a>>, Error> {
    let name = &plan.host;
    let desired = survey.state.hosts.iter().find(|host| host.name == *name);
    let parts = (desired, survey.rendered.get(name), observed.get(name), survey.requests.get(name));
    let (Some(desired), Some(rendered), Some(observed), Some(request)) = parts else {
        return Ok(None);
    };
    let id = change_id()?;
    let target = resolve(desired, rendered, observed);
    let (fleet, made) = (&survey.state.fleet, &survey.provenance);
    let before = (survey.records.kept(name), &plan.changes[..]);
    Ok(Some(Job {
        record: record(fleet, &target, rendered, observed, made, id.clone(), before),
        id,
        plan,
        target,
        rendered,
        observed,
        request: request.clone(),
        helpers: Arc::clone(helpers),
    }))
}

/// The binaries that a plan pushes, compressed, by machine; none are read where it pushes none.
pub(super) fn read_helpers<C: Connect>(
    survey: &Survey<C>,
    plan: &Plan,
) -> Result<BTreeMap<String, Vec<u8>>, Error> {
    let changes = plan.hosts.iter().flat_map(|host| &host.changes);
    let machines: BTreeSet<&String> = changes
        .filter_map(|change| match change {
            Change::PushHelper { machine, .. } => Some(machine),
            _ => None,
        })
        .collect();
    machines
        .into_iter()
        .filter_map(|machine| Some((machine, survey.binaries.get(machine)?)))
        .map(|(machine, path)| {
            let bytes = crate::sys::read_limited(path, BINARY_LIMIT)
                .map_err(|error| Error::new(Kind::Failed, error))?;
            Ok((machine.clone(), crate::sys::gzip(&bytes)))
        })
        .collect()
}

/// A name for a change on a host.
fn change_id() -> Result<String, Error> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| Error::new(Kind::Failed, error))?;
    Ok(format!("c{:016x}", u64::from_le_bytes(bytes)))
}
