//! Ends that a change treats alike: in both states, and while some hosts have changed.
//!
//! Where exchanging two hosts changes nothing in either state, and their links fare alike whichever
//! end has changed first, it changes nothing in between: so one flow stands for all between two
//! classes.

use std::collections::{BTreeMap, HashMap, HashSet};

use rayon::prelude::*;

use super::links::Link;
use super::world::{Host, SIDES, Side, TunnelIndex, World};
use crate::check::ends::End;
use crate::check::joint::{Both, Joint};

/// How what one end of a link sends to the other fares while only the other, or only itself, has changed.
type Fares = [Link; 2];

/// How the links of a host fare with the hosts of one kind: all alike, or one by one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Links {
    All(TunnelIndexOfKind, Option<Fares>),
    Each(usize, Vec<(TunnelIndex, Option<Fares>)>),
}

/// The network of a tunnel within its host, and the kind of the other ends.
type TunnelIndexOfKind = (usize, usize);

/// The hosts of an end on each side.
pub(super) fn hosts_of(world: &World<'_>, both: &Both<'_>) -> [Option<Host>; 2] {
    let host = |side: Side, end: Option<&End>| end.map(|end| world.host(side, end.node));
    [host(Side::Old, both.old), host(Side::New, both.new)]
}

/// Numbers for values, equal where they are.
fn number<K: Ord>(keys: Vec<K>) -> Vec<usize> {
    let mut known: BTreeMap<K, usize> = BTreeMap::new();
    keys.into_iter()
        .map(|key| {
            let next = known.len();
            *known.entry(key).or_insert(next)
        })
        .collect()
}

/// Classes of ends.
pub(super) fn classes<'a>(world: &World<'a>, ends: Vec<Both<'a>>) -> Vec<Joint<'a>> {
    let kinds = kinds(world, &ends);
    let links: Vec<Vec<Links>> =
        (0..world.hosts.len()).into_par_iter().map(|host| links(world, &kinds, host)).collect();
    // Where somebody does not treat all hosts of a kind alike, none of them is like another.
    let apart: HashSet<usize> = links
        .iter()
        .flatten()
        .filter_map(|links| match links {
            Links::Each(kind, _) => Some(*kind),
            Links::All(..) => None,
        })
        .collect();
    let hosts = kinds.iter().zip(links).enumerate();
    let marks = number(
        hosts
            .map(|(host, (kind, links))| (*kind, links, apart.contains(kind).then_some(host)))
            .collect(),
    );
    let mut joint: BTreeMap<_, Joint<'a>> = BTreeMap::new();
    for (index, end) in ends.into_iter().enumerate() {
        let hosts = hosts_of(world, &end);
        let mark = hosts.map(|host| host.map(|host| marks[host]));
        // An end that is at another host afterwards is like no other.
        let moved = matches!(hosts, [Some(old), Some(new)] if old != new);
        let readdressed = end.old.zip(end.new).is_some_and(|(old, new)| old.addr != new.addr);
        let key = (end.classes, mark, moved.then_some(index), readdressed);
        let new = || Joint { classes: end.classes, ends: Vec::new() };
        joint.entry(key).or_insert_with(new).ends.push(end);
    }
    joint.into_values().collect()
}

/// What each host is by itself: the classes of its ends, and what becomes of it.
fn kinds(world: &World<'_>, ends: &[Both<'_>]) -> Vec<usize> {
    let mut of: Vec<Vec<_>> = vec![Vec::new(); world.hosts.len()];
    for end in ends {
        let [old, new] = hosts_of(world, end);
        let what = (end.classes, end.old.map(|end| end.addr) == end.new.map(|end| end.addr));
        for host in old.into_iter().chain(new.filter(|new| old != Some(*new))) {
            of[host].push(what);
        }
    }
    let mut contacts: Vec<Vec<(bool, bool)>> = vec![Vec::new(); world.hosts.len()];
    for tunnel in &world.tunnels {
        contacts[tunnel.host].push((tunnel.key, tunnel.told));
    }
    let keys = of.into_iter().zip(contacts).zip(&world.hosts).enumerate();
    let keys = keys.map(|(host, ((mut ends, contacts), known))| {
        ends.sort_unstable();
        let alone = ends.is_empty().then_some(host);
        (ends, contacts, known.role, known.same, known.ids.map(|id| id.is_some()), alone)
    });
    number(keys.collect())
}

fn links(world: &World<'_>, kinds: &[usize], host: Host) -> Vec<Links> {
    let mut own: Vec<TunnelIndex> = Vec::new();
    for side in SIDES {
        let Some(node) = world.hosts[host].ids[side as usize] else { continue };
        let interfaces = world.state(side).1.node(node).interfaces.iter();
        own.extend(interfaces.map(|id| world.tunnel(side, *id)));
    }
    own.sort_unstable();
    own.dedup();
    let mut all: Vec<Links> = Vec::new();
    for (nth, tunnel) in own.into_iter().enumerate() {
        let mut others: Vec<TunnelIndex> = Vec::new();
        for side in SIDES {
            let Some(id) = world.tunnels[tunnel].ids[side as usize] else { continue };
            let peers = world.state(side).1.interface(id).peers.iter();
            others.extend(peers.map(|peer| world.tunnel(side, peer.remote)));
        }
        others.sort_unstable();
        others.dedup();
        let mut by_kind: HashMap<usize, Vec<(TunnelIndex, Option<Fares>)>> = HashMap::new();
        for other in others {
            let kind = kinds[world.tunnels[other].host];
            by_kind.entry(kind).or_default().push((other, fares(world, tunnel, other)));
        }
        for (kind, links) in by_kind {
            let first = links[0].1;
            let carried = links.iter().any(|(other, _)| carried(world, tunnel, *other));
            all.push(if !carried && links.iter().all(|(_, fares)| *fares == first) {
                Links::All((nth, kind), first)
            } else {
                Links::Each(kind, links)
            });
        }
    }
    all.sort_unstable();
    all
}

/// Whether tunnels carry encrypted packets of a link, before or afterwards.
fn carried(world: &World<'_>, own: TunnelIndex, other: TunnelIndex) -> bool {
    let by = |own, other| SIDES.iter().any(|side| !world.carriers((own, *side), other).is_empty());
    by(own, other) || by(other, own)
}

/// How a link fares while only one end has changed; `None` where it fares as before or as afterwards.
fn fares(world: &World<'_>, own: TunnelIndex, other: TunnelIndex) -> Option<Fares> {
    let [host, far] = [own, other].map(|tunnel| &world.hosts[world.tunnels[tunnel].host]);
    let plain = (host.same && far.same)
        || world.tunnels[own].is_plain()
            && world.tunnels[other].is_plain()
            && same(world, own, other)
            && same(world, other, own);
    let of = |near: Side, far: Side| world.link((own, near), (other, far));
    (!plain).then(|| [of(Side::Old, Side::New), of(Side::New, Side::Old)])
}

/// Whether one end finds the other in the same way before and afterwards.
fn same(world: &World<'_>, own: TunnelIndex, other: TunnelIndex) -> bool {
    let entry = |side| world.entry((own, side), other);
    let (Some(old), Some(new)) = (entry(Side::Old), entry(Side::New)) else { return false };
    let port = |side: Side| {
        let id = world.tunnels[other].ids[side as usize];
        id.map(|id| world.state(side).1.interface(id).listen_port.value)
    };
    let host = world.tunnels[own].host;
    let nat = |side: Side| {
        let node = world.hosts[host].ids[side as usize];
        node.map(|node| world.state(side).1.node(node).nat.value)
    };
    old.address() == new.address()
        && port(Side::Old) == port(Side::New)
        && old.keepalive() == new.keepalive()
        && old.heard == new.heard
        && world.site(Side::Old, host) == world.site(Side::New, host)
        && nat(Side::Old) == nat(Side::New)
}
