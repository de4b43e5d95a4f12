//! Pings that run while something changes.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::Child;
use std::thread::JoinHandle;

use crate::support::lab::Twin;

/// A ping that runs until it is asked what was lost.
#[derive(Debug)]
pub(crate) struct Stream<'a> {
    lab: &'a Twin,
    node: String,
    pid: String,
    child: Child,
    reader: JoinHandle<BTreeSet<u32>>,
}

impl<'a> Stream<'a> {
    /// Begins to ping, 100 times a second.
    pub(crate) fn begin(lab: &'a Twin, from: &str, to: &str) -> Self {
        let script = "echo $$; exec ping -n -i 0.01 \"$1\"";
        let mut child = lab.spawn(from, &["sh", "-c", script, "ping", to]);
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut pid = String::new();
        out.read_line(&mut pid).unwrap();
        // Read on, or the ping would wait for room in the pipe.
        let reader = std::thread::spawn(move || {
            let number = |line: String| {
                let (_, rest) = line.split_once("icmp_seq=")?;
                line.contains(" time=").then(|| rest.split(' ').next()?.parse().ok()).flatten()
            };
            out.lines().map_while(Result::ok).filter_map(number).collect()
        });
        Self { lab, node: from.to_owned(), pid: pid.trim().to_owned(), child, reader }
    }

    /// Ends the ping: how many were answered, and how many before the last answer were not.
    pub(crate) fn finish(mut self) -> (usize, usize) {
        // Whatever was late is in by now.
        std::thread::sleep(std::time::Duration::from_millis(500));
        self.lab.ok(&self.node, &["kill", "-INT", &self.pid]);
        self.child.wait().unwrap();
        let answered = self.reader.join().unwrap();
        let last = answered.last().copied().unwrap_or_default() as usize;
        (answered.len(), last - answered.len())
    }

    /// Ends the ping and expects that enough were sent and none was lost.
    pub(crate) fn lost_nothing(self, what: &str) {
        let (answered, lost) = self.finish();
        assert!(answered > 50, "{what}: only {answered} answers");
        assert_eq!(lost, 0, "{what}: {lost} lost of {}", answered + lost);
    }
}
