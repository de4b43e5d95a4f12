//! Proof of `expect` rules, packet by packet over classes of addresses.
//!
//! *allow*: for every source and destination that the two selectors stand for, and each family
//! that both have, the packet arrives and its reply comes back. *deny*: no packet of the flow
//! arrives, whatever source of its own the sender chooses and whichever session happens to be up.

use std::cell::OnceCell;
use std::net::IpAddr;

use rayon::prelude::*;

use super::failure::Failure;
use super::flow::{Broken, Flow};
use super::flows::{Member, expand};
use super::remedies;
use super::session::Graph;
use super::tables::Tables;
use super::trace;
use super::walk::{Cause, Doubt, Packet, Start, Walker};
use crate::finding::{Code, Finding, Severity};
use crate::inventory::{Expect, Index, Inventory, LossOf, Selector};
use crate::model::Family;
use crate::topology::{NodeId, Topology};

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// What the flows of one rule come to.
#[derive(Debug, Default)]
struct Tally {
    /// Flows between two different places that share a family.
    flows: u64,
    /// Pairs of ends that are at different places.
    pairs: u64,
    broken: u32,
    first: Option<Box<Broken>>,
}

impl Tally {
    /// Adds what comes later in order.
    fn add(mut self, later: Self) -> Self {
        self.flows += later.flows;
        self.pairs += later.pairs;
        self.broken = self.broken.saturating_add(later.broken);
        self.first = self.first.or(later.first);
        self
    }
}

/// Every rule that the fleet does not keep: one finding each, counting its flows.
pub(super) fn rules(inventory: &Inventory, tables: &Tables<'_>) -> Vec<Finding> {
    if inventory.expects.is_empty() {
        return Vec::new();
    }
    let (topology, index) = (tables.topology(), inventory.index());
    let prover = Prover { inventory, topology, tables, index, graph: OnceCell::new() };
    inventory.expects.iter().filter_map(|rule| prover.prove(rule)).collect()
}

struct Prover<'a> {
    inventory: &'a Inventory,
    topology: &'a Topology,
    tables: &'a Tables<'a>,
    index: Index<'a>,
    graph: OnceCell<Graph>,
}

impl Prover<'_> {
    fn prove(&self, rule: &Expect) -> Option<Finding> {
        let members = |selector| expand(self.inventory, &self.index, self.tables, selector);
        let (from, to) = (members(&rule.from.value), members(&rule.to.value));
        for (end, members) in [(&rule.from, &from), (&rule.to, &to)] {
            // A packet to or from nowhere keeps every `deny`.
            let nowhere = |member: &Member| matches!(member, Member::Nowhere(_));
            // Whoever is left out keeps every rule, or a time that is over would stop the fleet.
            if members.is_empty() && self.inventory.names_absent(&end.value) {
                return None;
            }
            if members.is_empty() || (!rule.allow && members.iter().all(nowhere)) {
                let title = format!("{} stands for no address", name(&end.value));
                let finding = Finding::new(Code::ExpectFails, title, end.at)
                    .label("so the rule says nothing")
                    .help(match end.value {
                        Selector::Net(_) => {
                            "name addresses of hosts, or declare the prefix as `subnets` of the \
                             site or host that it is behind"
                        }
                        _ => "give it hosts or subnets, or remove the rule",
                    });
                // Nothing breaks a `deny` of what is not there.
                let severity = if rule.allow { Severity::Error } else { Severity::Warning };
                return Some(Finding { severity, ..finding });
            }
        }
        let doubt = if rule.allow { Doubt::Fails } else { Doubt::Works };
        let walker = Walker::new(self.inventory, self.tables, doubt);
        if let Some(loss) = &rule.without {
            return self.survives(rule, &loss.value, (&walker, from, to));
        }
        self.among(rule, &walker, &from, &to)
    }

    /// A flow that must exist while something has failed: with each failure, it does among what is left.
    fn survives(
        &self,
        rule: &Expect,
        loss: &LossOf,
        (walker, from, to): (&Walker<'_>, Vec<Member>, Vec<Member>),
    ) -> Option<Finding> {
        let failures = self.failures(loss);
        if failures.is_empty() {
            let title = match loss {
                LossOf::Link(a, b) => format!("`{a}` and `{b}` are not linked"),
                other => format!("{} is not in the fleet", lost(other)),
            };
            let at = rule.without.as_ref().map_or(rule.at, |loss| loss.at);
            return Some(
                Finding::new(Code::ExpectFails, title, at)
                    .label("so the rule takes nothing away")
                    .help("name two hosts that are linked, a host, or a site for its uplink"),
            );
        }
        for failure in failures {
            let walker = walker.without(failure);
            let left = |members: &[Member]| -> Vec<Member> {
                let there = |member: &&Member| self.is_left(failure, member);
                members.iter().filter(there).copied().collect()
            };
            let (near, far) = (left(&from), left(&to));
            for (end, members) in [(&rule.from, &near), (&rule.to, &far)] {
                if members.is_empty() {
                    let title = format!("{} is what fails", name(&end.value));
                    return Some(
                        Finding::new(Code::ExpectFails, title, end.at)
                            .label("nothing is left of this end")
                            .help("name ends that are there without what fails"),
                    );
                }
            }
            if let Some(finding) = self.among(rule, &walker, &near, &far) {
                return Some(finding);
            }
        }
        None
    }

    /// What a rule takes away; several links where two hosts have several.
    fn failures(&self, loss: &LossOf) -> Vec<Failure> {
        match loss {
            LossOf::Host(host) => self.topology.find(host).map(Failure::Node).into_iter().collect(),
            LossOf::Uplink(site) => {
                self.index.site(site).map(Failure::Uplink).into_iter().collect()
            }
            LossOf::Link(a, b) => {
                let ends = self.topology.find(a).zip(self.topology.find(b));
                let links = ends.into_iter().flat_map(|(a, b)| {
                    let own = self.topology.node(a).interfaces.iter();
                    own.flat_map(move |id| {
                        let peers = self.topology.interface(*id).peers.iter();
                        peers
                            .filter(move |peer| self.topology.interface(peer.remote).node == b)
                            .map(move |peer| Failure::Link(*id, peer.remote))
                    })
                });
                links.collect()
            }
        }
    }

    /// Whether an end is there without what fails.
    fn is_left(&self, failure: Failure, member: &Member) -> bool {
        match (failure, member) {
            (Failure::Node(lost), Member::Lan { .. }) => {
                let starts = member.starts(self.tables);
                starts.is_empty()
                    || starts.iter().any(|(Start::Node(at) | Start::Through(at))| *at != lost)
            }
            (Failure::Node(lost), member) => member.node() != Some(lost),
            _ => true,
        }
    }

    fn among(
        &self,
        rule: &Expect,
        walker: &Walker<'_>,
        from: &[Member],
        to: &[Member],
    ) -> Option<Finding> {
        let (topology, tables) = (self.topology, self.tables);
        let tally = from
            .par_iter()
            .map(|from| {
                let mut tally = Tally::default();
                for to in to.iter().filter(|to| !from.together(to, topology)) {
                    tally.pairs += 1;
                    for family in FAMILIES {
                        let flow = Flow { topology, tables, walker, from, to, family };
                        let Some(result) = flow.keeps(rule.allow) else { continue };
                        tally.flows += 1;
                        if let Err(broken) = result {
                            tally.broken = tally.broken.saturating_add(1);
                            tally.first.get_or_insert(broken);
                        }
                    }
                }
                tally
            })
            .reduce(Tally::default, Tally::add);
        match tally.first {
            Some(broken) => Some(self.finding(rule, &broken, tally.broken)),
            None if rule.allow && tally.pairs > 0 && tally.flows == 0 => Some(strangers(rule)),
            None => None,
        }
    }

    fn finding(&self, rule: &Expect, broken: &Broken, count: u32) -> Finding {
        let (from, to) = (name(&rule.from.value), name(&rule.to.value));
        let Packet { source, destination } = broken.out.packet;
        let title = match (broken.cause, &broken.back) {
            (None, _) => format!("{from} reaches {to}, and must not"),
            (Some(_), None) => format!("{from} does not reach {to}"),
            (Some(Cause::NoReturnPath), _) => format!("no reply comes back from {to} to {from}"),
            (Some(_), Some(_)) => format!("the reply from {to} to {from} is lost"),
        };
        let title = match &rule.without {
            Some(loss) => format!("{title} without {}", lost(&loss.value)),
            None => title,
        };
        let mut finding = Finding::new(Code::ExpectFails, title, rule.at)
            .label(match (&rule.without, rule.allow) {
                (Some(_), _) => "must survive",
                (None, true) => "must flow",
                (None, false) => "must not flow",
            })
            .witness(source, destination);
        finding.trace = trace::hops(self.topology, broken);
        finding.count = count;
        let walk = broken.back.as_ref().unwrap_or(&broken.out);
        let last = walk.steps.last();
        if let (Some(cause), Some(step)) = (broken.cause, last) {
            let at = self.topology.node(step.node).at;
            finding = finding.also(at, trace::why(self.topology, step.node, cause));
        }
        match self.help(rule, broken) {
            Some(help) => finding.help(help),
            None => finding,
        }
    }

    fn help(&self, rule: &Expect, broken: &Broken) -> Option<String> {
        let cause = broken.cause?;
        if let Cause::Failed(_) = cause {
            let instead = match rule.without.as_ref().map(|loss| &loss.value) {
                Some(LossOf::Host(_)) => {
                    "link the two directly: a second hub does not take over by itself, for each two \
                     hosts have one way"
                }
                _ => "no host takes another way by itself, for each prefix belongs to one peer",
            };
            return Some(format!("{instead}. `wgfleet check --failures` shows what else is lost"));
        }
        if let Member::Lan { addr, .. } = broken.from
            && cause == Cause::NoStart
        {
            return Some(format!("make the host that routes {addr} a `gateway: true` of its site"));
        }
        if cause == Cause::NoStart {
            return match broken.from {
                Member::Internet(_) => Some(
                    "nothing of the Internet begins a flow into a tunnel: write the rule the other \
                     way round, replies are part of it"
                        .to_owned(),
                ),
                Member::Nowhere(addr) => Some(undeclared(addr)),
                _ => None,
            };
        }
        let lost = matches!(cause, Cause::NoRoute | Cause::NoPeer(_) | Cause::NoSession(_));
        if let (true, Member::Lan { addr, .. }) = (lost, broken.to)
            && self.tables.gateways(addr).is_empty()
        {
            return Some(format!("make the host that routes {addr} a `gateway: true` of its site"));
        }
        if let (true, Member::Nowhere(addr)) = (lost, broken.to) {
            return Some(undeclared(addr));
        }
        let near = self.node(&broken.from);
        let far = self.node(&broken.to);
        if let (true, Some(near), Some(far)) = (lost, near, far) {
            let graph = self.graph.get_or_init(|| Graph::new(self.inventory, self.topology));
            if !graph.joined(near, far) {
                let (near, far) = (self.topology.node(near), self.topology.node(far));
                return Some(format!(
                    "no chain of sessions joins `{}` and `{}`: link them, or both to a hub",
                    near.name, far.name
                ));
            }
        }
        if let (Cause::NoRoute, Member::Internet(_), Some(node)) = (cause, broken.to, near) {
            let name = &self.topology.node(node).name;
            return Some(format!("`internet` is what a full tunnel reaches: give `{name}` one"));
        }
        remedies::instead(self.inventory, self.topology, broken)
    }

    /// A node that an end is at or behind.
    fn node(&self, member: &Member) -> Option<NodeId> {
        match member {
            Member::Lan { addr, .. } => self.tables.gateways(*addr).first().copied(),
            _ => member.node(),
        }
    }
}

/// What helps where nothing has an address.
fn undeclared(addr: IpAddr) -> String {
    format!(
        "nothing in the fleet has {addr}: declare it as `subnets` of the site or host that it is \
         behind"
    )
}

/// Two ends that no packet can be between.
fn strangers(rule: &Expect) -> Finding {
    let (from, to) = (name(&rule.from.value), name(&rule.to.value));
    Finding::new(Code::ExpectFails, format!("{from} and {to} share no address family"), rule.at)
        .label("must flow")
        .help("give both IPv4 or both IPv6 addresses")
}

/// What fails, as the file has it.
fn lost(loss: &LossOf) -> String {
    match loss {
        LossOf::Host(name) => format!("`{name}`"),
        LossOf::Uplink(name) => format!("the uplink of site `{name}`"),
        LossOf::Link(a, b) => format!("the link between `{a}` and `{b}`"),
    }
}

/// A selector as the file has it.
fn name(selector: &Selector) -> String {
    match selector {
        Selector::Host(name) => format!("`{name}`"),
        Selector::Site(name) => format!("site `{name}`"),
        Selector::Group(name) => format!("group `{name}`"),
        Selector::Network(name) => format!("network `{name}`"),
        Selector::Net(net) => net.to_string(),
        Selector::Internet => "the Internet".to_owned(),
    }
}
