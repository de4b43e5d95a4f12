//! Every wanted flow that works, by classes, and what it crosses.

use std::collections::HashMap;
use std::net::IpAddr;

use rayon::prelude::*;

use crate::check::ends::{End, Ends, Spot};
use crate::check::flow::{Broken, Flow};
use crate::check::flows::{self, Member};
use crate::check::tables::Tables;
use crate::check::walk::{Doubt, Walker};
use crate::check::wanted::{self, Wanted};
use crate::inventory::{Inventory, Selector};
use crate::model::Family;
use crate::topology::{InterfaceId, NodeId, Topology};

/// The flows from one class of ends to another.
#[derive(Debug)]
pub(super) struct Kind {
    /// Index of the class that they begin in.
    pub(super) from: usize,
    /// Index of the class that they end in.
    pub(super) to: usize,
    /// How many there are.
    pub(super) flows: u64,
    /// The links that one of them crosses, there or back.
    pub(super) links: Vec<(InterfaceId, InterfaceId)>,
}

/// The flow of a full tunnel to the Internet.
#[derive(Debug)]
pub(super) struct Exit {
    pub(super) node: NodeId,
    pub(super) addr: IpAddr,
    pub(super) links: Vec<(InterfaceId, InterfaceId)>,
    /// The nodes by which it leaves.
    pub(super) exits: Vec<NodeId>,
}

/// How many ends of a class are at each spot, without and with a LAN at the other end.
type Crowd = [HashMap<Spot, u64>; 2];

/// Everything that works and is wanted.
#[derive(Debug)]
pub(super) struct Survey<'a> {
    pub(super) inventory: &'a Inventory,
    pub(super) tables: &'a Tables<'a>,
    pub(super) ends: Ends,
    pub(super) walker: Walker<'a>,
    pub(super) kinds: Vec<Kind>,
    pub(super) exits: Vec<Exit>,
    /// How many flows there are.
    pub(super) flows: u64,
    crowds: Vec<Crowd>,
}

impl<'a> Survey<'a> {
    pub(super) fn new(inventory: &'a Inventory, tables: &'a Tables<'a>) -> Self {
        let topology = tables.topology();
        let ends = Ends::new(inventory, tables);
        let wanted = Wanted::new(inventory, topology);
        let crowd = |class: &Vec<usize>| {
            let mut crowd = Crowd::default();
            for end in class.iter().map(|index| &ends.all[*index]) {
                for (with_lan, counts) in [false, true].into_iter().zip(&mut crowd) {
                    *counts.entry(end.spot(topology, with_lan)).or_default() += 1;
                }
            }
            crowd
        };
        let crowds = ends.classes.par_iter().map(crowd).collect();
        let walker = Walker::new(inventory, tables, Doubt::Fails);
        let mut survey = Self {
            inventory,
            tables,
            ends,
            walker,
            kinds: Vec::new(),
            exits: Vec::new(),
            flows: 0,
            crowds,
        };
        let classes = survey.ends.classes.len();
        survey.kinds = (0..classes)
            .into_par_iter()
            .flat_map_iter(|from| {
                let (survey, wanted) = (&survey, &wanted);
                (0..classes).filter_map(move |to| survey.kind(wanted, from, to))
            })
            .collect();
        survey.exits = survey.full_tunnels();
        let flows: u64 = survey.kinds.iter().map(|kind| kind.flows).sum();
        survey.flows = flows + survey.exits.len() as u64;
        survey
    }

    pub(super) fn topology(&self) -> &'a Topology {
        self.tables.topology()
    }

    /// The ends of a class.
    pub(super) fn class(&self, class: usize) -> impl Iterator<Item = &End> {
        self.ends.classes[class].iter().map(|index| &self.ends.all[*index])
    }

    /// Whether flows between two classes have a LAN at one of their ends.
    fn with_lan(&self, from: usize, to: usize) -> bool {
        [from, to].iter().any(|class| self.class(*class).next().is_some_and(End::is_lan))
    }

    /// Whether two ends of two classes are at one place.
    pub(super) fn together(&self, (from, a): (usize, &End), (to, b): (usize, &End)) -> bool {
        let with_lan = self.with_lan(from, to);
        a.spot(self.topology(), with_lan) == b.spot(self.topology(), with_lan)
    }

    /// How many flows there are between an end of one class and another class.
    pub(super) fn flows_of(&self, (from, end): (usize, &End), to: usize) -> u64 {
        let with_lan = self.with_lan(from, to);
        let here = &self.crowds[to][usize::from(with_lan)];
        let near = here.get(&end.spot(self.topology(), with_lan)).copied().unwrap_or(0);
        self.ends.classes[to].len() as u64 - near
    }

    /// How many flows there are between two classes.
    fn count(&self, from: usize, to: usize) -> u64 {
        let with_lan = usize::from(self.with_lan(from, to));
        let (one, two) = (&self.crowds[from][with_lan], &self.crowds[to][with_lan]);
        let (few, many) = if one.len() <= two.len() { (one, two) } else { (two, one) };
        let together: u64 =
            few.iter().map(|(spot, count)| count * many.get(spot).copied().unwrap_or(0)).sum();
        let size = |class: usize| self.ends.classes[class].len() as u64;
        size(from) * size(to) - together
    }

    fn kind(&self, wanted: &Wanted<'_>, from: usize, to: usize) -> Option<Kind> {
        let (a, b) = (self.class(from).next()?, self.class(to).next()?);
        if a.family() != b.family() || a.network.zip(b.network).is_some_and(|(a, b)| a != b) {
            return None;
        }
        let apart = |a: &End, b: &End| !self.together((from, a), (to, b));
        let (a, b) = match self.class(to).find(|b| apart(a, b)) {
            Some(b) => (a, b),
            None => (self.class(from).find(|a| apart(a, b))?, b),
        };
        if !wanted.flow(self.tables, a, b) {
            return None;
        }
        let links = self.with_flow(&self.walker, a, b, |flow| {
            flow.prove()?.ok()?;
            Some(flow.crossed().0)
        })?;
        Some(Kind { from, to, flows: self.count(from, to), links })
    }

    /// The flow between two ends.
    fn with_flow<T>(
        &self,
        walker: &Walker<'_>,
        a: &End,
        b: &End,
        ask: impl FnOnce(&Flow<'_, '_>) -> T,
    ) -> T {
        // The kernel chooses the source of what a host sends to a LAN.
        let start = match a.member {
            Member::Address(node, _) if b.network != a.network => Member::Node(node),
            member => member,
        };
        ask(&Flow {
            topology: self.topology(),
            tables: self.tables,
            walker,
            from: &start,
            to: &b.member,
            family: a.family(),
        })
    }

    /// How the flow between two ends fails, where it does.
    pub(super) fn loss(&self, walker: &Walker<'_>, a: &End, b: &End) -> Option<Box<Broken>> {
        self.with_flow(walker, a, b, |flow| flow.prove()?.err())
    }

    /// How the flow of a full tunnel fails, where it does.
    pub(super) fn loss_of_exit(
        &self,
        walker: &Walker<'_>,
        node: NodeId,
        addr: IpAddr,
    ) -> Option<Box<Broken>> {
        self.exit_flow(walker, node, addr, |flow| flow.prove()?.err())
    }

    fn exit_flow<T>(
        &self,
        walker: &Walker<'_>,
        node: NodeId,
        addr: IpAddr,
        ask: impl FnOnce(&Flow<'_, '_>) -> T,
    ) -> T {
        ask(&Flow {
            topology: self.topology(),
            tables: self.tables,
            walker,
            from: &Member::Node(node),
            to: &Member::Internet(addr),
            family: Family::of_addr(&addr),
        })
    }

    fn full_tunnels(&self) -> Vec<Exit> {
        let nodes = wanted::full_tunnels(self.inventory, self.topology());
        if nodes.is_empty() {
            return Vec::new();
        }
        let index = self.inventory.index();
        let internet = flows::expand(self.inventory, &index, self.tables, &Selector::Internet);
        let addresses = internet.iter().filter_map(|member| match member {
            Member::Internet(addr) => Some(*addr),
            _ => None,
        });
        let addresses: Vec<IpAddr> = addresses.collect();
        let exit = |(node, addr): (NodeId, IpAddr)| {
            self.exit_flow(&self.walker, node, addr, |flow| {
                flow.prove()?.ok()?;
                let (links, exits) = flow.crossed();
                Some(Exit { node, addr, links, exits })
            })
        };
        let pairs = nodes.into_iter().flat_map(|node| addresses.iter().map(move |to| (node, *to)));
        pairs.filter_map(exit).collect()
    }
}
