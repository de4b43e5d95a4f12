//! What a plan must not do, and how many hosts may be down.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};

use super::{CommandError, Exit};
use crate::event::{Ending, Outcome, Reason};
use crate::inventory::RolloutPolicy;
use crate::model::Forbidden;
use crate::plan::{Hit, Plan, hits};

/// What a plan must not do.
#[derive(Debug, Clone, Args)]
pub(super) struct GuardArgs {
    /// Refuse a plan that does such a thing (exit 3): stops an interface to make it anew, loses a flow that
    /// works, removes something, or runs a hook
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = forbidden())]
    forbid: Vec<Forbidden>,
}

fn forbidden() -> impl clap::builder::TypedValueParser<Value = Forbidden> {
    let words = PossibleValuesParser::new(Forbidden::WORDS);
    words.try_map(|word| word.parse::<Forbidden>())
}

impl GuardArgs {
    /// Refuses a plan that does what it must not, by the arguments or by the inventory.
    pub(super) fn refuse(&self, plan: &Plan, policy: &RolloutPolicy) -> Result<(), CommandError> {
        let forbidden: Vec<Forbidden> = self.forbid.iter().chain(&policy.forbid).copied().collect();
        let hits = hits(plan, &forbidden);
        if hits.is_empty() {
            return Ok(());
        }
        let words: Vec<String> = hits.iter().map(Hit::to_string).collect();
        let told = |hit: &Hit| !self.forbid.contains(&hit.forbidden);
        let who = if hits.iter().any(told) { "`rollout: forbid`" } else { "--forbid" };
        let message = format!("the plan does what {who} refuses: {}", words.join("; "));
        Err(CommandError::message(Exit::Findings, message))
    }
}

/// How many hosts may be down.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct UnreachableArgs {
    /// Succeed although up to N hosts cannot be read, any number without N; they change with a later run
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = ANY)]
    allow_unreachable: Option<u32>,
}

/// What `--allow-unreachable` without a number stands for.
const ANY: &str = "4294967295";

impl UnreachableArgs {
    /// How many.
    pub(super) fn allowed(self) -> usize {
        usize::try_from(self.allow_unreachable.unwrap_or_default()).unwrap_or(usize::MAX)
    }

    /// Endings that decide on the exit code: without those of hosts that could not be read, where these are
    /// not too many.
    pub(super) fn without_allowed(self, mut endings: Vec<Ending>) -> Vec<Ending> {
        let is_down =
            |one: &Ending| matches!(one.outcome, Outcome::Skipped(Reason::Unanswered { .. }));
        if endings.iter().filter(|one| is_down(one)).count() <= self.allowed() {
            endings.retain(|one| !is_down(one));
        }
        endings
    }
}
