//! Changing one host: push, stage, arm, do, and confirm over a new connection.

use tokio::time::Instant;
use zeroize::Zeroizing;

use super::before::differences;
use super::context::{BRIEF, Context};
use super::deadline::Deadline;
use super::job::{Job, Logins};
use super::lock;
use super::probe;
use super::push::push;
use super::verdict::{self, Keeping, Patience, ROLLBACK_LIMIT, Verdict};
use crate::desired::Secrets;
use crate::event::{FailedAt, HostPart, LISTED, Outcome, Reason, Step, UnverifiedSession};
use crate::model::Untrusted;
use crate::plan::Payload;
use crate::remote::{Answer, Connect, Host, Reply, Rollback, describe};

/// Changes one host: pushes, does and confirms.
pub(super) async fn apply_host<C: Connect, S: Secrets>(
    context: &Context<'_, S>,
    logins: &Logins<'_, C>,
    job: &Job<'_>,
    host: C::Host,
) -> (Outcome, Vec<UnverifiedSession>) {
    let until = Instant::now() + context.deadline;
    let deadline = &Deadline::at(until, context.slept);
    if let Err(unarmed) = perform(context, logins, job, host).await {
        return (unarmed, Vec::new());
    }
    let until = Instant::now() + context.deadline;
    let probed = context.stop.unless(probe::alone(context, logins, job), BRIEF).await;
    let (mut connection, unverified) = probed.unwrap_or((None, Vec::new()));
    context.working(job, Step::Confirming);
    let patience = Patience::until(until, deadline);
    let keeping = Keeping::Forever;
    let outcome =
        match verdict::keep(logins, job, &mut connection, patience, &keeping, context.stop).await {
            Verdict::Stopped(reason) => roll_back(context, logins, job, connection, reason).await,
            verdict => verdict.outcome(),
        };
    (outcome, unverified)
}

/// Pushes what is to be pushed, stages and does the change; it is armed afterwards.
async fn perform<C: Connect, S: Secrets>(
    context: &Context<'_, S>,
    logins: &Logins<'_, C>,
    job: &Job<'_>,
    host: C::Host,
) -> Result<(), Outcome> {
    let ready = context.stop.unless(ready(context, logins, job, host), BRIEF).await;
    let Some(ready) = ready else {
        lock::give_back_anew(context, logins, job).await;
        return Err(Outcome::Failed(Reason::Interrupted));
    };
    let (host, payload) = ready?;
    if context.stop.is_asked() {
        lock::give_back(context, &host).await;
        host.close().await;
        return Err(Outcome::Failed(Reason::Interrupted));
    }
    context.working(job, Step::Applying);
    let seconds = context.deadline.as_secs().to_string();
    let words = [job.id.as_str(), &seconds];
    let call = host.run("apply", &words, payload.as_bytes(), context.deadline);
    let Some(reply) = context.stop.unless(call, BRIEF).await else {
        return Err(roll_back(context, logins, job, Some(host), Reason::Interrupted).await);
    };
    let is_done = reply.as_ref().is_ok_and(|reply| reply.answer() == Answer::Done);
    if is_done && context.stop.is_asked() {
        return Err(roll_back(context, logins, job, Some(host), Reason::Interrupted).await);
    }
    host.close().await;
    let reply = match reply {
        Ok(reply) => reply,
        Err(error) => {
            return Err(roll_back(context, logins, job, None, Reason::from(&error)).await);
        }
    };
    if is_done {
        return Ok(());
    }
    Err(match refused(logins, job, &reply).await {
        Ok(outcome) => outcome,
        Err(reason) => roll_back(context, logins, job, None, reason).await,
    })
}

/// Pushes what is to be pushed; gives a connection that is awake, and the bytes of the change.
pub(super) async fn ready<C: Connect, S: Secrets>(
    context: &Context<'_, S>,
    logins: &Logins<'_, C>,
    job: &Job<'_>,
    host: C::Host,
) -> Result<(C::Host, Zeroizing<String>), Outcome> {
    let host = awake(logins, job, host).await?;
    push(context, job, &host).await?;
    let compiled =
        Payload::compile(job.plan, &job.target, job.rendered, job.observed, context.secrets);
    let mut payload = compiled.map_err(|error| {
        Outcome::Failed(Reason::NoSecret { cause: Untrusted::new(describe(&error)) })
    })?;
    if let Some(digest) = job.observed.digest {
        payload.expecting(job.request.stdin(), digest);
    }
    payload.locked_by(&context.lock.run);
    payload.recording(&job.record.fleet, job.record.to_text());
    Ok((host, payload.encode()))
}

/// What a host that did not do its change made of it; the error says why that is not known.
pub(super) async fn refused<C: Connect>(
    logins: &Logins<'_, C>,
    job: &Job<'_>,
    reply: &Reply,
) -> Result<Outcome, Reason> {
    Ok(match reply.answer() {
        Answer::Failed { at, why: said, rollback: Some(Rollback::Verified) } => {
            Outcome::RolledBack(Reason::Failed { at, said })
        }
        Answer::Failed { at, why: said, rollback: Some(rollback) } => {
            let rollback = Untrusted::new(rollback.to_string());
            Outcome::Unknown(Reason::RollbackFailed { at, said, rollback })
        }
        Answer::Failed { at: FailedAt::Before, why: said, rollback: None } => {
            Outcome::Failed(Reason::HostSaid { said })
        }
        Answer::Busy { change } => Outcome::Failed(Reason::Busy { change }),
        Answer::Locked { by } => Outcome::Failed(Reason::Locked { by }),
        Answer::Moved { .. } => {
            Outcome::Moved(Reason::Moved { what: what_moved(logins, job).await })
        }
        _ => return Err(Reason::HostSaid { said: reply.said() }),
    })
}

/// The answer to `apply` did not arrive, or the run is to stop: the host is told to roll back, and what it has
/// is observed.
async fn roll_back<C: Connect, S>(
    context: &Context<'_, S>,
    logins: &Logins<'_, C>,
    job: &Job<'_>,
    connection: Option<C::Host>,
    reason: Reason,
) -> Outcome {
    context.working(job, Step::RollingBack);
    let until = Instant::now() + context.deadline + ROLLBACK_LIMIT;
    verdict::take_back(logins, job, connection, &reason, until).await
}

/// What of a host is not any more what the plan saw; nothing where that cannot be seen.
async fn what_moved<C: Connect>(logins: &Logins<'_, C>, job: &Job<'_>) -> Vec<HostPart> {
    let Ok(host) = logins.connect(job).await else { return Vec::new() };
    let seen = host.observe(&job.request).await;
    host.close().await;
    let mut moved = seen.map(|seen| differences(job.observed, &seen)).unwrap_or_default();
    moved.truncate(LISTED);
    moved
}

/// A connection that was not used for long, because somebody read the plan or other hosts came
/// first, has ended by itself: then there is another, before anything is sent.
async fn awake<C: Connect>(
    logins: &Logins<'_, C>,
    job: &Job<'_>,
    host: C::Host,
) -> Result<C::Host, Outcome> {
    if host.is_awake().await {
        return Ok(host);
    }
    let again = logins.connect(job).await;
    again.map_err(|error| Outcome::Failed(Reason::from(&error)))
}
