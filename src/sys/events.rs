//! Telling events with the time at which they happen.

use std::fmt;
use std::sync::Arc;

use super::clock::Clock;
use crate::event::{Event, Sink, Told};
use crate::model::Moment;

/// Tells a sink what happens, and when.
#[derive(Clone)]
pub struct Events {
    sink: Arc<dyn Sink>,
    clock: Arc<dyn Clock>,
}

impl Events {
    /// Tells `sink`, with the times of `clock`.
    pub fn new(sink: Arc<dyn Sink>, clock: Arc<dyn Clock>) -> Self {
        Self { sink, clock }
    }

    /// Tells an event that happens now.
    pub fn tell(&self, event: Event) {
        self.sink.told(Told { at: self.now(), event });
    }

    /// The same, and another sink hears them first.
    #[must_use]
    pub fn heard_by(&self, first: Arc<dyn Sink>) -> Self {
        let then = Arc::clone(&self.sink);
        let both = move |told: Told| {
            first.told(told.clone());
            then.told(told);
        };
        Self { sink: Arc::new(both), clock: Arc::clone(&self.clock) }
    }

    /// The clock whose times it tells.
    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// The time of day.
    #[must_use]
    pub fn now(&self) -> Moment {
        self.clock.now().into()
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("clock", &self.clock).finish_non_exhaustive()
    }
}
