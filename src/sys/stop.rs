//! Asking a run to stop, where it can: what it waits for sees that at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;

/// Whether a run is asked to stop. All copies are one.
#[derive(Debug, Clone)]
pub struct Stop {
    asked: Arc<watch::Sender<bool>>,
    heeded: Arc<AtomicBool>,
}

impl Default for Stop {
    fn default() -> Self {
        Self { asked: Arc::new(watch::Sender::new(false)), heeded: Arc::default() }
    }
}

impl Stop {
    /// Asks it.
    pub fn ask(&self) {
        self.asked.send_replace(true);
    }

    /// Whether it is asked.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        *self.asked.borrow()
    }

    /// Waits until it is asked.
    pub async fn asked(&self) {
        // The sender lives as long as this does.
        let _ = self.asked.subscribe().wait_for(|asked| *asked).await;
    }

    /// From now on the run has hosts to roll back when it is asked to stop: whoever asks waits for that.
    pub fn heed(&self) {
        self.heeded.store(true, Ordering::Relaxed);
    }

    /// Whether the run does something about it.
    #[must_use]
    pub fn is_heeded(&self) -> bool {
        self.heeded.load(Ordering::Relaxed)
    }

    /// What `work` comes to, unless the run is asked to stop and `work` takes longer than `grace` after that.
    pub async fn unless<T>(&self, work: impl Future<Output = T>, grace: Duration) -> Option<T> {
        let stopped = async {
            self.asked().await;
            tokio::time::sleep(grace).await;
        };
        tokio::select! {
            biased;
            done = work => Some(done),
            () = stopped => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn work_ends_with_the_run_unless_it_is_nearly_done() {
        let stop = Stop::default();
        let takes = |seconds| tokio::time::sleep(Duration::from_secs(seconds));
        assert_eq!(stop.unless(takes(9), Duration::ZERO).await, Some(()));
        let other = stop.clone();
        let asking = async {
            takes(5).await;
            other.ask();
        };
        let grace = Duration::from_secs(2);
        let working = async { (stop.unless(takes(6), grace).await, stop.is_asked()) };
        assert_eq!(tokio::join!(working, asking).0, (Some(()), true));
        assert_eq!(stop.unless(takes(3), grace).await, None);
        assert_eq!(stop.unless(std::future::ready(7), Duration::ZERO).await, Some(7));
    }
}
