//! When the hosts of a group roll back what is not confirmed, also where this machine sleeps meanwhile.

use std::time::Duration;

use tokio::time::Instant;

use crate::event::Reason;
use crate::sys::Slept;

/// Two clocks are read one after the other, and never at the same moment.
const TOLERANCE: Duration = Duration::from_millis(500);

/// When hosts roll back what is not confirmed.
#[derive(Debug, Clone)]
pub(super) struct Deadline {
    until: Instant,
    slept: Slept,
    /// How long this machine had slept when that was agreed.
    before: Duration,
}

impl Deadline {
    /// At `until`, if this machine does not sleep from now on.
    pub(super) fn at(until: Instant, slept: &Slept) -> Self {
        Self { until, slept: slept.clone(), before: slept.now() }
    }

    /// That it has passed, unnoticed, because this machine slept.
    ///
    /// # Errors
    /// How long it slept.
    pub(super) fn not_slept_through(&self) -> Result<(), Reason> {
        let slept = self.slept.now().saturating_sub(self.before);
        if slept > TOLERANCE && Instant::now() + slept >= self.until {
            return Err(Reason::Asleep { seconds: slept.as_secs() });
        }
        Ok(())
    }
}
