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

/// Flows that change alike: from one place to another, or among many places that are alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// Where one of them begins.
    pub from: String,
    /// Where it ends.
    pub to: String,
    /// Between how many ordered pairs of places there are such flows.
    pub pairs: u64,
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

/// Up to how many ordered pairs of places that are alike are told one by one.
const EACH: usize = 64;

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
            let reason = if is { why_not } else { why_no_more };
            for Example { ends: (a, b), pairs, flows } in examples(after, from, to) {
                let places = (a.spot(after, true), b.spot(after, true));
                let moved = folded[usize::from(was)].entry(places).or_insert_with(|| Moved {
                    from: broken::name(after, &a.member),
                    to: broken::name(after, &b.member),
                    pairs,
                    flows: 0,
                    witness: Witness { source: a.addr, destination: b.addr },
                    reason: reason.clone(),
                });
                moved.pairs = moved.pairs.max(pairs);
                moved.flows += flows;
            }
        }
    }
    let [gained, lost] = folded.map(|moved| moved.into_values().collect());
    Difference { gained, lost }
}

/// Two ends at different places, and what they stand for.
struct Example<'a> {
    ends: (&'a End, &'a End),
    pairs: u64,
    flows: u64,
}

/// The flows between two classes, place by place where the places are few.
fn examples<'a>(topology: &Topology, from: &'a Joint, to: &'a Joint) -> Vec<Example<'a>> {
    let with_lan = [from, to].iter().any(|joint| joint.ends.first().is_some_and(End::is_lan));
    let places = |joint: &'a Joint| {
        let mut places: BTreeMap<Spot, (&'a End, u64)> = BTreeMap::new();
        for end in &joint.ends {
            places.entry(end.spot(topology, with_lan)).or_insert((end, 0)).1 += 1;
        }
        places
    };
    let (from, to) = (places(from), places(to));
    let all: u64 = to.values().map(|(_, entering)| entering).sum();
    let each = from.len() * to.len() <= EACH;
    let mut examples: Vec<Example<'_>> = Vec::new();
    for (near, (a, leaving)) in &from {
        let far = to.iter().filter(|(spot, _)| *spot != near);
        if each {
            examples.extend(far.map(|(_, (b, entering))| Example {
                ends: (*a, *b),
                pairs: 1,
                flows: leaving * entering,
            }));
            continue;
        }
        // The first pair stands for all of them.
        let shared = to.get(near).map_or(0, |(_, entering)| *entering);
        let pairs = (to.len() - usize::from(shared > 0)) as u64;
        let flows = leaving * (all - shared);
        match (examples.first_mut(), far.map(|(_, (b, _))| *b).next()) {
            (Some(one), _) => (one.pairs, one.flows) = (one.pairs + pairs, one.flows + flows),
            (None, Some(b)) => examples.push(Example { ends: (*a, b), pairs, flows }),
            (None, None) => {}
        }
    }
    examples
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::net::IpAddr;
    use std::path::PathBuf;

    use super::*;

    fn inventory(spokes: u64) -> Inventory {
        let mut text = "fleet: f\nnetworks: { n: { prefixes: 10.0.0.0/16, links: { hub: h } } }\n\
                        hosts:\n"
            .to_owned();
        let _ = writeln!(text, "  h: {{ endpoint: \"h.example.com:5\", address: 10.0.0.1 }}");
        for index in 1..=spokes {
            let _ = writeln!(
                text,
                "  s{index}: {{ address: 10.0.1.{index}, nat: true, \
                 subnets: 172.23.{index}.0/24 }}"
            );
        }
        let parsed = crate::inventory::parse(PathBuf::from("fleet.yaml"), text);
        parsed.inventory.expect("the file is valid")
    }

    #[test]
    fn few_places_are_told_one_by_one_and_many_by_one_of_them() {
        let none = |_: &_, _: &_| -> Vec<IpAddr> { Vec::new() };
        for spokes in [2_u64, 5, 30] {
            let fleet = inventory(spokes);
            let wanted = crate::topology::build(&fleet, &none);
            let mut runs = wanted.clone();
            runs.nodes[0].forwards.v4 = false;
            let moved = difference(&fleet, &runs, &wanted);
            assert_eq!(moved.lost, []);
            // Between two spokes: address to address, address to LAN, LAN to address, LAN to LAN.
            let pairs = spokes * (spokes - 1);
            let told: u64 = moved.gained.iter().map(|moved| moved.flows).sum();
            assert_eq!(told, 4 * pairs, "{moved:?}");
            let rows: Vec<u64> = moved.gained.iter().map(|moved| moved.pairs).collect();
            let each = vec![1; usize::try_from(pairs).unwrap()];
            assert_eq!(rows, if spokes == 30 { vec![pairs] } else { each });
            let ends: Vec<_> = moved.gained.iter().map(|one| (&one.from, &one.to)).collect();
            assert!(ends.iter().all(|(from, to)| from != to), "{ends:?}");
        }
    }
}
