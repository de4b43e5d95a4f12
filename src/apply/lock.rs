//! The lock of hosts: taken on all hosts of a wave at once, without waiting, or on none.

use std::convert::Infallible;
use std::time::Duration;

use futures_util::future::join_all;

use super::context::Context;
use super::job::{Job, Logins};
use super::verdict::CALL_LIMIT;
use crate::event::{Ending, Outcome, Reason};
use crate::model::{Become, HostName, SshTarget};
use crate::remote::{Answer, Connect, Host};

/// How long a host keeps other runs away, unless it hears from this one.
const LEASE: Duration = Duration::from_mins(5);

/// How often it hears from it.
const RENEWAL: Duration = Duration::from_secs(30);

/// A job, and the connection to its host.
type Share<'a, H> = (Job<'a>, H);

/// Takes the lock of all hosts, or of none; gives how each ended where it lost. The first host by name decides
/// between two runs that want the same hosts.
pub(super) async fn take<C: Connect, S>(
    context: &Context<'_, S>,
    logins: &Logins<'_, C>,
    hosts: Vec<&mut Share<'_, C::Host>>,
) -> Option<Vec<Ending>> {
    let mut hosts = hosts;
    hosts.sort_by(|(one, _), (two, _)| one.plan.host.cmp(&two.plan.host));
    let names: Vec<HostName> = hosts.iter().map(|(job, _)| job.plan.host.clone()).collect();
    let mut hosts = hosts.into_iter();
    let (first, rest) = (hosts.next()?, hosts.collect::<Vec<_>>());
    let mut lost = Vec::new();
    if let Some(reason) = take_one(context, logins, first).await {
        lost.push((first.0.plan.host.clone(), reason));
    } else {
        let taken = join_all(rest.into_iter().map(|share| async {
            let reason = take_one(context, logins, share).await;
            (share, reason)
        }));
        let taken = taken.await;
        lost.extend(
            taken
                .iter()
                .filter_map(|((job, _), reason)| Some((job.plan.host.clone(), reason.clone()?))),
        );
        if !lost.is_empty() {
            let free = taken.into_iter().filter(|(_, reason)| reason.is_none());
            let free = free.map(|(share, _)| &share.1).chain([&first.1]);
            join_all(free.map(|host| give_back(context, host))).await;
        }
    }
    let (decided, _) = lost.first()?;
    let ending = |name: HostName| {
        let own = lost.iter().find(|(other, _)| *other == name).map(|(_, reason)| reason.clone());
        let reason = own.unwrap_or_else(|| Reason::OthersLocked { host: decided.clone() });
        Ending::not_begun(name, Outcome::Skipped(reason))
    };
    Some(names.into_iter().map(ending).collect())
}

/// Why the lock of a host is not to be had. What cannot be asked fails later, and says why.
async fn take_one<C: Connect, S>(
    context: &Context<'_, S>,
    logins: &Logins<'_, C>,
    (job, host): &mut Share<'_, C::Host>,
) -> Option<Reason> {
    if !host.is_awake().await {
        *host = logins.connect(job).await.ok()?;
    }
    let seconds = LEASE.as_secs().to_string();
    let mut words = vec![context.lock.run.as_str(), &seconds];
    words.extend(context.lock.over.iter().map(String::as_str));
    let line = format!("{}\n", context.lock.holder);
    match host.run("lock", &words, line.as_bytes(), CALL_LIMIT).await.ok()?.answer() {
        Answer::Locked { by } => Some(Reason::Locked { by }),
        Answer::Busy { change } => Some(Reason::Busy { change }),
        _ => None,
    }
}

/// Lets other runs have a host.
pub(super) async fn give_back<S>(context: &Context<'_, S>, host: &impl Host) {
    let _ = host.run("unlock", &[&context.lock.run], &[], CALL_LIMIT).await;
}

/// The same where the connection is gone; the lease ends by itself where that takes long.
pub(super) async fn give_back_anew<C: Connect, S>(
    context: &Context<'_, S>,
    logins: &Logins<'_, C>,
    job: &Job<'_>,
) {
    let given = async {
        if let Ok(host) = logins.connect(job).await {
            give_back(context, &host).await;
            host.close().await;
        }
    };
    let _ = tokio::time::timeout(CALL_LIMIT, given).await;
}

/// How a host is logged in to, for the renewal of its lock.
#[derive(Debug, Clone)]
pub(super) struct Address {
    name: HostName,
    ssh: SshTarget,
    r#become: Become,
}

impl From<&Job<'_>> for Address {
    fn from(job: &Job<'_>) -> Self {
        let desired = job.target.desired;
        Self { name: desired.name.clone(), ssh: desired.ssh.clone(), r#become: desired.r#become }
    }
}

/// Does work, and keeps the locks of its hosts meanwhile.
pub(super) async fn while_locked<C: Connect, S, T>(
    context: &Context<'_, S>,
    logins: &Logins<'_, C>,
    hosts: Vec<Address>,
    work: impl Future<Output = T>,
) -> T {
    tokio::select! {
        done = work => done,
        never = keep_locked(context, logins, hosts) => match never {},
    }
}

/// Keeps the locks of hosts for as long as it is polled. Most waves have ended before the first renewal, which
/// takes logins of its own.
async fn keep_locked<C: Connect, S>(
    context: &Context<'_, S>,
    logins: &Logins<'_, C>,
    hosts: Vec<Address>,
) -> Infallible {
    let mut open: Vec<(Address, Option<C::Host>)> =
        hosts.into_iter().map(|host| (host, None)).collect();
    let seconds = LEASE.as_secs().to_string();
    loop {
        tokio::time::sleep(RENEWAL).await;
        let renewed = open.into_iter().map(|(address, connection)| async {
            let connection = match connection {
                None => logins.connect_to(&address.name, &address.ssh, address.r#become).await.ok(),
                open => open,
            };
            let Some(host) = connection else { return Some((address, None)) };
            let words = [context.lock.run.as_str(), &seconds];
            match host.run("renew", &words, &[], CALL_LIMIT).await {
                // Its change has ended, and its lock with it.
                Ok(reply) if reply.answer() == Answer::Gone => {
                    host.close().await;
                    None
                }
                Ok(_) => Some((address, Some(host))),
                Err(_) => Some((address, None)),
            }
        });
        open = join_all(renewed).await.into_iter().flatten().collect();
    }
}
