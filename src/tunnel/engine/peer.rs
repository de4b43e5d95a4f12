//! One peer: its protocol, its endpoint, what waits for it, and its counters.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use indexmap::IndexSet;
use ipnet::IpNet;
use parking_lot::Mutex;

use crate::model::PublicKey;
use crate::tunnel::PeerSnapshot;
use crate::tunnel::drops::DropCounters;
use crate::tunnel::noise::{Moment, Protocol};
use crate::tunnel::transport::{Local, Remote};

/// Packets that wait for a session; the oldest goes when another comes.
pub(super) const MOST_WAITING: usize = 128;

/// A peer of the interface. Small while nothing happens: there are tens of thousands.
pub(super) struct Peer {
    pub(super) key: PublicKey,
    pub(super) state: Mutex<PeerState>,
    pub(super) rx_bytes: AtomicU64,
    pub(super) tx_bytes: AtomicU64,
    pub(super) drops: DropCounters,
    /// When a timer may be due, so that nobody takes the lock to find out; `u64::MAX` for never.
    due: AtomicU64,
}

/// What changes about a peer.
pub(super) struct PeerState {
    pub(super) protocol: Protocol,
    pub(super) endpoint: Option<Remote>,
    /// Where an authentic message came from last, and to which of our addresses.
    learned: Option<(IpAddr, Local)>,
    /// What is sent there leaves through another interface than that came in.
    is_astray: bool,
    pub(super) allowed_ips: IndexSet<IpNet>,
    /// IP packets that wait for a session. Without memory while it is empty.
    pub(super) waiting: VecDeque<Box<[u8]>>,
    /// When the last handshake was completed, by the wall clock.
    pub(super) last_handshake: Option<SystemTime>,
    /// It was removed; a thread may still hold it.
    pub(super) is_removed: bool,
}

impl PeerState {
    /// An authentic message came from there: what is sent goes there, from where it came to, unless
    /// that is not on the way, which is asked when one of them is new.
    pub(super) fn roam(
        &mut self,
        from: SocketAddr,
        to: Option<Local>,
        is_on_the_way: impl FnOnce(&Local) -> bool,
    ) {
        let learned = to.map(|to| (from.ip(), to));
        if self.learned != learned {
            self.learned = learned;
            self.is_astray = to.is_some_and(|to| !is_on_the_way(&to));
        }
        let local = to.filter(|_| !self.is_astray);
        self.endpoint = Some(Remote { local, ..Remote::from(from) });
    }

    /// Routes have changed: the source is kept while it is still on the way, and what is learned next
    /// is looked at again.
    pub(super) fn look_at_route(
        &mut self,
        is_on_the_way: impl FnOnce(&SocketAddr, &Local) -> bool,
    ) {
        self.learned = None;
        if let Some(Remote { address, local, .. }) = &mut self.endpoint {
            *local = local.filter(|local| is_on_the_way(address, local));
        }
    }

    /// The system chooses the source again: the one that was used may be why nobody answers.
    pub(super) fn forget_source(&mut self) {
        if let Some(endpoint) = &mut self.endpoint {
            endpoint.local = None;
        }
    }

    /// Lets a packet wait; `false` where the oldest had to go for it.
    pub(super) fn stage(&mut self, packet: &[u8]) -> bool {
        let has_room = self.waiting.len() < MOST_WAITING;
        if !has_room {
            self.waiting.pop_front();
        }
        self.waiting.push_back(packet.into());
        has_room
    }
}

impl Peer {
    pub(super) fn new(key: PublicKey) -> Self {
        let state = PeerState {
            protocol: Protocol::new(key),
            endpoint: None,
            learned: None,
            is_astray: false,
            allowed_ips: IndexSet::new(),
            waiting: VecDeque::new(),
            last_handshake: None,
            is_removed: false,
        };
        Self {
            key,
            state: Mutex::new(state),
            rx_bytes: AtomicU64::new(0),
            tx_bytes: AtomicU64::new(0),
            drops: DropCounters::default(),
            due: AtomicU64::new(u64::MAX),
        }
    }

    /// When its timers are to be looked at.
    pub(super) fn set_due(&self, due: Option<Moment>) {
        self.due.store(due.map_or(u64::MAX, Moment::to_bits), Ordering::Relaxed);
    }

    /// When its timers are to be looked at, as [`Moment::to_bits`].
    pub(super) fn due(&self) -> u64 {
        self.due.load(Ordering::Relaxed)
    }

    pub(super) fn snapshot(&self) -> PeerSnapshot {
        let state = self.state.lock();
        let since_epoch = |time: SystemTime| time.duration_since(UNIX_EPOCH).ok();
        PeerSnapshot {
            public_key: self.key,
            preshared_key: state.protocol.preshared(),
            endpoint: state.endpoint.map(|endpoint| endpoint.address),
            last_handshake: state.last_handshake.and_then(since_epoch).unwrap_or(Duration::ZERO),
            rx_bytes: self.rx_bytes.load(Ordering::Relaxed),
            tx_bytes: self.tx_bytes.load(Ordering::Relaxed),
            keepalive: state.protocol.interval(),
            allowed_ips: state.allowed_ips.iter().copied().collect(),
            drops: self.drops.snapshot(),
        }
    }
}
