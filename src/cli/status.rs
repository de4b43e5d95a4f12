//! `wgfleet status`: the fleet's sessions by name.

use clap::Args;

use super::login::{LimitArgs, LoginArgs};
use super::{CommandError, CommandResult, Context, Exit, Format, FormatArgs, runtime};
use crate::fleet::Sessions;
use crate::plan::LeftOut;
use crate::report;
use crate::report::document::StatusDocument;
use crate::report::status::Status;

/// Show the sessions of the fleet by name: handshakes, endpoints, traffic. Needs no identity.
///
/// fresh: a handshake within 180 s. idle: none, and nothing asked for one. late: none, though a
/// keepalive should have brought one. never: there was none since the interface came up.
/// The embedded tunnel also says what it dropped since it started, by cause.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  wgfleet status
  wgfleet status --limit b7
  wgfleet status --limit paris,branch --exclude 'lab-*'
  wgfleet status --format json | jq '.sessions[] | select(.state == \"late\")'")]
pub(super) struct StatusArgs {
    #[command(flatten)]
    limit: LimitArgs,

    #[command(flatten)]
    login: LoginArgs,

    #[command(flatten)]
    pub(super) format: FormatArgs,
}

impl StatusArgs {
    pub(super) fn run(self, context: &Context) -> CommandResult {
        let fleet = context.load()?;
        let login = self.login.login(context, &fleet)?;
        let limit = self.limit.hosts(fleet.inventory())?;
        let reading = Sessions::read(&context.fleet, &fleet, &limit, &login);
        let sessions = runtime()?.block_on(reading)?;
        let absent = fleet.inventory().absent.iter();
        let left_out = absent.map(|one| (one.name().value.clone(), LeftOut::from(&one.why)));
        let mut status = Status {
            unreadable: sessions.unread,
            left_out: left_out.collect(),
            ..Status::default()
        };
        for (name, seen) in &sessions.seen {
            status.add(&sessions.state, &sessions.names, name, seen);
        }
        let text = match context.format {
            Format::Human => report::status::human(&status),
            Format::Json => report::json::pretty(&StatusDocument::new(&status))
                .map_err(|error| CommandError::new(Exit::Failed, &error))?,
        };
        super::write_stdout(text.as_bytes())?;
        Ok(if status.unreadable.is_empty() { Exit::Done } else { Exit::Unreadable })
    }
}
