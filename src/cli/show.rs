//! `wgfleet show`: a plan that was saved, in words.

use std::path::PathBuf;

use clap::Args;

use super::plan::DetailArgs;
use super::{CommandResult, Context, Exit};

/// Show a plan that `wgfleet plan --out` saved. Touches no host; needs no inventory and no key.
///
/// It prints what `wgfleet plan` printed when the plan was made, but for ssh's words about hosts that
/// could not be read: those are not saved. Whether the plan is still what would be done is for
/// `wgfleet apply FILE` to find out.
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
}

impl ShowArgs {
    pub(super) fn run(self, context: &Context) -> CommandResult {
        let plan = super::plan::read(&self.plan)?;
        super::plan::show(context, &plan, self.detail)?;
        Ok(Exit::Done)
    }
}
