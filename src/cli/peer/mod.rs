//! `wgfleet peer`: phones, partners' routers, and whatever else nobody logs in to.

mod add;
mod change;
mod handout;
mod remove;
mod rotate;
mod show;

use clap::{Args, Subcommand};

use add::AddArgs;
use remove::RemoveArgs;
use rotate::RotateArgs;
use show::ShowArgs;

use super::{CommandResult, Context, Format};
use crate::sys::{Clock as _, SystemClock};

/// Hand phones and partners their configurations; add, change and remove them.
///
/// These are the file's `peers:`: machines that nobody logs in to. What they get is derived from the
/// file, as that of hosts is.
#[derive(Debug, Args)]
pub(super) struct PeerArgs {
    #[command(subcommand)]
    command: PeerCommand,
}

#[derive(Debug, Subcommand)]
enum PeerCommand {
    Add(AddArgs),
    Show(ShowArgs),
    Rotate(RotateArgs),
    Remove(RemoveArgs),
}

impl PeerArgs {
    /// What it prints on stdout.
    pub(super) const fn format(&self) -> Format {
        match &self.command {
            PeerCommand::Add(args) => args.format.format,
            PeerCommand::Show(args) => args.format.format,
            PeerCommand::Rotate(args) => args.format.format,
            PeerCommand::Remove(args) => args.format.format,
        }
    }

    pub(super) fn run(self, context: &Context) -> CommandResult {
        let now = SystemClock.now();
        match self.command {
            PeerCommand::Add(args) => args.run(context, now),
            PeerCommand::Show(args) => args.run(context),
            PeerCommand::Rotate(args) => args.run(context, now),
            PeerCommand::Remove(args) => args.run(context),
        }
    }
}
