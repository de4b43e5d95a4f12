//! One peer's whole state: the handshake in flight, the sessions, the timers.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::cookie::Jar;
use super::handshake::{Identity, Introduction, Waiting};
use super::hash::Secret;
use super::keypairs::Keypairs;
use super::message::{INITIATION_LENGTH, RESPONSE_LENGTH};
use super::session::Session;
use super::tai64n::Tai64N;
use super::timers::{Due, Timers};
use super::{
    KEEPALIVE_TIMEOUT, Moment, REJECT_AFTER_TIME, REKEY_AFTER_TIME, REKEY_TIMEOUT, Random, Rejected,
};
use crate::model::{PresharedKey, PublicKey};

/// The fastest that initiations of one peer are answered: 50 in a second.
const FLOOD: Duration = Duration::from_millis(20);

/// The protocol with one peer.
///
/// Small while nothing happens: what a handshake or a session needs is only there meanwhile.
pub struct Protocol {
    remote: PublicKey,
    /// The secret of the two static keys, once it was needed.
    fixed: Option<Secret>,
    preshared: Option<Secret>,
    waiting: Option<Box<Waiting>>,
    jar: Jar,
    keypairs: Keypairs,
    timers: Timers,
    /// Of the newest initiation that was answered.
    newest: Tai64N,
    answered: Option<Moment>,
}

/// What there is to send with.
#[derive(Debug, Default)]
pub struct Outgoing {
    /// The session; without one, packets wait.
    pub session: Option<Arc<Session>>,
    /// A handshake is needed.
    pub initiate: bool,
}

/// What an authentic message leads to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// The handshake is complete: what waits can be sent.
    pub completed: bool,
    /// A handshake is needed.
    pub initiate: bool,
}

impl Protocol {
    /// The protocol with the holder of a key, to whom nothing was said yet.
    #[must_use]
    pub fn new(remote: PublicKey) -> Self {
        Self {
            remote,
            fixed: None,
            preshared: None,
            waiting: None,
            jar: Jar::default(),
            keypairs: Keypairs::default(),
            timers: Timers::default(),
            newest: Tai64N::default(),
            answered: None,
        }
    }

    /// The peer's public key.
    #[must_use]
    pub const fn remote(&self) -> PublicKey {
        self.remote
    }

    /// The key of this pair from the next handshake on.
    pub fn set_preshared(&mut self, key: Option<&PresharedKey>) {
        self.preshared = key.map(|key| Secret::new(*key.expose()));
    }

    /// The key of this pair.
    #[must_use]
    pub fn preshared(&self) -> Option<PresharedKey> {
        self.preshared.clone().map(PresharedKey::from_bytes)
    }

    /// Seconds between persistent keepalives from now on, 0 for none.
    pub fn set_interval(&mut self, seconds: u16, now: Moment) {
        self.timers.set_interval(seconds, now);
    }

    /// Seconds between persistent keepalives.
    #[must_use]
    pub const fn interval(&self) -> u16 {
        self.timers.interval()
    }

    /// The interface went up: a peer with a persistent keepalive is greeted at the next tick.
    pub fn knock(&mut self, now: Moment) {
        self.timers.knock(now);
    }

    fn fixed(&mut self, identity: &Identity) -> Result<Secret, Rejected> {
        if self.fixed.is_none() {
            self.fixed = identity.private().agree(&self.remote);
        }
        self.fixed.clone().ok_or(Rejected::Forged)
    }

    /// Writes an initiation, unless the last one is younger than five seconds. `index` makes our
    /// index of the session to be.
    pub fn initiate(
        &mut self,
        identity: &Identity,
        retry: bool,
        (now, wall): (Moment, SystemTime),
        index: &mut dyn FnMut() -> u32,
        random: Random<'_>,
    ) -> Option<[u8; INITIATION_LENGTH]> {
        if !retry {
            self.timers.forget_attempts();
        }
        if !self.timers.may_initiate(now) {
            return None;
        }
        let fixed = self.fixed(identity).ok()?;
        let index = index();
        self.forget_waiting();
        let mut jitter = [0; 2];
        random(&mut jitter);
        let made = Waiting::initiate(identity, &self.remote, &fixed, index, wall, random);
        let Ok((waiting, mut message)) = made else {
            self.keypairs.release_index(index);
            return None;
        };
        self.waiting = Some(Box::new(waiting));
        self.jar.finish(&mut message, &self.remote, now);
        self.timers.initiated(retry, u16::from_le_bytes(jitter), now);
        Some(message)
    }

    fn forget_waiting(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            self.keypairs.release_index(waiting.index());
        }
    }

    /// Answers an initiation, and gives the session that its sender may use from now on.
    ///
    /// # Errors
    /// [`Rejected`]; nothing has changed then.
    pub fn answer(
        &mut self,
        identity: &Identity,
        mut introduction: Introduction,
        now: Moment,
        index: &mut dyn FnMut() -> u32,
        random: Random<'_>,
    ) -> Result<([u8; RESPONSE_LENGTH], Arc<Session>), Rejected> {
        let fixed = self.fixed(identity)?;
        let time = introduction.prove(&fixed)?;
        if time <= self.newest {
            return Err(Rejected::Replayed);
        }
        if self.answered.is_some_and(|last| now.since(last) < FLOOD) {
            return Err(Rejected::Flood);
        }
        let index = index();
        let made = introduction.respond(self.preshared.as_ref(), index, random);
        let (mut message, remote, keys) =
            made.inspect_err(|_| self.keypairs.release_index(index))?;
        self.newest = time;
        self.answered = Some(now);
        let session = Arc::new(Session::new(index, remote, false, &keys, now));
        self.keypairs.install_answered(Arc::clone(&session));
        self.jar.finish(&mut message, &self.remote, now);
        self.timers.heard(now);
        self.timers.derived(now);
        self.timers.sent(now);
        Ok((message, session))
    }

    /// Takes the response to our initiation; the session can be used at once, and something should
    /// be: only then does the peer know that we have it.
    ///
    /// # Errors
    /// [`Rejected`]; nothing has changed then.
    pub fn complete(
        &mut self,
        identity: &Identity,
        response: &[u8],
        now: Moment,
    ) -> Result<Arc<Session>, Rejected> {
        let waiting = self.waiting.as_ref().ok_or(Rejected::Unasked)?;
        let (remote, keys) = waiting.complete(identity, self.preshared.as_ref(), response)?;
        let session = Arc::new(Session::new(waiting.index(), remote, true, &keys, now));
        self.waiting = None;
        self.keypairs.install_initiated(Arc::clone(&session));
        self.timers.heard(now);
        self.timers.derived(now);
        self.timers.completed();
        Ok(session)
    }

    /// Takes a cookie: the next initiation carries the proof of our address.
    ///
    /// # Errors
    /// [`Rejected`]; nothing has changed then.
    pub fn take_cookie(&mut self, reply: &[u8], now: Moment) -> Result<(), Rejected> {
        self.jar.take(reply, &self.remote, now)
    }

    /// What there is to send with, now.
    #[must_use]
    pub fn outgoing(&self, now: Moment) -> Outgoing {
        let session = self.keypairs.current().filter(|session| session.may_send(now));
        let stale = session.is_none_or(|session| {
            let old = now.since(session.created()) >= REKEY_AFTER_TIME;
            session.has_sent_much() || (session.is_initiator() && old)
        });
        Outgoing { session: session.cloned(), initiate: stale }
    }

    /// Packets were sent; `empty` for a keepalive.
    pub fn sent(&mut self, empty: bool, now: Moment) {
        if empty {
            self.timers.sent(now);
        } else {
            self.timers.data_sent(now);
        }
    }

    /// An authentic message of a session was received; `empty` for a keepalive. Messages of
    /// sessions that are only listened to lead to nothing.
    pub fn heard(&mut self, session: &Session, empty: bool, now: Moment) -> Heard {
        let completed = self.keypairs.confirm(session);
        if !completed && !self.keypairs.holds(session) {
            return Heard::default();
        }
        if completed {
            self.timers.completed();
        }
        if empty {
            self.timers.heard(now);
        } else {
            self.timers.data_heard(now);
        }
        // The session ends soon, and we are the one to renew it: also if we only listen.
        let soon = REJECT_AFTER_TIME.saturating_sub(KEEPALIVE_TIMEOUT + REKEY_TIMEOUT);
        let current = self.keypairs.current();
        let ends = current.is_some_and(|s| s.is_initiator() && now.since(s.created()) >= soon);
        Heard { completed, initiate: ends && self.timers.begin_last_minute() }
    }

    /// When [`Protocol::tick`] may have something to say.
    pub fn next_due(&mut self, now: Moment) -> Option<Moment> {
        [self.timers.next(), self.keypairs.end_draining(now)].into_iter().flatten().min()
    }

    /// What is due by now. Keys that are too old are gone after it.
    pub fn tick(&mut self, now: Moment) -> Due {
        let due = self.timers.tick(now);
        self.keypairs.end_draining(now);
        if due.zero {
            self.forget_waiting();
            self.keypairs.clear();
        }
        due
    }

    /// Forgets every session and what is in flight, but not which initiations were seen: none of
    /// them works again.
    pub fn forget_sessions(&mut self) {
        self.forget_waiting();
        self.keypairs.clear();
        self.timers.reset();
    }

    /// The interface has another key. Nothing is sent through the sessions of the old one, but a
    /// peer that does not know the new one yet is still heard.
    pub fn drain(&mut self) {
        self.fixed = None;
        self.forget_waiting();
        self.keypairs.drain();
        self.timers.reset();
    }

    /// Our indices of sessions and handshakes that are gone since the last call.
    pub fn take_released(&mut self) -> Vec<u32> {
        self.keypairs.take_released()
    }
}
