//! The proof of every flow of a fleet, class by class.

use std::collections::HashMap;
use std::net::IpAddr;

use rayon::prelude::*;

use super::ends::{End, Ends, Spot};
use super::flow::{Broken, Flow};
use super::flows::{self, Member};
use super::tables::Tables;
use super::walk::{Doubt, Walker};
use super::wanted::{self, Wanted};
use crate::inventory::{Inventory, Selector};
use crate::topology::{NodeId, Topology};

/// What one walk proved: the flows from one class of ends to another.
#[derive(Debug)]
pub(super) struct Verdict {
    /// Index of the class that the flows begin in; `None`: a full tunnel's node.
    pub(super) from: Option<usize>,
    /// Index of the class that they end in; `None`: the Internet.
    pub(super) to: Option<usize>,
    /// How many flows there are.
    pub(super) flows: u64,
    /// A full tunnel's node, and the address of the Internet.
    pub(super) exit: Option<(NodeId, IpAddr)>,
    /// Whether the file's shape implies them.
    pub(super) wanted: bool,
    /// How each of them ends.
    pub(super) result: Result<(), Box<Broken>>,
}

/// Which flows are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Those that the file's shape implies.
    Wanted,
    /// All.
    All,
}

/// Every flow of a fleet, proved.
#[derive(Debug)]
pub(super) struct Proof {
    /// The ends.
    pub(super) ends: Ends,
    /// The verdicts, in order of classes; of wanted flows alone, those that fail.
    pub(super) verdicts: Vec<Verdict>,
}

impl Proof {
    /// Proves the flows of a fleet.
    #[must_use]
    pub(super) fn new(inventory: &Inventory, tables: &Tables<'_>, scope: Scope) -> Self {
        let ends = Ends::new(inventory, tables);
        let prover = Prover::new(inventory, tables, &ends);
        let mut verdicts: Vec<Verdict> = (0..ends.classes.len())
            .into_par_iter()
            .flat_map_iter(|from| {
                let prover = &prover;
                (0..ends.classes.len()).filter_map(move |to| prover.pair(from, to, scope))
            })
            .collect();
        verdicts.extend(prover.full_tunnels());
        Self { ends, verdicts }
    }
}

/// How many ends of a class are at each spot, without and with a LAN at the other end.
type Crowd = [HashMap<Spot, u64>; 2];

struct Prover<'a> {
    inventory: &'a Inventory,
    topology: &'a Topology,
    tables: &'a Tables<'a>,
    ends: &'a Ends,
    wanted: Wanted<'a>,
    walker: Walker<'a>,
    crowds: Vec<Crowd>,
}

impl<'a> Prover<'a> {
    fn new(inventory: &'a Inventory, tables: &'a Tables<'a>, ends: &'a Ends) -> Self {
        let topology = tables.topology();
        let crowd = |class: &Vec<usize>| {
            let mut crowd = Crowd::default();
            for end in class.iter().map(|index| &ends.all[*index]) {
                for (with_lan, counts) in [false, true].into_iter().zip(&mut crowd) {
                    *counts.entry(end.spot(topology, with_lan)).or_default() += 1;
                }
            }
            crowd
        };
        Self {
            inventory,
            topology,
            tables,
            ends,
            wanted: Wanted::new(inventory, topology),
            walker: Walker::new(inventory, tables, Doubt::Fails),
            crowds: ends.classes.par_iter().map(crowd).collect(),
        }
    }

    fn end(&self, class: usize, index: usize) -> &'a End {
        &self.ends.all[self.ends.classes[class][index]]
    }

    /// Two ends of two classes at different places.
    fn example(&self, from: usize, to: usize) -> Option<(&'a End, &'a End)> {
        let with_lan = self.end(from, 0).is_lan() || self.end(to, 0).is_lan();
        let spot = |end: &End| end.spot(self.topology, with_lan);
        let far = |class: usize, from: &End| {
            (0..self.ends.classes[class].len())
                .map(|index| self.end(class, index))
                .find(|end| spot(end) != spot(from))
        };
        let (a, b) = (self.end(from, 0), self.end(to, 0));
        far(to, a).map(|b| (a, b)).or_else(|| far(from, b).map(|a| (a, b)))
    }

    /// How many flows there are between two classes.
    fn count(&self, from: usize, to: usize) -> u64 {
        let with_lan = usize::from(self.end(from, 0).is_lan() || self.end(to, 0).is_lan());
        let (one, two) = (&self.crowds[from][with_lan], &self.crowds[to][with_lan]);
        let (few, many) = if one.len() <= two.len() { (one, two) } else { (two, one) };
        let together: u64 =
            few.iter().map(|(spot, count)| count * many.get(spot).copied().unwrap_or(0)).sum();
        let size = |class: usize| self.ends.classes[class].len() as u64;
        size(from) * size(to) - together
    }

    fn pair(&self, from: usize, to: usize, scope: Scope) -> Option<Verdict> {
        let (a, b) = (self.end(from, 0), self.end(to, 0));
        // One selector of a LAN is a place of its own; a tunnel address belongs to one network.
        let apart = a.network.zip(b.network).is_some_and(|(a, b)| a != b);
        if a.family() != b.family() || (apart && scope == Scope::Wanted) {
            return None;
        }
        let (a, b) = self.example(from, to)?;
        let wanted = self.wanted.flow(self.tables, a, b);
        if scope == Scope::Wanted && !wanted {
            return None;
        }
        // The kernel chooses the source of what a host sends to a LAN.
        let start = match a.member {
            Member::Address(node, _) if b.network != a.network => Member::Node(node),
            member => member,
        };
        let (topology, tables, walker) = (self.topology, self.tables, &self.walker);
        let flow =
            Flow { topology, tables, walker, from: &start, to: &b.member, family: a.family() };
        let result = flow.prove()?.map(drop);
        // What works is of no interest where only findings are asked for.
        if result.is_ok() && scope == Scope::Wanted {
            return None;
        }
        let (from, to) = (Some(from), Some(to));
        let flows = self.count(from.unwrap_or_default(), to.unwrap_or_default());
        Some(Verdict { from, to, flows, exit: None, wanted, result })
    }

    /// What full tunnels reach beside the fleet.
    fn full_tunnels(&self) -> Vec<Verdict> {
        let nodes = wanted::full_tunnels(self.inventory, self.topology);
        if nodes.is_empty() {
            return Vec::new();
        }
        let index = self.inventory.index();
        let internet = flows::expand(self.inventory, &index, self.tables, &Selector::Internet);
        let mut verdicts = Vec::new();
        for node in nodes {
            let from = Member::Node(node);
            for to in &internet {
                let Member::Internet(addr) = to else { continue };
                let family = crate::model::Family::of_addr(addr);
                let (topology, tables, walker) = (self.topology, self.tables, &self.walker);
                let flow = Flow { topology, tables, walker, from: &from, to, family };
                let Some(result) = flow.prove() else { continue };
                let result = result.map(drop);
                let exit = Some((node, *addr));
                verdicts.push(Verdict {
                    from: None,
                    to: None,
                    flows: 1,
                    exit,
                    wanted: true,
                    result,
                });
            }
        }
        verdicts
    }
}
