//! `wgfleet apply`: make the hosts what the file says.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::asking::{Terminal, ask, can_ask, can_ask_between};
use super::guard::{GuardArgs, UnreachableArgs};
use super::interrupt::stoppable;
use super::login::{BinariesArgs, LimitArgs, LoginArgs, RecordArgs, scope};
use super::plan::DetailArgs;
use super::saved::SavedPlan;
use super::{CommandError, CommandResult, Context, Exit, Format, FormatArgs, runtime};
use crate::event::{Ending, Outcome, Reason};
use crate::fleet::{
    Course, Fleet, FleetLock, Overrides, Pace, Survey, carry_out, finish, refuse_unfinished,
    unfinished,
};
use crate::inventory::RolloutPolicy;
use crate::plan::{HostPlan, Plan, Rollout, leave_out, moved};
use crate::report;
use crate::report::document::{Apply, HostOutcome, OutcomeWord};

/// Make the hosts what the file says, with the smallest operations.
///
/// Each host stages its change, arms a timer, makes the change, and keeps it only once a new
/// connection has confirmed it; otherwise it rolls back by itself. Sessions that do not change stay
/// up. Hosts that need each other change at the same moment, all of them or none; more than ten hosts
/// change in waves, and after a failure no further wave begins. A host that is blocked or down is left
/// out (exit 7, unless --allow-unreachable lets it be down); the others change.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  wgfleet apply
  wgfleet apply --yes                # in CI
  wgfleet apply --no-probe           # where pings set off alarms
  wgfleet apply --yes fleet.plan     # that plan, or nothing (exit 6)
  wgfleet apply --limit paris-gw
  wgfleet apply --yes --forbid removal,restart --allow-unreachable=2
  wgfleet apply --resume             # goes on where a run was killed
  wgfleet apply --abort              # takes back what it left unconfirmed")]
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

    #[command(flatten)]
    guard: GuardArgs,

    #[command(flatten)]
    unreachable: UnreachableArgs,

    /// A plan saved by `wgfleet plan --out`: refused where anything has moved since
    #[arg(value_name = "PLAN")]
    plan: Option<PathBuf>,

    #[command(flatten)]
    finish: FinishArgs,

    /// Do not ask
    #[arg(short, long)]
    yes: bool,

    /// Seconds after which a host rolls back an unconfirmed change
    #[arg(long, default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(5..=3600))]
    deadline: u64,

    /// How many hosts may have to change together, all at once or none [default: what `rollout:` says,
    /// otherwise 50]
    #[arg(long, value_name = "N")]
    max_group: Option<usize>,

    /// Begin although no window of `rollout: windows` is open
    #[arg(long)]
    any_time: bool,

    /// Do not ping peers through the tunnels to see that sessions work after the change
    #[arg(long)]
    no_probe: bool,

    #[command(flatten)]
    pub(super) format: FormatArgs,
}

/// What becomes of a run that was interrupted.
#[derive(Debug, Clone, Copy, Args)]
struct FinishArgs {
    /// Go on where a run of this machine was interrupted: bring each group of hosts to one state, then carry out
    /// what is left of its plan, and nothing else
    #[arg(long, conflicts_with_all = ["abort", "plan", "limit", "exclude"])]
    resume: bool,

    /// End a run of this machine that was interrupted: roll back what is not confirmed
    #[arg(long, conflicts_with_all = ["plan", "limit", "exclude", "format"])]
    abort: bool,
}

impl ApplyArgs {
    pub(super) fn run(self, context: &Context) -> CommandResult {
        can_ask(self.yes || self.finish.abort)?;
        let _lock = FleetLock::take(context.fleet.folder())?;
        let fleet = context.load()?;
        let policy = &fleet.inventory().rollout;
        if policy.ask && !self.finish.abort {
            can_ask_between()?;
        }
        // Before anybody logs in anywhere.
        let saved = if self.finish.resume || self.finish.abort {
            match self.finish(context, &fleet)? {
                Left::Plan(saved) => Some(*saved),
                Left::Nothing(exit) => return Ok(exit),
            }
        } else {
            refuse_unfinished(&context.fleet, &fleet)?;
            self.plan.as_deref().map(SavedPlan::read).transpose()?
        };
        // What was begun is brought to an end at any time.
        let now = context.fleet.events.clock().now();
        if !self.any_time
            && let Some(pause) = Pace::of(policy, 0).closed(now)
        {
            return Err(CommandError::message(Exit::Interrupted, format!("not begun: {pause}"))
                .hint("nothing new was touched; --any-time begins now"));
        }
        let hint = format!(
            "run `wgfleet apply` again to go on, in {} s where a change was armed",
            self.deadline
        );
        runtime()?.block_on(stoppable(
            self.apply(context, &fleet, saved),
            &context.fleet.stop,
            &hint,
        ))
    }

    /// Ends a run that was interrupted; gives what is left to do of it.
    fn finish(&self, context: &Context, fleet: &Fleet) -> Result<Left, CommandError> {
        let Some(run) = unfinished(&context.fleet, fleet)? else {
            context.say("No run of this machine was interrupted: nothing to do.");
            return Ok(Left::Nothing(Exit::Done));
        };
        let course = if self.finish.abort { Course::Abort } else { Course::Resume };
        let saved = run.plan().map(|path| SavedPlan::read(&path)).transpose()?;
        let login = self.login.login(context, fleet)?;
        let finished = finish(&context.fleet, fleet, &login, &run, course);
        let endings = runtime()?.block_on(finished)?;
        if !context.quiet {
            anstream::eprintln!("The run {} of {} is ended.", run.header.run, run.header.who);
            summarise(&endings);
        }
        if endings.iter().any(|one| matches!(one.outcome, Outcome::Unknown(_))) {
            return Ok(Left::Nothing(Exit::Unknown));
        }
        match saved {
            Some(saved) if self.finish.resume => Ok(Left::Plan(Box::new(saved))),
            None if self.finish.resume => {
                let again = format!("Run `wgfleet {}` for what is left of it.", run.header.kind);
                context.say(&again);
                Ok(Left::Nothing(Exit::Done))
            }
            _ => Ok(Left::Nothing(Exit::Done)),
        }
    }

    async fn apply(
        &self,
        context: &Context,
        fleet: &Fleet,
        saved: Option<SavedPlan>,
    ) -> CommandResult {
        if let Some(saved) = &saved {
            saved.refuse_changed(&context.fleet, &fleet.inventory().fleet.value)?;
        }
        let mut overrides = self.records.overrides();
        overrides.no_probe = self.no_probe;
        overrides.left_out = saved.as_ref().map(SavedPlan::left_out).unwrap_or_default();
        let login = self.login.login(context, fleet)?;
        let limit = self.limit.hosts(fleet.inventory())?;
        let scope = scope(&login, &limit, &self.binaries, &overrides);
        let survey = Survey::take(&context.fleet, scope, fleet, None).await?;
        let mut plan = survey.whole_plan(&context.fleet, fleet)?;
        if let Some(saved) = &saved {
            fresh(saved, &plan)?;
        }
        let blocked = survey.blocked(&plan).map(Exit::of);
        if let Some(saved) = &saved {
            leave_out(saved.plan(), &mut plan);
            // Its waves were reviewed. What has to change together is looked at anew.
            if let (Some(was), Some(now)) = (&saved.plan().rollout, &plan.rollout)
                && was.has_groups_of(now)
            {
                plan.rollout = Some(was.clone());
            }
        }
        // A saved plan was reviewed, and nothing is done that is not in it.
        let reviewed = self.yes && saved.is_some();
        if context.format == Format::Human && !reviewed {
            super::plan::show(context, &plan, self.detail)?;
        }
        let changing = plan.hosts.iter().filter(|host| host.can_apply()).count();
        let policy = &fleet.inventory().rollout;
        if let Err(refusal) = self.permit(&plan, policy, blocked, &overrides) {
            survey.close().await;
            if context.format == Format::Json {
                show_json(&plan, &[])?;
            }
            return Err(refusal);
        }
        if changing > 0 && !self.yes && context.format == Format::Json {
            let text = report::plan::human(&plan, self.detail.detail());
            anstream::eprint!("{text}");
        }
        if changing > 0 && !self.yes && !ask(changing).await? {
            survey.close().await;
            if context.format == Format::Json {
                show_json(&plan, &[])?;
            }
            anstream::eprintln!("cancelled; no host was changed");
            return Ok(Exit::Done);
        }
        let deadline = Duration::from_secs(self.deadline);
        let mut pace = Pace::of(policy, changing);
        if self.any_time {
            pace.windows = &[];
        }
        pace.asked = policy.ask.then_some(&Terminal);
        let (parallel, context_of) = (self.login.parallel, &context.fleet);
        let outcomes =
            carry_out(context_of, fleet, survey, &plan, deadline, parallel, &pace).await?;
        if context.format == Format::Json {
            show_json(&plan, &outcomes)?;
        } else if !context.quiet {
            summarise(&outcomes);
        }
        Ok(exit(&self.unreachable.without_allowed(outcomes)))
    }

    /// Refuses a plan that is not to be carried out; nothing was touched.
    fn permit(
        &self,
        plan: &Plan,
        policy: &RolloutPolicy,
        blocked: Option<Exit>,
        overrides: &Overrides,
    ) -> Result<(), CommandError> {
        self.guard.refuse(plan, policy).map_err(|hit| hit.hint("nothing was touched"))?;
        let within = |all: &Rollout| all.within(self.max_group.unwrap_or(all.most_together()));
        if let Err(large) = plan.rollout.iter().try_for_each(within) {
            let hosts = large.group.hosts.len();
            return Err(CommandError::new(Exit::Findings, &*large)
                .hint(format!("or let them: --max-group {hosts}; nothing was touched")));
        }
        if plan.hosts.iter().any(HostPlan::can_apply) {
            return Ok(overrides.refuse_older(plan)?);
        }
        // A host that is blocked stops nobody else: it is left out, and the exit code says so.
        let Some(exit) = blocked else { return Ok(()) };
        let hint = match exit {
            Exit::Locked => {
                "they are free again in at most the --deadline of that run; where it ran here and is \
                 gone, `wgfleet apply --abort` rolls it back now"
            }
            _ => "the plan says what each of them needs",
        };
        Err(CommandError::message(exit, "some hosts are blocked; nothing was touched").hint(hint))
    }
}

/// What is left to do of a run that was interrupted.
enum Left {
    /// This plan, as far as it was not carried out.
    Plan(Box<SavedPlan>),
    /// Nothing here.
    Nothing(Exit),
}

/// Shows a plan and how it ended, as one JSON object.
fn show_json(plan: &Plan, outcomes: &[Ending]) -> Result<(), CommandError> {
    let outcomes = outcomes.iter().map(HostOutcome::from).collect();
    let text = report::json::line(&Apply::new(plan, outcomes))
        .map_err(|error| CommandError::new(Exit::Failed, &error))?;
    super::write_stdout(text.as_bytes())
}

/// Refuses a saved plan that is not the plan of now, and says what moved; one that is carried out
/// already has nothing more to do.
fn fresh(saved: &SavedPlan, plan: &Plan) -> Result<(), CommandError> {
    let moved = moved(saved.plan(), plan);
    if moved.is_empty() { Ok(()) } else { Err(saved.stale(&moved)) }
}

pub(super) fn summarise<'a>(outcomes: impl IntoIterator<Item = &'a Ending>) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for ending in outcomes {
        *counts.entry(OutcomeWord::from(&ending.outcome).as_str()).or_default() += 1;
    }
    let counts: Vec<String> =
        counts.iter().map(|(word, number)| format!("{number} {word}")).collect();
    anstream::eprintln!("Apply: {}.", counts.join(", "));
}

/// The worst outcome decides: unknown, then interrupted, then partly failed, then rolled back, then moved.
pub(super) fn exit(outcomes: &[Ending]) -> Exit {
    let of = |outcome: &Outcome| match outcome {
        Outcome::Unknown(_) => Exit::Unknown,
        _ if outcome.reason() == Some(&Reason::Interrupted) => Exit::Interrupted,
        Outcome::Moved(_) => Exit::Stale,
        Outcome::RolledBack(_) => Exit::RolledBack,
        // Of what was left for later, only where nothing else is to be told.
        Outcome::Unchanged | Outcome::Applied | Outcome::Skipped(Reason::Paused { .. }) => {
            Exit::Done
        }
        Outcome::Failed(_) | Outcome::Skipped(_) | Outcome::NotForNextBoot(_) => Exit::Partial,
    };
    // Nothing was begun, because others have the hosts.
    let lost = |one: &Ending| {
        matches!(one.outcome, Outcome::Skipped(Reason::Locked { .. } | Reason::Busy { .. }))
    };
    let begun = |one: &Ending| one.transaction.is_some();
    let paused = |one: &Ending| matches!(one.outcome, Outcome::Skipped(Reason::Paused { .. }));
    if outcomes.iter().any(lost) && !outcomes.iter().any(begun) {
        return Exit::Locked;
    }
    let worst = [Exit::Unknown, Exit::Interrupted, Exit::Partial, Exit::RolledBack, Exit::Stale];
    worst
        .into_iter()
        .find(|exit| outcomes.iter().any(|one| of(&one.outcome) == *exit))
        .unwrap_or(if outcomes.iter().any(paused) { Exit::Interrupted } else { Exit::Done })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Pause;
    use crate::model::HostName;

    #[test]
    fn the_worst_outcome_decides() {
        let host: HostName = "b7".parse().unwrap();
        let of = |outcomes: &[Outcome]| {
            let ended = |one: &Outcome| Ending::not_begun(host.clone(), one.clone());
            exit(&outcomes.iter().map(ended).collect::<Vec<_>>())
        };
        let why = || Reason::DeadlinePassed;
        let (moved, back) = (Outcome::Moved(why()), Outcome::RolledBack(why()));
        assert_eq!(of(&[Outcome::Applied, Outcome::Unchanged]), Exit::Done);
        assert_eq!(of(&[Outcome::Applied, moved.clone()]), Exit::Stale);
        let paused = Outcome::Skipped(Reason::Paused { why: Pause::Declined });
        assert_eq!(of(&[Outcome::Applied, paused.clone()]), Exit::Interrupted);
        assert_eq!(of(&[back.clone(), paused]), Exit::RolledBack);
        assert_eq!(of(&[moved, back.clone()]), Exit::RolledBack);
        assert_eq!(of(&[back.clone(), Outcome::NotForNextBoot(why())]), Exit::Partial);
        assert_eq!(of(&[back.clone(), Outcome::Skipped(why())]), Exit::Partial);
        let stopped = Outcome::RolledBack(Reason::Interrupted);
        assert_eq!(of(&[stopped.clone(), Outcome::Skipped(why())]), Exit::Interrupted);
        let others = || Reason::OthersLocked { host: host.clone() };
        let by = crate::event::Holder::parse("r1 9 a@b now apply -").unwrap();
        let locked = Outcome::Skipped(Reason::Locked { by: Box::new(by) });
        assert_eq!(of(&[Outcome::Skipped(others()), locked]), Exit::Locked);
        assert_eq!(of(&[stopped, Outcome::Unknown(Reason::Interrupted)]), Exit::Unknown);
        assert_eq!(of(&[back, Outcome::Unknown(why()), Outcome::Failed(why())]), Exit::Unknown);
    }
}
