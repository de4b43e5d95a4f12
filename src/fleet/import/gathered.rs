//! What was read of a fleet that runs, and what could not be.

use std::path::PathBuf;

use crate::adopt::{KnownHost, Remark};
use crate::model::SshTarget;

/// What was read, from wherever.
#[derive(Debug, Default)]
pub struct Gathered {
    /// What is known of hosts.
    pub hosts: Vec<KnownHost>,
    /// What was passed over.
    pub remarks: Vec<Remark>,
    /// How many files told something.
    pub files: usize,
    /// Files that are of no form that is known.
    pub skipped: Vec<PathBuf>,
    /// Hosts that could not be read.
    pub unreached: Vec<Unreached>,
}

impl Gathered {
    /// Adds what was read elsewhere.
    pub fn add(&mut self, other: Self) {
        self.hosts.extend(other.hosts);
        self.remarks.extend(other.remarks);
        self.files += other.files;
        self.skipped.extend(other.skipped);
        self.unreached.extend(other.unreached);
    }
}

/// A host that was not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreached {
    /// How it was to be reached.
    pub target: SshTarget,
    /// Why it was not.
    pub why: String,
}
