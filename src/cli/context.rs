//! What every command knows of its surroundings.

use std::sync::Arc;

use super::global::{Format, Global};
use super::identity::{Given, Identity};
use super::{CommandError, Exit, environment};
use crate::finding::{self, Finding, Severity};
use crate::fleet::{self, Fleet, Reading};
use crate::report;
use crate::report::progress::Progress;
use crate::sys::{Events, Slept, Stop, SystemClock};

/// What every command knows of its surroundings.
#[derive(Debug)]
pub(super) struct Context {
    /// What to print on stdout.
    pub(super) format: Format,
    /// Whether stderr has errors only.
    pub(super) quiet: bool,
    /// Where the vault's identity comes from.
    pub(super) identity: Arc<Identity>,
    /// Where the fleet is, and who works on it.
    pub(super) fleet: fleet::Context,
}

impl Context {
    /// Of the arguments, and of what the environment gave.
    pub(super) fn new(global: Global, given: Given, format: Format) -> Self {
        let Global { file, lock, mut include_from, identity, ssh_config, locked, quiet } = global;
        if include_from.is_empty() {
            include_from = environment::paths(environment::INCLUDE_FROM);
        }
        let ssh_config = ssh_config.or_else(|| environment::path(environment::SSH_CONFIG));
        let identity = Arc::new(Identity::new(identity, given, &file));
        let progress = match format {
            Format::Human => Progress::new(quiet),
            Format::Json => Progress::json(quiet),
        };
        let events = Events::new(Arc::new(progress), Arc::new(SystemClock));
        let keyring = Arc::clone(&identity) as Arc<dyn fleet::Keyring>;
        let fleet = fleet::Context {
            file,
            lock,
            include_from,
            now: None,
            locked,
            ssh_config,
            state: fleet::state_folder(),
            keyring,
            events,
            stop: Stop::default(),
            slept: Slept::system(),
            overrun: end,
        };
        Self { format, quiet, identity, fleet }
    }

    /// Reads and checks the inventory. Errors are reported on stderr and end the command with
    /// exit 3; warnings are reported and go on.
    pub(super) fn load(&self) -> Result<Fleet, CommandError> {
        let reading = Fleet::read(&self.fleet)?;
        if let Some(loaded) = reading.loaded() {
            self.show(&reading.findings, &loaded.sources);
        }
        let Reading { fleet, findings, .. } = reading;
        match fleet {
            Some(fleet) if !finding::any_error(&findings) => {
                fleet.pin(&self.fleet)?;
                Ok(fleet)
            }
            _ => Err(CommandError::message(
                Exit::Findings,
                format!("{}; nothing was touched", report::findings::summary(&findings)),
            )),
        }
    }

    /// Reads the inventory for a command that only shows something of it. `None` where it makes no
    /// fleet: what is wrong with it is on stderr then.
    pub(super) fn read(&self) -> Result<Option<Fleet>, CommandError> {
        let reading = Fleet::read(&self.fleet)?;
        if reading.fleet.is_none()
            && let Some(loaded) = reading.loaded()
        {
            let text = report::findings::human(&reading.findings, &loaded.sources, true);
            anstream::eprint!("{text}");
        }
        Ok(reading.fleet)
    }

    /// Reports findings on stderr: warnings and errors unless quiet, where only errors.
    pub(super) fn show(&self, findings: &[Finding], sources: &crate::model::SourceMap) {
        let least = if self.quiet { Severity::Error } else { Severity::Warning };
        let shown: Vec<Finding> =
            findings.iter().filter(|f| f.severity >= least).cloned().collect();
        if shown.is_empty() {
            return;
        }
        if self.format == Format::Json {
            let json = report::document::Findings::new(&shown, sources);
            anstream::eprint!("{}", report::json::line(&json).unwrap_or_default());
        } else {
            anstream::eprint!("{}", report::findings::human(&shown, sources, true));
        }
    }

    /// Says something on stderr, unless quiet.
    pub(super) fn say(&self, text: &str) {
        if !self.quiet {
            anstream::eprintln!("{text}");
        }
    }
}

/// Ends a program that does not end by itself; `has_changed`: after it has changed hosts.
fn end(why: &str, has_changed: bool) {
    let error = overrun(why, has_changed);
    anstream::eprintln!("wgfleet: {error}");
    std::process::exit(error.exit.code().into());
}

fn overrun(why: &str, has_changed: bool) -> CommandError {
    if has_changed {
        CommandError::message(Exit::Partial, format!("{why}; some hosts were changed before"))
            .hint("correct the template, then run the same command again to finish")
    } else {
        CommandError::message(Exit::Findings, why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_ended_says_whether_hosts_were_changed() {
        assert_eq!(overrun("too long", false).exit, Exit::Findings);
        let later = overrun("too long", true);
        assert_eq!(later.exit, Exit::Partial);
        assert!(later.to_string().contains("some hosts were changed before"), "{later}");
    }
}
