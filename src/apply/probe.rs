//! Whether traffic goes through the sessions of a host after its change, as it did before.
//!
//! A configuration that is right proves no session. An answered ping does, and so do bytes or a handshake
//! that came since; a session without them may only be idle, so that is told and fails nothing.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::context::Context;
use super::health::healthy;
use super::job::{Job, Logins};
use super::rekeyed::{Rekeyed, alive};
use crate::desired::{DesiredInterface, DesiredPeer};
use crate::event::{Step, UnverifiedSession};
use crate::model::{HostName, InterfaceName, PublicKey};
use crate::observed::ObservedHost;
use crate::remote::{Answer, Connect, Host};

/// The most sessions of a host that are probed: each takes a process there.
const MOST: usize = 64;

/// How long the pings of a host may take: two of them, of one second and of two.
const PROBE_LIMIT: Duration = Duration::from_secs(6);

/// A session that was alive before the change.
#[derive(Debug, Clone)]
pub(super) struct Watched {
    session: UnverifiedSession,
    key: PublicKey,
    /// An address that is the peer's alone.
    address: Option<IpAddr>,
}

impl Watched {
    /// Whom it is with.
    pub(super) const fn peer(&self) -> &HostName {
        &self.session.peer
    }
}

/// The sessions of a host that were alive before its change.
pub(super) fn watched(job: &Job<'_>, keys: &Rekeyed) -> Vec<Watched> {
    let before = job.observed;
    let wanted = job.target.interfaces.iter().map(|interface| interface.desired);
    let all = wanted.flat_map(|own| {
        let live = before.interfaces.get(&own.name).into_iter().flat_map(|live| &live.peers);
        let alive = live.filter(|(_, peer)| alive(before, peer.latest_handshake));
        alive.filter_map(|(key, _)| {
            let key = keys.now(key);
            let peer = own.peers.get(&key)?;
            let (interface, name) = (own.name.clone(), peer.name.clone());
            let session = UnverifiedSession { interface, peer: name };
            Some(Watched { session, key, address: address(own, peer) })
        })
    });
    all.take(MOST).collect()
}

/// An address that a peer has in the network of an interface.
fn address(own: &DesiredInterface, peer: &DesiredPeer) -> Option<IpAddr> {
    let whole = peer.allowed_ips.iter().filter(|net| net.prefix_len() == net.max_prefix_len());
    let near = |net: &IpNet| own.addresses.iter().any(|own| own.contains(&net.addr()));
    whole.filter(|net| near(net)).map(IpNet::addr).next()
}

/// Those sessions of which nothing proves that they work. `first` is what the host had once it had changed.
pub(super) async fn unproved(
    job: &Job<'_>,
    host: &impl Host,
    watched: &[Watched],
    first: &ObservedHost,
) -> Vec<UnverifiedSession> {
    let pinged: Vec<&Watched> = watched.iter().filter(|one| one.address.is_some()).collect();
    let text: String =
        pinged.iter().filter_map(|one| Some(format!("{}\n", one.address?))).collect();
    let mut proved: BTreeSet<&UnverifiedSession> = BTreeSet::new();
    if !pinged.is_empty()
        && let Ok(reply) = host.run("probe", &[], text.as_bytes(), PROBE_LIMIT).await
        && let Answer::Answered { places } = reply.answer()
    {
        let answered = places.iter().filter_map(|place| pinged.get(*place));
        proved.extend(answered.map(|one| &one.session));
    }
    let mut left: Vec<&Watched> =
        watched.iter().filter(|one| !proved.contains(&one.session)).collect();
    if !left.is_empty()
        && let Ok(now) = host.observe(&job.request).await
    {
        let heard = |seen: &ObservedHost, interface: &InterfaceName, key: &PublicKey| {
            let peer = seen.interfaces.get(interface).and_then(|live| live.peers.get(key));
            peer.map_or((0, 0), |peer| (peer.received, peer.latest_handshake))
        };
        left.retain(|one| {
            let (was, is) = (
                heard(first, &one.session.interface, &one.key),
                heard(&now, &one.session.interface, &one.key),
            );
            is.0 <= was.0 && is.1 <= was.1
        });
    }
    left.into_iter().map(|one| one.session.clone()).collect()
}

/// The same of a host that has changed alone; with the new connection that it took.
pub(super) async fn alone<C: Connect, S>(
    context: &Context<'_, S>,
    logins: &Logins<'_, C>,
    job: &Job<'_>,
) -> (Option<C::Host>, Vec<UnverifiedSession>) {
    let watched = watched(job, &Rekeyed::default());
    if !context.probes || watched.is_empty() {
        return (None, Vec::new());
    }
    // What goes wrong from here on is for those to deal with who have it confirmed.
    let Ok(host) = logins.connect(job).await else { return (None, Vec::new()) };
    context.working(job, Step::Probing);
    let Ok(first) = host.observe(&job.request).await else { return (Some(host), Vec::new()) };
    if first.armed.as_deref() != Some(job.id.as_str()) || healthy(job, &first).is_err() {
        return (Some(host), Vec::new());
    }
    let unproved = unproved(job, &host, &watched, &first).await;
    (Some(host), unproved)
}
