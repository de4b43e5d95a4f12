//! Whether a host has what its change was to bring.

use std::collections::BTreeMap;

use super::job::Job;
use crate::desired::DesiredPeer;
use crate::event::{LISTED, Reason, Unhealthy};
use crate::model::{HostName, PublicKey};
use crate::observed::{ObservedHost, ObservedPeer};

/// What must hold before a change is kept: every interface is there and up, with the right key.
pub(super) fn healthy(job: &Job<'_>, seen: &ObservedHost) -> Result<(), Reason> {
    for interface in &job.target.interfaces {
        let name = &interface.desired.name;
        let problem = match seen.interfaces.get(name) {
            None => Some(Unhealthy::Missing),
            Some(live) if !live.up => Some(Unhealthy::Down),
            Some(live) if live.public_key != Some(interface.desired.public_key) => {
                Some(Unhealthy::OtherKey)
            }
            Some(live) => peers(&interface.desired.peers, &live.peers),
        };
        if let Some(problem) = problem {
            return Err(Reason::Unhealthy { interface: name.clone(), problem });
        }
    }
    Ok(())
}

/// Compares the peers of an interface by key: which are missing, and which nobody wants.
fn peers(
    desired: &BTreeMap<PublicKey, DesiredPeer>,
    live: &BTreeMap<PublicKey, ObservedPeer>,
) -> Option<Unhealthy> {
    let lacks = desired.iter().filter(|(key, _)| !live.contains_key(key));
    let lacks: Vec<HostName> = lacks.map(|(_, peer)| peer.name.clone()).take(LISTED).collect();
    let unwanted = live.keys().filter(|key| !desired.contains_key(key));
    let unwanted: Vec<PublicKey> = unwanted.copied().take(LISTED).collect();
    let same = lacks.is_empty() && unwanted.is_empty();
    (!same).then_some(Unhealthy::Peers { lacks, unwanted })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::observed::ObservedPsk;

    #[test]
    fn as_many_wrong_peers_as_right_ones_are_not_the_right_ones() {
        let key = |byte| PublicKey::from_bytes([byte; 32]);
        let peer = |name: &str| DesiredPeer {
            name: name.parse().unwrap(),
            endpoint: None,
            allowed_ips: [].into(),
            keepalive: None,
            psk_epoch: None,
        };
        let seen = || ObservedPeer {
            psk: ObservedPsk::None,
            endpoint: None,
            allowed_ips: BTreeSet::new(),
            latest_handshake: 0,
            received: 0,
            sent: 0,
            keepalive: None,
        };
        let desired = [(key(1), peer("hub")), (key(2), peer("b7"))].into();
        let live = |keys: &[u8]| keys.iter().map(|byte| (key(*byte), seen())).collect();
        let found = |keys: &[u8]| peers(&desired, &live(keys));
        let other = |lacks: &[&str], unwanted: &[u8]| {
            let lacks = lacks.iter().map(|name| name.parse().unwrap()).collect();
            let unwanted = unwanted.iter().map(|byte| key(*byte)).collect();
            Some(Unhealthy::Peers { lacks, unwanted })
        };
        assert_eq!(found(&[1, 2]), None);
        assert_eq!(found(&[1]), other(&["b7"], &[]));
        assert_eq!(found(&[1, 2, 3]), other(&[], &[3]));
        assert_eq!(found(&[1, 3]), other(&["b7"], &[3]));
    }
}
