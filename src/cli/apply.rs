//! `wgfleet apply`: make the hosts what the file says.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::fleet::{Fleet, count};
use super::interrupt::unless_interrupted;
use super::lock::FleetLock;
use super::plan::DetailArgs;
use super::records::RecordArgs;
use super::survey::{BinariesArgs, LimitArgs, LoginArgs, Scope, Survey};
use super::{CommandError, CommandResult, Exit, Format, Global, runtime};
use crate::apply::{Job, Outcome, apply_all};
use crate::event::Event;
use crate::model::HostName;
use crate::plan::{
    Change, HostPlan, HostState, Plan, SecretState, leave_out, moved, record, resolve,
};

/// Make the hosts what the file says, with the smallest operations.
///
/// Each host stages its change, arms a timer, makes the change, and keeps it only once a new
/// connection has confirmed it; otherwise it rolls back by itself. Sessions that do not change stay
/// up. A host that is blocked or down is left out (exit 7); the others change.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  wgfleet apply
  wgfleet apply --yes                # in CI
  wgfleet apply --yes fleet.plan     # that plan, or nothing (exit 6)
  wgfleet apply --limit paris-gw")]
pub(super) struct ApplyArgs {
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

    /// A plan saved by `wgfleet plan --out`: refused where anything has moved since
    #[arg(value_name = "PLAN")]
    plan: Option<PathBuf>,

    /// Do not ask
    #[arg(short, long)]
    yes: bool,

    /// Seconds after which a host takes an unconfirmed change back
    #[arg(long, default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(5..=3600))]
    deadline: u64,
}

impl ApplyArgs {
    pub(super) fn run(self, global: &Global) -> CommandResult {
        can_ask(self.yes)?;
        let _lock = FleetLock::take(global)?;
        let fleet = Fleet::load(global)?;
        let hint = format!(
            "run `wgfleet apply` again to go on, in {} s where a change was armed",
            self.deadline
        );
        runtime()?.block_on(unless_interrupted(self.apply(global, &fleet), &hint))
    }

    async fn apply(&self, global: &Global, fleet: &Fleet) -> CommandResult {
        // Before anybody logs in anywhere.
        let saved = self.plan.as_ref().map(|path| super::plan::read(path)).transpose()?;
        if let Some((path, saved)) = self.plan.as_ref().zip(saved.as_ref()) {
            refuse_without_secrets(path, saved)?;
        }
        let scope = Scope::new(self.login, &self.limit, &self.binaries, &self.records);
        let mut survey = Survey::take(global, scope, fleet, None).await?;
        let mut plan = survey.whole_plan(global, fleet)?;
        if let Some((path, saved)) = self.plan.as_ref().zip(saved.as_ref()) {
            fresh(path, saved, &plan)?;
        }
        let blocked = survey.blocked(&plan);
        if let Some(saved) = &saved {
            leave_out(saved, &mut plan);
        }
        // A saved plan was reviewed, and nothing is done that is not in it.
        let reviewed = self.yes && self.plan.is_some();
        if global.format == Format::Human && !reviewed {
            super::plan::show(global, &plan, self.detail)?;
        }
        let changing = plan.hosts.iter().filter(|host| host.can_apply()).count();
        // A host that is blocked stops nobody else: it is left out, and the exit code says so.
        if changing == 0
            && let Some(exit) = blocked
        {
            survey.close().await;
            if global.format == Format::Json {
                show_json(&plan, &[])?;
            }
            let hint = match exit {
                Exit::Locked => "they are free again in at most the --deadline of that run",
                _ => "the plan says what each of them needs",
            };
            return Err(CommandError::message(exit, "some hosts are blocked; nothing was touched")
                .hint(hint));
        }
        if changing > 0
            && let Err(older) = self.records.refuse_older(&plan)
        {
            survey.close().await;
            if global.format == Format::Json {
                show_json(&plan, &[])?;
            }
            return Err(older);
        }
        if changing > 0 && !self.yes && global.format == Format::Json {
            let text = crate::report::plan::human(&plan, self.detail.detail());
            anstream::eprint!("{text}");
        }
        if changing > 0 && !self.yes && !ask(changing).await? {
            survey.close().await;
            if global.format == Format::Json {
                show_json(&plan, &[])?;
            }
            anstream::eprintln!("cancelled; no host was changed");
            return Ok(Exit::Done);
        }
        if changing > 0 {
            survey.begin(global, fleet)?;
        }
        let deadline = Duration::from_secs(self.deadline);
        let outcomes = carry_out(survey, &plan, deadline, self.login.parallel).await?;
        if global.format == Format::Json {
            show_json(&plan, &outcomes)?;
        } else if !global.quiet {
            summarise(&outcomes);
        }
        Ok(exit(&outcomes))
    }
}

/// Shows a plan and how it ended, as one JSON object.
fn show_json(plan: &Plan, outcomes: &[(HostName, Outcome)]) -> Result<(), CommandError> {
    let hosts: Vec<_> = outcomes
        .iter()
        .map(|(host, outcome)| {
            let (word, reason) = words(outcome);
            json!({ "host": host, "outcome": word, "reason": reason })
        })
        .collect();
    let text = format!("{}\n", json!({ "plan": plan, "outcomes": hosts }));
    super::write_stdout(text.as_bytes())
}

/// Most lines that say what moved since a plan was saved.
const TOLD: usize = 8;

/// Refuses a plan that was made without the vault's identity: it does not say which keys it would
/// write, so nobody has reviewed what would be done.
fn refuse_without_secrets(path: &std::path::Path, saved: &Plan) -> Result<(), CommandError> {
    if saved.secrets == SecretState::Compared {
        return Ok(());
    }
    let message = format!(
        "{} was made without the identity that opens the vault: secrets are not compared in it, so it \
         cannot be carried out; no host was changed",
        path.display()
    );
    Err(CommandError::message(Exit::Usage, message).hint(
        "run `wgfleet plan --out FILE` where the identity is (--identity, WGFLEET_IDENTITY or \
         WGFLEET_IDENTITY_KEY), and review that plan",
    ))
}

/// Refuses a saved plan that is not the plan of now, and says what moved; one that is carried out
/// already has nothing more to do.
fn fresh(path: &std::path::Path, saved: &Plan, plan: &Plan) -> Result<(), CommandError> {
    let moved = moved(saved, plan);
    if moved.is_empty() {
        return Ok(());
    }
    let mut lines: Vec<String> = moved.iter().take(TOLD).cloned().collect();
    if moved.len() > TOLD {
        lines.push(format!("and {} more", moved.len() - TOLD));
    }
    Err(CommandError::message(
        Exit::Stale,
        format!(
            "{} is not what would be done now; no host was changed\n  {}",
            path.display(),
            lines.join("\n  ")
        ),
    )
    .hint("run `wgfleet plan --out` again and review it"))
}

/// Refuses to wait for an answer that nobody can give.
pub(super) fn can_ask(yes: bool) -> Result<(), CommandError> {
    if yes || std::io::stdin().is_terminal() {
        return Ok(());
    }
    Err(CommandError::message(Exit::Usage, "cannot ask for confirmation: stdin is not a terminal")
        .hint("add --yes"))
}

/// Asks on the terminal, and can be interrupted.
pub(super) async fn ask(changing: usize) -> Result<bool, CommandError> {
    anstream::eprint!("Change {}? [y/N] ", count(changing, "host"));
    std::io::stderr().flush()?;
    let (tell, told) = tokio::sync::oneshot::channel();
    // No blocking task of the runtime, which waits for those when it ends.
    std::thread::spawn(move || {
        let mut answer = String::new();
        let read = std::io::stdin().lock().read_line(&mut answer);
        let _ = tell.send(read.map(|_| answer));
    });
    let answer =
        told.await.map_err(|_| CommandError::message(Exit::Failed, "nobody answered"))??;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Carries out a plan that was just made; gives the outcome of every host of it.
pub(super) async fn carry_out(
    mut survey: Survey,
    plan: &Plan,
    deadline: Duration,
    parallel: usize,
) -> Result<Vec<(HostName, Outcome)>, CommandError> {
    let mut outcomes = Vec::new();
    let mut hosts = BTreeMap::new();
    let mut observed = BTreeMap::new();
    for (name, (seen, host)) in std::mem::take(&mut survey.seen) {
        hosts.insert(name.clone(), host);
        observed.insert(name, seen);
    }
    let agents = Arc::new(read_agents(&survey, plan)?);
    let mut jobs = Vec::new();
    for host_plan in &plan.hosts {
        let name = &host_plan.host;
        match &host_plan.state {
            HostState::Unreadable(reason) | HostState::Blocked(reason) => {
                // Why a host cannot be read was said when that was tried.
                if matches!(host_plan.state, HostState::Blocked(_)) {
                    let reason = format!("skipped: {reason}");
                    survey.sink.event(Event::Failed { host: name.clone(), reason });
                }
                outcomes.push((name.clone(), Outcome::Skipped(reason.clone())));
                continue;
            }
            HostState::Ready if host_plan.changes.is_empty() => {
                outcomes.push((name.clone(), Outcome::Unchanged));
                continue;
            }
            HostState::Ready => {}
        }
        let Some(job) = job(&survey, &observed, host_plan, &agents)? else { continue };
        let Some(host) = hosts.remove(name) else { continue };
        jobs.push((job, host));
    }
    futures_util::future::join_all(hosts.into_values().map(crate::remote::Host::close)).await;
    if !jobs.is_empty() {
        let (connector, secrets, sink) = (&survey.connector, &survey.secrets, &survey.sink);
        outcomes.extend(apply_all(connector, jobs, secrets, deadline, parallel, sink).await);
    }
    let place = |name: &HostName| plan.hosts.iter().position(|host| host.host == *name);
    outcomes.sort_by_key(|(name, _)| place(name));
    Ok(outcomes)
}

/// One host's share of a plan; `None` where the survey did not bring what it needs.
pub(super) fn job<'a>(
    survey: &'a Survey,
    observed: &'a BTreeMap<HostName, crate::observed::ObservedHost>,
    plan: &'a HostPlan,
    agents: &Arc<BTreeMap<String, Vec<u8>>>,
) -> Result<Option<Job<'a>>, CommandError> {
    let name = &plan.host;
    let desired = survey.state.hosts.iter().find(|host| host.name == *name);
    let parts = (desired, survey.rendered.get(name), observed.get(name), survey.looks.get(name));
    let (Some(desired), Some(rendered), Some(observed), Some(look)) = parts else {
        return Ok(None);
    };
    let id = change_id()?;
    let target = resolve(desired, rendered, observed);
    let (fleet, made) = (&survey.state.fleet, &survey.provenance);
    let before = (survey.records.kept(name), &plan.changes[..]);
    Ok(Some(Job {
        record: record(fleet, &target, rendered, observed, made, id.clone(), before),
        id,
        plan,
        target,
        rendered,
        observed,
        look: look.clone(),
        agents: Arc::clone(agents),
    }))
}

/// The binaries that a plan pushes, by machine; none are read where it pushes none.
pub(super) fn read_agents(
    survey: &Survey,
    plan: &Plan,
) -> Result<BTreeMap<String, Vec<u8>>, CommandError> {
    let changes = plan.hosts.iter().flat_map(|host| &host.changes);
    let machines: BTreeSet<&String> = changes
        .filter_map(|change| match change {
            Change::PushAgent { machine, .. } => Some(machine),
            _ => None,
        })
        .collect();
    machines
        .into_iter()
        .filter_map(|machine| Some((machine, survey.binaries.get(machine)?)))
        .map(|(machine, path)| {
            let bytes = crate::sys::read_limited(path, super::survey::BINARY_LIMIT)
                .map_err(|error| CommandError::new(Exit::Failed, &error))?;
            Ok((machine.clone(), bytes))
        })
        .collect()
}

/// A name for a change on a host.
pub(super) fn change_id() -> Result<String, CommandError> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes)
        .map_err(|error| CommandError::message(Exit::Failed, error.to_string()))?;
    Ok(format!("c{:016x}", u64::from_le_bytes(bytes)))
}

pub(super) fn words(outcome: &Outcome) -> (&'static str, Option<&str>) {
    match outcome {
        Outcome::Unchanged => ("unchanged", None),
        Outcome::Applied => ("applied", None),
        Outcome::NotForNextBoot(what) => ("applied-not-for-next-boot", Some(what)),
        Outcome::Moved(what) => ("moved", Some(what)),
        Outcome::Skipped(reason) => ("skipped", Some(reason)),
        Outcome::Failed(reason) => ("failed", Some(reason)),
        Outcome::RolledBack(reason) => ("rolled-back", Some(reason)),
        Outcome::Unknown(reason) => ("unknown", Some(reason)),
    }
}

pub(super) fn summarise(outcomes: &[(HostName, Outcome)]) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, outcome) in outcomes {
        *counts.entry(words(outcome).0).or_default() += 1;
    }
    let counts: Vec<String> =
        counts.iter().map(|(word, number)| format!("{number} {word}")).collect();
    anstream::eprintln!("Apply: {}.", counts.join(", "));
}

/// The worst outcome decides: unknown, then partly failed, then rolled back, then moved.
pub(super) fn exit(outcomes: &[(HostName, Outcome)]) -> Exit {
    let of = |outcome: &Outcome| match outcome {
        Outcome::Unchanged | Outcome::Applied => Exit::Done,
        Outcome::Moved(_) => Exit::Stale,
        Outcome::RolledBack(_) => Exit::RolledBack,
        Outcome::Failed(_) | Outcome::Skipped(_) | Outcome::NotForNextBoot(_) => Exit::Partial,
        Outcome::Unknown(_) => Exit::Unknown,
    };
    let worst = [Exit::Unknown, Exit::Partial, Exit::RolledBack, Exit::Stale];
    worst
        .into_iter()
        .find(|exit| outcomes.iter().any(|(_, outcome)| of(outcome) == *exit))
        .unwrap_or(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_outcome_decides() {
        let host: HostName = "b7".parse().unwrap();
        let of = |outcomes: &[Outcome]| {
            exit(&outcomes.iter().map(|one| (host.clone(), one.clone())).collect::<Vec<_>>())
        };
        let why = String::new;
        let (moved, back) = (Outcome::Moved(why()), Outcome::RolledBack(why()));
        assert_eq!(of(&[Outcome::Applied, Outcome::Unchanged]), Exit::Done);
        assert_eq!(of(&[Outcome::Applied, moved.clone()]), Exit::Stale);
        assert_eq!(of(&[moved, back.clone()]), Exit::RolledBack);
        assert_eq!(of(&[back.clone(), Outcome::NotForNextBoot(why())]), Exit::Partial);
        assert_eq!(of(&[back.clone(), Outcome::Skipped(why())]), Exit::Partial);
        assert_eq!(of(&[back, Outcome::Unknown(why()), Outcome::Failed(why())]), Exit::Unknown);
    }
}
