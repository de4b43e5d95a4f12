//! Says so where a template of a stranger's does not end.
//!
//! A template has a budget of steps, but its engine does not count everything: it folds constants
//! before it runs (`[1] * 90000000 ~ ''`), and compares lists of lists. No host is being changed while
//! files are rendered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::desired::DesiredHost;
use crate::sys::resident_bytes;

/// Time between two measurements.
const INTERVAL: Duration = Duration::from_millis(20);

/// What rendering may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Limits {
    time: Duration,
    /// Bytes of memory on top of what the program has before.
    bytes: u64,
}

impl Limits {
    /// So much that the files of any fleet have room: a peer takes some 300 bytes of a file.
    fn of(files: usize, peers: usize) -> Self {
        let files = u32::try_from(files).unwrap_or(u32::MAX);
        Self {
            time: Duration::from_mins(1) + Duration::from_millis(100) * files,
            bytes: (1 << 30) + (4 << 10) * peers as u64,
        }
    }
}

/// Watches until it is dropped.
#[derive(Debug)]
pub(super) struct Watchdog {
    _running: mpsc::Sender<()>,
}

impl Watchdog {
    /// Watches the rendering of the files of some hosts; `overrun` is told what it takes too much of,
    /// and whether hosts were changed before.
    pub(super) fn over<'a>(
        hosts: impl Iterator<Item = &'a DesiredHost>,
        overrun: fn(&str, bool),
        has_changed: &Arc<AtomicBool>,
    ) -> Self {
        let has_changed = Arc::clone(has_changed);
        let interfaces = hosts.flat_map(|host| &host.interfaces);
        let count = |(files, peers), interface: &crate::desired::DesiredInterface| {
            (files + 1, peers + interface.peers.len())
        };
        let (files, peers) = interfaces.fold((0, 0), count);
        Self::start(Limits::of(files, peers), move |what| {
            let why = format!(
                "the template templates/wg0.conf.j2 takes more than {what}; look for lists that are \
                 multiplied or added to themselves"
            );
            overrun(&why, has_changed.load(Ordering::Relaxed));
        })
    }

    fn start(limits: Limits, end: impl FnOnce(String) + Send + 'static) -> Self {
        let (running, ended) = mpsc::channel();
        let begun = Instant::now();
        let before = resident_bytes();
        std::thread::spawn(move || {
            while ended.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                let more = resident_bytes().saturating_sub(before);
                if begun.elapsed() > limits.time {
                    return end(format!("{} s", limits.time.as_secs()));
                }
                if more > limits.bytes {
                    return end(format!("{} MiB of memory", limits.bytes >> 20));
                }
            }
        });
        Self { _running: running }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What ends first of some that are watched at a time.
    fn first(all: &[(Duration, u64)]) -> Option<String> {
        let (sender, ended) = mpsc::channel();
        let start = |&(time, bytes): &(Duration, u64)| {
            let sender = sender.clone();
            Watchdog::start(Limits { time, bytes }, move |what| sender.send(what).unwrap())
        };
        let running: Vec<_> = all.iter().map(start).collect();
        let filled = vec![1_u8; 64 << 20];
        let what = ended.recv_timeout(Duration::from_secs(2)).ok();
        drop((running, filled));
        what
    }

    #[test]
    fn what_takes_too_long_or_too_much_ends_and_nothing_else() {
        let (long, short) = (Duration::from_mins(10), Duration::from_millis(10));
        assert_eq!(first(&[(long, u64::MAX)]), None);
        assert_eq!(first(&[(long, u64::MAX), (short, u64::MAX)]).as_deref(), Some("0 s"));
        assert_eq!(first(&[(long, 20 << 20)]).as_deref(), Some("20 MiB of memory"));
    }

    #[test]
    fn what_is_over_is_not_watched() {
        let (sender, ended) = mpsc::channel();
        let limits = Limits { time: Duration::from_millis(200), bytes: u64::MAX };
        drop(Watchdog::start(limits, move |what| sender.send(what).unwrap()));
        ended.recv_timeout(Duration::from_secs(1)).unwrap_err();
    }
}
