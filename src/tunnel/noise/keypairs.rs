//! The sessions of a peer: the one in use, the one before, and the one that is not confirmed yet.

use std::sync::Arc;

use super::{Moment, Session};

/// At most three sessions, and those of a key that the interface had before.
#[derive(Default)]
pub(super) struct Keypairs {
    current: Option<Arc<Session>>,
    previous: Option<Arc<Session>>,
    /// Made by answering an initiation. The peer has it once it uses it (`WireGuard` paper,
    /// section 5.4.5); until then nothing is sent through it.
    next: Option<Arc<Session>>,
    /// Only listened to. Empty, and without memory, but for the minutes after a change of key.
    draining: Vec<Arc<Session>>,
    /// Our indices of sessions that are gone.
    released: Vec<u32>,
}

impl Keypairs {
    pub(super) fn current(&self) -> Option<&Arc<Session>> {
        self.current.as_ref()
    }

    fn release(&mut self, session: Option<Arc<Session>>) {
        self.released.extend(session.map(|session| session.index()));
    }

    /// Uses a session whose initiation was ours.
    pub(super) fn install_initiated(&mut self, session: Arc<Session>) {
        let previous = self.previous.take();
        self.release(previous);
        let current = self.current.replace(session);
        // A session that the peer has not confirmed may be the one that it uses just now.
        match self.next.take() {
            Some(next) => {
                self.release(current);
                self.previous = Some(next);
            }
            None => self.previous = current,
        }
    }

    /// Keeps a session whose initiation we answered until the peer uses it.
    pub(super) fn install_answered(&mut self, session: Arc<Session>) {
        let next = self.next.replace(session);
        self.release(next);
        let previous = self.previous.take();
        self.release(previous);
    }

    /// The peer has used a session; says whether that confirmed it.
    pub(super) fn confirm(&mut self, session: &Session) -> bool {
        if self.next.as_ref().is_none_or(|next| next.index() != session.index()) {
            return false;
        }
        let previous = self.previous.take();
        self.release(previous);
        self.previous = std::mem::replace(&mut self.current, self.next.take());
        true
    }

    /// Whether a session is one of the three.
    pub(super) fn holds(&self, session: &Session) -> bool {
        let three = [&self.current, &self.previous, &self.next];
        three.into_iter().flatten().any(|held| held.index() == session.index())
    }

    /// Forgets every session.
    pub(super) fn clear(&mut self) {
        let draining = std::mem::take(&mut self.draining);
        let gone = [self.current.take(), self.previous.take(), self.next.take()];
        self.released.extend(gone.into_iter().flatten().chain(draining).map(|gone| gone.index()));
    }

    /// Only listens to the sessions there are from now on.
    pub(super) fn drain(&mut self) {
        let live = [self.current.take(), self.previous.take(), self.next.take()];
        self.draining.extend(live.into_iter().flatten());
    }

    /// Forgets old sessions that nobody may use any more; gives when the next one ends.
    pub(super) fn end_draining(&mut self, now: Moment) -> Option<Moment> {
        if self.draining.is_empty() {
            return None;
        }
        let draining = std::mem::take(&mut self.draining);
        let (ended, live): (Vec<_>, Vec<_>) =
            draining.into_iter().partition(|session| session.is_expired(now));
        self.released.extend(ended.iter().map(|session| session.index()));
        self.draining = live;
        let ends = self.draining.iter().map(|s| s.created().after(super::REJECT_AFTER_TIME));
        ends.min()
    }

    /// An index of a handshake that came to nothing.
    pub(super) fn release_index(&mut self, index: u32) {
        self.released.push(index);
    }

    pub(super) fn take_released(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.released)
    }
}
