//! A point in time, as the state machines are told it.

use std::num::NonZeroU64;
use std::time::Duration;

/// A point on a clock that never runs backwards and that goes on while the machine sleeps: 8 bytes,
/// also as an `Option`, because a device keeps several for each of its thousands of peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(NonZeroU64);

impl Moment {
    /// The point this long after the clock began.
    #[must_use]
    pub fn since_boot(passed: Duration) -> Self {
        let nanos = u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX);
        Self(NonZeroU64::MIN.saturating_add(nanos))
    }

    /// The point this much later.
    #[must_use]
    pub fn after(self, later: Duration) -> Self {
        let nanos = u64::try_from(later.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }

    /// The time since an earlier point; zero where that lies ahead.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.get().saturating_sub(earlier.0.get()))
    }

    /// Nanoseconds, for an atomic; never 0.
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        self.0.get()
    }
}
