//! Whether a host of a group works after its change: seen through a new connection.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use super::context::Context;
use super::health::healthy;
use super::job::{Job, Logins};
use super::member::Member;
use super::probe::{Watched, unproved, watched};
use super::rekeyed::{Rekeyed, alive};
use crate::event::{Reason, Step};
use crate::model::{InterfaceName, PublicKey};
use crate::remote::{Connect, Host};

/// How long a new handshake may take: two attempts, five seconds apart, and some.
const PROOF_LIMIT: Duration = Duration::from_secs(20);

/// Between two observations.
const PAUSE: Duration = Duration::from_millis(300);

/// Waits until a new connection shows the host healthy, and each session that was alive has shaken hands
/// with the new key of its peer.
pub(super) async fn verify<C: Connect, S>(
    context: &Context<'_, S>,
    logins: &Logins<'_, C>,
    member: &mut Member<'_, C::Host>,
    keys: &Rekeyed,
    last: Instant,
) -> Result<(), Reason> {
    let job = &member.job;
    let awaited = awaited(job, keys);
    context
        .working(job, if awaited.is_empty() { Step::Confirming } else { Step::AwaitingHandshake });
    // The old one stays until then, for taking the change back.
    let host = loop {
        match logins.connect(job).await {
            Ok(host) => break host,
            Err(error) if Instant::now() + PAUSE >= last => {
                return Err(Reason::NoNewConnection { reason: (&error).into() });
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    };
    if let Some(old) = member.connection.replace(host) {
        old.close().await;
    }
    let Some(host) = &member.connection else { return Err(Reason::NoTimeLeft) };
    let begun = Instant::now();
    loop {
        let seen = match host.observe(&job.request).await {
            Ok(seen) => seen,
            Err(error) => return Err(Reason::from(&error)),
        };
        if seen.armed.as_deref() != Some(job.id.as_str()) {
            return Err(Reason::DeadlinePassed);
        }
        healthy(job, &seen)?;
        if Instant::now() >= last {
            return Err(Reason::NoTimeLeft);
        }
        let shaken = |(name, key): &(InterfaceName, PublicKey)| {
            let peer = seen.interfaces.get(name).and_then(|live| live.peers.get(key));
            peer.is_some_and(|peer| peer.latest_handshake > 0)
        };
        if awaited.iter().all(shaken) {
            let watched = if context.probes { watched(job, keys) } else { Vec::new() };
            // Not at the cost of the time to confirm.
            if !watched.is_empty() && Instant::now() + PROOF_LIMIT / 2 < last {
                context.working(job, Step::Probing);
                member.unverified = unproved(job, host, &watched, &seen).await;
                let peers = watched.iter().map(Watched::peer);
                let proved = peers.filter(|peer| !member.lacks_proof_of(peer)).cloned().collect();
                member.proved = proved;
            }
            return Ok(());
        }
        if begun.elapsed() >= PROOF_LIMIT {
            let host = job.plan.host.clone();
            return Err(Reason::NoHandshake { host, within_seconds: PROOF_LIMIT.as_secs() });
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The sessions that were alive, and whose peers get other keys.
fn awaited(job: &Job<'_>, keys: &Rekeyed) -> BTreeSet<(InterfaceName, PublicKey)> {
    let before = job.observed;
    let wanted = job.target.interfaces.iter().map(|interface| interface.desired);
    let all = wanted.flat_map(|wanted| {
        let live = before.interfaces.get(&wanted.name).into_iter().flat_map(|live| &live.peers);
        live.filter(|(_, peer)| alive(before, peer.latest_handshake))
            .filter_map(|(old, _)| keys.changed(old))
            .filter(|new| wanted.peers.contains_key(new))
            .map(|new| (wanted.name.clone(), new))
    });
    all.collect()
}
