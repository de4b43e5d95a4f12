//! Which side hosts are on, as far as it was decided.

use super::changing::Role;
use super::world::{Host, SIDES, Side, World};

/// A host on whose side something depends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Undecided(pub(super) Host);

/// A value, or the host that has to be decided first.
pub(super) type Lazy<T> = Result<T, Undecided>;

/// The sides of some hosts.
#[derive(Debug, Clone, Default)]
pub(super) struct Picks {
    /// The side of all that change.
    all: Option<Side>,
    /// Whether hosts that stay have changed as well.
    whole: bool,
    /// Hosts that were decided, in order.
    pub(super) some: Vec<(Host, Side)>,
}

impl Picks {
    /// Every host that changes is on one side.
    pub(super) fn all(side: Side) -> Self {
        Self { all: Some(side), ..Self::default() }
    }

    /// Every host is as it is wanted, also those that stay.
    pub(super) fn whole() -> Self {
        Self { all: Some(Side::New), whole: true, ..Self::default() }
    }

    /// The side of a host that was decided.
    pub(super) fn of(&self, host: Host) -> Option<Side> {
        self.some.iter().find(|(known, _)| *known == host).map(|(_, side)| *side)
    }

    fn side(&self, world: &World<'_>, host: Host) -> Option<Side> {
        if world.hosts[host].same {
            return Some(Side::New);
        }
        match world.hosts[host].role {
            Role::Changes => self.all.or_else(|| self.of(host)),
            Role::Stays if self.whole => Some(Side::New),
            Role::Stays => Some(Side::Old),
            Role::Foreign => Some(Side::New),
        }
    }

    fn sides(&self, world: &World<'_>, host: Host) -> &'static [Side] {
        match self.side(world, host) {
            Some(Side::Old) => &SIDES[..1],
            Some(Side::New) => &SIDES[1..],
            None => &SIDES,
        }
    }

    /// What is the same on each side that a host may be on.
    pub(super) fn each<T: PartialEq>(
        &self,
        world: &World<'_>,
        host: Host,
        of: impl Fn(Side) -> T,
    ) -> Lazy<T> {
        if let [one] = self.sides(world, host) {
            return Ok(of(*one));
        }
        let (old, new) = (of(Side::Old), of(Side::New));
        if old == new { Ok(new) } else { Err(Undecided(host)) }
    }

    /// What is the same on all sides that two hosts may be on.
    pub(super) fn both<T: PartialEq>(
        &self,
        world: &World<'_>,
        (near, far): (Host, Host),
        of: impl Fn(Side, Side) -> T,
    ) -> Lazy<T> {
        let (left, right) = (self.sides(world, near), self.sides(world, far));
        let first = of(left[0], right[0]);
        let all = left.iter().flat_map(|near| right.iter().map(move |far| (*near, *far)));
        for (one, other) in all.skip(1).filter(|(one, other)| near != far || one == other) {
            if of(one, other) != first {
                return Err(Undecided(if left.len() > 1 { near } else { far }));
            }
        }
        Ok(first)
    }
}
