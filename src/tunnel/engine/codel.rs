//! Controlled delay (RFC 8289): who keeps a queue long is asked to send less, early and gently.
//!
//! A stream fills whatever buffer there is, and everything beside it waits behind it. The socket's
//! buffer has to be large for bursts; so where messages have waited in it too long for too long, one
//! packet is marked or dropped, which is enough for its sender to slow down, and then another.

use std::time::Duration;

use crate::tunnel::noise::Moment;

/// The delay that is left alone.
const TARGET: Duration = Duration::from_millis(1);
/// How long it may be exceeded: a burst of one round trip through the Internet is no queue.
const INTERVAL: Duration = Duration::from_millis(100);

/// The state of one queue.
#[derive(Debug, Default)]
pub(super) struct Codel {
    /// When a message last came out of the queue.
    seen: Option<Moment>,
    /// When a delay that exceeds the target since has lasted too long.
    too_long: Option<Moment>,
    /// While it drops: when the next packet goes.
    next: Option<Moment>,
    /// Packets that went since it began to drop.
    count: u32,
    /// When it last dropped, and how many packets had gone then.
    last: Option<(Moment, u32)>,
}

/// From here on it is one packet of each receive anyway.
const MOST: u32 = 1 << 20;

impl Codel {
    /// Whether one packet has to go, of messages that have waited for so long.
    pub(super) fn is_due(&mut self, waited: Duration, now: Moment) -> bool {
        // What came after the last was taken out waited for us to wake up, behind nothing.
        let stood = self.seen.replace(now).is_some_and(|seen| waited >= now.since(seen));
        if waited < TARGET || !stood {
            (self.too_long, self.next) = (None, None);
            return false;
        }
        let too_long = *self.too_long.get_or_insert(now.after(INTERVAL));
        if now < too_long {
            return false;
        }
        match self.next {
            Some(next) if now < next => return false,
            Some(_) => self.count = (self.count + 1).min(MOST),
            // Where the queue came back soon, it goes on about where it was.
            None => {
                let recent = self.last.filter(|(at, _)| now.since(*at) < INTERVAL * 16);
                self.count = recent.map_or(1, |(_, count)| count.saturating_sub(2).max(1));
            }
        }
        self.next = Some(now.after(INTERVAL.div_f64(f64::from(self.count).sqrt())));
        self.last = Some((now, self.count));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::since_boot(Duration::from_millis(millis))
    }

    #[test]
    fn a_host_that_wakes_up_late_loses_no_ping() {
        let mut codel = Codel::default();
        let late = Duration::from_millis(20);
        assert!((1..100).all(|ping| !codel.is_due(late, at(ping * 1000))));
    }

    #[test]
    fn a_queue_that_stands_for_days_is_no_end_of_it() {
        let mut codel = Codel { count: MOST - 2, ..Codel::default() };
        codel.next = Some(at(0));
        codel.too_long = Some(at(0));
        let second = Duration::from_secs(1);
        assert!(!codel.is_due(second, at(0)), "the first has nothing before it");
        (codel.next, codel.too_long) = (Some(at(0)), Some(at(0)));
        assert!((1..10).all(|tenth| codel.is_due(second, at(tenth * 100))));
        assert_eq!(codel.count, MOST);
    }

    const LONG: Duration = Duration::from_millis(8);

    #[test]
    fn a_burst_passes_and_a_queue_is_told_more_and_more_often() {
        let mut codel = Codel::default();
        assert!((0..100).all(|millis| !codel.is_due(LONG, at(millis))));
        assert!(!codel.is_due(Duration::ZERO, at(100)), "it was a burst");
        let dropped: Vec<u64> = (199..1000).filter(|m| codel.is_due(LONG, at(*m))).collect();
        assert_eq!(dropped[..4], [300, 400, 471, 529]);
        assert!(dropped.len() > 10 && dropped.len() < 40);
        assert!(!codel.is_due(Duration::ZERO, at(1000)));
        // It comes back at once: the second drop follows sooner than the first time.
        let again: Vec<u64> = (1001..1300).filter(|m| codel.is_due(LONG, at(*m))).collect();
        assert!(again.len() > 3, "{again:?}");
    }
}
