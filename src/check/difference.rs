//! What reaches what in one of two states of a fleet only: flows gained, flows lost.
//!
//! The two states may be of two inventories. Their nodes, sites and networks are matched by name,
//! so that whatever only one of them has counts too.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::boundaries::boundaries;
use super::broken;
use super::ends::End;
use super::flows::Member;
use super::joint::{self, Both, Joint};
use super::proof::{Proof, Scope};
use super::tables::Tables;
use super::trace;
use crate::finding::{FlowEnd, Loss, Reason, Witness};
use crate::inventory::Inventory;
use crate::model::HostName;
use crate::topology::{NodeId, Topology};

/// The difference in reachability between two states of a fleet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// Flows that begin to work.
    pub gained: Vec<Moved>,
    /// Flows that cease to work.
    pub lost: Vec<Moved>,
    /// How many of the lost flows begin, end or are now dropped at each host.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lost_at: BTreeMap<HostName, u64>,
    /// Hosts whose state was not read, and where it was taken from instead.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assumed: Vec<Assumed>,
}

/// Hosts whose state was not read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Assumed {
    /// The hosts, in order of the file.
    pub hosts: Vec<HostName>,
    /// Why it was not read.
    pub why: Unread,
    /// The commit whose inventory was taken for what runs there, as git(1) shortens it; `None`: none
    /// is known. Then what the file says now was taken, and of a host that it does not have, what
    /// other hosts have of it.
    #[cfg_attr(test, schemars(with = "Option<crate::model::schema::Word>"))]
    pub commit: Option<String>,
    /// Whether files that were not committed were applied with that commit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dirty: bool,
}

/// Why a host's state was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Unread {
    /// It did not answer.
    Unreadable,
    /// `--limit` leaves it out.
    OutsideLimit,
    /// The inventory does not have it any more.
    Removed,
}

/// Flows that change alike: from one place to another, or among many places that are alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Moved {
    /// Where one of them begins.
    pub from: FlowEnd,
    /// Where it ends.
    pub to: FlowEnd,
    /// Between how many ordered pairs of places there are such flows.
    pub pairs: u64,
    /// How many there are.
    pub flows: u64,
    /// The packet of one of them.
    pub witness: Witness,
    /// Why it does not work where it does not.
    pub reason: Option<Reason>,
}

impl Difference {
    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.gained.is_empty() && self.lost.is_empty()
    }

    /// How many flows begin to work.
    #[must_use]
    pub fn gains(&self) -> u64 {
        self.gained.iter().map(|moved| moved.flows).sum()
    }

    /// How many flows cease to work.
    #[must_use]
    pub fn losses(&self) -> u64 {
        self.lost.iter().map(|moved| moved.flows).sum()
    }
}

/// A fleet in one state: what a file says, or what runs.
#[derive(Debug, Clone, Copy)]
pub struct State<'a> {
    /// Its inventory.
    pub inventory: &'a Inventory,
    /// Its topology.
    pub topology: &'a Topology,
}

impl<'a> State<'a> {
    /// A state.
    #[must_use]
    pub fn new(inventory: &'a Inventory, topology: &'a Topology) -> Self {
        Self { inventory, topology }
    }
}

/// Whether a flow works, and why not.
type Works = (bool, Option<Reason>);

/// A state with the verdict of each pair of classes.
struct Side<'a> {
    state: State<'a>,
    proof: Proof,
    verdicts: HashMap<(usize, usize), usize>,
}

impl<'a> Side<'a> {
    fn new(state: State<'a>, running: &Topology, others: &[ipnet::IpNet]) -> Self {
        let tables = Tables::among(state.inventory, state.topology, others).beside(running);
        let proof = Proof::new(state.inventory, &tables, Scope::All);
        let pairs = proof.verdicts.iter().enumerate();
        let verdicts = pairs
            .filter_map(|(index, verdict)| Some(((verdict.from?, verdict.to?), index)))
            .collect();
        Self { state, proof, verdicts }
    }

    /// Whether flows between two classes work; where they do not, the verdict.
    fn works(&self, from: Option<usize>, to: Option<usize>) -> (bool, Option<usize>) {
        let verdict = from.zip(to).and_then(|pair| self.verdicts.get(&pair)).copied();
        let Some(index) = verdict else { return (false, None) };
        let works = self.proof.verdicts[index].result.is_ok();
        (works, (!works).then_some(index))
    }

    /// Where a flow is lost, and why.
    fn reason(&self, verdict: usize) -> Option<(NodeId, Reason)> {
        let broken = self.proof.verdicts[verdict].result.as_ref().err()?;
        let lost = broken.back.as_ref().unwrap_or(&broken.out);
        let (step, cause) = lost.steps.last().zip(broken.cause)?;
        Some((step.node, trace::reason(self.state.topology, step.node, cause)))
    }

    /// Why an end of the other state is not there.
    fn absent(&self, other: &Topology, end: &End) -> Reason {
        let name = &other.node(end.node).name;
        let (cause, host, text) = match end.member {
            Member::Lan { .. } => {
                (Loss::NoLan, None, format!("no host delivers to the LAN of {}", end.addr))
            }
            _ if self.state.topology.find(name).is_none() => {
                (Loss::NoHost, Some(name), format!("`{name}` is not there"))
            }
            _ => {
                let text = format!("`{name}` does not have the address {}", end.addr);
                (Loss::NoAddress, Some(name), text)
            }
        };
        Reason { cause, host: host.cloned(), text }
    }

    /// What full tunnels reach beside the fleet, by node and address.
    fn exits(&self) -> HashMap<(&'a HostName, IpAddr), usize> {
        let topology = self.state.topology;
        let exits = self.proof.verdicts.iter().enumerate();
        exits
            .filter_map(|(index, verdict)| {
                let (node, addr) = verdict.exit?;
                Some(((&topology.node(node).name, addr), index))
            })
            .collect()
    }
}

/// The topology with what was heard from its endpoints in what ran before.
pub(super) fn heard<'a>(before: &Topology, after: &'a Topology) -> Cow<'a, Topology> {
    let peers = |topology: &Topology| {
        topology.interfaces.iter().any(|own| own.peers.iter().any(|peer| peer.heard))
    };
    if !peers(before) {
        return Cow::Borrowed(after);
    }
    let name = |topology: &Topology, id| {
        let interface = topology.interface(id);
        (topology.node(interface.node).name.clone(), interface.name.value.clone())
    };
    let mut known = HashMap::new();
    for interface in &before.interfaces {
        let own = (before.node(interface.node).name.clone(), interface.name.value.clone());
        for peer in interface.peers.iter().filter(|peer| peer.heard) {
            known.insert((own.clone(), name(before, peer.remote)), peer.address());
        }
    }
    let mut topology = after.clone();
    for interface in &mut topology.interfaces {
        let own = (after.node(interface.node).name.clone(), interface.name.value.clone());
        for peer in &mut interface.peers {
            let was = known.get(&(own.clone(), name(after, peer.remote)));
            peer.heard = was.is_some_and(|was| *was == peer.address());
        }
    }
    Cow::Owned(topology)
}

/// Proves every flow of two states of a fleet and compares the verdicts.
#[must_use]
pub fn difference(before: State<'_>, after: State<'_>) -> Difference {
    let heard = heard(before.topology, after.topology);
    let bounds = |state: State<'_>| boundaries(state.inventory, state.topology);
    let (of_old, of_new) = rayon::join(|| bounds(before), || bounds(after));
    let (old, new) = rayon::join(
        || Side::new(before, before.topology, &of_new),
        || Side::new(after, &heard, &of_old),
    );
    let comparison = Comparison {
        old: &old,
        new: &new,
        found: Default::default(),
        lost_at: BTreeMap::new(),
        ranks: Ranks::new(before, after),
    };
    comparison.run()
}

/// Where flows of one row begin or end: a node, a site, or beside the fleet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Place<'a> {
    Node(usize, &'a str),
    Site(usize, &'a str),
    Internet,
}

/// The order of rows: that of the new file, then what only the old one has.
struct Ranks<'a> {
    nodes: HashMap<&'a HostName, usize>,
    sites: HashMap<&'a str, usize>,
}

impl<'a> Ranks<'a> {
    fn new(old: State<'a>, new: State<'a>) -> Self {
        let mut ranks = Self { nodes: HashMap::new(), sites: HashMap::new() };
        for state in [new, old] {
            for node in &state.topology.nodes {
                let next = ranks.nodes.len();
                ranks.nodes.entry(&node.name).or_insert(next);
            }
            for site in &state.inventory.sites {
                let next = ranks.sites.len();
                ranks.sites.entry(site.name.value.as_str()).or_insert(next);
            }
        }
        ranks
    }
}

struct Comparison<'a> {
    old: &'a Side<'a>,
    new: &'a Side<'a>,
    /// Gained, and lost.
    found: [BTreeMap<(Place<'a>, Place<'a>), Moved>; 2],
    lost_at: BTreeMap<HostName, u64>,
    ranks: Ranks<'a>,
}

impl<'a> Comparison<'a> {
    fn topologies(&self) -> (&'a Topology, &'a Topology) {
        (self.old.state.topology, self.new.state.topology)
    }

    fn run(mut self) -> Difference {
        let (old, new) = (self.old, self.new);
        let ends = joint::matched(
            (old.state.inventory, old.state.topology, &old.proof.ends),
            (new.state.inventory, new.state.topology, &new.proof.ends),
        );
        let mut joint: BTreeMap<(Option<usize>, Option<usize>), Vec<Both<'a>>> = BTreeMap::new();
        for end in ends {
            joint.entry(end.classes).or_default().push(end);
        }
        let joint: Vec<Joint<'a>> =
            joint.into_iter().map(|(classes, ends)| Joint { classes, ends }).collect();
        for from in &joint {
            for to in &joint {
                self.classes(from, to);
            }
        }
        self.exits();
        let [gained, lost] = self.found.map(|moved| moved.into_values().collect());
        Difference { gained, lost, lost_at: self.lost_at, assumed: Vec::new() }
    }

    fn classes(&mut self, from: &Joint<'a>, to: &Joint<'a>) {
        let (was, why_not) = self.old.works(from.classes.0, to.classes.0);
        let (is, why_no_more) = self.new.works(from.classes.1, to.classes.1);
        if was == is {
            return;
        }
        let (old, new) = self.topologies();
        let examples = joint::examples(old, new, from, to);
        let Some(first) = examples.first() else { return };
        let (side, verdict) = if is { (self.old, why_not) } else { (self.new, why_no_more) };
        let told = verdict.and_then(|verdict| side.reason(verdict));
        let absent = |both: &Both<'a>| match (both.old, both.new) {
            (None, Some(end)) if is => Some(side.absent(new, end)),
            (Some(end), None) if was => Some(side.absent(old, end)),
            _ => None,
        };
        let missing = absent(&first.ends.1).or_else(|| absent(&first.ends.0));
        let reason = told.as_ref().map(|(_, why)| why.clone()).or(missing);
        let mut flows = 0;
        for joint::Example { ends: (a, b), pairs, flows: some } in examples {
            flows += some;
            self.add(was, (&a, &b), pairs, some, reason.as_ref());
        }
        if was {
            let lost_at = &mut self.lost_at;
            joint::by_host(old, new, from, to, |name, flows| {
                if flows > 0 {
                    *lost_at.entry(name.clone()).or_default() += flows;
                }
            });
            // A host that drops what it passed on before loses these flows too.
            if let Some((node, _)) = told {
                let dropping = &new.node(node).name;
                let is_there = |both: &Both<'_>| {
                    let was = both.old.map(|end| &old.node(end.node).name);
                    let is = both.new.map(|end| &new.node(end.node).name);
                    was == Some(dropping) || is == Some(dropping)
                };
                // Where one of them ends there, those are counted already.
                if !from.ends.iter().chain(&to.ends).any(is_there) {
                    *lost_at.entry(dropping.clone()).or_default() += flows;
                }
            }
        }
    }

    /// The row or column of an end: its site, or its node where it is at none.
    fn place(&self, both: &Both<'a>) -> Place<'a> {
        let state = if both.new.is_some() { self.new.state } else { self.old.state };
        let Some(end) = both.end() else { return Place::Internet };
        let node = state.topology.node(end.node);
        match node.site.map(|site| state.inventory.sites[site].name.value.as_str()) {
            Some(site) => {
                Place::Site(self.ranks.sites.get(site).copied().unwrap_or_default(), site)
            }
            None => self.node(&node.name),
        }
    }

    fn node(&self, name: &'a HostName) -> Place<'a> {
        Place::Node(self.ranks.nodes.get(name).copied().unwrap_or_default(), name.as_str())
    }

    fn name(&self, both: &Both<'a>, end: &End) -> FlowEnd {
        let (old, new) = self.topologies();
        let topology = if both.new.is_some() { new } else { old };
        broken::name(topology, &end.member)
    }

    fn add(
        &mut self,
        was: bool,
        (a, b): (&Both<'a>, &Both<'a>),
        pairs: u64,
        flows: u64,
        reason: Option<&Reason>,
    ) {
        let Some((source, destination)) = a.end().zip(b.end()) else { return };
        let places = (self.place(a), self.place(b));
        let (from, to) = (self.name(a, source), self.name(b, destination));
        let witness = Witness { source: source.addr, destination: destination.addr };
        let moved = self.found[usize::from(was)].entry(places).or_insert_with(|| Moved {
            from,
            to,
            pairs,
            flows: 0,
            witness,
            reason: reason.cloned(),
        });
        moved.pairs = moved.pairs.max(pairs);
        moved.flows += flows;
    }

    /// What full tunnels reach beside the fleet. One that begins or ceases to be a full tunnel
    /// reaches the Internet by itself in the other state: that is no flow of the fleet.
    fn exits(&mut self) {
        let (was, is) = (self.old.exits(), self.new.exits());
        let (before, after) = self.topologies();
        let mut all: Vec<_> =
            is.keys().chain(was.keys().filter(|key| !is.contains_key(key))).collect();
        all.sort_unstable();
        for (name, addr) in all {
            let look =
                |side: &Side<'_>, index: Option<&usize>, topology: &Topology| -> Option<Works> {
                    match index {
                        Some(index) => {
                            let works = side.proof.verdicts[*index].result.is_ok();
                            Some((works, side.reason(*index).map(|(_, why)| why)))
                        }
                        None if topology.find(name).is_some() => None,
                        None => Some((false, None)),
                    }
                };
            let key = &(*name, *addr);
            let (Some((worked, why_not)), Some((works, why_no_more))) =
                (look(self.old, was.get(key), before), look(self.new, is.get(key), after))
            else {
                continue;
            };
            if worked == works {
                continue;
            }
            let topology = if is.contains_key(key) { after } else { before };
            let Some(node) = topology.find(name) else { continue };
            let source = topology.node(node).interfaces.iter();
            let mut source = source.flat_map(|id| topology.tunnel_addresses(*id));
            let source = source.find(|own| own.is_ipv4() == addr.is_ipv4());
            let Some(source) = source else { continue };
            let place = self.node(name);
            let moved = self.found[usize::from(worked)]
                .entry((place, Place::Internet))
                .or_insert_with(|| Moved {
                    from: FlowEnd::Host { host: (*name).clone() },
                    to: FlowEnd::Internet,
                    pairs: 1,
                    flows: 0,
                    witness: Witness { source, destination: *addr },
                    reason: if worked { why_no_more } else { why_not },
                });
            moved.flows += 1;
            if worked {
                *self.lost_at.entry((*name).clone()).or_default() += 1;
            }
        }
    }
}

#[cfg(test)]
#[path = "difference_tests.rs"]
mod tests;
