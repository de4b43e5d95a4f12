//! One peer: its session, its endpoint and its counters.

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

    /// Forgets every session, but not which initiations it has seen: none of them works again.
    pub(super) fn forget_sessions(&mut self) {
        self.unconfirmed = None;
        self.retry_at = None;
        if let Some(tunnel) = self.tunnel.as_mut() {
            tunnel.reset();
        }
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
