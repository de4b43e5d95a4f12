//! What running traffic feels of the changes to one host.
//!
//! How long each takes was measured on labs with a hundred packets a second: see
//! docs/architecture.md.

use std::collections::BTreeSet;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{Change, DeviceField, FieldChange, NewPeer, PeerField, PeerRef};
use crate::model::{InterfaceName, PublicKey, covers};
use crate::observed::{ObservedHost, ObservedInterface};

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
        felt.max().unwrap_or_default()
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
            }
            Change::ChangePeer { peer, fields, .. }
                if fields.iter().any(|change| change.field == PeerField::PresharedKey) =>
            {
                self.handshakes.push(peer.clone());
            }
            Change::AddPeer { interface, peer, replaces } => {
                let live = observed.interfaces.get(interface);
                if replaces.is_some() || live.is_some_and(|live| takes(live, peer)) {
                    self.handshakes.push(peer.reference());
                }
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
}

/// Whether a new peer takes over what a peer that is there carries now.
fn takes(live: &ObservedInterface, peer: &NewPeer) -> bool {
    let carried: Vec<&IpNet> =
        live.peers.values().flat_map(|peer| peer.allowed_ips.iter()).collect();
    peer.allowed_ips.iter().any(|net| carried.iter().any(|known| covers(known, net)))
}

#[cfg(test)]
#[path = "disruption_tests.rs"]
mod tests;
