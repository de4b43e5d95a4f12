//! What runs did to a fleet, for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::document::OutcomeWord;
use crate::journal::{Past, PastState};
use crate::model::{Moment, count};

/// The headings of the list, and how wide its columns are at least.
const HEADINGS: [(&str, usize); 5] =
    [("RUN", 11), ("BEGAN", 20), ("COMMAND", 7), ("BY", 16), ("COMMIT", 12)];

/// Runs in a table, one in each line, in the order that is given.
#[must_use]
pub fn list<'a>(runs: impl IntoIterator<Item = &'a Past>) -> String {
    let mut text = String::new();
    for (heading, width) in HEADINGS {
        let _ = write!(text, "{heading:width$}  ");
    }
    text.push_str("HOSTS\n");
    let widths = HEADINGS.map(|(_, width)| width);
    for run in runs {
        let header = &run.header;
        let commit = header.commit.as_ref().map_or_else(|| "-".to_owned(), |c| c.id.to_string());
        let who = header.who.to_string();
        let cells = [header.run.clone(), second(header.at), header.kind.to_string(), who, commit];
        for (cell, width) in cells.iter().zip(widths) {
            let _ = write!(text, "{cell:width$}  ");
        }
        text.push_str(&hosts(run));
        text.push('\n');
    }
    text
}

/// How many hosts ended how, and whether the run did.
fn hosts(run: &Past) -> String {
    let mut counts: BTreeMap<OutcomeWord, usize> = BTreeMap::new();
    for ending in &run.endings {
        *counts.entry(OutcomeWord::from(&ending.outcome)).or_default() += 1;
    }
    let mut parts: Vec<String> =
        counts.iter().map(|(word, number)| format!("{number} {}", word.as_str())).collect();
    if !run.open.is_empty() {
        parts.push(format!("{} open", run.open.len()));
    }
    match run.state {
        PastState::Running => parts.push("running".to_owned()),
        PastState::Interrupted => parts.push("interrupted".to_owned()),
        PastState::Ended(_) => {}
    }
    parts.join(", ")
}

/// One run, host by host.
#[must_use]
pub fn one(run: &Past) -> String {
    let header = &run.header;
    let mut text = format!(
        "{}: {} by {}, {}",
        header.run,
        header.kind,
        header.who,
        match run.state {
            PastState::Ended(at) => format!("{} to {}", second(header.at), second(at)),
            PastState::Running => format!("since {}, and it goes on", second(header.at)),
            PastState::Interrupted => format!("{}, interrupted", second(header.at)),
        }
    );
    if let Some(commit) = &header.commit {
        let edits = if commit.dirty { " with edits" } else { "" };
        let _ = write!(text, ", from commit {}{edits}", commit.id);
    }
    if let Some(generation) = header.generation {
        let _ = write!(text, ", generation {generation}");
    }
    text.push('\n');
    let ended = run.endings.iter().map(|ending| ending.host.as_str().len());
    let open = run.open.keys().map(|host| host.as_str().len());
    let width = ended.chain(open).max().unwrap_or_default();
    for ending in &run.endings {
        let _ = writeln!(text, "  {:width$}  {}", ending.host.as_str(), ending.outcome);
    }
    for (host, step) in &run.open {
        let what = match (run.state, step) {
            (PastState::Running, Some(step)) => step.to_string(),
            (PastState::Running, None) => "waiting".to_owned(),
            (_, Some(step)) => format!("its end was not seen; the last step was: {step}"),
            (_, None) => "not begun".to_owned(),
        };
        let _ = writeln!(text, "  {:width$}  {what}", host.as_str());
    }
    let begun = run.open.values().flatten().count();
    if run.state == PastState::Interrupted && begun > 0 {
        let _ = writeln!(
            text,
            "what was not confirmed on {} has rolled back by itself, or will; run `wgfleet plan` to see",
            count(begun, "host")
        );
    }
    text
}

/// A moment to the second, as RFC 3339 writes it.
fn second(at: Moment) -> String {
    let text = at.to_string();
    text.split_once('.').map_or(text.clone(), |(second, _)| format!("{second}Z"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Ending, Outcome, Reason, Step};
    use crate::journal::{Header, RunKind};
    use crate::model::{HostName, Untrusted};

    #[test]
    fn runs_are_told_in_a_line_and_host_by_host() {
        let at = |second: u32| -> Moment {
            format!("2026-11-27T13:08:{second:02}.250Z").parse().unwrap()
        };
        let host = |name: &str| -> HostName { name.parse().unwrap() };
        let header = Header {
            version: Header::VERSION,
            run: "r5f30c2a91b".to_owned(),
            at: at(1),
            kind: RunKind::Apply,
            fleet: "acme".parse().unwrap(),
            who: Untrusted::new("ann@ctl\u{1b}[2J"),
            commit: None,
            generation: Some(3),
        };
        let ended = |name: &str, outcome| Ending {
            host: host(name),
            transaction: Some("c1".to_owned()),
            begun: Some(at(2)),
            ended: Some(at(4)),
            outcome,
            unverified: Vec::new(),
        };
        let back = Outcome::RolledBack(Reason::DeadlinePassed);
        let endings = vec![ended("b7", Outcome::Applied), ended("branch-8", back)];
        let open = [(host("b9"), Some(Step::Applying)), (host("c1"), None)].into();
        let interrupted = Past {
            header,
            state: PastState::Interrupted,
            endings: endings.clone(),
            open,
            changes: BTreeMap::new(),
            waves: Vec::new(),
            path: "x.ndjson".into(),
        };
        let mut running = interrupted.clone();
        running.state = PastState::Running;
        let done =
            Past { state: PastState::Ended(at(9)), open: BTreeMap::new(), ..running.clone() };
        let all = [&interrupted, &running, &done];
        let text = list(all) + &all.map(one).concat();
        insta::assert_snapshot!(text, @r"
        RUN          BEGAN                 COMMAND  BY                COMMIT        HOSTS
        r5f30c2a91b  2026-11-27T13:08:01Z  apply    ann@ctl\u{1b}[2J  -             1 applied, 1 rolled-back, 2 open, interrupted
        r5f30c2a91b  2026-11-27T13:08:01Z  apply    ann@ctl\u{1b}[2J  -             1 applied, 1 rolled-back, 2 open, running
        r5f30c2a91b  2026-11-27T13:08:01Z  apply    ann@ctl\u{1b}[2J  -             1 applied, 1 rolled-back
        r5f30c2a91b: apply by ann@ctl\u{1b}[2J, 2026-11-27T13:08:01Z, interrupted, generation 3
          b7        applied
          branch-8  rolled back: the deadline passed before it was confirmed
          b9        its end was not seen; the last step was: applying
          c1        not begun
        what was not confirmed on 1 host has rolled back by itself, or will; run `wgfleet plan` to see
        r5f30c2a91b: apply by ann@ctl\u{1b}[2J, since 2026-11-27T13:08:01Z, and it goes on, generation 3
          b7        applied
          branch-8  rolled back: the deadline passed before it was confirmed
          b9        applying
          c1        waiting
        r5f30c2a91b: apply by ann@ctl\u{1b}[2J, 2026-11-27T13:08:01Z to 2026-11-27T13:08:09Z, generation 3
          b7        applied
          branch-8  rolled back: the deadline passed before it was confirmed
        ");
    }
}
