//! A host's own clock, which nobody sets, as it is seen from here.

use std::time::Duration;

use tokio::time::Instant;

use crate::event::Reason;
use crate::remote::{Answer, Host};

/// How often a host is asked for its time; the answer that came fastest counts.
const ROUNDS: usize = 5;

/// How long an answer may take.
const CLOCK_LIMIT: Duration = Duration::from_secs(10);

/// What a host's clock said, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct HostClock {
    /// When it said so, give or take `bound`.
    at: Instant,
    /// Hundredths of a second.
    said: u64,
    /// Half of the time that passed between the question and the answer.
    pub(super) bound: Duration,
}

impl HostClock {
    /// Asks a host.
    ///
    /// # Errors
    /// Why it gives no answer.
    pub(super) async fn read(host: &impl Host) -> Result<Self, Reason> {
        let mut best = Self::ask(host).await?;
        for _ in 1..ROUNDS {
            let next = Self::ask(host).await?;
            if next.bound < best.bound {
                best = next;
            }
        }
        Ok(best)
    }

    async fn ask(host: &impl Host) -> Result<Self, Reason> {
        let asked = Instant::now();
        let reply = host.run("clock", &[], &[], CLOCK_LIMIT).await;
        let reply = reply.map_err(|error| Reason::from(&error))?;
        let bound = asked.elapsed() / 2;
        match reply.answer() {
            Answer::Clock { hundredths: said } => Ok(Self { at: asked + bound, said, bound }),
            _ => Err(Reason::HostSaid { said: reply.said() }),
        }
    }

    /// What the host's clock says at a moment that comes, as a word of its script.
    pub(super) fn word(&self, moment: Instant) -> String {
        let later = moment.saturating_duration_since(self.at).as_millis() / 10;
        (u128::from(self.said) + later).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_told_in_the_hosts_time() {
        let at = Instant::now();
        let clock = HostClock { at, said: 8_640_012, bound: Duration::from_millis(4) };
        assert_eq!(clock.word(at), "8640012");
        assert_eq!(clock.word(at + Duration::from_millis(1_239)), "8640135");
        assert_eq!(clock.word(at - Duration::from_secs(1)), "8640012");
    }
}
