//! A session: two keys, a counter and a replay window, shared by the threads that use them.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};

use super::aead::DataKey;
use super::hash::Secret;
use super::message::{DATA_HEADER, DATA_OVERHEAD, Kind, TAG, field, word};
use super::{
    Moment, REJECT_AFTER_MESSAGES, REJECT_AFTER_TIME, REKEY_AFTER_MESSAGES, Rejected, Spent, Window,
};

/// What both directions of a session encrypt with.
pub(super) struct Keys {
    pub(super) sending: Secret,
    pub(super) receiving: Secret,
}

/// One session with a peer (`WireGuard` paper, section 5.4.6).
pub struct Session {
    index: u32,
    remote: u32,
    created: Moment,
    initiator: bool,
    sending: DataKey,
    receiving: DataKey,
    counter: AtomicU64,
    window: Mutex<Window>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("index", &self.index).finish_non_exhaustive()
    }
}

impl Session {
    pub(super) fn new(index: u32, remote: u32, initiator: bool, keys: &Keys, now: Moment) -> Self {
        Self {
            index,
            remote,
            created: now,
            initiator,
            sending: DataKey::new(&keys.sending),
            receiving: DataKey::new(&keys.receiving),
            counter: AtomicU64::new(0),
            window: Mutex::default(),
        }
    }

    /// Our index of it: the receiver of the messages that we get.
    #[must_use]
    pub const fn index(&self) -> u32 {
        self.index
    }

    /// The peer's index of it: the receiver of the messages that we send.
    #[must_use]
    pub const fn remote(&self) -> u32 {
        self.remote
    }

    /// Whether the handshake was ours: only then is the next one ours as well.
    #[must_use]
    pub const fn is_initiator(&self) -> bool {
        self.initiator
    }

    /// When it was made.
    #[must_use]
    pub const fn created(&self) -> Moment {
        self.created
    }

    /// Whether it is too old to be used in either direction.
    #[must_use]
    pub fn is_expired(&self, now: Moment) -> bool {
        now.since(self.created) >= REJECT_AFTER_TIME
    }

    /// Whether it may send now.
    #[must_use]
    pub fn may_send(&self, now: Moment) -> bool {
        !self.is_expired(now) && self.counter.load(Ordering::Relaxed) < REJECT_AFTER_MESSAGES
    }

    /// Whether it has sent so much that another is needed.
    #[must_use]
    pub fn has_sent_much(&self) -> bool {
        self.counter.load(Ordering::Relaxed) >= REKEY_AFTER_MESSAGES
    }

    /// Takes the next `count` counters and gives the first; for whoever seals out of order.
    ///
    /// # Errors
    /// [`Spent`]; the session must not be used for sending any more.
    pub fn reserve(&self, count: u64) -> Result<u64, Spent> {
        let first = self.counter.fetch_add(count, Ordering::Relaxed);
        let last = first.checked_add(count).ok_or(Spent);
        if last.is_ok_and(|last| last <= REJECT_AFTER_MESSAGES) {
            return Ok(first);
        }
        // It stays beyond the end, however often it is tried.
        self.counter.store(REJECT_AFTER_MESSAGES, Ordering::Relaxed);
        Err(Spent)
    }

    /// Seals a message in place under the next counter: 16 bytes of header, the padded plaintext,
    /// 16 bytes of tag.
    ///
    /// # Errors
    /// [`Spent`]; the message must not be sent.
    pub fn seal(&self, message: &mut [u8]) -> Result<(), Spent> {
        let counter = self.reserve(1)?;
        self.seal_as(counter, message);
        Ok(())
    }

    /// Seals a message under a counter of [`Session::reserve`], each of which may be used once.
    /// A message that is shorter than [`DATA_OVERHEAD`] is left alone.
    pub fn seal_as(&self, counter: u64, message: &mut [u8]) {
        if message.len() < DATA_OVERHEAD {
            return;
        }
        let (header, rest) = message.split_at_mut(DATA_HEADER);
        header[..4].copy_from_slice(&word(Kind::Data));
        header[4..8].copy_from_slice(&self.remote.to_le_bytes());
        header[8..].copy_from_slice(&counter.to_le_bytes());
        let (text, tag) = rest.split_at_mut(rest.len() - TAG);
        tag.copy_from_slice(&self.sending.seal(counter, text));
    }

    /// Opens a data message in place and gives the plaintext with its padding.
    ///
    /// # Errors
    /// [`Rejected`]; the message then holds nothing of use.
    pub fn open<'m>(&self, message: &'m mut [u8]) -> Result<&'m mut [u8], Rejected> {
        let is_new = |counter| self.window().is_new(counter);
        let (counter, text) = self.decrypt(message, is_new)?;
        if self.window().note(counter) { Ok(text) } else { Err(Rejected::Replayed) }
    }

    /// Opens a data message in place if `is_new` says so of its counter, and gives the counter and
    /// the plaintext. For whoever opens several at a time, or out of order: the message may still
    /// have been seen before, and nothing of it may be used until its counter is noted in the
    /// [window](Self::window).
    ///
    /// # Errors
    /// [`Rejected`]; the message then holds nothing of use.
    pub fn decrypt<'m>(
        &self,
        message: &'m mut [u8],
        is_new: impl FnOnce(u64) -> bool,
    ) -> Result<(u64, &'m mut [u8]), Rejected> {
        if message.len() < DATA_OVERHEAD {
            return Err(Rejected::Malformed);
        }
        let counter = u64::from_le_bytes(*field(message, 8)?);
        if counter >= REJECT_AFTER_MESSAGES {
            return Err(Rejected::Forged);
        }
        if !is_new(counter) {
            return Err(Rejected::Replayed);
        }
        let text = self.receiving.open(counter, &mut message[DATA_HEADER..])?;
        Ok((counter, text))
    }

    /// Which messages were seen, for a moment.
    pub fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock()
    }

    /// Acts as if this many messages had been sent.
    #[cfg(test)]
    pub(super) fn pretend_sent(&self, messages: u64) {
        self.counter.store(messages, Ordering::Relaxed);
    }
}
