//! What the state machines are told: the time, and random bytes.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::tunnel::noise::Moment;

/// Now, by a clock that goes on while the machine sleeps: a session that was slept through is old.
pub(super) fn now() -> Moment {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanos = u64::try_from(time.tv_nsec).unwrap_or_default();
    Moment::since_boot(Duration::from_secs(seconds) + Duration::from_nanos(nanos))
}

/// Fills with random bytes.
///
/// # Panics
/// Where the system has none; a key that can be guessed is worse than no tunnel.
pub(super) fn random(bytes: &mut [u8]) {
    assert!(getrandom::fill(bytes).is_ok(), "the system gives no random bytes");
}
