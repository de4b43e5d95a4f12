//! `wgfleet peer remove`: a peer leaves the file, and its key the vault.

use clap::Args;

use super::change::{proven, say_next, write};
use super::handout::told;
use crate::cli::{CommandResult, Context, FormatArgs, completions};
use crate::inventory::edit::PeerChange;
use crate::model::HostName;
use crate::report::document::PeerAction;

/// Take a peer out of the file, and its key out of the vault.
///
/// Hosts let it in until `wgfleet apply`. Its address stays reserved for it in the lock file. Where rules or
/// hosts of the file name it, nothing is changed, and what names it is told.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  wgfleet peer remove alice-phone && wgfleet apply")]
pub(super) struct RemoveArgs {
    /// The peer
    #[arg(value_name = "NAME", add = completions::peers())]
    name: HostName,

    #[command(flatten)]
    pub(super) format: FormatArgs,
}

impl RemoveArgs {
    pub(super) fn run(self, context: &Context) -> CommandResult {
        let fleet = context.load()?;
        fleet.peer(&self.name)?;
        let changes = [PeerChange::Remove];
        let (reading, edited) = fleet.change_peer(&context.fleet, &self.name, &changes)?;
        let fleet = proven(context, reading)?;
        let vault = context.fleet.vault().ok();
        let files = write(context, &fleet, &edited)?;
        if vault.is_some_and(|vault| vault.index().current(&self.name).is_some()) {
            context.fleet.vault_to_write()?.forget([&self.name])?;
        }
        say_next(context, &format!("`{}` has left {}", self.name, edited.path.display()));
        told(context, &self.name, PeerAction::Removed, None, files)
    }
}
