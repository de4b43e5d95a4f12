//! Files that are written and removed, and what people are shown of their text.

use std::collections::{BTreeMap, BTreeSet};

use super::lines::{MOST_STEPS, in_common};
use super::said;
use super::told::{Side, Told};
use super::{Change, DiffLine, FileAction, Target, TargetFile, manager, paths};
use crate::observed::{ObservedFile, ObservedHost};
use crate::wgconf::redact;

/// The line by which wgfleet knows its own files.
pub(super) const MANAGED: &str = "Managed by wgfleet";

/// Lines of a host's file up to which it is compared in order, and bytes of it: both are the host's to
/// choose.
const COMPARED_LINES: usize = 20_000;
const COMPARED_BYTES: usize = 1 << 20;

/// Lines of a host's file that are shown.
const SHOWN: usize = 200;

/// What is to be done to a host's files.
pub(super) fn compare(target: &Target<'_>, observed: &ObservedHost, changes: &mut Vec<Change>) {
    for (path, file) in &target.files {
        let seen = observed.files.get(path);
        let (action, (diff, said)) = match seen {
            None => (FileAction::Create, created(target, file)),
            Some(seen) if !file.is_content_of(seen) => {
                let told = file.conf.as_ref().map(|conf| Told::of(conf, changes));
                (FileAction::Update, updated(seen, file, &told.unwrap_or_default()))
            }
            Some(seen) if seen.mode != file.mode || !seen.root => {
                (FileAction::Protect, (Vec::new(), 0))
            }
            Some(_) => continue,
        };
        let fingerprint = Some(file.fingerprint);
        changes.push(Change::File { path: path.clone(), action, fingerprint, diff, said });
    }
    for (path, file) in &observed.files {
        if ours(path, file, target, observed) && !target.files.contains_key(path) {
            let (path, action, diff) = (path.clone(), FileAction::Remove, Vec::new());
            changes.push(Change::File { path, action, fingerprint: None, diff, said: 0 });
        }
    }
}

/// Whether a file that is there is one of this fleet, and wgfleet wrote it.
pub(super) fn ours(
    path: &str,
    file: &ObservedFile,
    target: &Target<'_>,
    observed: &ObservedHost,
) -> bool {
    // An operation's words have no blanks: such a file is somebody's copy.
    !path.contains(char::is_whitespace)
        && file.public_text.contains(MANAGED)
        && (path.starts_with(paths::WIREGUARD)
            || path.starts_with(paths::SYSCTLS)
            || manager::reader_of(path).is_some())
        && target.names.may_own(path, observed)
}

/// What a new file says that no other change of the plan does. A public file is shown whole.
fn created(target: &Target<'_>, file: &TargetFile) -> (Vec<DiffLine>, usize) {
    let text = redact(&file.public_text);
    let wanted = target.interfaces.iter().find(|own| Some(&own.desired.name) == file.conf.as_ref());
    let unsaid = match wanted {
        Some(wanted) => said::unsaid(&text, target.desired, wanted.desired),
        None => text.lines().collect(),
    };
    let said = text.lines().count() - unsaid.len();
    (unsaid.into_iter().map(|line| DiffLine::new('+', line)).collect(), said)
}

/// What no other change says of the difference between the file that is there and the one that is to
/// be, and of how many lines other changes say it.
fn updated(seen: &ObservedFile, file: &TargetFile, told: &Told<'_>) -> (Vec<DiffLine>, usize) {
    let (old, new) = (redact(&seen.public_text), redact(&file.public_text));
    let (old_told, new_told) = (told.lines(&old, Side::Old), told.lines(&new, Side::New));
    let mut old: Vec<&str> = old.lines().collect();
    let mut new: Vec<&str> = new.lines().collect();
    let head = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    // One line before and behind what changes says where that is.
    let head = head.saturating_sub(1);
    let tail = old[head..].iter().rev().zip(new[head..].iter().rev());
    let tail = tail.take_while(|(old, new)| old == new).count().saturating_sub(1);
    old = old[head..old.len() - tail].to_vec();
    new = new[head..new.len() - tail].to_vec();
    let bytes: usize = old.iter().map(|line| line.len()).sum();
    let is_large = old.len() > COMPARED_LINES.max(new.len())
        || bytes > COMPARED_BYTES.max(file.public_text.len());
    let lines = if is_large { None } else { in_order(&old, &new) };
    let lines = lines.unwrap_or_else(|| only_in_one(&old, &new));
    let is_told = |line: &Differs<'_>| match *line {
        Differs::Old(number, _) => old_told[head + number],
        Differs::New(number, _) => new_told[head + number],
        Differs::Around(_) => false,
    };
    let said = lines.iter().filter(|line| is_told(line)).count();
    (cut(untold(&lines, is_told)), said)
}

/// A line of a difference. Lines have their numbers in the text that they are of.
#[derive(Debug, Clone, Copy)]
enum Differs<'a> {
    Old(usize, &'a str),
    New(usize, &'a str),
    /// A line of both, beside one that differs.
    Around(&'a str),
}

/// What is not told elsewhere, with the lines around it.
fn untold(lines: &[Differs<'_>], is_told: impl Fn(&Differs<'_>) -> bool) -> Vec<DiffLine> {
    let shown = |place: usize| {
        let line = lines.get(place);
        line.is_some_and(|line| !matches!(line, Differs::Around(_)) && !is_told(line))
    };
    let mut kept = Vec::new();
    for (place, line) in lines.iter().enumerate() {
        match line {
            Differs::Old(_, text) if shown(place) => kept.push(DiffLine::new('-', text)),
            Differs::New(_, text) if shown(place) => kept.push(DiffLine::new('+', text)),
            Differs::Around(text) if shown(place + 1) || place > 0 && shown(place - 1) => {
                kept.push(DiffLine::new(' ', text));
            }
            _ => {}
        }
    }
    kept
}

/// What differs in order, with the lines beside it; `None` where that takes too many steps.
fn in_order<'a>(old: &[&'a str], new: &[&'a str]) -> Option<Vec<Differs<'a>>> {
    let mut steps = MOST_STEPS;
    let pairs = in_common(old, new, &mut steps)?;
    let mut lines = Vec::new();
    let (mut from_old, mut from_new) = (0, 0);
    let mut around: Option<&str> = None;
    for (to_old, to_new) in pairs.into_iter().chain([(old.len(), new.len())]) {
        let differs = from_old < to_old || from_new < to_new;
        if differs {
            lines.extend(around.take().map(Differs::Around));
            lines.extend((from_old..to_old).map(|number| Differs::Old(number, old[number])));
            lines.extend((from_new..to_new).map(|number| Differs::New(number, new[number])));
        }
        let line = old.get(to_old).copied();
        if differs {
            lines.extend(line.map(Differs::Around));
            around = None;
        } else {
            around = line;
        }
        (from_old, from_new) = (to_old + 1, to_new + 1);
    }
    Some(lines)
}

/// The lines that only one of two texts has, in whatever order: for texts beyond any limit.
fn only_in_one<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<Differs<'a>> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for line in new {
        *counts.entry(line).or_default() += 1;
    }
    let mut lines = Vec::new();
    for (number, line) in old.iter().enumerate() {
        match counts.get_mut(line).filter(|count| **count > 0) {
            Some(count) => *count -= 1,
            None => lines.push(Differs::Old(number, line)),
        }
    }
    let left: BTreeSet<&str> =
        counts.into_iter().filter(|(_, count)| *count > 0).map(|(line, _)| line).collect();
    let new = new.iter().enumerate().filter(|(_, line)| left.contains(*line));
    lines.extend(new.map(|(number, line)| Differs::New(number, line)));
    lines
}

/// Leaves out what a host's file has beyond [`SHOWN`] lines, and says how much that is. What is
/// written is never left out.
fn cut(lines: Vec<DiffLine>) -> Vec<DiffLine> {
    let mut of_host = 0;
    let mut kept: Vec<DiffLine> = Vec::new();
    for line in lines {
        if line.sign != '+' {
            of_host += 1;
        }
        if line.sign == '+' || of_host <= SHOWN {
            kept.push(line);
        }
    }
    if of_host > SHOWN {
        let more = of_host - SHOWN;
        kept.push(DiffLine::new(
            ' ',
            &format!("(and {more} more lines of the file that is there)"),
        ));
    }
    kept
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
