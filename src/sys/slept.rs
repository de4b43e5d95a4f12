//! How long this machine was asleep: a laptop whose lid is closed. What waits here does not notice that, and the
//! timers of hosts go on.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Tells how long this machine has slept since it was started.
#[derive(Clone)]
pub struct Slept(Arc<dyn Fn() -> Duration + Send + Sync>);

impl Slept {
    /// The machine's own clocks: one of them stands still while it sleeps.
    #[must_use]
    pub fn system() -> Self {
        Self::told_by(|| {
            // In this order: between the two no time is slept that was not.
            let monotonic = read(ClockId::Monotonic);
            read(ClockId::Boottime).saturating_sub(monotonic)
        })
    }

    /// Another source.
    pub fn told_by(source: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self(Arc::new(source))
    }

    /// How long until now.
    #[must_use]
    pub fn now(&self) -> Duration {
        (self.0)()
    }
}

impl fmt::Debug for Slept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Slept").field(&self.now()).finish()
    }
}

fn read(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::from_secs(seconds)
        + Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_is_awake_sleeps_no_more() {
        let slept = Slept::system();
        let before = slept.now();
        std::thread::sleep(Duration::from_millis(20));
        assert!(slept.now().saturating_sub(before) < Duration::from_millis(10));
    }
}
