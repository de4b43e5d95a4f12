//! `wgfleet history`: who changed the fleet from here, when, and how it ended.

use clap::Args;

use super::{CommandError, CommandResult, Context, Exit, Format, FormatArgs};
use crate::journal::{Past, past};
use crate::report;
use crate::report::document::History;

/// Show who changed the fleet from this machine, when, from which commit, and how it ended.
///
/// `apply` and `rotate` write down what they are about to do before they touch a host, in a file for
/// each run below `$XDG_STATE_HOME/wgfleet/journal` (`~/.local/state` where that is not set). The newest 500 are kept. What
/// other machines changed stands in the records of the hosts, which `plan` reads.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  wgfleet history
  wgfleet history r5f30                  # one run, host by host
  wgfleet history --format json | jq '.runs[] | select(.state == \"interrupted\")'")]
pub(super) struct HistoryArgs {
    /// A run: its id, or the beginning of it
    #[arg(value_name = "RUN")]
    run: Option<String>,

    /// How many runs are shown, the newest first
    #[arg(long, value_name = "N", default_value_t = 20, conflicts_with = "run")]
    last: usize,

    #[command(flatten)]
    pub(super) format: FormatArgs,
}

impl HistoryArgs {
    pub(super) fn run(self, context: &Context) -> CommandResult {
        let Some(fleet) = context.read()? else { return Ok(Exit::Findings) };
        let fleet = &fleet.inventory().fleet.value;
        let folder = context.fleet.journal_folder(fleet);
        let runs = folder.map_or(Ok(Vec::new()), |folder| past(&folder));
        let mut runs = runs.map_err(|error| CommandError::new(Exit::Failed, &error))?;
        runs.reverse();
        match &self.run {
            Some(id) => runs = vec![named(runs, id)?],
            None => runs.truncate(self.last),
        }
        let text = match context.format {
            Format::Json => report::json::pretty(&History::new(&runs))
                .map_err(|error| CommandError::new(Exit::Failed, &error))?,
            Format::Human if self.run.is_some() => runs.iter().map(report::history::one).collect(),
            Format::Human if runs.is_empty() => {
                context.say(&format!("The fleet `{fleet}` was not changed from here."));
                String::new()
            }
            Format::Human => report::history::list(&runs),
        };
        super::write_stdout(text.as_bytes())?;
        Ok(Exit::Done)
    }
}

/// The one run whose id begins so.
fn named(runs: Vec<Past>, id: &str) -> Result<Past, CommandError> {
    let mut found = runs.into_iter().filter(|run| run.header.run.starts_with(id));
    let wrong = |what: &str| {
        CommandError::message(Exit::Usage, format!("{what} whose id begins with `{id}`"))
            .hint("`wgfleet history` lists them")
    };
    let run = found.next().ok_or_else(|| wrong("there is no run"))?;
    match found.next() {
        Some(_) => Err(wrong("there are several runs")),
        None => Ok(run),
    }
}
