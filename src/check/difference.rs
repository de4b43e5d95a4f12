//! What reaches what in one of two topologies only: flows gained, flows lost.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::broken;
use super::ends::{End, Spot};
use super::flows::Member;
use super::proof::{Proof, Scope};
use super::tables::Tables;
use super::trace;
use crate::finding::Witness;
use crate::inventory::Inventory;
use crate::topology::Topology;

/// The difference in reachability between what runs and what is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Flows that begin to work.
    pub gained: Vec<Moved>,
    /// Flows that cease to work.
    pub lost: Vec<Moved>,
}

/// Flows between two classes of ends that change alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// Where one of them begins.
    pub from: String,
    /// Where it ends.
    pub to: String,
    /// How many there are.
    pub flows: u64,
    /// The packet of one of them.
    pub witness: Witness,
    /// Why it does not work where it does not, as a lower-case fragment.
    pub reason: Option<String>,
}

impl Difference {
    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.gained.is_empty() && self.lost.is_empty()
    }
}

/// A topology with the verdict of each pair of classes.
struct Side<'a> {
    topology: &'a Topology,
    proof: Proof,
    class_of: HashMap<Member, usize>,
    verdicts: HashMap<(usize, usize), usize>,
}

impl<'a> Side<'a> {
    fn new(inventory: &Inventory, topology: &'a Topology, running: &Topology) -> Self {
        let tables = Tables::new(inventory, topology).beside(running);
        let proof = Proof::new(inventory, &tables, Scope::All);
        let mut class_of = HashMap::new();
        for (class, ends) in proof.ends.classes.iter().enumerate() {
            class_of.extend(ends.iter().map(|end| (proof.ends.all[*end].member, class)));
        }
        let pairs = proof.verdicts.iter().enumerate();
        let verdicts = pairs
            .filter_map(|(index, verdict)| Some(((verdict.from?, verdict.to?), index)))
            .collect();
        Self { topology, proof, class_of, verdicts }
    }

    /// Whether a flow works, and why not.
    fn works(&self, from: Option<usize>, to: Option<usize>) -> (bool, Option<String>) {
        let verdict = from.zip(to).and_then(|pair| self.verdicts.get(&pair));
        let Some(verdict) = verdict.map(|index| &self.proof.verdicts[*index]) else {
            return (false, None);
        };
        let Err(broken) = &verdict.result else { return (true, None) };
        let lost = broken.back.as_ref().unwrap_or(&broken.out);
        let reason = lost.steps.last().zip(broken.cause).map(|(step, cause)| {
            let name = &self.topology.node(step.node).name;
            format!("`{name}` {}", trace::why(self.topology, step.node, cause))
        });
        (false, reason)
    }
}

/// Ends that both topologies treat alike.
struct Joint {
    classes: (Option<usize>, Option<usize>),
    ends: Vec<End>,
}

/// Proves every flow of two topologies of one inventory and compares the verdicts.
#[must_use]
pub fn difference(inventory: &Inventory, before: &Topology, after: &Topology) -> Difference {
    let (old, new) = rayon::join(
        || Side::new(inventory, before, before),
        || Side::new(inventory, after, before),
    );
    let mut joint: BTreeMap<(Option<usize>, Option<usize>), Vec<End>> = BTreeMap::new();
    let mut add = |member: Member, end: End| {
        let classes = (old.class_of.get(&member).copied(), new.class_of.get(&member).copied());
        joint.entry(classes).or_default().push(end);
    };
    for end in &new.proof.ends.all {
        add(end.member, *end);
    }
    for end in old.proof.ends.all.iter().filter(|end| !new.class_of.contains_key(&end.member)) {
        add(end.member, *end);
    }
    let joint: Vec<Joint> =
        joint.into_iter().map(|(classes, ends)| Joint { classes, ends }).collect();
    let mut folded: [BTreeMap<(Spot, Spot), Moved>; 2] = Default::default();
    for from in &joint {
        for to in &joint {
            let (was, why_not) = old.works(from.classes.0, to.classes.0);
            let (is, why_no_more) = new.works(from.classes.1, to.classes.1);
            if was == is {
                continue;
            }
            let Some((a, b, flows)) = example(after, from, to) else { continue };
            let reason = if is { why_not } else { why_no_more };
            let places = (a.spot(after, true), b.spot(after, true));
            let moved = folded[usize::from(was)].entry(places).or_insert_with(|| Moved {
                from: broken::name(after, &a.member),
                to: broken::name(after, &b.member),
                flows: 0,
                witness: Witness { source: a.addr, destination: b.addr },
                reason,
            });
            moved.flows += flows;
        }
    }
    let [gained, lost] = folded.map(|moved| moved.into_values().collect());
    Difference { gained, lost }
}

/// Two ends at different places, and how many such pairs there are.
fn example<'a>(
    topology: &Topology,
    from: &'a Joint,
    to: &'a Joint,
) -> Option<(&'a End, &'a End, u64)> {
    let (first, second) = (from.ends.first()?, to.ends.first()?);
    let with_lan = first.is_lan() || second.is_lan();
    let spot = |end: &End| end.spot(topology, with_lan);
    let mut counts: HashMap<Spot, u64> = HashMap::new();
    to.ends.iter().for_each(|end| *counts.entry(spot(end)).or_default() += 1);
    let all = to.ends.len() as u64;
    let flows =
        from.ends.iter().map(|end| all - counts.get(&spot(end)).copied().unwrap_or(0)).sum();
    let far = |ends: &'a [End], near: &End| ends.iter().find(|end| spot(end) != spot(near));
    let (a, b) = far(&to.ends, first)
        .map(|b| (first, b))
        .or_else(|| far(&from.ends, second).map(|a| (a, second)))?;
    Some((a, b, flows))
}
