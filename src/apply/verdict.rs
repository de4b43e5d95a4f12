//! Whether a host confirms a change: asked until it has said so, for as long as that can matter.
//!
//! An answer that was lost is none: the host is observed again, and what it has decides.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::before::same;
use super::deadline::Deadline;
use super::health::healthy;
use super::job::{Job, Logins};
use crate::event::{Outcome, Reason};
use crate::model::Untrusted;
use crate::observed::{ObservedHost, Record, Unanswered};
use crate::plan::{Change, HelperSource, diff_host};
use crate::remote::{Answer, Connect, Host, RemoteError, Rollback};
use crate::sys::Stop;

/// How long one call to a host may take.
pub(super) const CALL_LIMIT: Duration = Duration::from_secs(20);

/// Time between two attempts.
const PAUSE: Duration = Duration::from_secs(2);

/// How long before its deadline a host is last asked to confirm: what is asked later meets the
/// rollback.
const MARGIN: Duration = Duration::from_secs(3);

/// How long a host may take to roll back once its deadline has passed: a hook that hangs on the way
/// down is ended after some twenty seconds.
pub const ROLLBACK_LIMIT: Duration = Duration::from_secs(35);

/// How long after its deadline a host that has confirmed can still take its change back, because another
/// one has not.
pub const GRACE: Duration = Duration::from_mins(1);

/// Whether a host forgets how to take a change back once it has confirmed it.
#[derive(Debug, Clone)]
pub(super) enum Keeping {
    /// It does.
    Forever,
    /// Not before this moment of its own clock, or until it is told so: the other hosts of its group have
    /// to confirm, too.
    Until(String),
}

/// How long a host is asked to confirm, and how long it is observed after that.
#[derive(Debug, Clone)]
pub(super) struct Patience {
    /// It is not asked to confirm after this moment.
    ask: Instant,
    /// It is not observed after this moment.
    observe: Instant,
    /// When its timer ends, also where this machine sleeps.
    deadline: Deadline,
}

impl Patience {
    /// For a change whose timer ends at `deadline` at the latest.
    pub(super) fn until(until: Instant, deadline: &Deadline) -> Self {
        let deadline = deadline.clone();
        Self { ask: until - MARGIN, observe: until + ROLLBACK_LIMIT, deadline }
    }
}

/// What became of an armed change.
#[derive(Debug)]
pub(super) enum Verdict {
    /// The host keeps it, though perhaps not for its next boot.
    Kept(Outcome),
    /// The host has what it had before, or is on its way there.
    Back(Outcome),
    /// The host was told to keep it, and nobody knows whether it heard that.
    Open(Outcome),
    /// The host was not asked, because another one of its group is not to keep it.
    Unasked,
    /// The host was not asked, because the run is to stop, or came too late.
    Stopped(Reason),
}

impl Verdict {
    pub(super) fn outcome(self) -> Outcome {
        match self {
            Self::Kept(outcome) | Self::Back(outcome) | Self::Open(outcome) => outcome,
            Self::Unasked => Outcome::Unknown(Reason::NoTimeLeft),
            Self::Stopped(reason) => Outcome::Unknown(reason),
        }
    }

    /// Why the host does not keep it, where it does not.
    pub(super) const fn back(&self) -> Option<&Reason> {
        match self {
            Self::Back(outcome) => outcome.reason(),
            Self::Kept(_) | Self::Open(_) | Self::Unasked | Self::Stopped(_) => None,
        }
    }

    /// Whether the others of its group are not to keep it either.
    pub(super) const fn ends_group(&self) -> bool {
        matches!(self, Self::Back(_) | Self::Stopped(_))
    }
}

/// Has a host confirm its change, if it is healthy; through `connection` while that lasts. Afterwards
/// there is still one where the change can be taken back. A host that was not told to confirm before the run
/// is to stop is not told any more.
pub(super) async fn keep<C: Connect>(
    logins: &Logins<'_, C>,
    job: &Job<'_>,
    connection: &mut Option<C::Host>,
    patience: Patience,
    keeping: &Keeping,
    stop: &Stop,
) -> Verdict {
    let mut told = false;
    loop {
        // What was told before has to be found out.
        let seen = async {
            if connection.is_none() {
                *connection = Some(logins.connect(job).await?);
            }
            let host = connection.as_ref().ok_or(RemoteError::Timeout(0))?;
            host.observe(&job.request).await
        };
        let seen = if told { Some(seen.await) } else { stop.unless(seen, Duration::ZERO).await };
        let answer = match (seen, connection.as_ref()) {
            _ if !told && stop.is_asked() => return Verdict::Stopped(Reason::Interrupted),
            // Before anything else is done.
            _ if !told && let Err(late) = patience.deadline.not_slept_through() => {
                return Verdict::Stopped(late);
            }
            (Some(Ok(seen)), Some(host)) => {
                let in_time = Instant::now() < patience.ask;
                ask_to_keep(job, host, seen, (in_time, keeping), &mut told).await
            }
            (Some(Err(error)), _) => Err(error),
            (None, _) | (_, None) => return Verdict::Stopped(Reason::Interrupted),
        };
        let is_held = matches!(keeping, Keeping::Until(_));
        if !(is_held && matches!(answer, Ok(Some(Verdict::Kept(_)))))
            && let Some(host) = connection.take()
        {
            host.close().await;
        }
        let why = match answer {
            Ok(Some(verdict)) => return verdict,
            Ok(None) => {
                // Another claimed the change first: it is being rolled back.
                told = false;
                Reason::DeadlinePassed
            }
            Err(error) => Reason::NoNewConnection { reason: Unanswered::from(&error) },
        };
        if Instant::now() >= patience.observe {
            let outcome = Outcome::Unknown(Reason::NotSeenToConfirm { reason: why.into() });
            return if told { Verdict::Open(outcome) } else { Verdict::Back(outcome) };
        }
        let pause = tokio::time::sleep(PAUSE);
        if told {
            pause.await;
        } else if stop.unless(pause, Duration::ZERO).await.is_none() {
            return Verdict::Stopped(Reason::Interrupted);
        }
    }
}

/// `None`: it is being rolled back, or will be at its deadline.
async fn ask_to_keep(
    job: &Job<'_>,
    host: &impl Host,
    seen: ObservedHost,
    (in_time, keeping): (bool, &Keeping),
    told: &mut bool,
) -> Result<Option<Verdict>, RemoteError> {
    let armed = seen.armed.as_deref() == Some(job.id.as_str());
    if armed && let Err(reason) = healthy(job, &seen) {
        return Ok(ask_back(job, host, &reason).await?.map(Verdict::Back));
    }
    if seen.armed.is_none() && !took(job, &seen) {
        return Ok(Some(Verdict::Back(back(job, &seen, &Reason::DeadlinePassed))));
    }
    if armed && !in_time {
        return Ok(None);
    }
    *told = true;
    let reply = match keeping {
        Keeping::Forever => host.run("confirm", &[&job.id], &[], CALL_LIMIT).await?,
        Keeping::Until(moment) => host.run("hold", &[&job.id, moment], &[], CALL_LIMIT).await?,
    };
    Ok(match reply.answer() {
        Answer::Confirmed => Some(Verdict::Kept(Outcome::Applied)),
        Answer::NotForNextBoot { what } => {
            let what = Untrusted::new(format!("{what} {}", reply.stderr).trim());
            Some(Verdict::Kept(Outcome::NotForNextBoot(Reason::NotForNextBoot { what })))
        }
        Answer::Gone => {
            let seen = host.observe(&job.request).await?;
            match &seen.armed {
                Some(_) => None,
                // It was confirmed before, and only the answer was lost.
                None if took(job, &seen) => Some(Verdict::Kept(Outcome::Applied)),
                None => Some(Verdict::Back(back(job, &seen, &Reason::DeadlinePassed))),
            }
        }
        _ => return Err(RemoteError::Host(reply.said().to_string())),
    })
}

/// Has a host roll its change back; through `connection` while that lasts.
pub(super) async fn take_back<C: Connect>(
    logins: &Logins<'_, C>,
    job: &Job<'_>,
    mut connection: Option<C::Host>,
    reason: &Reason,
    until: Instant,
) -> Outcome {
    loop {
        let host = match connection.take() {
            Some(host) => Ok(host),
            None => logins.connect(job).await,
        };
        let answer = match host {
            Ok(host) => {
                let answer = ask_back(job, &host, reason).await;
                host.close().await;
                answer
            }
            Err(error) => Err(error),
        };
        let late = Instant::now() >= until;
        match answer {
            Ok(Some(outcome)) => return outcome,
            Ok(None) if late => {
                let reason = Box::new(reason.clone());
                return Outcome::Unknown(Reason::StillRollingBack { reason });
            }
            Err(error) if late => {
                let reason = Box::new(reason.clone());
                let unread = Unanswered::from(&error);
                return Outcome::Unknown(Reason::RollbackUnread { reason, unread });
            }
            Ok(None) | Err(_) => {}
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// `None`: it is being rolled back.
async fn ask_back(
    job: &Job<'_>,
    host: &impl Host,
    reason: &Reason,
) -> Result<Option<Outcome>, RemoteError> {
    let reply = host.run("revert", &[&job.id], &[], CALL_LIMIT).await?;
    Ok(match reply.answer() {
        Answer::RolledBack(Rollback::Verified) => Some(Outcome::RolledBack(reason.clone())),
        Answer::Gone => {
            let seen = host.observe(&job.request).await?;
            seen.armed.is_none().then(|| back(job, &seen, reason))
        }
        _ => {
            let (reason, said) = (Box::new(reason.clone()), reply.said());
            Some(Outcome::Unknown(Reason::RollbackSaid { reason, said }))
        }
    })
}

/// What a host has whose change is not armed any more.
fn back(job: &Job<'_>, seen: &ObservedHost, reason: &Reason) -> Outcome {
    if same(job.observed, seen) {
        Outcome::RolledBack(reason.clone())
    } else {
        Outcome::Unknown(Reason::NotAsBefore { reason: Box::new(reason.clone()) })
    }
}

/// Whether a host whose change is not armed any more has what the change was to bring. It writes its
/// record with the confirmation, so one that names this change settles it.
fn took(job: &Job<'_>, seen: &ObservedHost) -> bool {
    let fleet = &job.record.fleet;
    let kept = seen.records.get(fleet.as_str()).and_then(|text| Record::parse(fleet, text).ok());
    if kept.is_some_and(|kept| kept.transaction == job.record.transaction) {
        return true;
    }
    if job.plan.changes.iter().all(|change| matches!(change, Change::Record { .. })) {
        return false;
    }
    let keys = job.target.interfaces.iter().all(|interface| {
        let desired = interface.desired;
        seen.interfaces.get(&desired.name).is_some_and(|live| {
            live.public_key == Some(desired.public_key)
                && live.peers.keys().eq(desired.peers.keys())
        })
    });
    // Many changes touch no key. Then nothing is left to do where it was kept; a hook may have
    // added to that, but what was rolled back is as before.
    let left = || diff_host(&job.target, seen, &HelperSource::default(), &BTreeMap::new());
    keys && (!same(job.observed, seen) || left().changes.is_empty())
}
