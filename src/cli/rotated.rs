//! How a rotation went: for people on stderr, and as one JSON object.

use serde_json::json;

use super::apply::words;
use super::{CommandError, Format, Global};
use crate::apply::Outcome;
use crate::model::HostName;

/// What a rotation has done so far.
#[derive(Debug, Default)]
pub(super) struct Story {
    /// Hosts whose new key is proven, in order.
    rotated: Vec<HostName>,
    /// The host whose turn has not ended well.
    failed: Option<HostName>,
    /// What became of each host in the turn of each.
    outcomes: Vec<(HostName, HostName, Outcome)>,
}

impl Story {
    /// The turn of a host begins.
    pub(super) fn begin(&mut self, name: &HostName) {
        self.failed = Some(name.clone());
    }

    /// What became of the hosts in a turn.
    pub(super) fn turn(&mut self, name: &HostName, outcomes: &[(HostName, Outcome)]) {
        let told = outcomes.iter().cloned();
        self.outcomes.extend(told.map(|(host, outcome)| (name.clone(), host, outcome)));
    }

    /// A host's new key is proven.
    pub(super) fn proven(&mut self, global: &Global, name: &HostName) {
        self.failed = None;
        self.rotated.push(name.clone());
        if !global.quiet {
            anstream::eprintln!("{name}: the new key is proven, the old one is retired");
        }
    }

    /// The turn of a host ended otherwise.
    pub(super) fn failed(&self, global: &Global, name: &HostName) {
        if global.quiet {
            return;
        }
        let all: Vec<(HostName, Outcome)> = self
            .outcomes
            .iter()
            .map(|(_, host, outcome)| (host.clone(), outcome.clone()))
            .collect();
        super::apply::summarise(&all);
        let own = self.outcomes.iter().rev().find(|(turn, host, _)| turn == name && host == name);
        anstream::eprintln!("{}", ending(name, own.map(|(_, _, outcome)| outcome)));
    }

    /// Shows it on stdout where JSON is wanted.
    pub(super) fn show(&self, global: &Global) -> Result<(), CommandError> {
        if global.format != Format::Json {
            return Ok(());
        }
        let outcomes: Vec<_> = self
            .outcomes
            .iter()
            .map(|(turn, host, outcome)| {
                let (word, reason) = words(outcome);
                json!({ "turn": turn, "host": host, "outcome": word, "reason": reason })
            })
            .collect();
        let story = json!({
            "version": 1,
            "rotated": self.rotated,
            "failed": self.failed,
            "outcomes": outcomes,
        });
        super::write_stdout(format!("{story}\n").as_bytes())
    }
}

/// Which key a host has whose turn failed; without an outcome nothing was changed.
fn ending(name: &HostName, own: Option<&Outcome>) -> String {
    match own {
        None => format!("{name} was not rotated yet; run the same command to continue"),
        Some(
            Outcome::RolledBack(_) | Outcome::Failed(_) | Outcome::Skipped(_) | Outcome::Moved(_),
        ) => {
            format!("{name} keeps its old key; run the same command to continue")
        }
        Some(Outcome::Applied | Outcome::NotForNextBoot(_) | Outcome::Unchanged) => format!(
            "{name} has its new key, and not all neighbours know it; run the same command to continue"
        ),
        Some(Outcome::Unknown(_)) => {
            format!("{name} may have either key; run the same command to find out, and to continue")
        }
    }
}

/// Whether a host has its new key for certain.
pub(super) fn has_moved(name: &HostName, outcomes: &[(HostName, Outcome)]) -> bool {
    outcomes.iter().any(|(host, outcome)| {
        host == name
            && matches!(outcome, Outcome::Applied | Outcome::NotForNextBoot(_) | Outcome::Unchanged)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_host_that_is_known_to_have_it_keeps_its_old_key() {
        let name: HostName = "b7".parse().unwrap();
        let why = || "it broke".to_owned();
        let told = [
            ending(&name, None),
            ending(&name, Some(&Outcome::RolledBack(why()))),
            ending(&name, Some(&Outcome::Applied)),
            ending(&name, Some(&Outcome::Unknown(why()))),
        ];
        insta::assert_snapshot!(told.join("\n"), @r"
        b7 was not rotated yet; run the same command to continue
        b7 keeps its old key; run the same command to continue
        b7 has its new key, and not all neighbours know it; run the same command to continue
        b7 may have either key; run the same command to find out, and to continue
        ");
    }
}
