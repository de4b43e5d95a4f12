//! Which links of a host keep their old values, and what that makes of what the host is to have.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::former::former;
use super::{Keeps, KeptLink, Standing};
use crate::desired::{DesiredHost, DesiredInterface, DesiredPeer};
use crate::model::{Family, HostName, InterfaceName, PublicKey, covers};
use crate::observed::ObservedHost;
use crate::plan::forwarding::begun_by;
use crate::plan::names::Names;
use crate::plan::paths;
use crate::topology::{Node, Topology};

/// Hosts that do not change now, and what else decides about their links.
#[derive(Debug)]
pub struct Standstill<'a> {
    /// The hosts, and why each does not change.
    pub hosts: BTreeMap<HostName, Standing>,
    /// Who has or had a key.
    pub names: &'a BTreeMap<PublicKey, HostName>,
    /// When each key was last shaken hands with, by anybody.
    pub heard: BTreeMap<PublicKey, u64>,
    /// The epochs that there is PSK material of.
    pub epochs: BTreeSet<u32>,
    /// What others send to each of these hosts.
    prefixes: BTreeMap<HostName, BTreeSet<IpNet>>,
    /// The addresses and LANs that the file gives each host.
    own: BTreeMap<HostName, BTreeSet<IpNet>>,
}

impl<'a> Standstill<'a> {
    /// With what the file means, and what was seen of hosts.
    #[must_use]
    pub fn new<'o>(
        hosts: BTreeMap<HostName, Standing>,
        names: &'a BTreeMap<PublicKey, HostName>,
        epochs: BTreeSet<u32>,
        wanted: &Topology,
        seen: impl Iterator<Item = &'o ObservedHost>,
    ) -> Self {
        let mut heard: BTreeMap<PublicKey, u64> = BTreeMap::new();
        let mut prefixes: BTreeMap<HostName, BTreeSet<IpNet>> = BTreeMap::new();
        let peers = seen.flat_map(|host| host.interfaces.values()).flat_map(|live| &live.peers);
        for (key, peer) in peers {
            let last = heard.entry(*key).or_default();
            *last = peer.latest_handshake.max(*last);
            if let Some(name) = names.get(key).filter(|name| hosts.contains_key(*name)) {
                prefixes.entry(name.clone()).or_default().extend(peer.allowed_ips.iter());
            }
        }
        let of = |node: &Node| {
            let addrs = node.interfaces.iter().flat_map(|id| wanted.tunnel_addresses(*id));
            let lans = node.subnets.iter().map(|net| net.value.trunc());
            addrs.map(IpNet::from).chain(lans).collect()
        };
        let own = wanted.nodes.iter().map(|node| (node.name.clone(), of(node))).collect();
        Self { hosts, names, heard, epochs, prefixes, own }
    }

    /// Whether the file gives a host a prefix.
    fn owns(&self, host: &HostName, net: &IpNet) -> bool {
        self.own.get(host).is_some_and(|own| own.contains(net))
    }

    /// Whether a host has the former one of two keys: somebody has shaken hands with that one last.
    fn has_former(&self, former: &PublicKey, wanted: &PublicKey) -> bool {
        let heard = |key| self.heard.get(key).copied().unwrap_or_default();
        heard(former) > heard(wanted)
    }
}

/// Has a host keep the old values of its links with hosts that do not change now; gives those links.
///
/// Where another peer is to have a prefix of such a host, that peer gets it. A host that nobody knew before
/// is a peer like any other.
#[must_use]
pub fn hold(
    desired: &mut DesiredHost,
    observed: &ObservedHost,
    fleet: &Names,
    still: &Standstill<'_>,
) -> Vec<KeptLink> {
    let mut kept = Vec::new();
    // The first of those that a host could pass something on for.
    let mut known: Option<(InterfaceName, HostName)> = None;
    for own in &mut desired.interfaces {
        let file = observed.files.get(&paths::conf(&own.name));
        let before = file.map(|file| former(&file.public_text, still.names)).unwrap_or_default();
        let there = before.keys().find(|name| still.hosts.contains_key(*name));
        known = known.or_else(|| Some((own.name.clone(), there?.clone())));
        kept.extend(Holding { own, before: &before, still }.run());
    }
    let mut forwards = desired.forwarding;
    let ends = |on: bool, live: bool, family| !on && live && begun_by(fleet, observed, family);
    if let Some((interface, until)) = known {
        forwards.v4 |= ends(forwards.v4, observed.forward_v4, Family::V4);
        forwards.v6 |= ends(forwards.v6, observed.forward_v6, Family::V6);
        if forwards != desired.forwarding {
            desired.forwarding = forwards;
            let host = desired.name.clone();
            let why = still.hosts[&until];
            let keeps = [Keeps::Forwarding].into();
            kept.push(KeptLink { host, interface, until, why, keeps });
        }
    }
    for link in &mut kept {
        link.host.clone_from(&desired.name);
    }
    kept
}

/// One interface of a host.
struct Holding<'a> {
    own: &'a mut DesiredInterface,
    /// The peers of its file.
    before: &'a BTreeMap<HostName, (PublicKey, DesiredPeer)>,
    still: &'a Standstill<'a>,
}

impl Holding<'_> {
    fn run(mut self) -> Vec<KeptLink> {
        let mut kept = Vec::new();
        for (name, why) in &self.still.hosts {
            let mut keeps = match self.before.get(name) {
                Some((key, former)) => self.link(name, *key, former),
                None => BTreeSet::new(),
            };
            keeps.extend(self.way(name));
            if !keeps.is_empty() {
                kept.push(KeptLink {
                    // The caller knows it.
                    host: name.clone(),
                    interface: self.own.name.clone(),
                    why: *why,
                    until: name.clone(),
                    keeps,
                });
            }
        }
        kept
    }

    fn wanted(&self, name: &HostName) -> Option<(PublicKey, &DesiredPeer)> {
        let mut peers = self.own.peers.iter();
        peers.find(|(_, peer)| peer.name == *name).map(|(key, peer)| (*key, peer))
    }

    /// Whether there is PSK material for what the file has of a link.
    fn can_keep(&self, former: &DesiredPeer) -> bool {
        former.psk_epoch.is_none_or(|epoch| self.still.epochs.contains(&epoch))
    }

    /// Whether a peer gets what the inventory says.
    fn goes_on(&self, name: &HostName) -> bool {
        let kept = self.before.get(name).is_none_or(|(_, former)| self.can_keep(former));
        !(kept && self.still.hosts.contains_key(name))
    }

    /// Whether a prefix that a host had is to be that of another peer, and not only to be reached there.
    fn is_anothers(&self, name: &HostName, net: &IpNet) -> bool {
        let has = |peer: &DesiredPeer| {
            let anothers = self.still.owns(&peer.name, net) || !self.still.owns(name, net);
            peer.allowed_ips.contains(net) && anothers
        };
        let mut others = self.own.peers.values().filter(|peer| peer.name != *name);
        others.any(|peer| self.goes_on(&peer.name) && has(peer))
    }

    /// Gives the interface a peer; whoever else was to have its prefixes has them no more.
    fn put(&mut self, key: PublicKey, peer: DesiredPeer) {
        for other in self.own.peers.values_mut() {
            if other.allowed_ips.iter().any(|net| peer.allowed_ips.contains(net)) {
                let rest = other.allowed_ips.iter().filter(|net| !peer.allowed_ips.contains(net));
                other.allowed_ips = rest.copied().collect();
            }
        }
        self.own.peers.insert(key, peer);
    }

    /// Keeps what the file has of a link.
    fn link(&mut self, name: &HostName, key: PublicKey, former: &DesiredPeer) -> BTreeSet<Keeps> {
        let mut keeps = BTreeSet::new();
        let set = |peer: &DesiredPeer| peer.allowed_ips.iter().copied().collect::<BTreeSet<_>>();
        let wanted = self.wanted(name);
        let same = wanted.is_some_and(|(wanted_key, wanted)| {
            wanted_key == key
                && wanted.endpoint == former.endpoint
                && wanted.psk_epoch == former.psk_epoch
                && set(wanted) == set(former)
        });
        if same || !self.can_keep(former) {
            return keeps;
        }
        let nets = former.allowed_ips.iter().filter(|net| !self.is_anothers(name, net));
        let mut peer = DesiredPeer { allowed_ips: nets.copied().collect(), ..former.clone() };
        let Some((wanted_key, wanted)) = wanted else {
            keeps.insert(Keeps::Link);
            self.put(key, peer);
            return keeps;
        };
        let kept_key = if self.still.has_former(&key, &wanted_key) { key } else { wanted_key };
        if set(&peer) == set(wanted) {
            peer.allowed_ips = wanted.allowed_ips.clone();
        } else {
            keeps.insert(Keeps::Addresses);
        }
        for (differs, what) in [
            (peer.endpoint != wanted.endpoint, Keeps::Endpoint),
            (peer.psk_epoch != wanted.psk_epoch, Keeps::PresharedKey),
            (kept_key != wanted_key, Keeps::Key),
        ] {
            if differs {
                keeps.insert(what);
            }
        }
        // One end may change its keepalive without the other.
        if keeps.is_empty() {
            return keeps;
        }
        if peer.keepalive != wanted.keepalive {
            keeps.insert(Keeps::Keepalive);
        }
        self.own.peers.remove(&wanted_key);
        self.put(kept_key, peer);
        keeps
    }

    /// Keeps the way to a host through another one. Where the file gives the two a link of their own, a
    /// host that does not know that yet sends and takes nothing there.
    fn way(&mut self, name: &HostName) -> Option<Keeps> {
        let wanted = self.wanted(name).map(|(key, peer)| (key, peer.clone()));
        let known = self.still.prefixes.get(name).into_iter().flatten();
        let own = wanted.iter().flat_map(|(_, peer)| peer.allowed_ips.iter());
        let nets: BTreeSet<IpNet> = known.chain(own).copied().collect();
        let moved: Vec<(IpNet, PublicKey)> =
            nets.into_iter().filter_map(|net| Some((net, self.through(name, &net)?))).collect();
        for (net, holder) in &moved {
            let Some(mut peer) = self.own.peers.remove(holder) else { continue };
            peer.allowed_ips = peer.allowed_ips.iter().copied().chain([*net]).collect();
            self.put(*holder, peer);
        }
        // With nothing left to send to it, a peer that is new is none.
        if let Some((key, _)) = wanted.filter(|_| !moved.is_empty())
            && self.own.peers.get(&key).is_some_and(|peer| peer.allowed_ips.is_empty())
            && !self.before.contains_key(name)
        {
            self.own.peers.remove(&key);
        }
        (!moved.is_empty()).then_some(Keeps::Way)
    }

    /// The other host through which the file that is there reaches a prefix of a host, where the wanted one
    /// would not do so any more.
    fn through(&self, name: &HostName, net: &IpNet) -> Option<PublicKey> {
        let of = |peer: &DesiredPeer| {
            let nets = peer.allowed_ips.iter().filter(|known| covers(known, net));
            nets.map(IpNet::prefix_len).max()
        };
        let before = self.before.values().filter_map(|(_, peer)| Some((of(peer)?, &peer.name)));
        let (_, holder) = before.max_by_key(|(length, _)| *length)?;
        if holder == name {
            return None;
        }
        let (key, _) = self.wanted(holder)?;
        let now = self.own.peers.values().filter_map(|peer| Some((of(peer)?, &peer.name)));
        match now.max_by_key(|(length, _)| *length) {
            Some((_, now)) if now == holder => None,
            Some((length, _)) if length == net.prefix_len() && self.is_anothers(name, net) => None,
            _ => Some(key),
        }
    }
}
