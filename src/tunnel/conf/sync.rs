//! The smallest change that makes a running interface what a file says: `wg syncconf`.

use std::collections::{HashMap, HashSet};

use indexmap::IndexMap;
use ipnet::IpNet;

use crate::model::{PresharedKey, PublicKey};
use crate::tunnel::{
    AllowedIpChange, DeviceChange, DeviceSnapshot, PeerChange, PeerSnapshot, Setting,
};

/// What is left of `file`, the change that `wg setconf` would make, once everything that `now`
/// has already is taken out of it.
///
/// A peer that is the same is not in the change at all. A file without `ListenPort` is content
/// with any port, so the interface keeps its own.
#[must_use]
pub fn sync(file: DeviceChange, now: &DeviceSnapshot) -> DeviceChange {
    let wanted = merge(file.peers, now);
    let owners = owners(&wanted);
    let private_key = match file.private_key {
        Setting::To(key) if Some(key.public()) == now.public_key => Setting::Keep,
        Setting::Clear if now.private_key.is_none() => Setting::Keep,
        setting => setting,
    };
    let listen_port = file.listen_port.filter(|port| *port != 0 && *port != now.listen_port);
    let fwmark = file.fwmark.filter(|mark| *mark != now.fwmark);
    let mut peers: Vec<PeerChange> = Vec::new();
    for peer in &now.peers {
        if !wanted.contains_key(&peer.public_key) {
            peers.push(PeerChange::removal(peer.public_key));
        }
    }
    let present: HashMap<_, _> = now.peers.iter().map(|peer| (peer.public_key, peer)).collect();
    // Prefixes that a peer loses have to be gone before another counts them as its own, so the
    // peers that only lose come first; the order of the others does not matter.
    let mut gaining = Vec::new();
    for (key, mut want) in wanted {
        let mine = |net: &IpNet| owners.get(net) == Some(&key);
        let nets: Vec<IpNet> = wanted_nets(&want).into_iter().filter(mine).collect();
        let Some(have) = present.get(&key) else {
            want.replace_allowed_ips = true;
            want.allowed_ips = nets.into_iter().map(AllowedIpChange::Add).collect();
            gaining.push(want);
            continue;
        };
        if let Some(change) = difference(want, &nets, have) {
            if change.allowed_ips.is_empty() { peers.push(change) } else { gaining.push(change) }
        }
    }
    peers.extend(gaining);
    DeviceChange { private_key, listen_port, fwmark, replace_peers: false, peers }
}

/// One change for each key: a later section of the same key replaces what it names.
fn merge(file: Vec<PeerChange>, now: &DeviceSnapshot) -> IndexMap<PublicKey, PeerChange> {
    let mut merged: IndexMap<PublicKey, PeerChange> = IndexMap::new();
    let present: HashMap<_, _> =
        now.peers.iter().map(|peer| (peer.public_key, &peer.allowed_ips)).collect();
    for mut peer in file {
        if !peer.replace_allowed_ips {
            // Signs: what there is, plus and minus.
            let before = match merged.get(&peer.public_key) {
                Some(earlier) => wanted_nets(earlier),
                None => {
                    present.get(&peer.public_key).map(|nets| (*nets).clone()).unwrap_or_default()
                }
            };
            let before = before.into_iter().map(AllowedIpChange::Add);
            peer.allowed_ips = before.chain(peer.allowed_ips).collect();
        }
        match merged.get_mut(&peer.public_key) {
            None => {
                merged.insert(peer.public_key, peer);
            }
            Some(earlier) => {
                earlier.allowed_ips = peer.allowed_ips;
                if !peer.preshared_key.is_keep() {
                    earlier.preshared_key = peer.preshared_key;
                }
                earlier.endpoint = peer.endpoint.or(earlier.endpoint);
                earlier.keepalive = peer.keepalive.or(earlier.keepalive);
            }
        }
    }
    merged
}

/// The prefixes of a peer after all its steps.
fn wanted_nets(peer: &PeerChange) -> Vec<IpNet> {
    let mut nets = indexmap::IndexSet::new();
    for step in &peer.allowed_ips {
        match step {
            AllowedIpChange::Add(net) => {
                nets.insert(net.trunc());
            }
            AllowedIpChange::Remove(net) => {
                nets.shift_remove(&net.trunc());
            }
        }
    }
    nets.into_iter().collect()
}

/// Who has a prefix in the end: the last peer that names it.
fn owners(peers: &IndexMap<PublicKey, PeerChange>) -> HashMap<IpNet, PublicKey> {
    let mut owners = HashMap::new();
    for (key, peer) in peers {
        owners.extend(wanted_nets(peer).into_iter().map(|net| (net, *key)));
    }
    owners
}

/// What has to change about a peer that is there, or nothing.
fn difference(want: PeerChange, nets: &[IpNet], have: &PeerSnapshot) -> Option<PeerChange> {
    let preshared_key = match want.preshared_key {
        Setting::To(key) if have.preshared_key.as_ref().is_some_and(|have| same(&key, have)) => {
            Setting::Keep
        }
        Setting::To(key) => Setting::To(key),
        Setting::Keep | Setting::Clear if have.preshared_key.is_some() => Setting::Clear,
        Setting::Keep | Setting::Clear => Setting::Keep,
    };
    let keepalive = want.keepalive.unwrap_or(0);
    let mut change = PeerChange {
        preshared_key,
        endpoint: want.endpoint.filter(|endpoint| have.endpoint != Some(*endpoint)),
        keepalive: (keepalive != have.keepalive).then_some(keepalive),
        ..PeerChange::new(want.public_key)
    };
    let old: HashSet<&IpNet> = have.allowed_ips.iter().collect();
    let new: HashSet<&IpNet> = nets.iter().collect();
    if old.iter().any(|net| !new.contains(*net)) {
        // Older kernels cannot take a single prefix away; the replacement is one step for packets.
        change.replace_allowed_ips = true;
        change.allowed_ips = nets.iter().copied().map(AllowedIpChange::Add).collect();
    } else {
        let missing = nets.iter().filter(|net| !old.contains(*net)).copied();
        change.allowed_ips = missing.map(AllowedIpChange::Add).collect();
    }
    let nothing = change.preshared_key.is_keep()
        && change.endpoint.is_none()
        && change.keepalive.is_none()
        && !change.replace_allowed_ips
        && change.allowed_ips.is_empty();
    (!nothing).then_some(change)
}

/// In constant time, as everything about secrets.
fn same(a: &PresharedKey, b: &PresharedKey) -> bool {
    a.expose().iter().zip(b.expose()).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}
