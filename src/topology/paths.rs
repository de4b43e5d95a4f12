//! Which neighbour leads to which member of a network.
//!
//! `WireGuard` accepts an inner source only from the peer whose `AllowedIPs` hold it, so a path
//! must be the same both ways. The cost of a path is its number of hops, then the sums of two costs
//! of the hosts it passes through; those are symmetric and, but for collisions of a part of SHA-256,
//! make the cheapest path the only one.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BinaryHeap};

use sha2::{Digest as _, Sha256};

use super::InterfaceId;
use super::links::{Links, Transit};

/// Hops, then the sums over the hosts in between.
type Cost = (u32, Toll);

/// The cost of passing through a host, or through several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Toll {
    /// The rank of the host, then a hash of its name. Of names that count up the hashes do, too: those of
    /// `gw0` and `gw3` have the sum of those of `gw1` and `gw2`.
    preferred: u128,
    /// What decides then: a part of the name's SHA-256.
    mixed: u128,
}

impl Toll {
    fn of(transit: &Transit, name: &str) -> Self {
        let preferred = ((u128::from(transit.rank) + 1) << 64) | u128::from(hash(name));
        let digest = Sha256::digest(name);
        let mixed = digest.iter().take(8).fold(0, |all, byte| (all << 8) | u128::from(*byte));
        Self { preferred, mixed }
    }
}

impl std::ops::Add for Toll {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let preferred = self.preferred + other.preferred;
        Self { preferred, mixed: self.mixed + other.mixed }
    }
}

/// Cheapest ways between the transit members of one network.
#[derive(Debug)]
pub(super) struct Paths {
    neighbours: BTreeMap<InterfaceId, Vec<InterfaceId>>,
    /// Cost of passing through a transit member.
    toll: BTreeMap<InterfaceId, Toll>,
    /// From one transit member to the others; searched when first asked for, because a mesh never
    /// asks.
    between: BTreeMap<InterfaceId, OnceCell<Ways>>,
}

/// To each transit member that can be reached: cost of all in between and both ends, and the first
/// step.
type Ways = BTreeMap<InterfaceId, (Cost, InterfaceId)>;

impl Paths {
    /// Prepares the paths of one network; `name` gives a member's name, for ties that no
    /// preference decides.
    pub(super) fn new<'a>(links: &Links, name: impl Fn(InterfaceId) -> &'a str) -> Self {
        let mut neighbours: BTreeMap<InterfaceId, Vec<InterfaceId>> = BTreeMap::new();
        for (a, b) in links.edges.keys() {
            neighbours.entry(*a).or_default().push(*b);
            neighbours.entry(*b).or_default().push(*a);
        }
        let toll = links.transit.iter().map(|(id, transit)| (*id, Toll::of(transit, name(*id))));
        let toll = toll.collect();
        let between = links.transit.keys().map(|id| (*id, OnceCell::new())).collect();
        Self { neighbours, toll, between }
    }

    /// The cheapest way from one transit member to another.
    fn way(&self, from: InterfaceId, to: InterfaceId) -> Option<(Cost, InterfaceId)> {
        self.between.get(&from)?.get_or_init(|| self.search(from)).get(&to).copied()
    }

    /// Whether a member passes traffic on.
    pub(super) fn is_transit(&self, id: InterfaceId) -> bool {
        self.toll.contains_key(&id)
    }

    /// Whether any member passes traffic on.
    pub(super) fn any_transit(&self) -> bool {
        !self.toll.is_empty()
    }

    /// Direct neighbours, in order of id.
    pub(super) fn neighbours(&self, id: InterfaceId) -> &[InterfaceId] {
        self.neighbours.get(&id).map_or(&[], Vec::as_slice)
    }

    /// The neighbour of `from` that leads to `to`; `None` where nothing does.
    pub(super) fn next_hop(&self, from: InterfaceId, to: InterfaceId) -> Option<InterfaceId> {
        if from == to {
            return None;
        }
        let first = self.neighbours(from);
        if first.binary_search(&to).is_ok() {
            return Some(to);
        }
        let mut best: Option<(Cost, InterfaceId)> = None;
        let last = self.neighbours(to);
        // A transit end is its own first or last stop: its toll is not counted for its own traffic,
        // but it is the same for every candidate.
        for step in first.iter().filter(|id| self.is_transit(**id)) {
            for stop in last.iter().filter(|id| self.is_transit(**id)) {
                if *step == to || *stop == from {
                    continue;
                }
                if let Some((cost, _)) = self.way(*step, *stop)
                    && best.is_none_or(|(least, _)| cost < least)
                    && !self.passes(*step, *stop, from)
                    && !self.passes(*step, *stop, to)
                {
                    best = Some((cost, *step));
                }
            }
        }
        best.map(|(_, step)| step)
    }

    /// Whether the way from one transit member to another passes through a third.
    fn passes(&self, from: InterfaceId, to: InterfaceId, through: InterfaceId) -> bool {
        if !self.is_transit(through) {
            return false;
        }
        let mut at = from;
        while at != to {
            if at == through {
                return true;
            }
            match self.way(at, to) {
                Some((_, next)) => at = next,
                None => return false,
            }
        }
        at == through
    }

    /// Dijkstra over transit members from `start`, toll of both ends included.
    fn search(&self, start: InterfaceId) -> Ways {
        let mut queue = BinaryHeap::new();
        let mut done = Ways::new();
        queue.push((std::cmp::Reverse((0_u32, self.toll[&start])), start, start));
        while let Some((std::cmp::Reverse(cost), at, first)) = queue.pop() {
            if done.contains_key(&at) {
                continue;
            }
            done.insert(at, (cost, first));
            for next in self.neighbours(at) {
                if let Some(toll) = self.toll.get(next) {
                    let first = if at == start { *next } else { first };
                    queue.push((std::cmp::Reverse((cost.0 + 1, cost.1 + *toll)), *next, first));
                }
            }
        }
        done
    }
}

/// FNV-1a over a name: only to break ties the same way on every machine.
fn hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
