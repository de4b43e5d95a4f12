//! Changing one host's key without losing traffic.
//!
//! The host first, then every neighbour in one step with the host's present endpoint: packets
//! wait (128 for each peer) until the handshake that the neighbour begins at once, so nothing is
//! lost while the time between the two steps times the packet rate stays below that.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::fleet::{Job, event};
use super::host::{Context, Outcome, confirm, perform, revert};
use crate::desired::Secrets;
use crate::event::{Sink, Stage};
use crate::model::{HostName, PublicKey};
use crate::observed::ObservedHost;
use crate::remote::{Connector, Host, RemoteError, observe_host};

/// How long a new handshake may take: two attempts, five seconds apart, and some.
const PROOF_LIMIT: Duration = Duration::from_secs(20);

/// Seconds after which a session counts as one that nobody used.
const LIVE: u64 = 180;

/// The change of one host's key.
#[derive(Debug)]
pub struct Rotation<'a> {
    /// The host's own share, unless it has the new key already.
    pub host: Option<(Job<'a>, Host)>,
    /// The shares of its neighbours, as far as they have something to do.
    pub neighbours: Vec<(Job<'a>, Host)>,
    /// The key that it had.
    pub old: Option<PublicKey>,
    /// The key that it gets.
    pub new: PublicKey,
}

/// Changes one host's key; every share is confirmed, or every share goes back.
pub async fn rotate<S: Secrets>(
    connector: &Connector,
    rotation: Rotation<'_>,
    secrets: &S,
    deadline: Duration,
    sink: &Arc<dyn Sink>,
) -> Vec<(HostName, Outcome)> {
    let Rotation { host, neighbours, old, new } = rotation;
    let context = Context { connector, secrets, deadline, sink };
    let hosts = usize::from(host.is_some()) + neighbours.len();
    sink.event(crate::event::Event::Begin { stage: Stage::Apply, hosts });
    let outcomes = Turn { context: &context, old, new }.run(host, neighbours).await;
    for (name, outcome) in &outcomes {
        sink.event(event(name, outcome));
    }
    sink.event(crate::event::Event::End { stage: Stage::Apply });
    outcomes
}

struct Turn<'a, S> {
    context: &'a Context<'a, S>,
    old: Option<PublicKey>,
    new: PublicKey,
}

impl<S: Secrets> Turn<'_, S> {
    async fn run(
        &self,
        host: Option<(Job<'_>, Host)>,
        neighbours: Vec<(Job<'_>, Host)>,
    ) -> Vec<(HostName, Outcome)> {
        let mut done = Vec::new();
        let mut failed = Vec::new();
        if let Some((job, connection)) = host {
            match perform(self.context, &job, connection).await {
                Ok(()) => done.push(job),
                Err(outcome) => {
                    let skipped = "not begun: the host itself did not change".to_owned();
                    let mut outcomes = vec![(job.plan.host.clone(), outcome)];
                    for (job, connection) in neighbours {
                        connection.close().await;
                        outcomes.push((job.plan.host.clone(), Outcome::Skipped(skipped.clone())));
                    }
                    return outcomes;
                }
            }
        }
        let performed = join_all(neighbours.into_iter().map(|(job, connection)| async move {
            let result = perform(self.context, &job, connection).await;
            (job, result)
        }))
        .await;
        for (job, result) in performed {
            match result {
                Ok(()) => done.push(job),
                Err(outcome) => failed.push((job.plan.host.clone(), outcome)),
            }
        }
        let proof = if failed.is_empty() {
            join_all(done.iter().map(|job| self.prove(job))).await.into_iter().collect()
        } else {
            Err("a neighbour did not take the new key".to_owned())
        };
        let settled = match proof {
            Ok(()) => join_all(done.iter().map(|job| confirm(self.context, job))).await,
            Err(reason) => {
                let reason: &str = &reason;
                join_all(done.iter().map(|job| revert(self.context, job, reason))).await
            }
        };
        let names = done.iter().map(|job| job.plan.host.clone());
        names.zip(settled).chain(failed).collect()
    }

    /// Waits until each session with the host that was alive before has shaken hands anew.
    async fn prove(&self, job: &Job<'_>) -> Result<(), String> {
        let Some(old) = self.old else { return Ok(()) };
        let before = job.observed;
        let live: BTreeSet<_> = before
            .interfaces
            .iter()
            .filter(|(_, live)| {
                live.peers.get(&old).is_some_and(|p| alive(before, p.latest_handshake))
            })
            .map(|(name, _)| name.clone())
            .collect();
        if live.is_empty() {
            return Ok(());
        }
        self.context.working(job, "waiting for a new handshake");
        let attempt = async {
            let desired = job.target.desired;
            let host = self.context.connector.connect(&desired.ssh, desired.r#become).await?;
            loop {
                let seen = observe_host(&host, &job.look).await?;
                let shaken = |name| {
                    let peer = seen.interfaces.get(name).and_then(|l| l.peers.get(&self.new));
                    peer.is_some_and(|peer| peer.latest_handshake > 0)
                };
                if live.iter().all(shaken) {
                    host.close().await;
                    return Ok::<_, RemoteError>(());
                }
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        };
        match tokio::time::timeout(PROOF_LIMIT, attempt).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(crate::remote::describe(&error)),
            Err(_) => Err(format!(
                "{} had no handshake with the new key within {} s",
                job.plan.host,
                PROOF_LIMIT.as_secs()
            )),
        }
    }
}

fn alive(host: &ObservedHost, handshake: u64) -> bool {
    handshake > 0 && host.now.saturating_sub(handshake) < LIVE
}
