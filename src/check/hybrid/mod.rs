//! A fleet of which some hosts have changed and others have not: which of them have to change together.
//!
//! Two hosts clash where a flow works before and afterwards, but not while one of them has changed and
//! the other has not. For each class of flows every order is tried in which the hosts that decide
//! about them can change; a host decides only where it does not do the same before and afterwards.
//! If hosts that clash change together, then whatever other hosts have changed, every flow works that
//! works before and afterwards.

mod alike;
mod changing;
mod explore;
mod flow;
mod links;
mod picks;
mod same;
mod stops;
mod walk;
mod world;

pub use changing::{Changing, Clashing, Contact, Role};

use std::collections::BTreeMap;

use rayon::prelude::*;

use self::explore::{Found, Verdict, verdict};
use self::stops::{Between, between};
use self::world::{Host, World};
use super::boundaries::boundaries;
use super::difference::{State, heard};
use super::ends::Ends;
use super::tables::Tables;
use super::walk::{Doubt, Walker};
use crate::finding::{FlowEnd, Witness};
use crate::model::HostName;

/// Hosts that have to change together for some flows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clash {
    /// One of two hosts that the flow needs on the same side.
    pub a: HostName,
    /// The other.
    pub b: HostName,
    /// All that have to change together for flows that are alike: these two among them, in order.
    pub hosts: Vec<HostName>,
    /// Where one of the flows begins.
    pub from: FlowEnd,
    /// Where it ends.
    pub to: FlowEnd,
    /// Its packet.
    pub witness: Witness,
    /// How many flows there are.
    pub flows: u64,
    /// Why they do not work while only some of the hosts have changed.
    pub because: Clashing,
}

/// What a change of a fleet needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hybrids {
    /// How many flows work before and afterwards.
    pub flows: u64,
    /// Hosts that have to change together.
    pub clashes: Vec<Clash>,
    /// Flows that stop because one of two hosts changes and the other, `a`, stays as it is.
    pub waiting: Vec<Clash>,
}

/// Finds the hosts that have to change together on the way from one state of a fleet to another.
#[must_use]
pub fn hybrids(before: State<'_>, after: State<'_>, changing: &Changing) -> Hybrids {
    if !changing.roles.values().any(|role| *role == Role::Changes) {
        return Hybrids::default();
    }
    let wanted = heard(before.topology, after.topology);
    let bounds = |state: State<'_>| boundaries(state.inventory, state.topology);
    let (of_old, of_new) = rayon::join(|| bounds(before), || bounds(after));
    let (old, new) = rayon::join(
        || {
            let tables = Tables::among(before.inventory, before.topology, &of_new);
            tables.beside(before.topology)
        },
        || Tables::among(after.inventory, &wanted, &of_old).beside(&wanted),
    );
    let ends =
        rayon::join(|| Ends::new(before.inventory, &old), || Ends::new(after.inventory, &new));
    let walkers = [
        Walker::new(before.inventory, &old, Doubt::Fails),
        Walker::new(after.inventory, &new, Doubt::Fails),
    ];
    let mut world = World::new([&walkers[0], &walkers[1]], changing);
    let same: Vec<bool> =
        (0..world.hosts.len()).into_par_iter().map(|host| same::is_same(&world, host)).collect();
    for (host, same) in world.hosts.iter_mut().zip(same) {
        host.same = same;
    }
    let all = between(&world, (&ends.0, &ends.1));
    let judged: Vec<(Between<'_>, Verdict)> = all
        .into_par_iter()
        .filter_map(|between| {
            let verdict = verdict(&world, &between.flow);
            (verdict != Verdict::Other).then_some((between, verdict))
        })
        .collect();
    let mut hybrids = Hybrids::default();
    let (mut clashes, mut waiting) = (Gathered::default(), Gathered::default());
    for (between, verdict) in &judged {
        match verdict {
            Verdict::Kept(found) => {
                hybrids.flows += between.flows;
                for found in found {
                    clashes.add(&world, between, found);
                }
            }
            Verdict::Waits(found) => {
                if let Some(found) = found {
                    waiting.add(&world, between, found);
                }
            }
            Verdict::Other => {}
        }
    }
    hybrids.clashes = clashes.0.into_values().collect();
    hybrids.waiting = waiting.0.into_values().collect();
    hybrids
}

/// Clashes by their hosts.
#[derive(Default)]
struct Gathered(BTreeMap<(Vec<Host>, Host), Clash>);

impl Gathered {
    fn add(&mut self, world: &World<'_>, between: &Between<'_>, found: &Found) {
        let mut hosts = vec![found.one, found.other];
        for class in [&between.leaving, &between.entering] {
            // What is so for one host of a class is so for each.
            if hosts.iter().any(|host| class.contains(host)) {
                hosts.extend(class.iter());
            }
        }
        hosts.sort_unstable();
        hosts.dedup();
        let name = |host: &Host| world.hosts[*host].name.clone();
        let names = hosts.iter().map(name).collect();
        let clash = self.0.entry((hosts, found.one)).or_insert_with(|| Clash {
            a: name(&found.one),
            b: name(&found.other),
            hosts: names,
            from: between.names.0.clone(),
            to: between.names.1.clone(),
            witness: between.witness.clone(),
            flows: 0,
            because: found.why,
        });
        clash.flows += between.flows;
    }
}
