//! What running traffic feels of the changes to one host.
//!
//! How long each takes was measured on labs with a hundred packets a second: see
//! docs/architecture.md.

use std::collections::BTreeSet;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{Change, DeviceField, Elsewhere, FieldChange, PeerField, PeerRef};
use crate::model::{InterfaceName, PublicKey, covers};
use crate::observed::{ObservedHost, ObservedPeer};

/// The worst that traffic feels, mildest first.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
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
        for change in changes {
            felt.add(change, observed, &replaced);
        }
        felt
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

    fn add(&mut self, change: &Change, observed: &ObservedHost, replaced: &BTreeSet<PublicKey>) {
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
                let before = observed.interfaces.get(interface);
                let before = before.and_then(|own| own.peers.get(&peer.key));
                for change in fields {
                    self.change_peer((interface, peer), change, before, observed);
                }
            }
            Change::AddPeer { interface, peer, replaces }
                if replaces.is_some()
                    || takes(observed, interface, &peer.key, &peer.allowed_ips) =>
            {
                self.handshakes.push(peer.reference());
            }
            Change::Create(new) => {
                let taking = new.peers.iter();
                let taking = taking
                    .filter(|peer| takes(observed, &new.interface, &peer.key, &peer.allowed_ips));
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
        before: Option<&ObservedPeer>,
        observed: &ObservedHost,
    ) {
        let heard = before.is_some_and(|peer| peer.latest_handshake > 0);
        match change.field {
            PeerField::PresharedKey => self.handshakes.push(peer.clone()),
            PeerField::AllowedIps => {
                let (from, to) = (nets(change.from.as_deref()), nets(change.to.as_deref()));
                let come: Vec<IpNet> = to.difference(&from).copied().collect();
                let takes = takes(observed, interface, &peer.key, &come);
                if takes && !heard && !self.handshakes.contains(peer) {
                    self.handshakes.push(peer.clone());
                }
                self.routes |= (takes && heard) || !from.is_subset(&to);
            }
            // Packets go to another place from one moment to the next.
            PeerField::Endpoint => self.routes |= heard && change.from.is_some(),
            PeerField::Keepalive => {}
        }
    }
}

/// The prefixes of a list, as a change of AllowedIPs has them.
fn nets(list: Option<&str>) -> BTreeSet<IpNet> {
    list.into_iter().flat_map(|list| list.split(", ")).filter_map(|net| net.parse().ok()).collect()
}

/// Whether a peer that gets these prefixes takes over what another peer of the host carries now.
fn takes(
    observed: &ObservedHost,
    interface: &InterfaceName,
    key: &PublicKey,
    nets: &[IpNet],
) -> bool {
    // A host has one key in all of its networks.
    let own = |name: &InterfaceName, other: &PublicKey| name == interface && other == key;
    let interfaces = observed.interfaces.iter();
    let peers = interfaces.flat_map(|(name, live)| live.peers.iter().map(move |peer| (name, peer)));
    let others = peers.filter(|(name, (other, _))| !own(name, other));
    let mut carried = others.flat_map(|(_, (_, peer))| &peer.allowed_ips);
    carried.any(|known| nets.iter().any(|net| covers(known, net)))
}

#[cfg(test)]
#[path = "disruption_tests.rs"]
mod tests;
