//! `wgfleet rotate`: new keys without lost traffic.

use std::time::Duration;

use clap::Args;

use super::apply::exit;
use super::asking::{ask, can_ask};
use super::interrupt::{before_anything, stoppable};
use super::login::{BinariesArgs, LoginArgs, RecordArgs};
use super::plan::DetailArgs;
use super::{
    CommandError, CommandResult, Context, Exit, Format, FormatArgs, completions, rotated, runtime,
};
use crate::fleet::{
    Campaign, Fleet, FleetLock, Ledger, Run, Terms, Which, refuse_unfinished, to_rotate,
};
use crate::model::HostName;
use crate::sys::{Clock as _, SystemClock};
use crate::vault::Vault;

/// Give hosts new keys, one host after the other, without dropping traffic.
///
/// The new key goes into the vault first; the old one is kept until the new one has shaken hands
/// with every neighbour that the old one was talking to. Interrupted at any point, a second run
/// finishes; until then `wgfleet apply` leaves each host the key that it has.
#[derive(Debug, Args)]
#[command(
    override_usage = "wgfleet rotate [OPTIONS] <HOST>...
       wgfleet rotate [OPTIONS] --all
       wgfleet rotate [OPTIONS] --older-than <DAYS>",
    after_help = "Examples:
  wgfleet rotate b7
  wgfleet rotate --older-than 90 --yes
  wgfleet rotate --all"
)]
pub(super) struct RotateArgs {
    #[command(flatten)]
    login: LoginArgs,

    #[command(flatten)]
    binaries: BinariesArgs,

    #[command(flatten)]
    detail: DetailArgs,

    #[command(flatten)]
    records: RecordArgs,

    /// The hosts
    #[arg(
        value_name = "HOST",
        required_unless_present_any = ["all", "older_than"],
        add = completions::hosts()
    )]
    hosts: Vec<HostName>,

    /// All managed hosts
    #[arg(long, conflicts_with_all = ["hosts", "older_than"])]
    all: bool,

    /// Hosts whose key is older than this
    #[arg(long, value_name = "DAYS", conflicts_with = "hosts")]
    older_than: Option<i64>,

    /// Go on although a neighbour cannot be read; it loses the host until `wgfleet apply` reaches it
    #[arg(long)]
    allow_unreachable: bool,

    /// Do not ask
    #[arg(short, long)]
    yes: bool,

    /// Seconds after which a host rolls back an unconfirmed change
    #[arg(long, default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(30..=3600))]
    deadline: u64,

    #[command(flatten)]
    pub(super) format: FormatArgs,
}

impl RotateArgs {
    pub(super) fn run(self, context: &Context) -> CommandResult {
        can_ask(self.yes)?;
        let _lock = FleetLock::take(context.fleet.folder())?;
        let fleet = context.load()?;
        refuse_unfinished(&context.fleet, &fleet)?;
        let mut vault = context.fleet.vault_to_write()?;
        let which = match self.older_than {
            _ if self.all => Which::All,
            Some(days) => Which::OlderThan(days),
            None => Which::Named(&self.hosts),
        };
        let names = to_rotate(&context.fleet, &fleet, &vault, which, SystemClock.now())?;
        let mut ledger = Ledger::default();
        let result = if names.is_empty() {
            context.say("No key is that old: nothing to do.");
            Ok(Exit::Done)
        } else {
            self.rotate(context, &fleet, &mut vault, names, &mut ledger)
        };
        rotated::show(context, &ledger)?;
        result
    }

    fn rotate(
        &self,
        context: &Context,
        fleet: &Fleet,
        vault: &mut Vault,
        names: Vec<HostName>,
        ledger: &mut Ledger,
    ) -> CommandResult {
        let overrides = self.records.overrides();
        let login = self.login.login(context, fleet)?;
        let terms = Terms {
            login: &login,
            binaries: self.binaries.folder(),
            overrides: &overrides,
            allow_unreachable: self.allow_unreachable,
            deadline: Duration::from_secs(self.deadline),
        };
        let runtime = runtime()?;
        let now = SystemClock.now();
        let mut campaign = Campaign::begin(&context.fleet, fleet, vault, terms, names, now)?;
        let run = match runtime.block_on(before_anything(self.review(context, &campaign))) {
            Ok(run) => run,
            Err(error) => {
                campaign.cancel()?;
                return Err(error);
            }
        };
        let turns = async {
            let failed = Box::pin(campaign.take_turns(&run, ledger)).await?;
            if !failed.is_empty() {
                rotated::tell_failure(context, ledger);
            }
            Ok(match exit(&failed) {
                Exit::Locked if !ledger.rotated.is_empty() => Exit::Partial,
                exit => exit,
            })
        };
        let hint = "run the same command again to finish";
        runtime.block_on(stoppable(turns, &context.fleet.stop, hint))
    }

    /// Shows what is to be done, asks, and begins.
    async fn review(
        &self,
        context: &Context,
        campaign: &Campaign<'_>,
    ) -> Result<Run, CommandError> {
        let (mut survey, plan) = campaign.survey().await?;
        let reviewed = async {
            if context.format == Format::Human {
                super::plan::show(context, &plan, self.detail)?;
            }
            campaign.may_begin(&plan)?;
            if !self.yes && !ask(campaign.hosts()).await? {
                return Err(CommandError::message(Exit::Done, "cancelled; no host was changed"));
            }
            Ok(campaign.start(&mut survey)?)
        };
        let reviewed = reviewed.await;
        survey.close().await;
        reviewed
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: RotateArgs,
    }

    #[test]
    fn a_limit_that_a_rotation_would_not_heed_is_refused() {
        let parse = |args: &[&str]| Line::try_parse_from([&["rotate"], args].concat());
        assert!(parse(&["--all", "--limit", "b7"]).is_err());
        let line = parse(&["b7", "--parallel", "3", "--binaries", "x"]).unwrap();
        assert_eq!((line.args.login.parallel, line.args.hosts.len()), (3, 1));
    }
}
