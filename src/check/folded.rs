//! One finding for each cause, however many interfaces suffer from it.

use std::collections::HashMap;
use std::hash::Hash;

use crate::finding::Finding;

/// Findings in the order in which their causes were met, each with its count.
#[derive(Debug)]
pub(super) struct Folded<K> {
    findings: Vec<Finding>,
    causes: HashMap<K, usize>,
}

impl<K: Eq + Hash> Folded<K> {
    /// None yet.
    pub(super) fn new() -> Self {
        Self { findings: Vec::new(), causes: HashMap::new() }
    }

    /// Counts a cause that is known; `make` says what is wrong where it is new.
    pub(super) fn add(&mut self, cause: K, make: impl FnOnce() -> Finding) {
        if let Some(index) = self.causes.get(&cause) {
            self.findings[*index].count += 1;
        } else {
            self.causes.insert(cause, self.findings.len());
            self.findings.push(make());
        }
    }

    /// The same for a finding that is there already; of one cause, the worst one is kept.
    pub(super) fn add_found(&mut self, cause: K, finding: Finding) {
        match self.causes.get(&cause) {
            Some(index) if self.findings[*index].severity < finding.severity => {
                let known = &mut self.findings[*index];
                let count = known.count + 1;
                *known = finding;
                known.count = count;
            }
            _ => self.add(cause, || finding),
        }
    }

    /// All of them.
    pub(super) fn into_findings(self) -> Vec<Finding> {
        self.findings
    }
}
