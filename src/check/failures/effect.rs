//! What one failure takes with it.

use std::collections::{BTreeMap, HashMap};

use super::classes::Kinds;
use super::listed::LostFlows;
use super::survey::{Kind, Survey};
use crate::check::broken;
use crate::check::ends::End;
use crate::check::failure::Failure;
use crate::check::flow::Broken;
use crate::check::flows::Member;
use crate::check::trace;
use crate::check::walk::{Cause, Walker};
use crate::finding::{Loss, Reason, Witness};
use crate::topology::{NodeId, Topology};

/// What a failure takes.
#[derive(Debug, Default)]
pub(super) struct Effect {
    /// Flows that begin or end at what fails.
    pub(super) ends: u64,
    /// Other flows.
    pub(super) lost: u64,
    /// The others by kind.
    pub(super) flows: Vec<LostFlows>,
}

/// Takes one thing away.
pub(super) fn effect<'a>(survey: &'a Survey<'a>, kinds: &Kinds<'_>, failure: Failure) -> Effect {
    let topology = survey.topology();
    let nodes: Vec<(NodeId, u8)> = match failure {
        Failure::Node(node) => vec![(node, 1)],
        Failure::Link(a, b) => {
            vec![(topology.interface(a).node, 1), (topology.interface(b).node, 2)]
        }
        Failure::Uplink(site) => {
            let beside = kinds.joined(site).into_iter().flat_map(|other| kinds.nodes_at(other));
            let here = kinds.nodes_at(site).map(|node| (node, 1));
            here.chain(beside.map(|node| (node, 2))).collect()
        }
    };
    let mut labels: BTreeMap<usize, u8> = BTreeMap::new();
    for (node, label) in nodes {
        labels.extend(kinds.ends(node).iter().map(|end| (*end, label)));
    }
    let mut parts: HashMap<usize, BTreeMap<u8, Vec<usize>>> = HashMap::new();
    let mut taker = Taker {
        survey,
        failure,
        walker: survey.walker.without(failure),
        labels,
        effect: Effect::default(),
    };
    for kind in kinds.touched(failure) {
        let kind = &survey.kinds[kind];
        for class in [kind.from, kind.to] {
            parts.entry(class).or_insert_with(|| taker.parts(class));
        }
        taker.kind(kind, &parts[&kind.from], &parts[&kind.to]);
    }
    // Flows at what fails that cross nothing of it are none.
    taker.exits();
    taker.effect
}

struct Taker<'a> {
    survey: &'a Survey<'a>,
    failure: Failure,
    walker: Walker<'a>,
    /// The ends at what fails, and at sites that a private net joins with it, each with the part that it is in.
    labels: BTreeMap<usize, u8>,
    effect: Effect,
}

impl Taker<'_> {
    /// The ends of a class that are at what fails, by part.
    fn parts(&self, class: usize) -> BTreeMap<u8, Vec<usize>> {
        let members = &self.survey.ends.classes[class];
        let mut parts: BTreeMap<u8, Vec<usize>> = BTreeMap::new();
        for (end, label) in &self.labels {
            if members.binary_search(end).is_ok() {
                parts.entry(*label).or_default().push(*end);
            }
        }
        parts
    }

    fn end(&self, index: usize) -> &End {
        &self.survey.ends.all[index]
    }

    fn kind(
        &mut self,
        kind: &Kind,
        from: &BTreeMap<u8, Vec<usize>>,
        to: &BTreeMap<u8, Vec<usize>>,
    ) {
        // Those between two ends that are both at what fails are among what leaves it and what enters it.
        let (mut twice, mut taken) = (0, 0);
        let mut entering: BTreeMap<u8, u64> = BTreeMap::new();
        for (label, ends) in to {
            let flows =
                ends.iter().map(|b| self.survey.flows_of((kind.to, self.end(*b)), kind.from));
            let flows: u64 = flows.sum();
            taken += flows;
            entering.insert(*label, flows);
        }
        for ones in from.values() {
            let all = ones.iter().map(|a| self.survey.flows_of((kind.from, self.end(*a)), kind.to));
            let mut rest: u64 = all.sum();
            taken += rest;
            for (label, others) in to {
                let apart = |a: &usize, b: &usize| {
                    !self.survey.together((kind.from, self.end(*a)), (kind.to, self.end(*b)))
                };
                let pairs = ones.iter().flat_map(|a| others.iter().map(move |b| (a, b)));
                let mut pairs = pairs.filter(|(a, b)| apart(a, b));
                let Some((a, b)) = pairs.next() else { continue };
                let flows = 1 + pairs.count() as u64;
                rest -= flows;
                twice += flows;
                *entering.entry(*label).or_default() -= flows;
                let (a, b) = (*self.end(*a), *self.end(*b));
                self.take(&a, &b, flows);
            }
            if rest > 0
                && let Some((a, b)) = self.example(kind, Some(ones), None)
            {
                self.take(&a, &b, rest);
            }
        }
        for (label, others) in to {
            let flows = entering.get(label).copied().unwrap_or(0);
            if flows > 0
                && let Some((a, b)) = self.example(kind, None, Some(others))
            {
                self.take(&a, &b, flows);
            }
        }
        let left = kind.flows + twice - taken;
        if left > 0
            && let Some((a, b)) = self.example(kind, None, None)
        {
            self.take(&a, &b, left);
        }
    }

    /// Two ends at different places, each one of those given, or else one that is not at what fails.
    fn example<'v>(
        &'v self,
        kind: &Kind,
        from: Option<&'v Vec<usize>>,
        to: Option<&'v Vec<usize>>,
    ) -> Option<(End, End)> {
        let of = |class: usize, given: Option<&'v Vec<usize>>| {
            let ends = given.unwrap_or(&self.survey.ends.classes[class]);
            ends.iter().filter(move |end| given.is_some() || !self.labels.contains_key(*end))
        };
        of(kind.from, from).find_map(|a| {
            let a = self.end(*a);
            let mut far = of(kind.to, to).map(|b| self.end(*b));
            let b = far.find(|b| !self.survey.together((kind.from, a), (kind.to, b)))?;
            Some((*a, *b))
        })
    }

    /// Whether an end is gone with what fails.
    fn is_gone(&self, end: &End) -> bool {
        let Failure::Node(lost) = self.failure else { return false };
        match end.member {
            Member::Lan { addr, site, node } => {
                let gateways = self.survey.tables.gateways(addr).iter();
                let here = |at: &&NodeId| {
                    node == Some(**at)
                        || (site.is_some() && self.survey.topology().node(**at).site == site)
                };
                gateways.filter(here).all(|at| *at == lost)
            }
            _ => end.node == lost,
        }
    }

    fn take(&mut self, a: &End, b: &End, flows: u64) {
        if self.is_gone(a) || self.is_gone(b) {
            self.effect.ends += flows;
        } else if let Some(broken) = self.survey.loss(&self.walker, a, b) {
            self.lose(flows, &broken);
        }
    }

    fn exits(&mut self) {
        let (survey, topology) = (self.survey, self.survey.topology());
        for exit in &survey.exits {
            if self.failure == Failure::Node(exit.node) {
                self.effect.ends += 1;
                continue;
            }
            let cut = |link: &(_, _)| self.failure.cuts(survey.inventory, topology, link.0, link.1);
            let leaves = |node: &NodeId| self.failure.leaves_internet(topology, *node);
            if !exit.links.iter().any(cut) && exit.exits.iter().all(leaves) {
                continue;
            }
            if let Some(broken) = survey.loss_of_exit(&self.walker, exit.node, exit.addr) {
                self.lose(1, &broken);
            }
        }
    }

    fn lose(&mut self, flows: u64, broken: &Broken) {
        self.effect.lost += flows;
        let topology = self.survey.topology();
        let packet = broken.out.packet;
        self.effect.flows.push(LostFlows {
            from: broken::name(topology, &broken.from),
            to: broken::name(topology, &broken.to),
            flows,
            reason: reason(topology, broken),
            witness: Witness { source: packet.source, destination: packet.destination },
        });
    }
}

fn reason(topology: &Topology, broken: &Broken) -> Reason {
    let lost = broken.back.as_ref().unwrap_or(&broken.out);
    let cause = broken.cause.unwrap_or(Cause::NoRoute);
    lost.steps.last().map_or_else(
        || Reason {
            cause: Loss::NoSender,
            host: None,
            text: "no node sends it into a tunnel".to_owned(),
        },
        |step| trace::reason(topology, step.node, cause),
    )
}
