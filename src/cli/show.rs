//! `wgfleet show`: a plan that was saved, in words.

use std::path::PathBuf;

use clap::Args;

use super::plan::DetailArgs;
use super::saved::{SavedPlan, not_verified};
use super::{CommandResult, Context, Exit, Format, FormatArgs};

/// Show a plan that `wgfleet plan --out` saved. Touches no host; needs no inventory and no key.
///
/// It prints what `wgfleet plan` printed when the plan was made, but for ssh's words about hosts that
/// could not be read: those are not saved. Whether the plan is still what would be done is for
/// `wgfleet apply FILE` to find out.
///
/// Where the fleet's vault and an identity are at hand, it checks the file's MAC: a file that was
/// changed since it was saved is refused (exit 64). Elsewhere it says above the plan that it is not
/// verified; with --format json, on stderr.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  wgfleet show fleet.plan
  wgfleet show --verbose fleet.plan                    # each change of each host
  wgfleet show --format json fleet.plan | jq '.hosts[].changes'")]
pub(super) struct ShowArgs {
    #[command(flatten)]
    detail: DetailArgs,

    /// The saved plan
    #[arg(value_name = "FILE")]
    plan: PathBuf,

    #[command(flatten)]
    pub(super) format: FormatArgs,
}

impl ShowArgs {
    pub(super) fn run(self, context: &Context) -> CommandResult {
        let saved = SavedPlan::read(&self.plan)?;
        match (saved.unverified(context)?.map(|why| not_verified(&why)), context.format) {
            (Some(line), Format::Human) => super::write_stdout(format!("{line}\n\n").as_bytes())?,
            (Some(line), Format::Json) => anstream::eprintln!("{line}"),
            (None, _) => context.say("verified: the file is as it was saved"),
        }
        super::plan::show(context, saved.plan(), self.detail)?;
        Ok(Exit::Done)
    }
}
