//! `wgfleet plan --offline --base REV`: two inventories compared, without hosts or an identity.
//!
//! For pull requests of strangers: no ssh(1) is started and no identity is looked for. Of the vault
//! only the public keys of its index are read.

use std::collections::BTreeSet;

use super::login::LimitArgs;
use super::{CommandError, CommandResult, Context, Exit, Format};
use crate::finding::{self, Severity};
use crate::fleet::{Fleet, compare};
use crate::inventory::Inventory;
use crate::model::{Untrusted, count};
use crate::report;

/// What is to be compared, and how it is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Compare<'a> {
    /// The revision whose inventory the one on disk is compared with.
    pub(super) base: &'a str,
    /// The hosts.
    pub(super) limit: &'a LimitArgs,
    /// Whether changes have an exit code of their own.
    pub(super) exit: bool,
    /// Whether each host is shown, also where many change alike.
    pub(super) verbose: bool,
}

impl Compare<'_> {
    pub(super) fn run(self, context: &Context) -> CommandResult {
        let base = self.read_base(context)?;
        let fleet = context.load()?;
        let inventories: Vec<&Inventory> =
            std::iter::once(&fleet).chain(&base).map(Fleet::inventory).collect();
        let limit = self.limit.of_two(&inventories)?;
        let comparison = compare(&context.fleet, self.base, base.as_ref(), &fleet, &limit)?;
        let text = match context.format {
            Format::Human => report::compare::human(&comparison, self.verbose),
            Format::Json => report::json::line(&comparison)
                .map_err(|error| CommandError::new(Exit::Failed, &error))?,
        };
        super::write_stdout(text.as_bytes())?;
        Ok(if self.exit && !comparison.is_empty() { Exit::Changes } else { Exit::Done })
    }

    /// The fleet at the base. What is wrong with a fleet does not keep it from being compared: the
    /// change at hand may be what corrects it.
    fn read_base(self, context: &Context) -> Result<Option<Fleet>, CommandError> {
        let Some(reading) = Fleet::read_at(&context.fleet, self.base)? else { return Ok(None) };
        let errors: Vec<_> = reading
            .findings
            .iter()
            .filter(|finding| finding.severity == Severity::Error)
            .cloned()
            .collect();
        let name = Untrusted::new(self.base);
        if reading.fleet.is_none() {
            if let Some(loaded) = reading.loaded() {
                context.show(&errors, &loaded.sources);
            }
            let message = format!(
                "the inventory at {name} makes no fleet, so there is nothing to compare with: {}",
                report::findings::summary(&errors)
            );
            return Err(CommandError::message(Exit::Findings, message)
                .hint("name a later revision with --base, one that `wgfleet check` accepts"));
        }
        if finding::any_error(&errors) && !context.quiet {
            let codes: BTreeSet<String> =
                errors.iter().map(|finding| finding.code.to_string()).collect();
            let codes: Vec<String> = codes.into_iter().collect();
            anstream::eprintln!(
                "the inventory at {name} has {} of its own ({}); it is compared all the same",
                count(errors.len(), "error"),
                codes.join(", "),
            );
        }
        Ok(reading.fleet)
    }
}
