//! `wgfleet lock`: which run has which host.

use std::fmt::Write as _;

use clap::{Args, Subcommand};

use super::login::LoginArgs;
use super::{CommandError, CommandResult, Context, Exit, Format, FormatArgs, completions, runtime};
use crate::event::LockState;
use crate::fleet::{break_locks, locks};
use crate::model::HostName;
use crate::report;
use crate::report::document::Locks;

/// Show which run has which host, and take hosts away from a run that is gone.
///
/// `apply` and `rotate` take the lock of all hosts of a wave before they change one, or of none, and other runs end
/// with 5 then, with nothing changed. A lock ends with the change of its host; that of a run that was killed ends
/// by itself after five minutes, and at once for the next run on the same machine.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  wgfleet lock list
  wgfleet lock break b7        # its run is gone, and five minutes are too long")]
pub(super) struct LockArgs {
    #[command(subcommand)]
    command: LockCommand,
}

#[derive(Debug, Subcommand)]
enum LockCommand {
    /// Show who has which host, since when, and from which commit
    List(ListArgs),
    /// Take hosts away from whoever has them; not where a change is armed
    Break(BreakArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Only these hosts
    #[arg(value_name = "HOST", add = completions::hosts())]
    hosts: Vec<HostName>,

    #[command(flatten)]
    login: LoginArgs,

    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Debug, Args)]
struct BreakArgs {
    /// The hosts
    #[arg(value_name = "HOST", required = true, add = completions::hosts())]
    hosts: Vec<HostName>,

    #[command(flatten)]
    login: LoginArgs,

    #[command(flatten)]
    format: FormatArgs,
}

impl LockArgs {
    pub(super) const fn format(&self) -> Format {
        match &self.command {
            LockCommand::List(args) => args.format.format,
            LockCommand::Break(args) => args.format.format,
        }
    }

    pub(super) fn run(self, context: &Context) -> CommandResult {
        let fleet = context.load()?;
        let told = match &self.command {
            LockCommand::List(args) => {
                let login = args.login.login(context, &fleet)?;
                runtime()?.block_on(locks(&context.fleet, &fleet, &args.hosts, &login))?
            }
            LockCommand::Break(args) => {
                let login = args.login.login(context, &fleet)?;
                runtime()?.block_on(break_locks(&context.fleet, &fleet, &args.hosts, &login))?
            }
        };
        let text = match context.format {
            Format::Json => report::json::pretty(&Locks::new(&told))
                .map_err(|error| CommandError::new(Exit::Failed, &error))?,
            Format::Human => human(&told),
        };
        super::write_stdout(text.as_bytes())?;
        let is_break = matches!(self.command, LockCommand::Break(_));
        let any = |test: fn(&LockState) -> bool| told.iter().any(|(_, state)| test(state));
        Ok(if is_break && any(|state| matches!(state, LockState::Armed(_))) {
            Exit::Locked
        } else if any(|state| matches!(state, LockState::Unread(_))) {
            Exit::Unreadable
        } else {
            Exit::Done
        })
    }
}

fn human(told: &[(HostName, LockState)]) -> String {
    let mut text = String::new();
    for (host, state) in told {
        let _ = match state {
            LockState::Free => writeln!(text, "{host}: free"),
            LockState::Locked(by) => writeln!(text, "{host}: locked by {by} (run {})", by.run),
            LockState::Armed(change) => writeln!(
                text,
                "{host}: a change ({change}) is armed; its timer rolls it back unless it is confirmed"
            ),
            LockState::Broken => writeln!(text, "{host}: the lock was broken"),
            LockState::Unread(reason) => writeln!(text, "{host}: {reason}"),
        };
    }
    text
}
