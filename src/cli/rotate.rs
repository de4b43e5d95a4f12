//! `wgfleet rotate`: new keys without lost traffic.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;

use super::apply::{ask, can_ask, exit};
use super::fleet::{Fleet, count};
use super::interrupt::{before_anything, unless_interrupted};
use super::lock::FleetLock;
use super::plan::DetailArgs;
use super::records::RecordArgs;
use super::rotated::{Story, has_moved};
use super::survey::{BinariesArgs, LoginArgs, tell_torn};
use super::turn::Turns;
use super::{CommandError, CommandResult, Exit, Format, Global, runtime};
use crate::model::HostName;
use crate::plan::Plan;
use crate::sys::{Clock as _, SystemClock};
use crate::topology::NodeKind;
use crate::vault::{KeyState, Vault};

/// Give hosts new keys, one host after the other, without dropping traffic.
///
/// The new key goes into the vault first; the old one is kept until the new one has shaken hands
/// with every neighbour that the old one was talking to. Interrupted at any point, a second run
/// finishes; until then `wgfleet apply` leaves each host the key that it has.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  wgfleet rotate b7
  wgfleet rotate --older-than 90 --yes
  wgfleet rotate --all")]
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
    #[arg(value_name = "HOST", required_unless_present_any = ["all", "older_than"])]
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

    /// Seconds after which a host takes an unconfirmed change back
    #[arg(long, default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(30..=3600))]
    deadline: u64,
}

impl RotateArgs {
    pub(super) fn run(self, global: &Global) -> CommandResult {
        can_ask(self.yes)?;
        let _lock = FleetLock::take(global)?;
        let fleet = Fleet::load(global)?;
        let mut vault = super::vault::open_to_write(&super::vault::folder(&global.file))?;
        let names = self.names(global, &fleet, &vault)?;
        let mut story = Story::default();
        let result = self.rotate(global, &fleet, &mut vault, &names, &mut story);
        story.show(global)?;
        result
    }

    /// The hosts to rotate, in order of the file.
    fn names(
        &self,
        global: &Global,
        fleet: &Fleet,
        vault: &Vault,
    ) -> Result<Vec<HostName>, CommandError> {
        let hosts = || fleet.inventory().hosts.iter().map(|host| host.name.value.clone());
        let index = vault.index();
        if self.all {
            let all: Vec<HostName> = hosts().collect();
            let left = left_over(vault, &all);
            if left.len() < all.len() && !global.quiet {
                anstream::eprintln!(
                    "resuming an interrupted rotation: {} left, {} done; to rotate all hosts anew, \
                     run the same command once more afterwards",
                    count(left.len(), "host"),
                    all.len() - left.len(),
                );
            }
            return Ok(left);
        }
        if let Some(days) = self.older_than {
            let old = index.older_than(days, SystemClock.now());
            return Ok(hosts()
                .filter(|name| old.contains(name) || index.next(name).is_some())
                .collect());
        }
        for name in &self.hosts {
            if !hosts().any(|host| host == *name) {
                return Err(CommandError::message(
                    Exit::Usage,
                    format!("{name} is no managed host of this inventory"),
                )
                .hint("keys of unmanaged peers change in the file, or with `wgfleet vault`"));
            }
        }
        Ok(hosts().filter(|name| self.hosts.contains(name)).collect())
    }

    fn rotate(
        &self,
        global: &Global,
        fleet: &Fleet,
        vault: &mut Vault,
        names: &[HostName],
        story: &mut Story,
    ) -> CommandResult {
        if names.is_empty() {
            if !global.quiet {
                anstream::eprintln!("No key is that old: nothing to do.");
            }
            return Ok(Exit::Done);
        }
        // Whoever does not have the passphrase makes no keys.
        let identities = super::vault::identities(global, vault)?;
        forget_proven(vault)?;
        tell_torn(global, fleet, vault, names);
        let turns = Turns {
            global,
            fleet,
            login: self.login,
            binaries: self.binaries.binaries.as_deref(),
            identities: &identities,
            records: &self.records,
            allow_unreachable: self.allow_unreachable,
            deadline: Duration::from_secs(self.deadline),
        };
        let runtime = runtime()?;
        let before = vault.index().clone();
        let begun = vault.begin_rotation(names, &identities, SystemClock.now())?;
        super::vault::tell_upgrade(global, &before, vault);
        if let Err(error) = runtime.block_on(before_anything(self.begin(turns, vault, names))) {
            // Nothing was touched: the keys that this run made are not needed.
            vault.cancel_rotation(&begun)?;
            return Err(error);
        }
        runtime.block_on(unless_interrupted(
            take_turns(turns, vault, names, story),
            "run the same command again to finish",
        ))
    }

    /// Everything before the first host is touched.
    async fn begin(
        &self,
        turns: Turns<'_>,
        vault: &Vault,
        names: &[HostName],
    ) -> Result<(), CommandError> {
        let mut survey = turns.settled(vault, names).await?;
        let plan = survey.plan()?;
        let reviewed = self.review(turns.global, turns.fleet, names, &plan).await;
        let begun = reviewed.and_then(|()| survey.begin(turns.global, turns.fleet));
        survey.close().await;
        begun
    }

    /// Shows the plan and asks.
    async fn review(
        &self,
        global: &Global,
        fleet: &Fleet,
        names: &[HostName],
        plan: &Plan,
    ) -> Result<(), CommandError> {
        if global.format == Format::Human {
            super::plan::show(global, plan, self.detail)?;
        }
        let strangers = strangers(fleet, names);
        if !strangers.is_empty() {
            let list: Vec<&str> = strangers.iter().map(HostName::as_str).collect();
            anstream::eprintln!(
                "unmanaged peers must be given the new public keys by hand: {}",
                list.join(", ")
            );
        }
        let down: Vec<&str> = plan
            .unreadable()
            .filter(|(host, _)| names.contains(host))
            .map(|(host, _)| host.as_str())
            .collect();
        if !down.is_empty() {
            return Err(CommandError::message(
                Exit::Unreadable,
                format!("{} cannot be given a new key; nothing was touched", down.join(", ")),
            )
            .hint("bring them up, or name the hosts to rotate without them"));
        }
        let unreadable: Vec<String> = plan.unreadable().map(|(host, _)| host.to_string()).collect();
        if !unreadable.is_empty() && !self.allow_unreachable {
            return Err(CommandError::message(
                Exit::Unreadable,
                format!("{} would lose the session; nothing was touched", unreadable.join(", ")),
            )
            .hint("bring them up, or add --allow-unreachable and run `wgfleet apply` later"));
        }
        if plan.blocked().next().is_some() {
            return Err(CommandError::message(
                Exit::Findings,
                "some hosts are blocked; nothing was touched",
            ));
        }
        self.records.refuse_older(plan)?;
        if !self.yes && !ask(names.len()).await? {
            return Err(CommandError::message(Exit::Done, "cancelled; no host was changed"));
        }
        Ok(())
    }
}

/// One turn after the other, until one fails.
async fn take_turns(
    turns: Turns<'_>,
    vault: &mut Vault,
    names: &[HostName],
    story: &mut Story,
) -> CommandResult {
    for name in names {
        story.begin(name);
        let mut outcomes = turns.turn(vault, name).await?;
        story.turn(name, &outcomes);
        if exit(&outcomes) != Exit::Done && has_moved(name, &outcomes) {
            // There is no way back for the host: whoever did not follow is told once more.
            outcomes = turns.turn(vault, name).await?;
            story.turn(name, &outcomes);
        }
        let ended = exit(&outcomes);
        if ended != Exit::Done {
            story.failed(turns.global, name);
            return Ok(ended);
        }
        vault.promote([name])?;
        vault.retire([name])?;
        story.proven(turns.global, name);
    }
    Ok(Exit::Done)
}

/// Forgets the keys whose successors a run has proven, where it had no time to forget them.
fn forget_proven(vault: &mut Vault) -> Result<(), CommandError> {
    let index = vault.index();
    let proven: Vec<HostName> = index
        .names()
        .filter(|name| index.next(name).is_none())
        .filter(|name| index.generation(name, KeyState::Retired).is_some())
        .cloned()
        .collect();
    if !proven.is_empty() {
        vault.retire(&proven)?;
    }
    Ok(())
}

/// The hosts that a rotation of all has left over: those whose turn has not come since the first of
/// the keys that wait was made; all where none waits.
fn left_over(vault: &Vault, all: &[HostName]) -> Vec<HostName> {
    let index = vault.index();
    let made = |name: &HostName, state| index.generation(name, state).map(|one| one.created);
    let Some(begun) = all.iter().filter_map(|name| made(name, KeyState::Next)).min() else {
        return all.to_vec();
    };
    all.iter()
        .filter(|name| {
            index.next(name).is_some()
                || made(name, KeyState::Current).is_none_or(|made| made < begun)
        })
        .cloned()
        .collect()
}

/// The unmanaged peers of the hosts: nobody logs in there to change the key that they know.
fn strangers(fleet: &Fleet, names: &[HostName]) -> BTreeSet<HostName> {
    let topology = &fleet.topology;
    let rotated = topology.nodes.iter().filter(|node| names.contains(&node.name));
    rotated
        .flat_map(|node| &node.interfaces)
        .flat_map(|id| &topology.interface(*id).peers)
        .map(|peer| topology.remote(peer))
        .filter(|node| matches!(node.kind, NodeKind::Unmanaged(_)))
        .map(|node| node.name.clone())
        .collect()
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
