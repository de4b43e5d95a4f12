//! How much of each thing one host may send: it may be hostile, and the plan is of all.

use super::error::ObserveError;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A line, of whatever kind.
    Line,
    /// An interface.
    Interface,
    /// A peer.
    Peer,
    /// A prefix that is routed to a peer.
    Prefix,
    /// An address or a route.
    Net,
    /// A count of what a tunnel dropped.
    Dropped,
    /// A file.
    File,
    /// A unit.
    Unit,
    /// A record of a fleet.
    Record,
    /// A program, or another single word.
    Word,
}

/// Every kind, what it is called, and the most that is read: as a host with 100,000 peers has them.
const KINDS: [(Kind, &str, usize); 10] = [
    (Kind::Line, "lines", 2_000_000),
    (Kind::Interface, "interfaces", 1_000),
    (Kind::Peer, "peers", 100_000),
    (Kind::Prefix, "AllowedIPs", 1_000_000),
    (Kind::Net, "addresses and routes", 200_000),
    (Kind::Dropped, "counts of dropped packets", 1_000_000),
    (Kind::File, "files", 1_000),
    (Kind::Unit, "units", 1_000),
    (Kind::Record, "records", 100),
    (Kind::Word, "programs", 100),
];

impl Kind {
    /// What a line's first word begins.
    pub(super) fn of(word: &str) -> Option<Self> {
        Some(match word {
            "interface" => Self::Interface,
            "peer" => Self::Peer,
            "address" | "route" | "connected" | "rule" | "advertised" => Self::Net,
            "dropped" => Self::Dropped,
            "file" | "odd" => Self::File,
            "unit" => Self::Unit,
            "record" => Self::Record,
            "tool" | "lacks" => Self::Word,
            _ => return None,
        })
    }
}

/// How much of each kind has come.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    counts: [usize; KINDS.len()],
}

impl Bounds {
    /// Counts; `None` where that is more than is read.
    pub(super) fn take(&mut self, kind: Kind, more: usize) -> Option<()> {
        let at = KINDS.iter().position(|(known, ..)| *known == kind)?;
        self.counts[at] = self.counts[at].saturating_add(more);
        (self.counts[at] <= KINDS[at].2).then_some(())
    }

    /// Whether there was too much of something.
    pub(super) fn are_passed(&self) -> bool {
        self.passed().is_some()
    }

    fn passed(&self) -> Option<(&'static str, usize)> {
        let mut all = KINDS.iter().zip(&self.counts);
        let found = all.find(|((_, _, limit), count)| *count > limit);
        found.map(|((_, what, limit), _)| (*what, *limit))
    }

    /// What there was too much of.
    pub(super) fn error(&self) -> ObserveError {
        let (what, limit) = self.passed().unwrap_or(("lines", 0));
        ObserveError::TooMany { what, limit }
    }
}
