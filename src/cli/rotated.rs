//! How a rotation went: for people on stderr, and as one JSON object.

use super::apply::summarise;
use super::{CommandError, Context, Exit, Format};
use crate::event::Outcome;
use crate::fleet::Ledger;
use crate::model::HostName;
use crate::report;
use crate::report::document::{Rotate, TurnOutcome};

/// Says how the turn ended that did not end well.
pub(super) fn tell_failure(context: &Context, ledger: &Ledger) {
    let Some(name) = ledger.failed.as_ref().filter(|_| !context.quiet) else { return };
    summarise(ledger.outcomes.iter().map(|one| &one.ending));
    anstream::eprintln!("{}", ending(name, ledger.last()));
}

/// Shows what was done on stdout where JSON is wanted.
pub(super) fn show(context: &Context, ledger: &Ledger) -> Result<(), CommandError> {
    if context.format != Format::Json {
        return Ok(());
    }
    let outcomes = ledger.outcomes.iter().map(|one| TurnOutcome::new(&one.turn, &one.ending));
    let document = Rotate::new(&ledger.rotated, ledger.failed.as_ref(), outcomes.collect());
    let text =
        report::json::line(&document).map_err(|error| CommandError::new(Exit::Failed, &error))?;
    super::write_stdout(text.as_bytes())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Reason;

    #[test]
    fn only_a_host_that_is_known_to_have_it_keeps_its_old_key() {
        let name: HostName = "b7".parse().unwrap();
        let why = || Reason::DeadlinePassed;
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
