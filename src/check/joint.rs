//! The ends of two states of a fleet, matched by name.
//!
//! A tunnel address is the same end where the same host has it; a LAN where its addresses are the
//! same, whichever host delivers to it: a LAN that moves from one gateway to another is still there.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::net::IpAddr;

use super::ends::{End, Ends, Spot};
use super::flows::Member;
use crate::inventory::Inventory;
use crate::model::HostName;
use crate::topology::Topology;

/// What an end is in each of the two states; in one of them at least.
#[derive(Debug, Clone, Copy)]
pub(super) struct Both<'a> {
    /// Before.
    pub(super) old: Option<&'a End>,
    /// Afterwards.
    pub(super) new: Option<&'a End>,
    /// The classes that it is in.
    pub(super) classes: (Option<usize>, Option<usize>),
}

/// Where an end is before and afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Spots {
    pub(super) old: Option<Spot>,
    pub(super) new: Option<Spot>,
}

impl Spots {
    /// Whether two ends are at one place in either state: no tunnel is between them there.
    pub(super) fn together(self, other: Self) -> bool {
        let same = |one: Option<Spot>, other: Option<Spot>| one.is_some() && one == other;
        same(self.old, other.old) || same(self.new, other.new)
    }
}

impl<'a> Both<'a> {
    /// The end as it is afterwards; as it was, where it is no more.
    pub(super) fn end(&self) -> Option<&'a End> {
        self.new.or(self.old)
    }

    /// Whether it is a LAN.
    pub(super) fn is_lan(&self) -> bool {
        self.end().is_some_and(End::is_lan)
    }

    /// Where it is, for flows with or without a LAN at one of their ends.
    pub(super) fn spots(&self, old: &Topology, new: &Topology, with_lan: bool) -> Spots {
        Spots {
            old: self.old.map(|end| end.spot(old, with_lan)),
            new: self.new.map(|end| end.spot(new, with_lan)),
        }
    }
}

/// What an end is called in whole.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Key<'a> {
    /// An address of a host in a network.
    Address(&'a HostName, &'a str, IpAddr),
    /// A LAN's addresses, and the site or host that it is at.
    Lan(IpAddr, Result<&'a str, &'a HostName>),
}

/// What is enough where no other end is called so.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Short<'a> {
    Address(&'a HostName, IpAddr),
    Lan(IpAddr),
}

fn key<'a>(inventory: &'a Inventory, topology: &'a Topology, end: &End) -> Key<'a> {
    let name = |node| &topology.node(node).name;
    if let Member::Lan { addr, site, node } = end.member {
        let place = match site {
            Some(site) => Ok(inventory.sites[site].name.value.as_str()),
            None => Err(name(node.unwrap_or(end.node))),
        };
        return Key::Lan(addr, place);
    }
    let network = end.network.map(|network| &inventory.networks[network].name.value);
    Key::Address(name(end.node), network.map_or("", |name| name.as_str()), end.addr)
}

fn short<'a>(topology: &'a Topology, end: &End) -> Short<'a> {
    match end.member {
        Member::Lan { addr, .. } => Short::Lan(addr),
        _ => Short::Address(&topology.node(end.node).name, end.addr),
    }
}

/// Ends by what they are called; those that share a name with another are left out.
fn single<K: Eq + Hash>(ends: impl Iterator<Item = (K, usize)>) -> HashMap<K, usize> {
    let mut known: HashMap<K, Option<usize>> = HashMap::new();
    for (key, index) in ends {
        known.entry(key).and_modify(|known| *known = None).or_insert(Some(index));
    }
    known.into_iter().filter_map(|(key, index)| Some((key, index?))).collect()
}

/// The class of each end.
fn class_of(ends: &Ends) -> Vec<usize> {
    let mut class_of = vec![0; ends.all.len()];
    for (class, members) in ends.classes.iter().enumerate() {
        for end in members {
            class_of[*end] = class;
        }
    }
    class_of
}

/// Matches the ends of two states: those of the new one in order, then what only the old one has.
pub(super) fn matched<'a>(
    old: (&Inventory, &Topology, &'a Ends),
    new: (&Inventory, &Topology, &'a Ends),
) -> Vec<Both<'a>> {
    let mut of_new: Vec<Option<usize>> = vec![None; new.2.all.len()];
    let mut taken = vec![false; old.2.all.len()];
    let mut pair = |found: &[(usize, usize)]| {
        for (one, other) in found {
            of_new[*other] = Some(*one);
            taken[*one] = true;
        }
        let left_new: Vec<usize> = (0..of_new.len()).filter(|i| of_new[*i].is_none()).collect();
        let left_old: Vec<usize> = (0..taken.len()).filter(|i| !taken[*i]).collect();
        (left_old, left_new)
    };
    let whole = single(old.2.all.iter().zip(0..).map(|(end, at)| (key(old.0, old.1, end), at)));
    let found: Vec<(usize, usize)> = (0..new.2.all.len())
        .filter_map(|at| Some((*whole.get(&key(new.0, new.1, &new.2.all[at]))?, at)))
        .collect();
    let (left_old, left_new) = pair(&found);
    let by_short = single(left_old.iter().map(|at| (short(old.1, &old.2.all[*at]), *at)));
    let others = single(left_new.iter().map(|at| (short(new.1, &new.2.all[*at]), *at)));
    let mut found: Vec<(usize, usize)> =
        others.iter().filter_map(|(key, at)| Some((*by_short.get(key)?, *at))).collect();
    found.sort_unstable();
    let (left_old, _) = pair(&found);
    let (was, is) = (class_of(old.2), class_of(new.2));
    let both = |one: Option<usize>, other: Option<usize>| Both {
        old: one.map(|at| &old.2.all[at]),
        new: other.map(|at| &new.2.all[at]),
        classes: (one.map(|at| was[at]), other.map(|at| is[at])),
    };
    let now = of_new.iter().enumerate().map(|(at, one)| both(*one, Some(at)));
    now.chain(left_old.iter().map(|at| both(Some(*at), None))).collect()
}

/// Ends that both states treat alike.
#[derive(Debug)]
pub(super) struct Joint<'a> {
    /// Their class before, and afterwards.
    pub(super) classes: (Option<usize>, Option<usize>),
    /// The ends.
    pub(super) ends: Vec<Both<'a>>,
}

/// Two ends at different places, and what they stand for.
pub(super) struct Example<'a> {
    pub(super) ends: (Both<'a>, Both<'a>),
    pub(super) pairs: u64,
    pub(super) flows: u64,
}

/// Up to how many ordered pairs of places that are alike are told one by one.
const EACH: usize = 64;

/// How many places there are, and ends at them.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    places: u64,
    ends: u64,
}

impl Count {
    fn add(&mut self, ends: u64) {
        self.places += 1;
        self.ends += ends;
    }
}

/// Some ends of a joint class by place.
struct Places<'a> {
    at: BTreeMap<Spots, (Both<'a>, u64)>,
    all: Count,
    old: HashMap<Spot, Count>,
    new: HashMap<Spot, Count>,
}

impl<'a> Places<'a> {
    fn new(ends: &[Both<'a>], spots: impl Fn(&Both<'a>) -> Spots) -> Self {
        let mut at: BTreeMap<Spots, (Both<'a>, u64)> = BTreeMap::new();
        for end in ends {
            at.entry(spots(end)).or_insert((*end, 0)).1 += 1;
        }
        let mut places =
            Self { at, all: Count::default(), old: HashMap::new(), new: HashMap::new() };
        for (spots, (_, ends)) in &places.at {
            places.all.add(*ends);
            if let Some(spot) = spots.old {
                places.old.entry(spot).or_default().add(*ends);
            }
            if let Some(spot) = spots.new {
                places.new.entry(spot).or_default().add(*ends);
            }
        }
        places
    }

    /// What of it is elsewhere than `near`.
    fn far(&self, near: Spots) -> Count {
        let at = |counts: &HashMap<Spot, Count>, spot: Option<Spot>| {
            spot.and_then(|spot| counts.get(&spot)).copied().unwrap_or_default()
        };
        let (old, new) = (at(&self.old, near.old), at(&self.new, near.new));
        let both = self.at.get(&near).filter(|_| near.old.is_some() && near.new.is_some());
        let both = both.map_or(Count::default(), |(_, ends)| Count { places: 1, ends: *ends });
        Count {
            places: self.all.places + both.places - old.places - new.places,
            ends: self.all.ends + both.ends - old.ends - new.ends,
        }
    }
}

/// The flows between two joint classes, place by place where the places are few.
pub(super) fn examples<'a>(
    old: &Topology,
    new: &Topology,
    from: &Joint<'a>,
    to: &Joint<'a>,
) -> Vec<Example<'a>> {
    let with_lan = [from, to].iter().any(|joint| joint.ends.first().is_some_and(Both::is_lan));
    let spots = |end: &Both<'a>| end.spots(old, new, with_lan);
    let (from, to) = (Places::new(&from.ends, spots), Places::new(&to.ends, spots));
    let each = from.at.len() * to.at.len() <= EACH;
    let mut examples: Vec<Example<'a>> = Vec::new();
    for (near, (a, leaving)) in &from.at {
        let mut far = to.at.iter().filter(|(spots, _)| !near.together(**spots));
        if each {
            examples.extend(far.map(|(_, (b, entering))| Example {
                ends: (*a, *b),
                pairs: 1,
                flows: leaving * entering,
            }));
            continue;
        }
        // The first pair stands for all of them.
        let Count { places: pairs, ends } = to.far(*near);
        let flows = leaving * ends;
        match (examples.first_mut(), far.next()) {
            (Some(one), _) => (one.pairs, one.flows) = (one.pairs + pairs, one.flows + flows),
            (None, Some((_, (b, _)))) => examples.push(Example { ends: (*a, *b), pairs, flows }),
            (None, None) => {}
        }
    }
    examples
}

/// How many flows of two joint classes begin or end at each host, by its name: each flow once, also
/// where both of its ends are at one host, in one state or the other.
pub(super) fn by_host<'a>(
    old: &'a Topology,
    new: &'a Topology,
    from: &Joint<'a>,
    to: &Joint<'a>,
    mut add: impl FnMut(&'a HostName, u64),
) {
    let with_lan = [from, to].iter().any(|joint| joint.ends.first().is_some_and(Both::is_lan));
    let spots = |end: &Both<'a>| end.spots(old, new, with_lan);
    let at_hosts = |joint: &Joint<'a>| {
        let mut at: BTreeMap<&'a HostName, Vec<Both<'a>>> = BTreeMap::new();
        for end in &joint.ends {
            let was = end.old.map(|end| &old.node(end.node).name);
            let is = end.new.map(|end| &new.node(end.node).name);
            for name in was.into_iter().chain(is.filter(|is| Some(*is) != was)) {
                at.entry(name).or_default().push(*end);
            }
        }
        at
    };
    let flows = |near: &[Both<'a>], far: &Places<'a>| -> u64 {
        near.iter().map(|end| far.far(spots(end)).ends).sum()
    };
    let (leaving, entering) = (at_hosts(from), at_hosts(to));
    let (all_from, all_to) = (Places::new(&from.ends, spots), Places::new(&to.ends, spots));
    for (name, near) in &leaving {
        let both = entering.get(name).map_or(0, |far| flows(near, &Places::new(far, spots)));
        add(name, flows(near, &all_to) - both);
    }
    for (name, near) in &entering {
        add(name, flows(near, &all_from));
    }
}
