//! What a change of the file makes worse: findings that were not there, rules that were kept, flows that worked.

use similar::{DiffOp, TextDiff};

use crate::check::{State, check, difference};
use crate::finding::{Code, Finding, Severity};
use crate::inventory::Inventory;
use crate::model::Location;
use crate::topology::Topology;

/// What a change makes worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Harm {
    /// Nothing.
    None,
    /// There is something to know that was not there before.
    Notes,
    /// Something breaks, or may.
    Breaks,
}

/// Compares changed files with those that are there.
pub(super) struct Judge<'a> {
    inventory: &'a Inventory,
    topology: &'a Topology,
    /// What is found in them, once that was asked.
    before: Option<Vec<Finding>>,
}

impl<'a> Judge<'a> {
    pub(super) const fn new(inventory: &'a Inventory, topology: &'a Topology) -> Self {
        Self { inventory, topology, before: None }
    }

    /// What `changed`, whose files have these texts, makes worse.
    pub(super) fn harm(&mut self, changed: &Inventory, after: &Topology, texts: &[String]) -> Harm {
        let (inventory, topology) = (self.inventory, self.topology);
        let mut known: Vec<&Finding> =
            self.before.get_or_insert_with(|| check(inventory, topology)).iter().collect();
        let places: Vec<Lines> = inventory
            .sources
            .files()
            .zip(texts)
            .map(|((_, file), text)| Lines::new(&file.text, text))
            .collect();
        let mut harm = Harm::None;
        for finding in check(changed, after) {
            // Each finding excuses one: of its kind, no worse, about the same.
            let excused = known.iter().position(|old| is_same(old, &finding, &places));
            match excused {
                Some(index) => drop(known.swap_remove(index)),
                None if finding.severity == Severity::Info => harm = Harm::Notes,
                None => return Harm::Breaks,
            }
        }
        let moved = difference(State::new(inventory, topology), State::new(changed, after));
        if moved.lost.is_empty() { harm } else { Harm::Breaks }
    }
}

/// Whether a finding was there before, and is no worse now.
fn is_same(old: &Finding, new: &Finding, places: &[Lines]) -> bool {
    if old.code != new.code || old.severity < new.severity || old.count < new.count {
        return false;
    }
    let at_old = |at: Location| Some(places.get(at.file.0 as usize)?.old(at.start));
    let at_new = places.get(new.primary.at.file.0 as usize);
    let line = at_new.and_then(|lines| lines.before(new.primary.at.start));
    let about = std::iter::once(&old.primary).chain(&old.others).any(|label| {
        label.at.file == new.primary.at.file && line.is_some() && at_old(label.at) == line
    });
    // A rule is one flow, whoever is named first; what is folded may be told by another one of it.
    about && (old.title == new.title || new.code != Code::ExpectFails)
}

/// Which line of a file was which before a change.
struct Lines {
    starts: Vec<usize>,
    starts_before: Vec<usize>,
    before: Vec<Option<usize>>,
}

impl Lines {
    fn new(old: &str, new: &str) -> Self {
        let mut before = Vec::new();
        for op in TextDiff::from_lines(old, new).ops() {
            match *op {
                DiffOp::Equal { old_index, len, .. } => {
                    before.extend((old_index..old_index + len).map(Some));
                }
                DiffOp::Replace { old_index, old_len, new_len, .. } => {
                    before.extend(
                        (0..new_len).map(|line| (line < old_len).then_some(old_index + line)),
                    );
                }
                DiffOp::Insert { new_len, .. } => before.extend((0..new_len).map(|_| None)),
                DiffOp::Delete { .. } => {}
            }
        }
        Self { starts: starts(new), starts_before: starts(old), before }
    }

    /// The line that a byte of the changed text was in.
    fn before(&self, at: u32) -> Option<usize> {
        self.before.get(line(&self.starts, at)).copied().flatten()
    }

    /// The line that a byte of the old text is in.
    fn old(&self, at: u32) -> usize {
        line(&self.starts_before, at)
    }
}

/// Where the lines of a text begin.
fn starts(text: &str) -> Vec<usize> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect()
}

fn line(starts: &[usize], at: u32) -> usize {
    starts.partition_point(|start| *start <= at as usize).saturating_sub(1)
}
