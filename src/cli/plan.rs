//! `wgfleet plan`: what an apply would change, and nothing else.

use std::path::{Path, PathBuf};

use clap::Args;

use super::guard::{GuardArgs, UnreachableArgs};
use super::login::{BinariesArgs, LimitArgs, LoginArgs, RecordArgs, scope};
use super::saved::SavedPlan;
use super::{CommandError, CommandResult, Context, Exit, Format, FormatArgs, runtime};
use crate::fleet::{Scope, Survey};
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
/// Changes that are alike on many hosts or peers are told once. A host that left the inventory is
/// observed too, and the plan says what still runs there.
///
/// With --offline --base REV two inventories are compared instead: that of a revision of git and the
/// one that is there now. No host is asked and no identity is used, so it is safe for a pull request
/// of a stranger.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  wgfleet plan
  wgfleet plan --limit paris-gw,b7
  wgfleet plan --limit branch --exclude 'lab-*'        # a group, without some of it
  wgfleet plan --forbid restart,lost-flow              # exit 3 where it would
  wgfleet plan --verbose                               # each change of each host
  wgfleet plan --detailed-exitcode --out fleet.plan    # in CI
  wgfleet plan --format json | jq '.hosts[].changes'
  wgfleet plan --format json | jq '.reachability.lost'
  wgfleet plan --offline --base origin/main            # what a pull request changes")]
pub(super) struct PlanArgs {
    #[command(flatten)]
    limit: LimitArgs,

    #[command(flatten)]
    login: LoginArgs,

    #[command(flatten)]
    binaries: BinariesArgs,

    #[command(flatten)]
    detail: DetailArgs,

    #[command(flatten)]
    records: RecordArgs,

    #[command(flatten)]
    guard: GuardArgs,

    #[command(flatten)]
    unreachable: UnreachableArgs,

    /// Exit 2 where there is something to change
    #[arg(long)]
    detailed_exitcode: bool,

    /// Save the plan; `wgfleet apply FILE` carries out this one or nothing
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Compare two inventories, without hosts, identity or login; --base says with which
    #[arg(long, conflicts_with_all = ["parallel", "connect_timeout", "forbid", "allow_unreachable"])]
    offline: bool,

    /// With --offline: the commit, branch or tag whose inventory this one is compared with
    #[arg(long, value_name = "REV")]
    base: Option<String>,

    #[command(flatten)]
    pub(super) format: FormatArgs,
}

impl PlanArgs {
    pub(super) fn run(self, context: &Context) -> CommandResult {
        if let Some(base) = self.offline_base()? {
            return super::compare::Compare {
                base,
                limit: &self.limit,
                exit: self.detailed_exitcode,
                verbose: self.detail.verbose,
            }
            .run(context);
        }
        let out = self.out.as_deref().map(writable).transpose()?;
        let fleet = context.load()?;
        runtime()?.block_on(async {
            let overrides = self.records.overrides();
            let login = self.login.login(context, &fleet)?;
            let limit = self.limit.hosts(fleet.inventory())?;
            let scope = Scope {
                without_identity: true,
                ..scope(&login, &limit, &self.binaries, &overrides)
            };
            let survey = Survey::take(&context.fleet, scope, &fleet, None).await?;
            let plan = survey.whole_plan(&context.fleet, &fleet)?;
            let blocked = survey.blocked(&plan).map(Exit::of);
            let key = survey.plan_key();
            survey.close().await;
            if let Some(path) = &out {
                // Once more: hosts took their time to answer.
                SavedPlan::write(&writable(path)?, &plan, key?.as_ref())?;
            }
            show(context, &plan, self.detail)?;
            self.guard.refuse(&plan, &fleet.inventory().rollout)?;
            Ok(self.exit(&plan, blocked))
        })
    }

    /// The revision to compare with, where no host is to be asked.
    fn offline_base(&self) -> Result<Option<&str>, CommandError> {
        let refused = |why: &str, hint: &str| {
            Err(CommandError::message(Exit::Usage, why.to_owned()).hint(hint))
        };
        match (&self.base, self.offline) {
            (None, false) => Ok(None),
            (None, true) => refused(
                "--offline compares two inventories, and there is only one",
                "name the revision of the other: `wgfleet plan --offline --base origin/main`",
            ),
            (Some(_), false) => refused(
                "--base compares two inventories without hosts, which has to be asked for: without \
                 --offline, a plan compares the inventory with what runs on the hosts",
                "add --offline, or leave --base out",
            ),
            (Some(_), true) if self.out.is_some() => refused(
                "--out saves what `wgfleet apply` can carry out, and no host was asked for this",
                "leave --out out; `--format json > FILE` saves a comparison",
            ),
            (Some(base), true) => Ok(Some(base)),
        }
    }

    fn exit(&self, plan: &Plan, blocked: Option<Exit>) -> Exit {
        if let Some(exit) = blocked {
            exit
        } else if self.records.overrides().refuse_older(plan).is_err() {
            Exit::Stale
        } else if plan.unreadable().count() > self.unreachable.allowed() {
            Exit::Unreadable
        } else if self.detailed_exitcode && !plan.is_empty() {
            Exit::Changes
        } else {
            Exit::Done
        }
    }
}

/// Where a plan is saved: a regular file, which a link may lead to, or a new name in a folder that is
/// there. A device, a pipe or a folder is not to be replaced by a plan.
fn writable(path: &Path) -> Result<PathBuf, CommandError> {
    let refused = |why: &str| {
        let message =
            format!("--out writes to a regular file or a new name; {} {why}", path.display());
        Err(CommandError::message(Exit::Usage, message)
            .hint("use --format json to write the plan to stdout"))
    };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    match (std::fs::symlink_metadata(path), std::fs::metadata(path)) {
        (_, Ok(there)) if there.is_file() => std::fs::canonicalize(path)
            .or_else(|error| refused(&format!("cannot be found: {error}"))),
        (_, Ok(there)) if there.is_dir() => refused("is a folder"),
        (_, Ok(_)) => refused("is a device, a pipe or a socket"),
        (Ok(_), Err(_)) => refused("is a link that leads nowhere"),
        (Err(error), Err(_)) if error.kind() != std::io::ErrorKind::NotFound => {
            refused(&format!("cannot be found: {error}"))
        }
        (Err(_), Err(_)) if path.file_name().is_none() => refused("has no name"),
        (Err(_), Err(_)) if !folder.is_dir() => refused("lies in a folder that is not there"),
        (Err(_), Err(_)) => Ok(path.to_owned()),
    }
}

/// Shows a plan on stdout.
pub(super) fn show(context: &Context, plan: &Plan, detail: DetailArgs) -> Result<(), CommandError> {
    let bytes = match context.format {
        Format::Human => report::plan::human(plan, detail.detail()).into_bytes(),
        Format::Json => plan.to_json().map_err(|error| CommandError::new(Exit::Failed, &error))?,
    };
    super::write_stdout(&bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_plan_replaces_nothing_but_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("old.plan"), "").unwrap();
        symlink("old.plan", at("link")).unwrap();
        symlink("nowhere", at("dangling")).unwrap();
        symlink("/dev/full", at("device")).unwrap();
        let fifo = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, at("pipe"), fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        let old = std::fs::canonicalize(at("old.plan")).unwrap();
        assert_eq!(writable(&at("new.plan")).ok(), Some(at("new.plan")));
        assert_eq!(writable(&at("old.plan")).ok(), Some(old.clone()));
        assert_eq!(writable(&at("link")).ok(), Some(old));
        for name in
            ["dangling", "device", "pipe", ".", "gone/new.plan", "old.plan/new.plan", "/dev/full"]
        {
            let error = writable(&at(name)).unwrap_err();
            assert!(error.to_string().starts_with("--out writes to a regular file"), "{name}");
        }
    }
}
