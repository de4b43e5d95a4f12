//! Changes that are alike, told together: which hosts have the same change, to which peers.
//!
//! [`Group::each`] takes a group apart again. Nothing is in two groups, and nothing in none.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use indexmap::IndexMap;

use super::hosts::Hosts;
use super::peer::{PeerChange, Who};
use super::words::{self, Told};
use crate::model::{HostName, InterfaceName, PublicKey};
use crate::plan::{Change, FieldChange, NewPeer, PeerRef, Plan};

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum What<'a> {
    /// Something to a host.
    Host(Told),
    /// Something to peers of an interface.
    Peer(&'a InterfaceName, PeerChange<'a>),
}

/// The same change on several hosts.
#[derive(Debug, Clone)]
pub(super) struct Group<'a> {
    /// The change.
    pub(super) what: What<'a>,
    /// How often each of them has it.
    pub(super) times: usize,
    /// The hosts that it is told of, in order of the plan.
    pub(super) hosts: Hosts,
    /// What is each one's own of it, in the same order; empty where nothing is.
    pub(super) own: Vec<String>,
    /// The peers, on each host; empty where it is about none.
    pub(super) peers: Vec<Who<'a>>,
    /// Whether a host that is among the peers has all but itself.
    pub(super) but_itself: bool,
}

impl<'a> Group<'a> {
    /// Each change of the group: the host, and the peer where it is about one.
    pub(super) fn each(&self, plan: &Plan) -> impl Iterator<Item = (u32, Option<Who<'a>>)> {
        self.hosts.iter().flat_map(move |place| {
            let host = &plan.hosts[*place as usize].host;
            let peers = self.peers.iter().filter(|peer| !(self.but_itself && peer.is(host)));
            let none = self.peers.is_empty().then_some(None);
            let each: Vec<_> = none.into_iter().chain(peers.map(|peer| Some(*peer))).collect();
            each.into_iter().map(|peer| (*place, peer))
        })
    }

    /// How many changes of peers it stands for.
    pub(super) fn pairs(&self, plan: &Plan) -> usize {
        self.each(plan).count()
    }

    /// Whether a host is told to have itself for a peer, which no plan of ours does.
    pub(super) fn has_itself(&self, plan: &Plan) -> bool {
        let is = |place: &u32| {
            let host = &plan.hosts[*place as usize].host;
            self.peers.iter().any(|peer| peer.is(host))
        };
        !self.but_itself && self.hosts.iter().any(is)
    }

    /// The group, taken apart to its peers.
    pub(super) fn apart(self) -> Vec<Self> {
        if self.peers.len() < 2 {
            return vec![self];
        }
        self.peers.iter().map(|peer| Self { peers: vec![*peer], ..self.clone() }).collect()
    }
}

/// The key of changes to peers that are alike.
#[derive(Debug, PartialEq, Eq, Hash)]
struct PeerKey<'a> {
    interface: &'a InterfaceName,
    change: PeerChange<'a>,
    /// A peer that nobody has named is told alone.
    alone: Option<&'a PublicKey>,
}

/// Changes as they are met, host by host.
#[derive(Debug, Default)]
struct Collected<'a> {
    /// Each with its place in the order of telling, and the hosts with what is their own.
    told: IndexMap<Told, (Order, At<Vec<String>>)>,
    added: IndexMap<(&'a InterfaceName, &'a NewPeer, Option<&'a PublicKey>), (Order, Hosts)>,
    peers: IndexMap<PeerKey<'a>, (Order, At<Vec<Who<'a>>>)>,
    /// Where the change that is taken stands.
    now: Order,
}

/// Something of each of several hosts.
type At<T> = Vec<(u32, T)>;

/// Where a change stands among those of the first host that has it, and how many came before.
type Order = (usize, usize);

/// The groups of the changes to some hosts of a plan, in order.
pub(super) fn groups<'a>(plan: &'a Plan, hosts: &[u32]) -> Vec<Group<'a>> {
    let mut collected = Collected::default();
    for place in hosts {
        let host = &plan.hosts[*place as usize];
        for (number, change) in host.changes.iter().enumerate() {
            collected.now.0 = number;
            collected.take(*place, change);
        }
        collected.now.0 = usize::MAX;
        for note in &host.notes {
            collected.tell(*place, words::note(note), String::new());
        }
    }
    let mut groups = collected.groups(plan);
    let places: HashMap<&HostName, usize> =
        plan.hosts.iter().enumerate().map(|(place, host)| (&host.host, place)).collect();
    groups.sort_by_cached_key(|((change, met), group)| {
        // New peers in order of the plan, whoever has them first.
        let new = matches!(group.what, What::Peer(_, PeerChange::Add { .. }));
        let peer = group.peers.first().and_then(|peer| places.get(peer.name?)).copied();
        (*change, new, peer.filter(|_| new), *met)
    });
    let mut groups: Vec<Group<'a>> = groups.into_iter().map(|(_, group)| group).collect();
    close(plan, hosts, &mut groups);
    groups
}

impl<'a> Collected<'a> {
    fn number(&mut self) -> Order {
        self.now.1 += 1;
        self.now
    }

    fn tell(&mut self, place: u32, told: Told, own: String) {
        let number = self.number();
        let (_, hosts) = self.told.entry(told).or_insert((number, Vec::new()));
        match hosts.last_mut().filter(|(last, _)| *last == place) {
            Some((_, owns)) => owns.push(own),
            None => hosts.push((place, vec![own])),
        }
    }

    fn add(
        &mut self,
        place: u32,
        interface: &'a InterfaceName,
        peer: &'a NewPeer,
        replaces: Option<&'a PublicKey>,
    ) {
        let number = self.number();
        let entry = self.added.entry((interface, peer, replaces));
        entry.or_insert((number, Vec::new())).1.push(place);
    }

    fn peer(
        &mut self,
        place: u32,
        interface: &'a InterfaceName,
        peer: &'a PeerRef,
        change: PeerChange<'a>,
    ) {
        let number = self.number();
        let alone = peer.name.is_none().then_some(&peer.key);
        let key = PeerKey { interface, change, alone };
        let (_, hosts) = self.peers.entry(key).or_insert((number, Vec::new()));
        let who = Who::of(peer);
        match hosts.last_mut().filter(|(last, _)| *last == place) {
            Some((_, peers)) => peers.push(who),
            None => hosts.push((place, vec![who])),
        }
    }

    fn take(&mut self, place: u32, change: &'a Change) {
        match change {
            Change::Create(new) => {
                let (told, own) = words::create(new);
                self.tell(place, told, own);
                for peer in &new.peers {
                    self.add(place, &new.interface, peer, None);
                }
            }
            Change::AddPeer { interface, peer, replaces } => {
                self.add(place, interface, peer, replaces.as_ref());
            }
            Change::ChangePeer { interface, peer, fields } => {
                for FieldChange { field, from, to } in fields {
                    let (from, to) = (from.as_deref(), to.as_deref());
                    let change = PeerChange::Change { field: *field, from, to };
                    self.peer(place, interface, peer, change);
                }
            }
            Change::RemovePeer { interface, peer } => {
                self.peer(place, interface, peer, PeerChange::Remove);
            }
            Change::Device { interface, fields } => {
                for field in fields {
                    self.tell(place, words::device(interface, field), String::new());
                }
            }
            other => {
                if let Some(told) = words::host(other) {
                    self.tell(place, told, String::new());
                }
            }
        }
    }

    fn groups(self, plan: &'a Plan) -> Vec<(Order, Group<'a>)> {
        let mut groups = Vec::new();
        for (told, (number, hosts)) in self.told {
            let mut by_times: BTreeMap<usize, (Hosts, Vec<String>)> = BTreeMap::new();
            for (place, owns) in hosts {
                // What is each one's own is told in full, however often it is there.
                let times = if owns.iter().all(String::is_empty) { owns.len() } else { 1 };
                let (at, own) = by_times.entry(times).or_default();
                at.push(place);
                own.push(
                    owns.into_iter().filter(|own| !own.is_empty()).collect::<Vec<_>>().join("; "),
                );
            }
            for (times, (hosts, mut own)) in by_times {
                if own.iter().all(String::is_empty) {
                    own.clear();
                }
                let (what, peers) = (What::Host(told.clone()), Vec::new());
                let group = Group { what, times, hosts, own, peers, but_itself: false };
                groups.push((number, group));
            }
        }
        for ((interface, peer, replaces), (number, places)) in self.added {
            let what = What::Peer(interface, PeerChange::Add { peer, replaces });
            for (times, hosts) in by_times(places) {
                let (what, peers) = (what.clone(), vec![Who::new(peer)]);
                let own = Vec::new();
                groups.push((number, Group { what, times, hosts, own, peers, but_itself: false }));
            }
        }
        for (key, (number, hosts)) in self.peers {
            let what = What::Peer(key.interface, key.change);
            let mut layers: BTreeMap<usize, At<Vec<Who<'a>>>> = BTreeMap::new();
            for (place, peers) in hosts {
                for (times, peers) in by_times(peers) {
                    layers.entry(times).or_default().push((place, peers));
                }
            }
            for (times, hosts) in layers {
                for (hosts, peers, but_itself) in blocks(plan, hosts) {
                    let (what, own) = (what.clone(), Vec::new());
                    groups.push((number, Group { what, times, hosts, own, peers, but_itself }));
                }
            }
        }
        groups
    }
}

/// What is in a list once, what is there twice, and so on; each in order.
fn by_times<T: Ord + Copy>(mut list: Vec<T>) -> BTreeMap<usize, Vec<T>> {
    list.sort_unstable();
    let mut times: BTreeMap<usize, Vec<T>> = BTreeMap::new();
    for alike in list.chunk_by(|one, next| one == next) {
        times.entry(alike.len()).or_default().push(alike[0]);
    }
    times
}

/// Hosts, their peers, and whether each of the hosts leaves itself out.
type Block<'a> = (Hosts, Vec<Who<'a>>, bool);

/// Hosts with the same peers, taken together. Of two ways to see it, a host counts itself among the
/// peers where more hosts agree on that: in a mesh, where all have all others.
fn blocks<'a>(plan: &'a Plan, hosts: At<Vec<Who<'a>>>) -> Vec<Block<'a>> {
    let mut known: HashMap<&HostName, Option<Who<'a>>> = HashMap::new();
    for who in hosts.iter().flat_map(|(_, peers)| peers) {
        if let Some(name) = who.name {
            // Two keys under one name: nobody can be said to leave that one out.
            let same = known.entry(name).or_insert(Some(*who));
            *same = same.filter(|same| same == who);
        }
    }
    let mut open: HashMap<Vec<Who<'a>>, usize> = HashMap::new();
    let mut closed: HashMap<Vec<Who<'a>>, usize> = HashMap::new();
    let mut with_itself = Vec::new();
    for (place, peers) in &hosts {
        let host = &plan.hosts[*place as usize].host;
        let itself = known.get(host).copied().flatten();
        let itself = itself.filter(|_| !peers.iter().any(|peer| peer.is(host)));
        let with = itself.map(|itself| {
            let mut with = peers.clone();
            with.push(itself);
            with.sort_unstable();
            with
        });
        *open.entry(peers.clone()).or_default() += 1;
        if let Some(with) = &with {
            *closed.entry(with.clone()).or_default() += 1;
        }
        with_itself.push(with);
    }
    let mut blocks: IndexMap<(Vec<Who<'a>>, bool), Hosts> = IndexMap::new();
    for ((place, peers), with) in hosts.into_iter().zip(with_itself) {
        let with = with.filter(|with| closed[with] > open[&peers]);
        let key = with.map_or((peers, false), |with| (with, true));
        blocks.entry(key).or_default().push(place);
    }
    let alone = |((mut peers, but_itself), hosts): ((Vec<Who<'a>>, bool), Hosts)| {
        let [place] = hosts[..] else { return (hosts, peers, but_itself) };
        if but_itself {
            peers.retain(|peer| !peer.is(&plan.hosts[place as usize].host));
        }
        (hosts, peers, false)
    };
    blocks.into_iter().map(alone).collect()
}

/// Tells a peer that all others of a set have of the whole set, where more is told of that.
fn close(plan: &Plan, of: &[u32], groups: &mut [Group<'_>]) {
    let places: HashMap<&HostName, u32> =
        of.iter().map(|place| (&plan.hosts[*place as usize].host, *place)).collect();
    let with_itself = |group: &Group<'_>| -> Option<Hosts> {
        let [peer] = group.peers[..] else { return None };
        // What one host has is told of that host.
        if group.hosts.len() < 2 {
            return None;
        }
        let place = *places.get(peer.name?)?;
        // A plan may name a host twice, and a host may have itself for a peer.
        if group.hosts.iter().any(|at| peer.is(&plan.hosts[*at as usize].host)) {
            return None;
        }
        let at = group.hosts.binary_search(&place).err()?;
        let mut hosts = group.hosts.clone();
        hosts.insert(at, place);
        Some(hosts)
    };
    let mut told: HashMap<Hosts, usize> = HashMap::new();
    for group in &*groups {
        *told.entry(group.hosts.clone()).or_default() += 1;
        if let Some(hosts) = with_itself(group) {
            *told.entry(hosts).or_default() += 1;
        }
    }
    for group in groups {
        if let Some(hosts) = with_itself(group).filter(|hosts| told[hosts] > told[&group.hosts]) {
            group.hosts = hosts;
            group.but_itself = true;
        }
    }
}
