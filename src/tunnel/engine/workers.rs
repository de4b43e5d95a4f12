//! How many threads share one queue.

use std::num::NonZeroUsize;

/// The threads that share a queue of the host's packets, or a socket, so that one flow has more
/// than one processor. Their order is kept.
///
/// One is the best where there are few processors: then packets do not wait for another thread,
/// and messages of several packets leave together. Each further one costs two buffers of 64 KiB or
/// so where it has something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workers(NonZeroUsize);

impl Workers {
    /// One thread for each queue, and nothing to agree about.
    pub const ONE: Self = Self(NonZeroUsize::MIN);

    /// So many threads for each queue.
    #[must_use]
    pub const fn new(count: NonZeroUsize) -> Self {
        Self(count)
    }

    /// What suits so many processors: one on up to three, two on up to seven, four on more. Beside
    /// them there is the host's own work, which costs about as much as a tunnel's.
    #[must_use]
    pub fn suiting(processors: usize) -> Self {
        let count = match processors {
            0..=3 => 1,
            4..=7 => 2,
            _ => 4,
        };
        NonZeroUsize::new(count).map_or(Self::ONE, Self)
    }

    /// What suits the processors that this process may use. Reads the control group's files, so it
    /// is to be asked before they are out of reach.
    #[must_use]
    pub fn of_this_machine() -> Self {
        Self::suiting(std::thread::available_parallelism().map_or(1, usize::from))
    }

    /// How many.
    #[must_use]
    pub const fn count(self) -> usize {
        self.0.get()
    }
}
