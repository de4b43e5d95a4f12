//! Which neighbour leads to which member of a network.
//!
//! `WireGuard` accepts an inner source only from the peer whose `AllowedIPs` hold it, so a path
//! must be the same both ways. The cost of a path is its number of hops, then the sum of the costs
//! of the hosts it passes through; those costs are symmetric and, but for hash collisions, make
//! the cheapest path the only one.

use std::collections::{BTreeMap, BinaryHeap};

use super::InterfaceId;
use super::links::Links;

/// Hops, then the sum over the hosts in between.
type Cost = (u32, u128);

/// Cheapest ways between the transit members of one network.
#[derive(Debug)]
pub(super) struct Paths {
    neighbours: BTreeMap<InterfaceId, Vec<InterfaceId>>,
    /// Cost of passing through a transit member.
    toll: BTreeMap<InterfaceId, u128>,
    /// From one transit member to another: cost of all in between and both ends, and the first
    /// step.
    between: BTreeMap<(InterfaceId, InterfaceId), (Cost, InterfaceId)>,
}

impl Paths {
    /// Prepares the paths of one network; `name` gives a member's name, for ties that no
    /// preference decides.
    pub(super) fn new<'a>(links: &Links, name: impl Fn(InterfaceId) -> &'a str) -> Self {
        let mut neighbours: BTreeMap<InterfaceId, Vec<InterfaceId>> = BTreeMap::new();
        for (a, b) in links.edges.keys() {
            neighbours.entry(*a).or_default().push(*b);
            neighbours.entry(*b).or_default().push(*a);
        }
        let toll: BTreeMap<InterfaceId, u128> = (1_u128..)
            .zip(&links.transit)
            .map(|(rank, id)| (*id, (rank << 64) | u128::from(hash(name(*id)))))
            .collect();
        let mut paths = Self { neighbours, toll, between: BTreeMap::new() };
        for start in &links.transit {
            paths.search(*start);
        }
        paths
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
                if let Some((cost, _)) = self.between.get(&(*step, *stop))
                    && !self.passes(*step, *stop, from)
                    && !self.passes(*step, *stop, to)
                    && best.is_none_or(|(least, _)| *cost < least)
                {
                    best = Some((*cost, *step));
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
            match self.between.get(&(at, to)) {
                Some((_, next)) => at = *next,
                None => return false,
            }
        }
        at == through
    }

    /// Dijkstra over transit members from `start`, toll of both ends included.
    fn search(&mut self, start: InterfaceId) {
        let mut queue = BinaryHeap::new();
        let mut done: BTreeMap<InterfaceId, (Cost, InterfaceId)> = BTreeMap::new();
        queue.push((std::cmp::Reverse((0_u32, self.toll[&start])), start, start));
        while let Some((std::cmp::Reverse(cost), at, first)) = queue.pop() {
            if done.contains_key(&at) {
                continue;
            }
            done.insert(at, (cost, first));
            for next in self.neighbours(at) {
                if let Some(toll) = self.toll.get(next) {
                    let first = if at == start { *next } else { first };
                    queue.push((std::cmp::Reverse((cost.0 + 1, cost.1 + toll)), *next, first));
                }
            }
        }
        self.between.extend(done.into_iter().map(|(end, way)| ((start, end), way)));
    }
}

/// FNV-1a over a name: only to break ties the same way on every machine.
fn hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
