//! What running traffic feels of the changes to one host.
//!
//! How long each takes was measured on labs with a hundred packets a second: see
//! docs/architecture.md.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{Change, DeviceField, FieldChange, PeerField, PeerRef};
use crate::model::{Family, HostName, InterfaceName, PublicKey};
use crate::observed::ObservedHost;

/// The worst that traffic feels, mildest first.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Disruption {
    /// Nothing.
    #[default]
    None,
    /// Addresses or routes change: packets on their way may be lost.
    Routes,
    /// Traffic waits for a session that has to be made first: up to 3 s.
    Handshake,
    /// A session ends; what it carried takes another path, if there is one.
    Session,
    /// An interface goes, or stops and starts anew: its peers notice after up to 10 s.
    Restart,
    /// Flows that work cease to work for good.
    Flows,
}

/// What traffic feels of the changes to one host, and of which.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Felt {
    /// Interfaces that stop and start anew.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restarts: Vec<InterfaceName>,
    /// Interfaces that go, with all of their sessions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removals: Vec<InterfaceName>,
    /// Interfaces that need a new handshake with each of their peers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub renewals: Vec<InterfaceName>,
    /// Peers that a new handshake is needed with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub handshakes: Vec<PeerRef>,
    /// Peers whose session ends.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ends: Vec<PeerRef>,
    /// Whether addresses or routes that are in use change.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub routes: bool,
    /// What it feels of changes to others, beyond what its own do to the same traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elsewhere: Option<Elsewhere>,
    /// How many flows cease to work that begin, end or are dropped there.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub flows: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Felt {
    /// What the changes to a host do to what runs there.
    #[must_use]
    pub fn of(changes: &[Change], observed: &ObservedHost) -> Self {
        let mut felt = Self::default();
        // A key that takes another's place ends no session for good.
        let replaced: BTreeSet<PublicKey> = changes
            .iter()
            .filter_map(|change| match change {
                Change::AddPeer { replaces, .. } => *replaces,
                _ => None,
            })
            .collect();
        let before = Before { observed, carried: OnceCell::new() };
        for change in changes {
            felt.add(change, &before, &replaced);
        }
        felt.gather(observed);
        felt
    }

    /// Names an interface instead of its peers, where each of many needs a new handshake.
    fn gather(&mut self, observed: &ObservedHost) {
        for (name, live) in &observed.interfaces {
            if live.peers.len() <= NAMED || self.handshakes.len() < live.peers.len() {
                continue;
            }
            let keys: BTreeSet<&PublicKey> = self.handshakes.iter().map(|peer| &peer.key).collect();
            // A host has one key in all of its networks, so a peer may be that of another interface.
            let others = observed.interfaces.iter().filter(|(other, _)| *other != name);
            let elsewhere =
                |key: &PublicKey| others.clone().any(|(_, o)| o.peers.contains_key(key));
            if live.peers.keys().all(|key| keys.contains(key) && !elsewhere(key)) {
                self.handshakes.retain(|peer| !live.peers.contains_key(&peer.key));
                if !self.renewals.contains(name) {
                    self.renewals.push(name.clone());
                }
            }
        }
    }

    /// The worst of it.
    #[must_use]
    pub fn worst(&self) -> Disruption {
        let all = [
            (self.routes, Disruption::Routes),
            (!self.handshakes.is_empty() || !self.renewals.is_empty(), Disruption::Handshake),
            (!self.ends.is_empty(), Disruption::Session),
            (!self.restarts.is_empty() || !self.removals.is_empty(), Disruption::Restart),
            (self.flows > 0, Disruption::Flows),
        ];
        let felt = all.into_iter().filter(|(is, _)| *is).map(|(_, worst)| worst);
        felt.chain(self.elsewhere.iter().map(|felt| felt.how)).max().unwrap_or_default()
    }

    fn add(&mut self, change: &Change, before: &Before<'_>, replaced: &BTreeSet<PublicKey>) {
        match change {
            Change::Restart { interface, .. } => self.restarts.push(interface.clone()),
            Change::Delete { interface } => self.removals.push(interface.clone()),
            Change::Device { interface, fields } => {
                let renews = |change: &FieldChange<DeviceField>| match change.field {
                    // Peers send to the old port until a packet from the new one has reached them.
                    DeviceField::PublicKey | DeviceField::ListenPort => true,
                    DeviceField::FwMark | DeviceField::Mtu | DeviceField::Link => false,
                };
                if fields.iter().any(renews) {
                    self.renewals.push(interface.clone());
                }
                // The mark may choose another route for what is encrypted.
                self.routes |= fields.iter().any(|change| change.field == DeviceField::FwMark);
            }
            Change::ChangePeer { interface, peer, fields } => {
                for change in fields {
                    self.change_peer((interface, peer), change, before);
                }
            }
            Change::AddPeer { interface, peer, replaces }
                if replaces.is_some()
                    || before.gives_up(interface, &peer.key, &peer.allowed_ips) =>
            {
                self.handshakes.push(peer.reference());
            }
            Change::Create(new) => {
                let taking = new
                    .peers
                    .iter()
                    .filter(|peer| before.gives_up(&new.interface, &peer.key, &peer.allowed_ips));
                self.handshakes.extend(taking.map(|peer| peer.reference()));
            }
            Change::RemovePeer { peer, .. } if !replaced.contains(&peer.key) => {
                self.ends.push(peer.clone());
            }
            Change::RemoveAddress { .. } | Change::RemoveRoute { .. } => self.routes = true,
            Change::Forward { on, .. } => self.routes |= !on,
            Change::Firewall { digest, .. } => self.routes |= digest.is_none(),
            _ => {}
        }
    }

    fn change_peer(
        &mut self,
        (interface, peer): (&InterfaceName, &PeerRef),
        change: &FieldChange<PeerField>,
        before: &Before<'_>,
    ) {
        let live = before.observed.interfaces.get(interface);
        let live = live.and_then(|own| own.peers.get(&peer.key));
        let heard = live.is_some_and(|peer| peer.latest_handshake > 0);
        match change.field {
            PeerField::PresharedKey => self.shakes(peer),
            PeerField::AllowedIps => {
                let (from, to) = (nets(change.from.as_deref()), nets(change.to.as_deref()));
                let come: Vec<IpNet> = to.difference(&from).copied().collect();
                let takes = before.gives_up(interface, &peer.key, &come);
                if takes && !heard {
                    self.shakes(peer);
                }
                self.routes |= (takes && heard) || !from.is_subset(&to);
            }
            // Packets go to another place from one moment to the next.
            PeerField::Endpoint => self.routes |= heard && change.from.is_some(),
            PeerField::Keepalive => {}
        }
    }

    /// A new handshake with a peer; its changes come one after the other.
    fn shakes(&mut self, peer: &PeerRef) {
        if self.handshakes.last() != Some(peer) {
            self.handshakes.push(peer.clone());
        }
    }
}

/// Peers of an interface up to which each is named.
const NAMED: usize = 8;

/// The prefixes of a list, as a change of AllowedIPs has them.
fn nets(list: Option<&str>) -> BTreeSet<IpNet> {
    list.into_iter().flat_map(|list| list.split(", ")).filter_map(|net| net.parse().ok()).collect()
}

/// What a host has before its changes.
struct Before<'a> {
    observed: &'a ObservedHost,
    carried: OnceCell<Carried<'a>>,
}

/// The peers that carry each prefix, and which lengths prefixes have: a host may have a thousand
/// peers that each get another prefix.
#[derive(Default)]
struct Carried<'a> {
    by: HashMap<IpNet, Vec<(&'a InterfaceName, &'a PublicKey)>>,
    lengths: BTreeSet<(Family, u8)>,
}

impl<'a> Carried<'a> {
    fn of(observed: &'a ObservedHost) -> Self {
        let mut carried = Self::default();
        for (name, live) in &observed.interfaces {
            for (key, peer) in &live.peers {
                for net in &peer.allowed_ips {
                    carried.by.entry(net.trunc()).or_default().push((name, key));
                    carried.lengths.insert((Family::of(net), net.prefix_len()));
                }
            }
        }
        carried
    }
}

impl Before<'_> {
    /// Whether another peer of the host carries what a peer gets with these prefixes.
    fn gives_up(&self, interface: &InterfaceName, key: &PublicKey, nets: &[IpNet]) -> bool {
        let carried = self.carried.get_or_init(|| Carried::of(self.observed));
        // A host has one key in all of its networks.
        let others = |net: &IpNet| {
            let by = carried.by.get(net);
            by.is_some_and(|by| by.iter().any(|(name, other)| (*name, *other) != (interface, key)))
        };
        nets.iter().any(|net| {
            let lengths = carried.lengths.range(..=(Family::of(net), net.prefix_len()));
            let lengths = lengths.filter(|(family, _)| *family == Family::of(net));
            let mut outer = lengths.filter_map(|(_, length)| IpNet::new(net.addr(), *length).ok());
            outer.any(|outer| others(&outer.trunc()))
        })
    }
}

#[cfg(test)]
#[path = "disruption_tests.rs"]
mod tests;

/// What a host feels of changes to others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Elsewhere {
    /// The worst of it.
    pub how: Disruption,
    /// How many hosts its traffic feels that with or behind.
    pub hosts: u64,
    /// The first of them, in order of the file.
    pub such_as: HostName,
}
