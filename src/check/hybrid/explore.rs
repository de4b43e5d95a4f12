//! Every order in which the hosts that a flow depends on can change.

use super::changing::{Clashing, Role};
use super::flow::{Flow, Lost};
use super::picks::{Lazy, Picks, Undecided};
use super::world::{Host, Side, World};

/// How many hosts of one flow are decided one by one. A flow that depends on more has those that come
/// later changed together with the last of these.
const DEEPEST: usize = 12;

/// Two hosts that a flow needs on the same side, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) one: Host,
    pub(super) other: Host,
    pub(super) why: Clashing,
}

/// What becomes of a flow while the fleet changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It works before and afterwards; and in between, if these hosts change together.
    Kept(Vec<Found>),
    /// It works before, and would afterwards if a host that stays as it is changed as well.
    Waits(Option<Found>),
    /// It does not work before, or is not to work afterwards.
    Other,
}

/// What becomes of a flow while the fleet changes.
pub(super) fn verdict<'a>(world: &World<'a>, flow: &Flow<'a>) -> Verdict {
    let works = |picks: &Picks| world.works(picks, flow).ok();
    if !matches!(works(&Picks::all(Side::Old)), Some(Ok(()))) {
        return Verdict::Other;
    }
    match works(&Picks::all(Side::New)) {
        Some(Ok(())) => {}
        Some(Err(lost)) if matches!(works(&Picks::whole()), Some(Ok(()))) => {
            return Verdict::Waits(waiting(world, &lost));
        }
        _ => return Verdict::Other,
    }
    let mut explorer = Explorer { world, flow, groups: Vec::new(), found: Vec::new() };
    explorer.run(&mut Picks::default());
    Verdict::Kept(explorer.found)
}

/// The host that stays and the nearest one that changes, on the way of a packet that is lost.
fn waiting(world: &World<'_>, lost: &Lost) -> Option<Found> {
    let role = |at: usize| world.hosts[lost.trail[at]].role;
    let stays = (0..lost.trail.len()).rev().find(|at| role(*at) == Role::Stays)?;
    let mut changes: Vec<usize> =
        (0..lost.trail.len()).filter(|at| role(*at) == Role::Changes).collect();
    changes.sort_by_key(|at| at.abs_diff(stays));
    let other = lost.trail[*changes.first()?];
    Some(Found { one: lost.trail[stays], other, why: lost.why })
}

struct Explorer<'w, 'a> {
    world: &'w World<'a>,
    flow: &'w Flow<'a>,
    /// Hosts that change together, as far as was found.
    groups: Vec<Vec<Host>>,
    found: Vec<Found>,
}

impl Explorer<'_, '_> {
    /// Tries every side of every host that something depends on.
    fn run(&mut self, picks: &mut Picks) {
        let result: Lazy<Result<(), Lost>> = self.world.works(picks, self.flow);
        match result {
            Ok(Ok(())) => {}
            Ok(Err(lost)) => {
                if let Some(found) = apart(picks, &lost) {
                    self.join(found);
                }
            }
            Err(Undecided(host)) => {
                let last = picks.some.last().copied();
                if let Some((last, _)) = last.filter(|_| picks.some.len() >= DEEPEST)
                    && !self.together(host, last)
                {
                    self.join(Found { one: last, other: host, why: Clashing::Unproved });
                }
                for side in [Side::Old, Side::New] {
                    picks.some.push((host, side));
                    if self.can_be(picks) {
                        self.run(picks);
                    }
                    picks.some.pop();
                }
            }
        }
    }

    fn together(&self, one: Host, other: Host) -> bool {
        self.groups.iter().any(|group| group.contains(&one) && group.contains(&other))
    }

    /// Whether no two hosts that change together are on different sides.
    fn can_be(&self, picks: &Picks) -> bool {
        self.groups.iter().all(|group| {
            let mut sides = picks.some.iter().filter(|(host, _)| group.contains(host));
            let first = sides.next().map(|(_, side)| side);
            sides.all(|(_, side)| Some(side) == first)
        })
    }

    fn join(&mut self, found: Found) {
        let of = |groups: &[Vec<Host>], host: Host| {
            groups.iter().position(|group| group.contains(&host))
        };
        let mut take = |host: Host| {
            of(&self.groups, host).map_or_else(|| vec![host], |at| self.groups.swap_remove(at))
        };
        let mut group = take(found.one);
        if !group.contains(&found.other) {
            group.extend(take(found.other));
        }
        self.groups.push(group);
        self.found.push(found);
    }
}

/// Two hosts on different sides without which the flow would not be lost as it is: the last ones that
/// its packets met.
fn apart(picks: &Picks, lost: &Lost) -> Option<Found> {
    let met = lost.trail.iter().rev().filter_map(|host| Some((*host, picks.of(*host)?)));
    let rest = picks.some.iter().rev().copied();
    let all: Vec<(Host, Side)> = met.chain(rest).collect();
    let (one, side) = *all.first()?;
    let (other, _) = *all.iter().find(|(_, other)| *other != side)?;
    Some(Found { one, other, why: lost.why })
}
