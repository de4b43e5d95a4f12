//! Changing one host's key without losing traffic: a transaction of the host and all its neighbours.
//!
//! The host flips a tenth of a second before its neighbours, who know its present endpoint: packets wait
//! (128 for each peer) until the handshake that a neighbour begins at once, so nothing is lost while the time
//! between the two flips times the packet rate stays below that.

use futures_util::future::join_all;

use super::context::{Conduct, Context};
use super::job::{Job, Logins};
use super::lock;
use super::rekeyed::Rekeyed;
use super::transaction::Transaction;
use crate::desired::Secrets;
use crate::event::{Ending, Event, Stage};
use crate::journal::Intent;
use crate::model::PublicKey;
use crate::remote::{Connect, Host as _};

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

/// Changes one host's key; every share is confirmed, or every share is rolled back.
pub async fn rotate<C: Connect, S: Secrets>(
    connector: &C,
    _: &Intent,
    rotation: Rotation<'_, C::Host>,
    secrets: &S,
    conduct: &Conduct<'_>,
) -> Vec<Ending> {
    let events = conduct.events;
    let Rotation { host, neighbours, old, new } = rotation;
    let mut hosts: Vec<_> = host.into_iter().chain(neighbours).collect();
    events.tell(Event::Begin { stage: Stage::Apply, hosts: hosts.len() });
    let context = &Context::new(secrets, conduct);
    let logins = &Logins::new(connector, conduct.parallel);
    let keys = &Rekeyed::of(hosts.iter().map(|(job, _)| job)).and(old, new);
    let lost = lock::take(context, logins, hosts.iter_mut().collect()).await;
    let outcomes = if let Some(endings) = lost {
        join_all(hosts.into_iter().map(|(_, host)| host.close())).await;
        endings
    } else {
        let locked = hosts.iter().map(|(job, _)| job.into()).collect();
        let transaction = Transaction { context, logins, keys };
        lock::while_locked(context, logins, locked, transaction.run(hosts)).await
    };
    for ending in &outcomes {
        events.tell(Event::Ended { ending: ending.clone() });
    }
    events.tell(Event::End { stage: Stage::Apply });
    outcomes
}
