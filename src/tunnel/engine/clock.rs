//! What the state machines are told: the time, and random bytes.

use std::time::{Duration, SystemTime};

use parking_lot::Mutex;

use rustix::time::{ClockId, clock_gettime};

use crate::tunnel::noise::Moment;

/// Now, by a clock that goes on while the machine sleeps: a session that was slept through is old.
pub(super) fn now() -> Moment {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanos = u64::try_from(time.tv_nsec).unwrap_or_default();
    Moment::since_boot(Duration::from_secs(seconds) + Duration::from_nanos(nanos))
}

/// The wall clock, as far as it goes forward: peers take an initiation only where its time is later
/// than that of the last one, so where the clock was set back they go on from there.
#[derive(Default)]
pub(super) struct Calendar(Mutex<Option<(SystemTime, Moment)>>);

impl Calendar {
    /// The time of an initiation that is sent now.
    pub(super) fn read(&self, wall: SystemTime, now: Moment) -> SystemTime {
        let mut last = self.0.lock();
        let passed = last.map(|(time, at)| time + now.since(at));
        let time = passed.map_or(wall, |passed| passed.max(wall));
        *last = Some((time, now));
        time
    }

    /// The time that the last initiation had.
    pub(super) fn last(&self) -> Option<SystemTime> {
        self.0.lock().map(|(time, _)| time)
    }

    /// Goes on after a time that another process has sent.
    pub(super) fn go_on_after(&self, time: SystemTime, now: Moment) {
        self.0.lock().get_or_insert((time, now));
    }
}

/// Fills with random bytes.
///
/// # Panics
/// Where the system has none; a key that can be guessed is worse than no tunnel.
pub(super) fn random(bytes: &mut [u8]) {
    assert!(getrandom::fill(bytes).is_ok(), "the system gives no random bytes");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_goes_on_from_the_last_time() {
        let wall = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let at = |seconds| Moment::since_boot(Duration::from_secs(seconds));
        let calendar = Calendar::default();
        assert_eq!(calendar.read(wall(1000), at(1)), wall(1000));
        assert_eq!(calendar.read(wall(100), at(6)), wall(1005));
        assert_eq!(calendar.read(wall(105), at(11)), wall(1010));
        assert_eq!(calendar.read(wall(2000), at(16)), wall(2000));
        assert_eq!(calendar.last(), Some(wall(2000)));
        // What another process has sent counts for one that has sent nothing.
        calendar.go_on_after(wall(3000), at(17));
        assert_eq!(calendar.read(wall(2001), at(17)), wall(2001));
        let next = Calendar::default();
        next.go_on_after(wall(3000), at(17));
        assert_eq!(next.read(wall(1), at(18)), wall(3001));
    }
}
