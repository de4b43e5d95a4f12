//! Changing one host's key without losing traffic.
//!
//! The host first, then every neighbour in one step with the host's present endpoint: packets
//! wait (128 for each peer) until the handshake that the neighbour begins at once, so nothing is
//! lost while the time between the two steps times the packet rate stays below that.
//!
//! The host decides: its neighbours keep the new key only once it has said that it does, and their
//! timers run longer than its own. So a neighbour with a confirmed new key proves that the host has it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::context::Context;
use super::health::healthy;
use super::host::perform;
use super::job::{Job, Logins};
use super::outcome::{Outcome, event};
use super::verdict::{Patience, ROLLBACK_LIMIT, Verdict, keep, take_back};
use crate::desired::Secrets;
use crate::event::{Event, Sink, Stage};
use crate::model::{HostName, PublicKey};
use crate::observed::ObservedHost;
use crate::remote::{Connect, Host, RemoteError, describe};

/// How long a new handshake may take once a neighbour can be asked: two attempts, five seconds
/// apart, and some.
const PROOF_LIMIT: Duration = Duration::from_secs(20);

/// How long neighbours wait for a word beyond the host's own deadline.
pub const GRACE: Duration = Duration::from_secs(10);

/// The host is not asked to keep its key when its timer has less than this left: an answer that is
/// lost then takes longer to find out than its neighbours wait.
const MARGIN: Duration = Duration::from_secs(8);

/// Seconds after which a session counts as one that nobody used.
const LIVE: u64 = 180;

/// The change of one host's key.
#[derive(Debug)]
pub struct Rotation<'a, H> {
    /// The host's own share, unless it has the new key already.
    pub host: Option<(Job<'a>, H)>,
    /// The shares of its neighbours, as far as they have something to do.
    pub neighbours: Vec<(Job<'a>, H)>,
    /// The key that it had.
    pub old: Option<PublicKey>,
    /// The key that it gets.
    pub new: PublicKey,
}

/// Changes one host's key; every share is confirmed, or every share is rolled back. At most `parallel`
/// new connections are begun at a time.
pub async fn rotate<C: Connect, S: Secrets>(
    connector: &C,
    rotation: Rotation<'_, C::Host>,
    secrets: &S,
    deadline: Duration,
    parallel: usize,
    sink: &Arc<dyn Sink>,
) -> Vec<(HostName, Outcome)> {
    let Rotation { host, neighbours, old, new } = rotation;
    let hosts = usize::from(host.is_some()) + neighbours.len();
    sink.event(Event::Begin { stage: Stage::Apply, hosts });
    let first = Context { secrets, deadline, sink };
    let then = Context { secrets, deadline: deadline + GRACE, sink };
    let change = KeyChange { first, then, logins: Logins::new(connector, parallel), old, new };
    let outcomes = change.run(host, neighbours).await;
    for (name, outcome) in &outcomes {
        sink.event(event(name, outcome));
    }
    sink.event(Event::End { stage: Stage::Apply });
    outcomes
}

/// A share that is done and armed.
struct Armed<'a, H> {
    job: Job<'a>,
    /// When its timer started at the earliest.
    begun: Instant,
    /// When its timer has run out at the latest.
    expired: Instant,
    /// The connection through which it was seen to work.
    connection: Option<H>,
}

struct KeyChange<'a, C, S> {
    /// For the host.
    first: Context<'a, S>,
    /// For its neighbours, who wait longer.
    then: Context<'a, S>,
    logins: Logins<'a, C>,
    old: Option<PublicKey>,
    new: PublicKey,
}

impl<C: Connect, S: Secrets> KeyChange<'_, C, S> {
    async fn run(
        &self,
        host: Option<(Job<'_>, C::Host)>,
        neighbours: Vec<(Job<'_>, C::Host)>,
    ) -> Vec<(HostName, Outcome)> {
        let mut first = None;
        if let Some((job, connection)) = host {
            match arm(&self.first, &self.logins, job, connection).await {
                Ok(armed) => first = Some(armed),
                Err(failed) => {
                    let skipped = "not begun: the host itself did not change".to_owned();
                    let mut outcomes = vec![failed];
                    for (job, connection) in neighbours {
                        connection.close().await;
                        outcomes.push((job.plan.host.clone(), Outcome::Skipped(skipped.clone())));
                    }
                    return outcomes;
                }
            }
        }
        let arming =
            neighbours.into_iter().map(|(job, host)| arm(&self.then, &self.logins, job, host));
        let (mut others, mut outcomes) = (Vec::new(), Vec::new());
        for armed in join_all(arming).await {
            match armed {
                Ok(armed) => others.push(armed),
                Err(failed) => outcomes.push(failed),
            }
        }
        let proof = if outcomes.is_empty() {
            let all = first.iter_mut().chain(&mut others);
            join_all(all.map(|armed| self.prove(armed))).await.into_iter().collect()
        } else {
            Err("a neighbour did not take the new key".to_owned())
        };
        let verdict = match (proof, first) {
            (Ok(()), None) => Ok(()),
            (Ok(()), Some(first)) => {
                let (name, verdict) = self.decide(first).await;
                let keeps = match &verdict {
                    // Where nobody knows, the word was sent, and most words arrive.
                    Verdict::Kept(_) | Verdict::Open(_) => Ok(()),
                    Verdict::Back(_) => Err(format!("{name} did not keep its new key")),
                };
                outcomes.push((name, verdict.outcome()));
                keeps
            }
            (Err(reason), first) => {
                // Both ends at once: until both have rolled back, they do not understand each other.
                others.extend(first);
                Err(reason)
            }
        };
        let settled = match &verdict {
            Ok(()) => join_all(others.into_iter().map(|other| self.keep(other))).await,
            Err(why) => join_all(others.into_iter().map(|other| self.take_back(other, why))).await,
        };
        outcomes.extend(settled);
        outcomes
    }

    /// Has the host itself keep its new key, if there is time to learn whether it does.
    async fn decide(&self, first: Armed<'_, C::Host>) -> (HostName, Verdict) {
        if first.begun + self.first.deadline < Instant::now() + MARGIN {
            let why = "the neighbours took too long; give them more with --deadline";
            let (name, outcome) = self.take_back(first, why).await;
            return (name, Verdict::Back(outcome));
        }
        self.first.working(&first.job, "confirming");
        let Armed { job, connection, expired, .. } = first;
        let verdict =
            keep(&self.logins, &job, connection, Patience::with_grace(expired, GRACE / 2)).await;
        (job.plan.host.clone(), verdict)
    }

    async fn keep(&self, armed: Armed<'_, C::Host>) -> (HostName, Outcome) {
        let Armed { job, connection, expired, .. } = armed;
        self.first.working(&job, "confirming");
        let verdict = keep(&self.logins, &job, connection, Patience::until(expired)).await;
        (job.plan.host.clone(), verdict.outcome())
    }

    async fn take_back(&self, armed: Armed<'_, C::Host>, reason: &str) -> (HostName, Outcome) {
        let Armed { job, connection, expired, .. } = armed;
        self.first.working(&job, "rolling back");
        let until = expired + ROLLBACK_LIMIT;
        let outcome = take_back(&self.logins, &job, connection, reason, until).await;
        (job.plan.host.clone(), outcome)
    }

    /// Waits until a new connection shows it healthy, and each session with the host that was alive
    /// before has shaken hands anew.
    async fn prove(&self, armed: &mut Armed<'_, C::Host>) -> Result<(), String> {
        let job = &armed.job;
        let before = job.observed;
        let live: BTreeSet<_> = before
            .interfaces
            .iter()
            .filter(|(_, live)| {
                let peer = self.old.and_then(|old| live.peers.get(&old));
                peer.is_some_and(|peer| alive(before, peer.latest_handshake))
            })
            .map(|(name, _)| name.clone())
            .collect();
        self.first.working(job, "waiting for a new handshake");
        let name = &job.plan.host;
        let unread = |error: RemoteError| format!("{name}: {}", describe(&error));
        let host = self.logins.connect(job).await.map_err(unread)?;
        let attempt = async {
            loop {
                let seen = host.observe(&job.look).await.map_err(unread)?;
                healthy(job, &seen).map_err(|reason| format!("{name}: {reason}"))?;
                let shaken = |name| {
                    let peer = seen.interfaces.get(name).and_then(|l| l.peers.get(&self.new));
                    peer.is_some_and(|peer| peer.latest_handshake > 0)
                };
                if live.iter().all(shaken) {
                    return Ok(());
                }
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        };
        let proof = tokio::time::timeout(PROOF_LIMIT, attempt).await.unwrap_or_else(|_| {
            let seconds = PROOF_LIMIT.as_secs();
            Err(format!("{name} had no handshake with the new key within {seconds} s"))
        });
        armed.connection = Some(host);
        proof
    }
}

/// Does a share; afterwards it is armed.
async fn arm<'a, C: Connect, S: Secrets>(
    context: &Context<'_, S>,
    logins: &Logins<'_, C>,
    job: Job<'a>,
    host: C::Host,
) -> Result<Armed<'a, C::Host>, (HostName, Outcome)> {
    let begun = Instant::now();
    match perform(context, logins, &job, host).await {
        Ok(()) => {
            let expired = Instant::now() + context.deadline;
            Ok(Armed { job, begun, expired, connection: None })
        }
        Err(outcome) => Err((job.plan.host.clone(), outcome)),
    }
}

fn alive(host: &ObservedHost, handshake: u64) -> bool {
    handshake > 0 && host.now.saturating_sub(handshake) < LIVE
}
