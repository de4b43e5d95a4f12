//! Changing one host's key without losing traffic.
//!
//! The host first, then every neighbour in one step with the host's present endpoint: packets
//! wait (128 for each peer) until the handshake that the neighbour begins at once, so nothing is
//! lost while the time between the two steps times the packet rate stays below that.
//!
//! The host decides: its neighbours keep the new key only once it has said that it does, and their
//! timers run longer than its own. So a neighbour with a confirmed new key proves that the host has it.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::context::Context;
use super::health::healthy;
use super::host::perform;
use super::job::{Job, Logins};
use super::verdict::{Patience, ROLLBACK_LIMIT, Verdict, keep, take_back};
use crate::desired::Secrets;
use crate::event::{Ending, Event, Outcome, Reason, Stage, Step};
use crate::model::{Moment, PublicKey};
use crate::observed::ObservedHost;
use crate::remote::{Connect, Host, RemoteError};
use crate::sys::Events;

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
    events: &Events,
) -> Vec<Ending> {
    let Rotation { host, neighbours, old, new } = rotation;
    let hosts = usize::from(host.is_some()) + neighbours.len();
    events.tell(Event::Begin { stage: Stage::Apply, hosts });
    let first = Context { secrets, deadline, events };
    let then = Context { secrets, deadline: deadline + GRACE, events };
    let change = KeyChange { first, then, logins: Logins::new(connector, parallel), old, new };
    let outcomes = change.run(host, neighbours).await;
    for ending in &outcomes {
        events.tell(Event::Ended { ending: ending.clone() });
    }
    events.tell(Event::End { stage: Stage::Apply });
    outcomes
}

/// A share that is done and armed.
struct Armed<'a, H> {
    job: Job<'a>,
    /// When its share was begun.
    since: Moment,
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
    ) -> Vec<Ending> {
        let mut first = None;
        if let Some((job, connection)) = host {
            match arm(&self.first, &self.logins, job, connection).await {
                Ok(armed) => first = Some(armed),
                Err(failed) => {
                    let mut outcomes = vec![failed];
                    for (job, connection) in neighbours {
                        connection.close().await;
                        let skipped = Outcome::Skipped(Reason::HostUnchanged);
                        outcomes.push(Ending::not_begun(job.plan.host.clone(), skipped));
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
            Err(Reason::NeighbourFailed)
        };
        let verdict = match (proof, first) {
            (Ok(()), None) => Ok(()),
            (Ok(()), Some(first)) => {
                let (goes_on, ending) = self.decide(first).await;
                let host = ending.host.clone();
                outcomes.push(ending);
                if goes_on { Ok(()) } else { Err(Reason::KeyNotKept { host }) }
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

    /// Has the host itself keep its new key, if there is time to learn whether it does; says whether its
    /// neighbours are to keep it.
    async fn decide(&self, first: Armed<'_, C::Host>) -> (bool, Ending) {
        if first.begun + self.first.deadline < Instant::now() + MARGIN {
            return (false, self.take_back(first, &Reason::NeighboursTooSlow).await);
        }
        self.first.working(&first.job, Step::Confirming);
        let Armed { job, since, connection, expired, .. } = first;
        let verdict =
            keep(&self.logins, &job, connection, Patience::with_grace(expired, GRACE / 2)).await;
        // Where nobody knows, the word was sent, and most words arrive.
        let goes_on = matches!(verdict, Verdict::Kept(_) | Verdict::Open(_));
        (goes_on, job.ending(since, self.first.events.now(), verdict.outcome()))
    }

    async fn keep(&self, armed: Armed<'_, C::Host>) -> Ending {
        let Armed { job, since, connection, expired, .. } = armed;
        self.first.working(&job, Step::Confirming);
        let verdict = keep(&self.logins, &job, connection, Patience::until(expired)).await;
        job.ending(since, self.first.events.now(), verdict.outcome())
    }

    async fn take_back(&self, armed: Armed<'_, C::Host>, reason: &Reason) -> Ending {
        let Armed { job, since, connection, expired, .. } = armed;
        self.first.working(&job, Step::RollingBack);
        let until = expired + ROLLBACK_LIMIT;
        let outcome = take_back(&self.logins, &job, connection, reason, until).await;
        job.ending(since, self.first.events.now(), outcome)
    }

    /// Waits until a new connection shows it healthy, and each session with the host that was alive
    /// before has shaken hands anew.
    async fn prove(&self, armed: &mut Armed<'_, C::Host>) -> Result<(), Reason> {
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
        self.first.working(job, Step::AwaitingHandshake);
        let name = &job.plan.host;
        let unproven =
            |reason: Reason| Reason::Unproven { host: name.clone(), reason: Box::new(reason) };
        let unread = |error: RemoteError| unproven(Reason::from(&error));
        let host = self.logins.connect(job).await.map_err(unread)?;
        let attempt = async {
            loop {
                let seen = host.observe(&job.request).await.map_err(unread)?;
                healthy(job, &seen).map_err(unproven)?;
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
            let within_seconds = PROOF_LIMIT.as_secs();
            Err(Reason::NoHandshake { host: name.clone(), within_seconds })
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
) -> Result<Armed<'a, C::Host>, Ending> {
    let (since, begun) = (context.events.now(), Instant::now());
    match perform(context, logins, &job, host).await {
        Ok(()) => {
            let expired = Instant::now() + context.deadline;
            Ok(Armed { job, since, begun, expired, connection: None })
        }
        Err(outcome) => Err(job.ending(since, context.events.now(), outcome)),
    }
}

fn alive(host: &ObservedHost, handshake: u64) -> bool {
    handshake > 0 && host.now.saturating_sub(handshake) < LIVE
}
