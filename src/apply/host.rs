//! Changing one host: push, stage, arm, do, and confirm over a new connection.

use tokio::time::Instant;

use super::before::differences;
use super::context::Context;
use super::job::{Job, Logins};
use super::outcome::Outcome;
use super::push::push;
use super::verdict::{self, Patience, ROLLBACK_LIMIT};
use crate::desired::Secrets;
use crate::plan::Payload;
use crate::remote::{Answer, Connect, Host, Rollback, Step, describe};

/// Most changes that one message names.
const NAMED: usize = 8;

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError<E: std::error::Error + 'static> {
    /// The vault does not have what the host needs.
    #[error("failed to get a key")]
    Secret(#[source] E),
}

/// Changes one host: pushes, does and confirms.
pub(super) async fn apply_host<C: Connect, S: Secrets>(
    context: &Context<'_, S>,
    logins: &Logins<'_, C>,
    job: &Job<'_>,
    host: C::Host,
) -> Outcome {
    if let Err(unarmed) = perform(context, logins, job, host).await {
        return unarmed;
    }
    context.working(job, "confirming");
    let deadline = Instant::now() + context.deadline;
    verdict::keep(logins, job, None, Patience::until(deadline)).await.outcome()
}

/// Pushes what is to be pushed, stages and does the change; it is armed afterwards.
pub(super) async fn perform<C: Connect, S: Secrets>(
    context: &Context<'_, S>,
    logins: &Logins<'_, C>,
    job: &Job<'_>,
    host: C::Host,
) -> Result<(), Outcome> {
    let host = awake(logins, job, host).await?;
    push(context, job, &host).await?;
    let compiled =
        Payload::compile(job.plan, &job.target, job.rendered, job.observed, context.secrets);
    let mut payload =
        compiled.map_err(|error| Outcome::Failed(describe(&ApplyError::Secret(error))))?;
    if let Some(digest) = job.observed.digest {
        payload.expecting(job.look.stdin(), digest);
    }
    payload.recording(&job.record.fleet, job.record.to_text());
    let payload = payload.encode();
    context.working(job, "applying");
    let seconds = context.deadline.as_secs().to_string();
    let words = [job.id.as_str(), &seconds];
    let reply = host.run("apply", &words, payload.as_bytes(), context.deadline).await;
    host.close().await;
    let reply = match reply {
        Ok(reply) => reply,
        Err(error) => return Err(roll_back(context, logins, job, &describe(&error)).await),
    };
    Err(match reply.answer() {
        Answer::Done => return Ok(()),
        Answer::Failed { step, why, rollback: Some(Rollback::Verified) } => {
            Outcome::RolledBack(format!("{step}{why}"))
        }
        Answer::Failed { step, why, rollback: Some(rollback) } => {
            Outcome::Unknown(format!("failed {step}{why}; the rollback failed too: {rollback}"))
        }
        Answer::Failed { step: Step::Before, why, rollback: None } => {
            Outcome::Failed(why.to_string())
        }
        Answer::Busy { change } => Outcome::Failed(format!(
            "another change ({change}) is armed there; wait until it is confirmed or rolled back"
        )),
        Answer::Moved { .. } => Outcome::Moved(what_moved(logins, job).await),
        _ => roll_back(context, logins, job, &reply.said()).await,
    })
}

/// The answer to `apply` did not arrive: the host is told to roll back, and what it has is observed.
async fn roll_back<C: Connect, S>(
    context: &Context<'_, S>,
    logins: &Logins<'_, C>,
    job: &Job<'_>,
    reason: &str,
) -> Outcome {
    context.working(job, "rolling back");
    let until = Instant::now() + context.deadline + ROLLBACK_LIMIT;
    verdict::take_back(logins, job, None, reason, until).await
}

/// Names what of a host is not any more what the plan saw.
async fn what_moved<C: Connect>(logins: &Logins<'_, C>, job: &Job<'_>) -> String {
    let look = async {
        let host = logins.connect(job).await?;
        let seen = host.observe(&job.look).await;
        host.close().await;
        seen
    };
    let moved = match look.await {
        Ok(seen) => differences(job.observed, &seen),
        Err(_) => Vec::new(),
    };
    if moved.is_empty() {
        return "it changed after the plan was made".to_owned();
    }
    let named: Vec<&str> = moved.iter().take(NAMED).map(String::as_str).collect();
    let more = if moved.len() > NAMED { ", …" } else { "" };
    format!("after the plan was made somebody changed {}{more}", named.join(", "))
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
    again.map_err(|error| Outcome::Failed(describe(&error)))
}
