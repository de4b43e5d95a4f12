//! Who is linked with whom: the interfaces that are known, the keys that only others name, and the
//! networks that they make.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::known::{KnownHost, KnownInterface, KnownPeer};
use super::remark::{Remark, Topic};
use crate::model::PublicKey;

/// An interface of a known host, or a key that only others name.
#[derive(Debug)]
pub(super) struct End {
    /// The index of the host, and of its interface; none for a key that only others name.
    pub(super) of: Option<(usize, usize)>,
    /// Its key.
    pub(super) key: PublicKey,
    /// The network that it is in.
    pub(super) network: usize,
    /// The ends that it names as peers, each with the index of the peer.
    told: BTreeMap<usize, usize>,
    /// The ends that it is linked with, whichever of the two names the other.
    pub(super) linked: BTreeSet<usize>,
}

/// All ends, and how they are linked.
#[derive(Debug)]
pub(super) struct Fabric<'k> {
    hosts: &'k [KnownHost],
    /// The interfaces of hosts, in their order, then the other keys in order of their first mention.
    pub(super) ends: Vec<End>,
    /// How many networks there are.
    pub(super) networks: usize,
    /// Interfaces with a key of their own on hosts that have another one: they are left out, and others
    /// see them as unmanaged peers. By key, the host and what to call it.
    pub(super) left_out: BTreeMap<PublicKey, (usize, String)>,
}

impl<'k> Fabric<'k> {
    /// Ties hosts together by their keys.
    pub(super) fn new(hosts: &'k [KnownHost], remarks: &mut Vec<Remark>) -> Self {
        let mut twice = BTreeSet::new();
        loop {
            let mut told = Vec::new();
            let fabric = Self::without(hosts, &twice, &mut told);
            let Some(second) = fabric.second() else {
                remarks.extend(told);
                return fabric;
            };
            twice.insert(second);
        }
    }

    fn without(
        hosts: &'k [KnownHost],
        twice: &BTreeSet<(usize, usize)>,
        remarks: &mut Vec<Remark>,
    ) -> Self {
        let mut fabric = Self { hosts, ends: Vec::new(), networks: 0, left_out: BTreeMap::new() };
        for (index, host) in hosts.iter().enumerate() {
            fabric.take(index, host, twice, remarks);
        }
        fabric.tie(remarks);
        fabric.part();
        fabric
    }

    /// An interface of a host that has another one in the same network.
    fn second(&self) -> Option<(usize, usize)> {
        let mut seen = BTreeSet::new();
        let mut all = self.ends.iter().filter_map(|end| Some((end.of?, end.network)));
        all.find(|((host, _), network)| !seen.insert((*host, *network))).map(|(of, _)| of)
    }

    /// How much speaks for a peer of one end being the other, of those that have its key.
    fn likeness(&self, end: usize, other: usize, peer: &KnownPeer) -> usize {
        let (Some(own), Some(far)) = (self.interface(end), self.interface(other)) else { return 0 };
        let same = own.network.is_some() && own.network == far.network;
        let mut addresses = far.addresses.iter().flatten().map(IpNet::addr);
        let sends = addresses.any(|addr| {
            peer.allowed_ips.iter().any(|net| net.prefix_len() > 1 && net.contains(&addr))
        });
        let nets = |one: &KnownInterface| -> BTreeSet<IpNet> {
            one.addresses.iter().flatten().map(IpNet::trunc).collect()
        };
        let beside = !nets(own).is_disjoint(&nets(far));
        let knows = far.peers.iter().any(|peer| peer.public_key == self.ends[end].key);
        let named = own.name.is_some() && own.name == far.name;
        let weighed = [(same, 16), (sends, 8), (beside, 4), (named, 2), (knows, 1)];
        weighed.iter().filter(|(is, _)| *is).map(|(_, weight)| weight).sum()
    }

    /// The interfaces of one host that have its key.
    fn take(
        &mut self,
        index: usize,
        host: &KnownHost,
        twice: &BTreeSet<(usize, usize)>,
        remarks: &mut Vec<Remark>,
    ) {
        let keyed = host.interfaces.iter().rev().filter(|one| one.key().is_some());
        let most = keyed.max_by_key(|one| (one.private_key.is_some(), one.peers.len()));
        let key = most.and_then(KnownInterface::key);
        for (slot, interface) in host.interfaces.iter().enumerate() {
            let name = interface.name.as_ref().map_or("wg0", |name| name.as_str());
            match interface.key() {
                None => {
                    let text = format!(
                        "{} does not say the key of `{name}`, so it is left out",
                        interface.source
                    );
                    let hint = "import the file that has its private key as well";
                    remarks.push(Remark::new(Topic::Key, text).write(hint));
                }
                Some(own) if Some(own) != key => {
                    let text = format!(
                        "`{name}` of {} has a key of its own, and a host of wgfleet has one key for all its \
                         interfaces: it is left to whoever made it",
                        interface.source
                    );
                    remarks.push(Remark::new(Topic::LeftOut, text));
                    self.left_out.insert(own, (index, name.to_owned()));
                }
                Some(_) if twice.contains(&(index, slot)) => {
                    let text = format!(
                        "`{name}` of {} is in the same network as another interface of that host: it is left to \
                         whoever made it",
                        interface.source
                    );
                    remarks.push(Remark::new(Topic::LeftOut, text));
                }
                Some(key) => {
                    let of = Some((index, slot));
                    self.push(of, key);
                }
            }
        }
    }

    fn push(&mut self, of: Option<(usize, usize)>, key: PublicKey) -> usize {
        let (told, linked) = (BTreeMap::new(), BTreeSet::new());
        self.ends.push(End { of, key, network: 0, told, linked });
        self.ends.len() - 1
    }

    /// What is known of an interface.
    pub(super) fn interface(&self, end: usize) -> Option<&'k KnownInterface> {
        let (host, slot) = self.ends[end].of?;
        Some(&self.hosts[host].interfaces[slot])
    }

    /// What an end says of another.
    pub(super) fn told(&self, end: usize, other: usize) -> Option<&'k KnownPeer> {
        let peer = *self.ends[end].told.get(&other)?;
        Some(&self.interface(end)?.peers[peer])
    }

    /// What those say of an end who name it.
    pub(super) fn told_of(&self, end: usize) -> impl Iterator<Item = (usize, &'k KnownPeer)> + '_ {
        self.ends[end]
            .linked
            .iter()
            .filter_map(move |other| Some((*other, self.told(*other, end)?)))
    }

    /// The ends of a network.
    pub(super) fn members(&self, network: usize) -> impl Iterator<Item = usize> + '_ {
        (0..self.ends.len()).filter(move |end| self.ends[*end].network == network)
    }

    fn tie(&mut self, remarks: &mut Vec<Remark>) {
        let mut by_key: BTreeMap<PublicKey, Vec<usize>> = BTreeMap::new();
        for (index, end) in self.ends.iter().enumerate() {
            by_key.entry(end.key).or_default().push(index);
        }
        for end in 0..self.ends.len() {
            let Some(interface) = self.interface(end) else { continue };
            let own = self.ends[end].key;
            for (index, peer) in interface.peers.iter().enumerate() {
                if peer.public_key == own {
                    let text = format!(
                        "{} names its own key as a peer, which WireGuard ignores",
                        interface.source
                    );
                    remarks.push(Remark::new(Topic::PassedOver, text));
                    continue;
                }
                let candidates = by_key.get(&peer.public_key).into_iter().flatten().copied();
                let other = candidates.max_by_key(|other| {
                    (self.likeness(end, *other, peer), std::cmp::Reverse(*other))
                });
                let other = other.unwrap_or_else(|| {
                    let new = self.push(None, peer.public_key);
                    by_key.insert(peer.public_key, vec![new]);
                    new
                });
                self.ends[end].told.insert(other, index);
                self.ends[end].linked.insert(other);
                self.ends[other].linked.insert(end);
            }
        }
    }

    /// Networks are the ends that are linked, directly or through others.
    fn part(&mut self) {
        let mut seen = vec![false; self.ends.len()];
        for start in 0..self.ends.len() {
            if seen[start] {
                continue;
            }
            let mut open = vec![start];
            seen[start] = true;
            while let Some(end) = open.pop() {
                self.ends[end].network = self.networks;
                for other in self.ends[end].linked.clone() {
                    if !std::mem::replace(&mut seen[other], true) {
                        open.push(other);
                    }
                }
            }
            self.networks += 1;
        }
        self.merge();
    }

    /// Parts that a comment puts into one network, or that have the same prefix, are one: some of its links
    /// are missing, or were not read. A host is in a network once.
    fn merge(&mut self) {
        let mut merged: Vec<(BTreeSet<Mark>, BTreeSet<usize>)> = Vec::new();
        let mut numbers = Vec::new();
        for network in 0..self.networks {
            let members: Vec<usize> = self.members(network).collect();
            let hosts: BTreeSet<usize> =
                members.iter().filter_map(|end| Some(self.ends[*end].of?.0)).collect();
            let marks: BTreeSet<Mark> =
                members.iter().filter_map(|end| self.interface(*end)).flat_map(marks).collect();
            let same = merged
                .iter()
                .position(|(known, there)| !known.is_disjoint(&marks) && there.is_disjoint(&hosts));
            let number = same.unwrap_or_else(|| {
                merged.push((BTreeSet::new(), BTreeSet::new()));
                merged.len() - 1
            });
            merged[number].0.extend(marks);
            merged[number].1.extend(hosts);
            numbers.push(number);
        }
        for end in &mut self.ends {
            end.network = numbers[end.network];
        }
        self.networks = merged.len();
    }
}

/// What tells the network of an interface.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mark {
    /// Its name, in a comment.
    Name(String),
    /// Its prefix.
    Prefix(IpNet),
}

fn marks(interface: &KnownInterface) -> Vec<Mark> {
    if let Some(name) = &interface.network {
        return vec![Mark::Name(name.clone())];
    }
    let nets = interface.addresses.iter().flatten();
    let nets = nets.filter(|net| net.prefix_len() < net.max_prefix_len());
    nets.map(|net| Mark::Prefix(net.trunc())).collect()
}
