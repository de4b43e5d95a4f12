//! What a rollout waits for between two waves, and what ends it.

use std::future::Future;
use std::pin::Pin;

use jiff::Timestamp;

use crate::event::Pause;
use crate::inventory::RolloutPolicy;
use crate::model::{Moment, Window};
use crate::sys::Clock;

/// A wave that is about to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextWave {
    /// Its number, from 1 on.
    pub number: usize,
    /// How many waves there are.
    pub waves: usize,
    /// How many hosts it changes.
    pub hosts: usize,
}

/// Somebody who can be asked whether a wave is to begin.
pub trait Asked {
    /// The answer.
    fn may_begin(&self, next: NextWave) -> Pin<Box<dyn Future<Output = bool> + '_>>;
}

/// What a rollout waits for between two waves, and what ends it. The default ends it with the first failure.
#[derive(Default)]
pub struct Pace<'a> {
    /// How many hosts may fail before no further wave begins.
    pub budget: usize,
    /// When waves may begin; empty: at any time.
    pub windows: &'a [Window],
    /// Who is asked before each wave but the first.
    pub asked: Option<&'a dyn Asked>,
}

impl<'a> Pace<'a> {
    /// What a policy says of a run that changes so many hosts.
    #[must_use]
    pub fn of(policy: &'a RolloutPolicy, hosts: usize) -> Self {
        Self {
            budget: policy.budget.map_or(0, |budget| budget.of(hosts)),
            windows: &policy.windows,
            asked: None,
        }
    }

    /// Why no wave may begin at a moment, as far as windows say.
    #[must_use]
    pub fn closed(&self, now: Timestamp) -> Option<Pause> {
        if self.windows.is_empty() || self.windows.iter().any(|window| window.is_open(now)) {
            return None;
        }
        let opens = self.windows.iter().filter_map(|window| window.opens(now)).min();
        Some(Pause::Window { opens: opens.map(Moment::from) })
    }

    /// Why a wave after the first may not begin.
    pub(super) async fn pause(&self, clock: &dyn Clock, next: NextWave) -> Option<Pause> {
        if let Some(pause) = self.closed(clock.now()) {
            return Some(pause);
        }
        match self.asked {
            // Whoever answers takes the time that they need.
            Some(asked) if !asked.may_begin(next).await => Some(Pause::Declined),
            Some(_) => self.closed(clock.now()),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waves_begin_within_windows_and_say_when_the_next_one_opens() {
        let windows = ["22:00-23:00 UTC", "mon 08:00-09:00 UTC"].map(|text| text.parse().unwrap());
        let pace = Pace { windows: &windows, ..Pace::default() };
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(pace.closed(at("2026-11-27T22:30:00Z")), None);
        let opens = |text: &str| Some(Pause::Window { opens: Some(at(text).into()) });
        assert_eq!(pace.closed(at("2026-11-27T12:00:00Z")), opens("2026-11-27T22:00:00Z"));
        // A Monday comes first.
        assert_eq!(pace.closed(at("2026-11-29T23:30:00Z")), opens("2026-11-30T08:00:00Z"));
        assert_eq!(Pace::default().closed(at("2026-11-27T12:00:00Z")), None);
    }
}
