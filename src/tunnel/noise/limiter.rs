//! What handshakes may cost us: when we are under load, and how often one source may knock.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use super::Moment;

/// How long a load that was seen is believed in: without this, a flood would be answered with
/// handshakes again at each moment in which the queue happens to be short.
const LOAD_LASTS: Duration = Duration::from_secs(1);
/// Handshake messages in a second that are a load even where they can be answered: each costs about
/// 50 microseconds of a core, and strangers must not have more than a fifth of it.
const MANY: u32 = 4000;

/// Whether handshakes come faster than they can be answered.
#[derive(Debug, Default)]
pub struct Load {
    until: Option<Moment>,
    /// When the present second began, and how many messages came in it.
    second: Option<(Moment, u32)>,
}

impl Load {
    /// Another message came: whether we are under load, with `waiting` more in a queue that holds
    /// `most`.
    pub fn is_high(&mut self, waiting: usize, most: usize, now: Moment) -> bool {
        let second = self.second.filter(|(began, _)| now.since(*began) < LOAD_LASTS);
        let (began, count) = second.unwrap_or((now, 0));
        self.second = Some((began, count.saturating_add(1)));
        if waiting >= most / 8 || count >= MANY {
            self.until = Some(now.after(LOAD_LASTS));
        }
        self.is_believed(now)
    }

    /// Whether we were under load a moment ago.
    #[must_use]
    pub fn is_believed(&self, now: Moment) -> bool {
        self.until.is_some_and(|until| now < until)
    }
}

/// Handshakes per second and source.
const PER_SECOND: u32 = 20;
/// Handshakes that may come at once.
const BURST: u32 = 5;
const COST: Duration = Duration::from_nanos(1_000_000_000 / PER_SECOND as u64);
/// Sources of a generation; two of them are told apart, which is about 400 kB.
const GENERATION: usize = 4096;

/// Token buckets for sources whose address is proven: one for each IPv4 address and each IPv6 /64.
///
/// Where there are more than are told apart, those that have been quiet for longest are forgotten:
/// whoever comes anew is answered, however many others there are.
#[derive(Debug, Default)]
pub struct SourceLimiter {
    young: HashMap<Source, Bucket>,
    old: HashMap<Source, Bucket>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Source {
    V4([u8; 4]),
    V6(u64),
}

impl From<IpAddr> for Source {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => Self::V4(ip.octets()),
            IpAddr::V6(ip) => {
                let network = u64::try_from(ip.to_bits() >> 64).unwrap_or_default();
                Self::V6(network)
            }
        }
    }
}

#[derive(Debug)]
struct Bucket {
    credit: Duration,
    seen: Moment,
}

impl SourceLimiter {
    /// Whether a source may have another handshake answered now.
    pub fn allow(&mut self, from: IpAddr, now: Moment) -> bool {
        let full = COST * BURST;
        let source = Source::from(from);
        let known = self.young.remove(&source).or_else(|| self.old.remove(&source));
        // Who may have been forgotten gains nothing by it.
        let begins_with = if self.old.is_empty() { full } else { COST };
        let mut bucket = known.unwrap_or(Bucket { credit: begins_with, seen: now });
        bucket.credit = (bucket.credit + now.since(bucket.seen)).min(full);
        bucket.seen = now;
        let rest = bucket.credit.checked_sub(COST);
        bucket.credit = rest.unwrap_or(bucket.credit);
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(source, bucket);
        rest.is_some()
    }

    /// Forgets sources that have been quiet; all memory goes with the last of them.
    pub fn forget(&mut self, now: Moment) {
        for buckets in [&mut self.young, &mut self.old] {
            buckets.retain(|_, bucket| now.since(bucket.seen) < LOAD_LASTS);
            if buckets.is_empty() {
                *buckets = HashMap::new();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::since_boot(Duration::from_millis(millis))
    }

    #[test]
    fn a_source_has_a_burst_and_a_rate() {
        let mut limiter = SourceLimiter::default();
        let ip: IpAddr = "192.0.2.1".parse().unwrap();
        let count = |limiter: &mut SourceLimiter, ip, now| {
            (0..100).filter(|_| limiter.allow(ip, now)).count()
        };
        assert_eq!(count(&mut limiter, ip, at(0)), 5);
        assert_eq!(count(&mut limiter, ip, at(100)), 2);
        assert_eq!(count(&mut limiter, "192.0.2.2".parse().unwrap(), at(100)), 5);
        // One /64 is one source.
        assert_eq!(count(&mut limiter, "2001:db8::1".parse().unwrap(), at(100)), 5);
        assert_eq!(count(&mut limiter, "2001:db8::2".parse().unwrap(), at(100)), 0);
        assert_eq!(count(&mut limiter, "2001:db8:0:1::2".parse().unwrap(), at(100)), 5);
    }

    #[test]
    fn its_memory_is_bounded_and_comes_back() {
        let mut limiter = SourceLimiter::default();
        let source = |number: u32| IpAddr::from(number.to_be_bytes());
        // More than are told apart, all in one moment: each is answered, and a stranger too.
        let allowed = (0..100_000).filter(|number| limiter.allow(source(*number), at(0))).count();
        assert_eq!(allowed, 100_000);
        assert!(limiter.allow(source(1_000_000), at(0)));
        assert!(limiter.young.len() + limiter.old.len() <= 2 * GENERATION);
        // Those of before are known, and gain nothing by the others.
        assert!(!limiter.allow(source(1_000_000), at(0)) && !limiter.allow(source(99_999), at(0)));
        limiter.forget(at(2000));
        assert_eq!(limiter.young.capacity() + limiter.old.capacity(), 0);
    }

    #[test]
    fn a_load_is_believed_in_for_a_second() {
        let mut load = Load::default();
        assert!(!load.is_high(10, 1024, at(0)));
        assert!(load.is_high(128, 1024, at(0)) && load.is_high(0, 1024, at(999)));
        assert!(!load.is_high(0, 1024, at(1000)));
    }

    #[test]
    fn many_messages_are_a_load_for_as_long_as_they_come() {
        let mut load = Load::default();
        // Twice as many as are answered: after the first of them, for as long as it goes on.
        let answered = (0..MANY * 10).filter(|n| {
            let now = at(u64::from(*n) * 500 / u64::from(MANY));
            !load.is_high(0, 1024, now)
        });
        assert_eq!(answered.count(), MANY as usize);
        assert!(!load.is_high(0, 1024, at(7000)));
    }
}
