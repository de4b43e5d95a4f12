//! Having a host try all that can be tried, before any host of its group changes.

use std::time::Duration;

use super::clock::HostClock;
use super::context::{BRIEF, Context};
use super::host::{ready, refused};
use super::job::{Job, Logins};
use super::lock;
use super::verdict::CALL_LIMIT;
use crate::desired::Secrets;
use crate::event::{Outcome, Reason, Step};
use crate::remote::{Answer, Connect, Host};

/// How long a host keeps others out for a change that nobody flips: the slowest host of the group may
/// need a binary first.
const LEASE: Duration = Duration::from_secs(90);

/// How long preparing may take.
const PREPARE_LIMIT: Duration = Duration::from_mins(1);

/// Prepares a host, unless the run is to stop before it is; gives the connection to it, and its clock. Where it fails, nothing has changed there.
pub(super) async fn prepare<C: Connect, S: Secrets>(
    context: &Context<'_, S>,
    logins: &Logins<'_, C>,
    job: &Job<'_>,
    host: C::Host,
) -> Result<(C::Host, HostClock), Outcome> {
    let prepared = context.stop.unless(prepared(context, logins, job, host), BRIEF).await;
    if let Some(prepared) = prepared {
        return prepared;
    }
    // How far it came is not known. One that does not hear this forgets it by itself.
    let forgotten = async {
        if let Ok(host) = logins.connect(job).await {
            cancel(job, host).await;
        }
    };
    let _ = tokio::time::timeout(CALL_LIMIT, forgotten).await;
    lock::give_back_anew(context, logins, job).await;
    Err(Outcome::Failed(Reason::Interrupted))
}

async fn prepared<C: Connect, S: Secrets>(
    context: &Context<'_, S>,
    logins: &Logins<'_, C>,
    job: &Job<'_>,
    host: C::Host,
) -> Result<(C::Host, HostClock), Outcome> {
    let (host, payload) = ready(context, logins, job, host).await?;
    context.working(job, Step::Preparing);
    let seconds = LEASE.as_secs().to_string();
    let words = [job.id.as_str(), &seconds];
    let reply = host.run("prepare", &words, payload.as_bytes(), PREPARE_LIMIT).await;
    let clock = match &reply {
        Ok(reply) if reply.answer() == Answer::Prepared => HostClock::read(&host).await,
        Ok(reply) => {
            let refused = refused(logins, job, reply).await;
            host.close().await;
            return Err(refused.unwrap_or_else(Outcome::Failed));
        }
        Err(error) => Err(Reason::from(error)),
    };
    match clock {
        Ok(clock) => Ok((host, clock)),
        Err(reason) => {
            // It may have heard everything, and may hear nothing any more.
            host.close().await;
            if let Ok(host) = logins.connect(job).await {
                cancel(job, host).await;
            }
            Err(Outcome::Failed(reason))
        }
    }
}

/// Tells a host that nobody will flip what it has prepared; one that does not hear it forgets it anyway.
pub(super) async fn cancel(job: &Job<'_>, host: impl Host) {
    let _ = host.run("revert", &[&job.id], &[], CALL_LIMIT).await;
    host.close().await;
}
