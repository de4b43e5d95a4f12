//! One peer: its session, its endpoint and its counters.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gotatun::noise::Tunn;
use gotatun::noise::index_table::IndexTable;
use gotatun::noise::rate_limiter::RateLimiter;
use gotatun::x25519::StaticSecret;
use indexmap::IndexSet;
use ipnet::IpNet;
use parking_lot::Mutex;

use crate::model::{PresharedKey, PrivateKey, PublicKey};
use crate::tunnel::PeerSnapshot;

/// Handshakes per second and source address above which a cookie is asked for.
const HANDSHAKE_RATE_LIMIT: u64 = 100;

/// Who the interface is.
pub(super) struct Identity {
    pub(super) private: PrivateKey,
    pub(super) public: PublicKey,
    pub(super) secret: StaticSecret,
    pub(super) limiter: Arc<RateLimiter>,
}

impl Identity {
    pub(super) fn new(private: PrivateKey) -> Self {
        let public = private.public();
        let limiter = Arc::new(RateLimiter::new(&x25519(&public), HANDSHAKE_RATE_LIMIT));
        let secret = StaticSecret::from(*private.expose());
        Self { private, public, secret, limiter }
    }
}

/// The form in which the noise protocol takes a public key.
pub(super) fn x25519(key: &PublicKey) -> gotatun::x25519::PublicKey {
    gotatun::x25519::PublicKey::from(*key.as_bytes())
}

/// Age at which a session is not believed in any more (`WireGuard` paper, section 6.1).
const REJECT_AFTER: Duration = Duration::from_secs(180);

/// Sessions under a key that the interface had before. Nothing is sent through them, but what a
/// peer that does not know the new key yet still sends is heard.
pub(super) struct Draining {
    pub(super) tunnel: Tunn,
    /// Our indices of its sessions.
    indices: HashSet<u32>,
    until: Instant,
}

/// A peer of the interface.
pub(super) struct Peer {
    pub(super) key: PublicKey,
    pub(super) state: Mutex<PeerState>,
}

/// What changes about a peer.
#[derive(Default)]
pub(super) struct PeerState {
    /// The sessions, while the interface has a private key.
    pub(super) tunnel: Option<Tunn>,
    pub(super) draining: Option<Draining>,
    pub(super) preshared: Option<PresharedKey>,
    pub(super) endpoint: Option<SocketAddr>,
    pub(super) keepalive: u16,
    pub(super) allowed_ips: IndexSet<IpNet>,
    pub(super) rx_bytes: u64,
    pub(super) tx_bytes: u64,
    /// When the last handshake was completed, by the wall clock.
    pub(super) last_handshake: Option<SystemTime>,
    /// The index of a session that we answered and that the peer has not used yet: its handshake
    /// is complete with the first packet (`WireGuard` paper, section 5.4.5).
    pub(super) unconfirmed: Option<u32>,
    /// When a peer with a keepalive, which did not answer for 90 s, is tried again.
    pub(super) retry_at: Option<Instant>,
}

impl PeerState {
    /// Starts anew with the keys as they are now: no session, nothing in flight.
    pub(super) fn restart(
        &mut self,
        key: &PublicKey,
        identity: Option<&Identity>,
        indices: &IndexTable,
    ) {
        self.unconfirmed = None;
        self.retry_at = None;
        self.draining = None;
        self.tunnel = identity.map(|identity| {
            Tunn::new(
                identity.secret.clone(),
                x25519(key),
                self.preshared.as_ref().map(|key| *key.expose()),
                Some(self.keepalive).filter(|seconds| *seconds > 0),
                indices.clone(),
                Arc::clone(&identity.limiter),
            )
        });
    }

    /// Starts anew with another key of the interface. Sessions that may still be used by the peer,
    /// with these indices, are only listened to from now on.
    pub(super) fn drain(
        &mut self,
        key: &PublicKey,
        identity: Option<&Identity>,
        table: &IndexTable,
        indices: HashSet<u32>,
    ) {
        let old = self.tunnel.take().filter(|_| !indices.is_empty());
        self.restart(key, identity, table);
        let age = self.last_handshake.and_then(|at| at.elapsed().ok()).unwrap_or_default();
        let until = Instant::now() + REJECT_AFTER.saturating_sub(age);
        self.draining = old.map(|tunnel| Draining { tunnel, indices, until });
    }

    /// The old sessions, if the index is of one of them and they are not too old.
    pub(super) fn draining(&mut self, index: u32) -> Option<&mut Tunn> {
        let draining = self.draining.as_mut()?;
        let is_one = draining.indices.contains(&index) && Instant::now() < draining.until;
        is_one.then_some(&mut draining.tunnel)
    }

    /// Forgets old sessions that nobody may use any more.
    pub(super) fn end_draining(&mut self) {
        self.draining.take_if(|draining| Instant::now() >= draining.until);
    }

    /// Forgets every session, but not which initiations it has seen: none of them works again.
    pub(super) fn forget_sessions(&mut self) {
        self.unconfirmed = None;
        self.retry_at = None;
        self.draining = None;
        if let Some(tunnel) = self.tunnel.as_mut() {
            tunnel.reset();
        }
    }

    /// Ends it for good, also for a thread that still holds it.
    pub(super) fn end(&mut self) {
        self.tunnel = None;
        self.draining = None;
    }

    pub(super) fn handshake_done(&mut self) {
        self.unconfirmed = None;
        self.retry_at = None;
        self.last_handshake = Some(SystemTime::now());
    }
}

impl Peer {
    pub(super) fn new(key: PublicKey) -> Self {
        Self { key, state: Mutex::default() }
    }

    pub(super) fn snapshot(&self) -> PeerSnapshot {
        let state = self.state.lock();
        let since_epoch = |time: SystemTime| time.duration_since(UNIX_EPOCH).ok();
        PeerSnapshot {
            public_key: self.key,
            preshared_key: state
                .preshared
                .as_ref()
                .map(|key| PresharedKey::from_bytes(zeroize::Zeroizing::new(*key.expose()))),
            endpoint: state.endpoint,
            last_handshake: state.last_handshake.and_then(since_epoch).unwrap_or(Duration::ZERO),
            rx_bytes: state.rx_bytes,
            tx_bytes: state.tx_bytes,
            keepalive: state.keepalive,
            allowed_ips: state.allowed_ips.iter().copied().collect(),
        }
    }
}
