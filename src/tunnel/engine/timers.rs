//! The thread that looks at the peers' timers.

use std::sync::Arc;
use std::time::Duration;

use super::clock::now;
use super::peer::{Peer, PeerState};
use super::state::Core;
use crate::tunnel::drops::Cause;
use crate::tunnel::noise::Moment;

/// The longest that nobody looks. No timer is shorter when it is set.
const LONGEST: Duration = Duration::from_secs(1);
/// The shortest, however many timers there are.
const SHORTEST: Duration = Duration::from_millis(20);

impl Core {
    pub(super) fn keep_timers(self: &Arc<Self>) {
        let mut sleep = LONGEST;
        let mut stopped = self.stopped.lock();
        while !*stopped {
            let _ = self.stopping.wait_for(&mut stopped, sleep);
            if *stopped {
                return;
            }
            sleep = parking_lot::MutexGuard::unlocked(&mut stopped, || self.tick());
        }
    }

    /// Looks at every timer that is due; gives how long none will be.
    fn tick(self: &Arc<Self>) -> Duration {
        let start = now();
        self.handshakes.forget(start);
        if !self.is_up() {
            return LONGEST;
        }
        self.listen_again();
        let mut next = start.after(LONGEST).to_bits();
        let mut due: Vec<Arc<Peer>> = Vec::new();
        for peer in self.tables.read().peers.values() {
            let at = peer.due();
            if at <= start.to_bits() {
                due.push(Arc::clone(peer));
            } else {
                next = next.min(at);
            }
        }
        for peer in &due {
            self.tick_peer(peer, &mut peer.state.lock(), start);
            next = next.min(peer.due());
        }
        Duration::from_nanos(next.saturating_sub(now().to_bits())).clamp(SHORTEST, LONGEST)
    }

    /// Does what a peer's timers ask for: a handshake, a keepalive, an end.
    pub(super) fn tick_peer(&self, peer: &Arc<Peer>, state: &mut PeerState, now: Moment) {
        let due = state.protocol.tick(now);
        if due.gave_up {
            let lost = std::mem::take(&mut state.waiting).len();
            peer.drops.add(Cause::NoSession, lost as u64);
        }
        if due.retry || due.handshake {
            state.forget_source();
            self.initiate(peer, state, due.retry, now);
        }
        if due.keepalive {
            self.greet(peer, state, now);
        }
        self.settle(peer, state, now);
    }
}
