//! The timers of a peer (`WireGuard` paper, section 6), all in one place.
//!
//! Which event starts and ends which timer follows the kernel's implementation.

use std::time::Duration;

use super::{KEEPALIVE_TIMEOUT, Moment, REJECT_AFTER_TIME, REKEY_ATTEMPT_TIME, REKEY_TIMEOUT};

/// The most that a repeated initiation is late, so that two ends do not go on in step.
const MOST_JITTER: u16 = 333;
/// Initiations without an answer after which a peer is given up, until there is something to say.
#[expect(clippy::cast_possible_truncation, reason = "it is 18")]
const MOST_ATTEMPTS: u8 = (REKEY_ATTEMPT_TIME.as_secs() / REKEY_TIMEOUT.as_secs()) as u8;

/// What has become due; the timers of it are off.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a timer of its own")]
pub struct Due {
    /// Nobody answered an initiation: repeat it.
    pub retry: bool,
    /// Nobody answered for 90 s: what waits is dropped.
    pub gave_up: bool,
    /// Say something empty.
    pub keepalive: bool,
    /// What was sent was not heard: make a new session.
    pub handshake: bool,
    /// The sessions are so old that their keys are zeroed.
    pub zero: bool,
}

#[derive(Default)]
pub(super) struct Timers {
    retransmit: Option<Moment>,
    keepalive: Option<Moment>,
    handshake: Option<Moment>,
    zero: Option<Moment>,
    persistent: Option<Moment>,
    /// When we last sent an initiation.
    initiated: Option<Moment>,
    /// Seconds between persistent keepalives, 0 for none.
    interval: u16,
    /// Milliseconds.
    jitter: u16,
    attempts: u8,
    another_keepalive: bool,
    /// The one renewal for the sake of what is received was begun.
    last_minute: bool,
}

impl Timers {
    fn jitter(&self) -> Duration {
        Duration::from_millis(self.jitter.into())
    }

    pub(super) const fn interval(&self) -> u16 {
        self.interval
    }

    /// Another interval. Switching it on says something at once.
    pub(super) fn set_interval(&mut self, seconds: u16, now: Moment) {
        let was_off = self.interval == 0;
        self.interval = seconds;
        self.persistent = match (seconds, was_off) {
            (0, _) => None,
            (_, true) => Some(now),
            (seconds, false) => Some(now.after(Duration::from_secs(seconds.into()))),
        };
    }

    /// Something is to be said at the next tick, if keepalives are on.
    pub(super) fn knock(&mut self, now: Moment) {
        if self.interval > 0 {
            self.persistent = Some(now);
        }
    }

    /// Whether an initiation may be sent now.
    pub(super) fn may_initiate(&self, now: Moment) -> bool {
        self.initiated.is_none_or(|last| now.since(last) >= REKEY_TIMEOUT)
    }

    /// An initiation is sent.
    pub(super) fn initiated(&mut self, retry: bool, jitter: u16, now: Moment) {
        if !retry {
            self.attempts = 0;
        }
        self.jitter = jitter % (MOST_JITTER + 1);
        self.initiated = Some(now);
        self.retransmit = Some(now.after(REKEY_TIMEOUT + self.jitter()));
        self.sent(now);
    }

    /// Repeated attempts count from now on.
    pub(super) const fn forget_attempts(&mut self) {
        self.attempts = 0;
    }

    /// The handshake is complete at both ends.
    pub(super) const fn completed(&mut self) {
        self.retransmit = None;
        self.attempts = 0;
        self.last_minute = false;
    }

    /// A session was made.
    pub(super) fn derived(&mut self, now: Moment) {
        self.zero = Some(now.after(REJECT_AFTER_TIME * 3));
    }

    /// Anything at all is sent.
    pub(super) fn sent(&mut self, now: Moment) {
        self.keepalive = None;
        self.passed(now);
    }

    /// A packet is sent: an answer should arrive.
    pub(super) fn data_sent(&mut self, now: Moment) {
        self.sent(now);
        if self.handshake.is_none() {
            let patience = KEEPALIVE_TIMEOUT + REKEY_TIMEOUT;
            self.handshake = Some(now.after(patience + self.jitter()));
        }
    }

    /// Anything authentic is received.
    pub(super) fn heard(&mut self, now: Moment) {
        self.handshake = None;
        self.passed(now);
    }

    /// A packet is received: an answer is due.
    pub(super) fn data_heard(&mut self, now: Moment) {
        self.heard(now);
        if self.keepalive.is_none() {
            self.keepalive = Some(now.after(KEEPALIVE_TIMEOUT));
        } else {
            self.another_keepalive = true;
        }
    }

    fn passed(&mut self, now: Moment) {
        if self.interval > 0 {
            self.persistent = Some(now.after(Duration::from_secs(self.interval.into())));
        }
    }

    /// The one renewal of a session for the sake of what is received; `true` the first time.
    pub(super) const fn begin_last_minute(&mut self) -> bool {
        !std::mem::replace(&mut self.last_minute, true)
    }

    /// Everything is off but the persistent keepalive, and initiations may be sent at once.
    pub(super) fn reset(&mut self) {
        *self = Self { interval: self.interval, persistent: self.persistent, ..Self::default() };
    }

    /// When there may be something due; a moment that passed is due now.
    pub(super) fn next(&self) -> Option<Moment> {
        let all = [self.retransmit, self.keepalive, self.handshake, self.zero, self.persistent];
        all.into_iter().flatten().min()
    }

    /// What is due by now.
    pub(super) fn tick(&mut self, now: Moment) -> Due {
        let is_due = |timer: &mut Option<Moment>| timer.take_if(|at| *at <= now).is_some();
        let mut due = Due::default();
        if is_due(&mut self.retransmit) {
            if self.attempts >= MOST_ATTEMPTS {
                due.gave_up = true;
                self.keepalive = None;
                self.zero.get_or_insert(now.after(REJECT_AFTER_TIME * 3));
            } else {
                self.attempts += 1;
                due.retry = true;
            }
        }
        if is_due(&mut self.keepalive) {
            due.keepalive = true;
            if std::mem::take(&mut self.another_keepalive) {
                self.keepalive = Some(now.after(KEEPALIVE_TIMEOUT));
            }
        }
        due.handshake = is_due(&mut self.handshake);
        due.zero = is_due(&mut self.zero);
        if is_due(&mut self.persistent) && self.interval > 0 {
            due.keepalive = true;
            // It goes on by itself, also where nothing can be sent.
            self.passed(now);
        }
        due
    }
}
