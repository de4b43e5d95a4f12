//! `wgfleet peer`: phones, partners' routers, and whatever else nobody logs in to.

mod handout;
mod show;

use clap::{Args, Subcommand};

use show::ShowArgs;

use super::{CommandResult, Context, Format};

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
    Show(ShowArgs),
}

impl PeerArgs {
    /// What it prints on stdout.
    pub(super) const fn format(&self) -> Format {
        match &self.command {
            PeerCommand::Show(args) => args.format.format,
        }
    }

    pub(super) fn run(self, context: &Context) -> CommandResult {
        match self.command {
            PeerCommand::Show(args) => args.run(context),
        }
    }
}
