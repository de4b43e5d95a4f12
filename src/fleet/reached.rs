//! What a plan changes about who reaches whom: against what runs, as far as it could be read.

use std::collections::BTreeSet;

use super::read::Fleet;
use super::survey::Survey;
use super::{Context, Error};
use crate::check::{Assumed, State, Unread, difference};
use crate::model::HostName;
use crate::plan::{
    HostState, Plan, Remembered, RolloutSettings, changing, orphans, rollout, running, with_kept,
};
use crate::remote::Connect;
use crate::topology::{NodeKind, mix};

/// The fleet at the commit that hosts recorded.
#[derive(Debug)]
pub(super) struct Recorded {
    /// The fleet as it was then.
    fleet: Fleet,
    /// The commit, as git(1) shortens it.
    commit: String,
    /// Whether files that were not committed were applied then.
    dirty: bool,
}

/// Commits that are tried, the newest first: this clone may not have all of them.
const TRIED: usize = 3;

impl Recorded {
    /// The fleet at the newest commit that hosts have a record of; `None` where no host has one that
    /// this clone has, or where every host of it was read.
    pub(super) fn of<C: Connect>(context: &Context, survey: &Survey<C>) -> Option<Self> {
        let commits = survey.records.commits().into_iter();
        let found = commits.take(TRIED).find_map(|commit| {
            let reading = Fleet::read_at(context, commit.id.as_str()).ok()??;
            Some(Self { fleet: reading.fleet?, commit: commit.id.to_string(), dirty: commit.dirty })
        })?;
        let nodes = found.fleet.topology.nodes.iter();
        let mut hosts = nodes.filter(|node| matches!(node.kind, NodeKind::Host(_)));
        let unread = hosts.any(|node| !survey.seen.contains_key(&node.name));
        unread.then_some(found)
    }
}

impl<C: Connect> Survey<C> {
    /// The plan of the fleet, with the flows that it makes work or stop.
    ///
    /// # Errors
    /// Those of [`Self::plan`].
    pub fn whole_plan(&self, context: &Context, fleet: &Fleet) -> Result<Plan, Error> {
        let mut plan = self.plan()?;
        plan.orphans =
            orphans(fleet.inventory(), &self.state, &self.remembered(fleet), &plan.hosts);
        let recorded = Recorded::of(context, self);
        reachability(self, fleet, &mut plan, recorded.as_ref());
        Ok(plan)
    }

    /// What is remembered of the fleet beside its inventory.
    fn remembered<'a>(&'a self, fleet: &'a Fleet) -> Remembered<'a> {
        let seen = self.seen.iter();
        Remembered {
            pins: fleet.loaded.lock.members().collect(),
            keys: self.keyed.iter().collect(),
            seen: seen.map(|(name, (host, _))| (name, (host, self.records.kept(name)))).collect(),
            remains: &self.remains,
            names: &self.names,
        }
    }
}

/// Tells `plan` the flows that carrying it out makes work or stop. Hosts that it does not change stay as
/// they are; those that were not read are as the inventory was at the recorded commit, or else as
/// the file says.
pub(super) fn reachability<C: Connect>(
    survey: &Survey<C>,
    fleet: &Fleet,
    plan: &mut Plan,
    recorded: Option<&Recorded>,
) {
    let file = (fleet.inventory(), &fleet.topology);
    let kept = (!plan.kept.is_empty()).then(|| with_kept(file, &survey.state.hosts, &plan.kept));
    let wanted = (file.0, kept.as_ref().unwrap_or(file.1));
    let old: BTreeSet<&HostName> = recorded
        .iter()
        .flat_map(|recorded| &recorded.fleet.topology.nodes)
        .map(|node| &node.name)
        .collect();
    let base = recorded.map(|recorded| {
        let then = (recorded.fleet.inventory(), &recorded.fleet.topology);
        mix(then, wanted, |name| !old.contains(name))
    });
    let base = base.as_ref().map_or(wanted, |(inventory, topology)| (inventory, topology));
    // What another machine has says nothing of a host.
    let its_own = |name: &HostName| !survey.strangers.contains_key(name);
    let seen =
        |name: &HostName| survey.seen.get(name).filter(|_| its_own(name)).map(|(host, _)| host);
    let (inventory, runs) = running(base, &survey.names, seen);
    let ready: BTreeSet<&HostName> = plan
        .hosts
        .iter()
        .filter(|host| host.state == HostState::Ready)
        .map(|host| &host.host)
        .collect();
    let unmanaged = fleet.topology.nodes.iter();
    let unmanaged = unmanaged.filter(|node| matches!(node.kind, NodeKind::Unmanaged(_)));
    let unmanaged: BTreeSet<&HostName> = unmanaged.map(|node| &node.name).collect();
    let before = State::new(&inventory, &runs);
    let goal = State::new(wanted.0, wanted.1);
    plan.rollout = {
        let settings = RolloutSettings::from(&fleet.inventory().rollout);
        let found = rollout(before, goal, &changing(&plan.hosts), &settings, None);
        (!found.is_plain()).then_some(found)
    };
    let mut moved = if ready.len() == survey.state.hosts.len() {
        difference(before, goal)
    } else {
        let take = |name: &HostName| ready.contains(name) || unmanaged.contains(name);
        let (inventory, after) = mix((&inventory, &runs), wanted, take);
        difference(before, State::new(&inventory, &after))
    };
    let dirty = recorded.is_some_and(|recorded| recorded.dirty);
    let commit = recorded.map(|recorded| recorded.commit.clone());
    let unread = |why: Unread, hosts: Vec<HostName>| -> Vec<Assumed> {
        // A host that the commit does not have either is as the file says.
        let (then, now): (Vec<HostName>, Vec<HostName>) =
            hosts.into_iter().partition(|name| old.contains(name));
        let some = |hosts: Vec<HostName>, commit: Option<String>| {
            let dirty = dirty && commit.is_some();
            (!hosts.is_empty()).then_some(Assumed { hosts, why, commit, dirty })
        };
        some(then, commit.clone()).into_iter().chain(some(now, None)).collect()
    };
    let hosts = survey.state.hosts.iter().map(|host| &host.name);
    let (asked, outside): (Vec<&HostName>, Vec<&HostName>) =
        hosts.partition(|name| survey.requests.contains_key(*name));
    let unreadable = asked.into_iter().filter(|name| !survey.seen.contains_key(*name));
    moved.assumed.extend(unread(Unread::Unreadable, unreadable.cloned().collect()));
    moved.assumed.extend(unread(Unread::OutsideLimit, outside.into_iter().cloned().collect()));
    let wanted: BTreeSet<&HostName> = fleet.topology.nodes.iter().map(|node| &node.name).collect();
    let former = runs.nodes.iter().filter(|node| matches!(node.kind, NodeKind::Host(_)));
    let former = former.map(|node| &node.name).filter(|name| !wanted.contains(name));
    moved.assumed.extend(unread(Unread::Removed, former.cloned().collect()));
    plan.reach(moved, &runs);
}
