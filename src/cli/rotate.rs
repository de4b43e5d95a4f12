//! `wgfleet rotate`: new keys without lost traffic.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::apply::{ask, can_ask, exit, job, read_agents, summarise};
use super::fleet::{Fleet, VaultKeys};
use super::interrupt::unless_interrupted;
use super::lock::FleetLock;
use super::survey::{Survey, SurveyArgs};
use super::{CommandError, CommandResult, Exit, Format, Global, runtime};
use crate::apply::{Outcome, Rotation, rotate};
use crate::desired::PublicKeys;
use crate::model::{HostName, PublicKey};
use crate::plan::{HostState, Plan};
use crate::sys::{Clock as _, SystemClock};
use crate::topology::NodeKind;
use crate::vault::Vault;

/// How often hosts are looked at while they take an unconfirmed change back.
const POLL: Duration = Duration::from_secs(2);

/// Seconds beyond its deadline that a host may take for the way back.
const SLACK: u64 = 20;

/// Give hosts new keys, one host after the other, without dropping traffic.
///
/// The new key goes into the vault first; the old one is kept until the new one has shaken hands
/// with every neighbour that the old one was talking to. Interrupted at any point, a second run
/// finishes; `wgfleet apply` would finish it too.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  wgfleet rotate b7
  wgfleet rotate --older-than 90 --yes
  wgfleet rotate --all")]
pub(super) struct RotateArgs {
    #[command(flatten)]
    survey: SurveyArgs,

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

/// Public keys in the middle of a rotation: those whose turn has not come keep the old key.
struct TurnKeys<'a> {
    vault: &'a Vault,
    waiting: &'a BTreeSet<HostName>,
}

impl PublicKeys for TurnKeys<'_> {
    fn of(&self, name: &HostName) -> Option<PublicKey> {
        let index = self.vault.index();
        let next = index.next(name).filter(|_| !self.waiting.contains(name));
        next.or_else(|| index.current(name))
    }

    fn psk_epoch(&self) -> Option<u32> {
        self.vault.index().epoch()
    }
}

impl RotateArgs {
    pub(super) fn run(self, global: &Global) -> CommandResult {
        can_ask(self.yes)?;
        let _lock = FleetLock::take(global)?;
        let fleet = Fleet::load(global)?;
        let mut vault = Vault::open(&super::vault::folder(&global.file))?;
        let names = self.names(&fleet, &vault)?;
        if names.is_empty() {
            if !global.quiet {
                anstream::eprintln!("No key is that old: nothing to do.");
            }
            return Ok(Exit::Done);
        }
        runtime()?.block_on(unless_interrupted(
            self.rotate(global, &fleet, &mut vault, &names),
            "run the same command again to finish",
        ))
    }

    /// The hosts to rotate, in order of the file.
    fn names(&self, fleet: &Fleet, vault: &Vault) -> Result<Vec<HostName>, CommandError> {
        let hosts = || fleet.inventory().hosts.iter().map(|host| host.name.value.clone());
        let index = vault.index();
        if self.all {
            return Ok(hosts().collect());
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

    async fn rotate(
        &self,
        global: &Global,
        fleet: &Fleet,
        vault: &mut Vault,
        names: &[HostName],
    ) -> CommandResult {
        let begun = vault.begin_rotation(names, SystemClock.now())?;
        let survey = self.settled(global, fleet, vault, names).await;
        let review = match survey {
            Ok(survey) => {
                let plan = survey.plan();
                survey.close().await;
                self.review(global, fleet, names, &plan)
            }
            Err(error) => Err(error),
        };
        if let Err(error) = review {
            // Nothing was touched: the keys that this run made are not needed.
            vault.cancel_rotation(&begun)?;
            return Err(error);
        }
        let mut waiting: BTreeSet<HostName> = names.iter().cloned().collect();
        let mut worst = Vec::new();
        for name in names {
            waiting.remove(name);
            let outcomes = self.turn(global, fleet, vault, &waiting, name).await?;
            let ended = exit(&outcomes);
            worst.extend(outcomes);
            if ended != Exit::Done {
                if !global.quiet {
                    summarise(&worst);
                    anstream::eprintln!("{name} keeps its old key; run the same command to go on");
                }
                return Ok(ended);
            }
            vault.promote([name])?;
            vault.retire([name])?;
            if !global.quiet {
                anstream::eprintln!("{name}: the new key is proven, the old one is retired");
            }
        }
        if global.format == Format::Json {
            let text = format!("{}\n", serde_json::json!({ "rotated": names }));
            super::write_stdout(text.as_bytes())?;
        }
        Ok(exit(&worst))
    }

    /// Shows the plan and asks.
    fn review(
        &self,
        global: &Global,
        fleet: &Fleet,
        names: &[HostName],
        plan: &Plan,
    ) -> Result<(), CommandError> {
        if global.format == Format::Human {
            super::plan::show(global, plan)?;
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
        if !self.yes && !ask(names.len())? {
            return Err(CommandError::message(Exit::Done, "nothing was touched"));
        }
        Ok(())
    }

    /// All hosts, once those that a cut-short run has left armed have gone back by themselves.
    async fn settled(
        &self,
        global: &Global,
        fleet: &Fleet,
        vault: &Vault,
        names: &[HostName],
    ) -> Result<Survey, CommandError> {
        let mut told = BTreeSet::new();
        let rounds = (self.deadline + SLACK).div_ceil(POLL.as_secs());
        for _ in 0..rounds {
            let survey = self.survey(global, fleet, vault, &BTreeSet::new(), names).await?;
            let armed: BTreeSet<HostName> = survey
                .seen
                .iter()
                .filter(|(_, (seen, _))| seen.armed.is_some())
                .map(|(name, _)| name.clone())
                .collect();
            if armed.is_empty() {
                return Ok(survey);
            }
            survey.close().await;
            for name in armed {
                if !global.quiet && !told.contains(&name) {
                    anstream::eprintln!(
                        "{name}: waiting until it has taken an unconfirmed change back"
                    );
                }
                told.insert(name);
            }
            tokio::time::sleep(POLL).await;
        }
        self.survey(global, fleet, vault, &BTreeSet::new(), names).await
    }

    async fn survey(
        &self,
        global: &Global,
        fleet: &Fleet,
        vault: &Vault,
        waiting: &BTreeSet<HostName>,
        names: &[HostName],
    ) -> Result<Survey, CommandError> {
        let mut args = self.survey.clone();
        args.limit = involved(fleet, names);
        let keys = TurnKeys { vault, waiting };
        Survey::take(global, &args, fleet, Some(&keys)).await
    }

    /// One host's turn.
    async fn turn(
        &self,
        global: &Global,
        fleet: &Fleet,
        vault: &Vault,
        waiting: &BTreeSet<HostName>,
        name: &HostName,
    ) -> Result<Vec<(HostName, Outcome)>, CommandError> {
        let mut survey =
            self.survey(global, fleet, vault, waiting, std::slice::from_ref(name)).await?;
        let keys = VaultKeys { vault };
        let Some(new) = keys.of(name) else { return Ok(Vec::new()) };
        let old = vault.index().current(name).filter(|old| *old != new);
        let plan = survey.plan();
        // Since the review a host may have gone, or somebody may have armed another change.
        let missing = plan.hosts.iter().find_map(|other| match &other.state {
            HostState::Unreadable(reason) if other.host == *name || !self.allow_unreachable => {
                Some((other.host.clone(), Outcome::Skipped(reason.clone())))
            }
            HostState::Blocked(reason) => {
                Some((other.host.clone(), Outcome::Skipped(reason.clone())))
            }
            HostState::Unreadable(_) | HostState::Ready => None,
        });
        if let Some(missing) = missing {
            survey.close().await;
            return Ok(vec![missing]);
        }
        let agents = Arc::new(read_agents(&survey, &plan)?);
        let seen = std::mem::take(&mut survey.seen);
        let (mut observed, mut hosts) = (BTreeMap::new(), BTreeMap::new());
        for (name, (seen, host)) in seen {
            observed.insert(name.clone(), seen);
            hosts.insert(name, host);
        }
        let mut rotation = Rotation { host: None, neighbours: Vec::new(), old, new };
        let mut outcomes = Vec::new();
        for host_plan in &plan.hosts {
            let Some(connection) = hosts.remove(&host_plan.host) else { continue };
            if host_plan.changes.is_empty() {
                connection.close().await;
                outcomes.push((host_plan.host.clone(), Outcome::Unchanged));
                continue;
            }
            let Some(job) = job(&survey, &observed, host_plan, &agents)? else { continue };
            if host_plan.host == *name {
                rotation.host = Some((job, connection));
            } else {
                rotation.neighbours.push((job, connection));
            }
        }
        let deadline = Duration::from_secs(self.deadline);
        let (connector, secrets, sink) = (&survey.connector, &survey.secrets, &survey.sink);
        outcomes.extend(rotate(connector, rotation, secrets, deadline, sink).await);
        Ok(outcomes)
    }
}

/// The hosts and all their managed neighbours.
fn involved(fleet: &Fleet, names: &[HostName]) -> Vec<HostName> {
    let topology = &fleet.topology;
    let mut all: BTreeSet<HostName> = names.iter().cloned().collect();
    for node in topology.nodes.iter().filter(|node| names.contains(&node.name)) {
        for id in &node.interfaces {
            for peer in &topology.interface(*id).peers {
                let remote = topology.remote(peer);
                if matches!(remote.kind, NodeKind::Host(_)) {
                    all.insert(remote.name.clone());
                }
            }
        }
    }
    all.into_iter().collect()
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
