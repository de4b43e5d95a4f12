//! What a plan changes of each host, for the proof of what is in between.

use crate::check::{Changing, Role};
use crate::plan::{Change, DeviceField, HostPlan, HostState, PeerField};

/// What the plans of hosts change. A host that was not read, is blocked, or has nothing to do stays as it
/// is.
#[must_use]
pub fn changing(hosts: &[HostPlan]) -> Changing {
    let mut all = Changing::default();
    for host in hosts {
        let role = match host.state {
            HostState::Ready if !host.changes.is_empty() => Role::Changes,
            _ => Role::Stays,
        };
        all.roles.insert(host.host.clone(), role);
        for change in &host.changes {
            let Some(interface) = change.interface() else { continue };
            match change {
                Change::Device { fields, .. }
                    if fields.iter().any(|change| change.field == DeviceField::PublicKey) =>
                {
                    all.contact(&host.host, interface).key = true;
                }
                Change::ChangePeer { peer, fields, .. } => {
                    let psk = fields.iter().any(|change| change.field == PeerField::PresharedKey);
                    if let Some(name) = peer.name.as_ref().filter(|_| psk) {
                        all.contact(&host.host, interface).psks.insert(name.clone());
                    }
                }
                Change::AddPeer { peer, replaces: Some(_), .. } => {
                    all.contact(&host.host, interface).keys.insert(peer.name.clone());
                }
                _ => {}
            }
        }
    }
    all
}
