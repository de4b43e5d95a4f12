//! The smallest change that makes a running interface what a file says: `wg syncconf`.

use std::collections::{HashMap, HashSet};

use indexmap::{IndexMap, IndexSet};
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
    for (key, Wanted { change: mut want, nets }) in wanted {
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

/// A peer as the file wants it in the end.
struct Wanted {
    change: PeerChange,
    nets: IndexSet<IpNet>,
}

/// What the file says of each key in the end: a later section of the same key replaces what it
/// names, and a prefix belongs to the section that names it last.
fn merge(file: Vec<PeerChange>, now: &DeviceSnapshot) -> IndexMap<PublicKey, Wanted> {
    let present: HashMap<_, _> =
        now.peers.iter().map(|peer| (peer.public_key, &peer.allowed_ips)).collect();
    let mut merged: IndexMap<PublicKey, Wanted> = IndexMap::new();
    let mut owners: HashMap<IpNet, PublicKey> = HashMap::new();
    for mut section in file {
        let key = section.public_key;
        let steps = std::mem::take(&mut section.allowed_ips);
        let replaces = section.replace_allowed_ips;
        if let Some(earlier) = merged.get_mut(&key) {
            earlier.merge(section);
        } else {
            merged.insert(key, Wanted { change: section, nets: IndexSet::new() });
            // Signs count from what there is, as far as no section before claims it.
            if !replaces && let Some(nets) = present.get(&key) {
                let free = nets.iter().filter(|net| !owners.contains_key(*net)).copied();
                let free: Vec<IpNet> = free.collect();
                owners.extend(free.iter().map(|net| (*net, key)));
                merged[&key].nets.extend(free);
            }
        }
        if replaces {
            for net in std::mem::take(&mut merged[&key].nets) {
                owners.remove(&net);
            }
        }
        for step in steps {
            match step {
                AllowedIpChange::Add(net) => {
                    let net = net.trunc();
                    if let Some(before) = owners.insert(net, key).filter(|before| *before != key) {
                        merged[&before].nets.shift_remove(&net);
                    }
                    merged[&key].nets.insert(net);
                }
                AllowedIpChange::Remove(net) => {
                    let net = net.trunc();
                    if merged[&key].nets.shift_remove(&net) {
                        owners.remove(&net);
                    }
                }
            }
        }
    }
    merged
}

impl Wanted {
    /// Takes over what a later section of the same key names.
    fn merge(&mut self, later: PeerChange) {
        if !later.preshared_key.is_keep() {
            self.change.preshared_key = later.preshared_key;
        }
        self.change.endpoint = later.endpoint.or(self.change.endpoint);
        self.change.keepalive = later.keepalive.or(self.change.keepalive);
    }
}

/// What has to change about a peer that is there, or nothing.
fn difference(want: PeerChange, nets: &IndexSet<IpNet>, have: &PeerSnapshot) -> Option<PeerChange> {
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
    if old.iter().any(|net| !nets.contains(*net)) {
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
