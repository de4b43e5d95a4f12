//! `wgfleet plan`: what an apply would change, and nothing else.

use std::path::PathBuf;

use clap::Args;

use super::fleet::Fleet;
use super::survey::{BinariesArgs, LimitArgs, LoginArgs, Scope, Survey};
use super::{CommandError, CommandResult, Exit, Format, Global, runtime};
use crate::plan::Plan;
use crate::report;
use crate::report::plan::Detail;

/// How much of a plan is shown.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct DetailArgs {
    /// Show each change of each host, also where many are alike
    #[arg(long)]
    verbose: bool,
}

impl DetailArgs {
    pub(super) const fn detail(self) -> Detail {
        if self.verbose { Detail::Each } else { Detail::Grouped }
    }
}

/// Show what `wgfleet apply` would change. Logs in to all hosts in parallel; changes nothing.
///
/// A host that cannot be read is reported (exit 4), and nobody loses it as a peer. The plan also says
/// which flows begin to work and which cease to, and what was assumed of hosts that were not read.
/// Changes that are alike on many hosts or peers are told once.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  wgfleet plan
  wgfleet plan --limit paris-gw,b7
  wgfleet plan --verbose                               # each change of each host
  wgfleet plan --detailed-exitcode --out fleet.plan    # in CI
  wgfleet plan --format json | jq '.hosts[].changes'
  wgfleet plan --format json | jq '.reachability.lost'")]
pub(super) struct PlanArgs {
    #[command(flatten)]
    limit: LimitArgs,

    #[command(flatten)]
    login: LoginArgs,

    #[command(flatten)]
    binaries: BinariesArgs,

    #[command(flatten)]
    detail: DetailArgs,

    /// Exit 2 where there is something to change
    #[arg(long)]
    detailed_exitcode: bool,

    /// Save the plan; `wgfleet apply FILE` carries out this one or nothing
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl PlanArgs {
    pub(super) fn run(self, global: &Global) -> CommandResult {
        let fleet = Fleet::load(global)?;
        runtime()?.block_on(async {
            let scope = Scope::new(self.login, &self.limit, &self.binaries);
            let survey = Survey::take(global, scope, &fleet, None).await?;
            let plan = survey.whole_plan(&fleet)?;
            let blocked = survey.blocked(&plan);
            survey.close().await;
            if let Some(path) = &self.out {
                refuse_what_is_no_file(path)?;
                let path = &std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
                let bytes = encode(&plan)?;
                crate::sys::write_atomic(path, &bytes, crate::sys::Mode::Public)
                    .map_err(|error| CommandError::new(Exit::Failed, &error))?;
            }
            show(global, &plan, self.detail)?;
            Ok(self.exit(&plan, blocked))
        })
    }

    fn exit(&self, plan: &Plan, blocked: Option<Exit>) -> Exit {
        if let Some(exit) = blocked {
            exit
        } else if plan.unreadable().next().is_some() {
            Exit::Unreadable
        } else if self.detailed_exitcode && !plan.is_empty() {
            Exit::Changes
        } else {
            Exit::Done
        }
    }
}

/// A device, a pipe or a folder is not to be replaced by a plan.
fn refuse_what_is_no_file(path: &std::path::Path) -> Result<(), CommandError> {
    match std::fs::metadata(path) {
        Ok(there) if !there.is_file() => Err(CommandError::message(
            Exit::Usage,
            format!("--out writes to a regular file or a new name; {} is neither", path.display()),
        )
        .hint("use --format json to write the plan to stdout")),
        _ => Ok(()),
    }
}

/// The bytes of a saved plan: the same inputs give the same.
pub(super) fn encode(plan: &Plan) -> Result<Vec<u8>, CommandError> {
    let mut bytes =
        serde_json::to_vec_pretty(plan).map_err(|error| CommandError::new(Exit::Failed, &error))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Shows a plan on stdout.
pub(super) fn show(global: &Global, plan: &Plan, detail: DetailArgs) -> Result<(), CommandError> {
    let bytes = match global.format {
        Format::Human => report::plan::human(plan, detail.detail()).into_bytes(),
        Format::Json => encode(plan)?,
    };
    super::write_stdout(&bytes)
}
