//! Why packets went no further, counted by cause.

use std::sync::atomic::{AtomicU64, Ordering};

pub use crate::model::DropCause as Cause;

/// How much was dropped, by cause, at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Drops([u64; Cause::ALL.len()]);

impl Drops {
    /// Nothing.
    pub const NONE: Self = Self([0; Cause::ALL.len()]);

    /// How much was dropped for one cause.
    #[must_use]
    pub const fn of(&self, cause: Cause) -> u64 {
        self.0[cause as usize]
    }

    /// Sets the count of a cause.
    pub const fn set(&mut self, cause: Cause, count: u64) {
        self.0[cause as usize] = count;
    }

    /// The causes for which anything was dropped.
    pub fn counted(&self) -> impl Iterator<Item = (Cause, u64)> + '_ {
        let all = Cause::ALL.into_iter().map(|cause| (cause, self.of(cause)));
        all.filter(|(_, count)| *count > 0)
    }
}

/// Counters that go on counting.
#[derive(Debug, Default)]
pub(super) struct DropCounters([AtomicU64; Cause::ALL.len()]);

impl DropCounters {
    pub(super) fn add(&self, cause: Cause, count: u64) {
        self.0[cause as usize].fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn count(&self, cause: Cause) {
        self.add(cause, 1);
    }

    pub(super) fn snapshot(&self) -> Drops {
        Drops(std::array::from_fn(|cause| self.0[cause].load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_its_own_place_and_name() {
        let counters = DropCounters::default();
        for (place, cause) in Cause::ALL.into_iter().enumerate() {
            assert_eq!(cause as usize, place);
            assert_eq!(Cause::named(cause.name()), Some(cause));
            counters.add(cause, place as u64);
        }
        assert_eq!(Cause::named("nothing"), None);
        let drops = counters.snapshot();
        assert_eq!(drops.counted().count(), Cause::ALL.len() - 1);
        assert_eq!(drops.of(Cause::HostRefused), 14);
    }
}
