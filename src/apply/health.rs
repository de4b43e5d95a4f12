//! Whether a host has what its change was to bring.

use std::collections::BTreeMap;

use super::job::Job;
use crate::desired::DesiredPeer;
use crate::model::PublicKey;
use crate::observed::{ObservedHost, ObservedPeer};

/// Most peers that one message names.
const NAMED: usize = 8;

/// What must hold before a change is kept: every interface is there and up, with the right key.
pub(super) fn healthy(job: &Job<'_>, seen: &ObservedHost) -> Result<(), String> {
    for interface in &job.target.interfaces {
        let name = &interface.desired.name;
        let live = seen.interfaces.get(name).ok_or_else(|| format!("{name} is not there"))?;
        if !live.up {
            return Err(format!("{name} is not up"));
        }
        if live.public_key != Some(interface.desired.public_key) {
            return Err(format!("{name} has another key"));
        }
        peers(&interface.desired.peers, &live.peers).map_err(|what| format!("{name} {what}"))?;
    }
    Ok(())
}

/// Compares the peers of an interface by key; says which are missing and which nobody wants.
fn peers(
    desired: &BTreeMap<PublicKey, DesiredPeer>,
    live: &BTreeMap<PublicKey, ObservedPeer>,
) -> Result<(), String> {
    let missing = desired.iter().filter(|(key, _)| !live.contains_key(key));
    let missing: Vec<String> = missing.map(|(_, peer)| peer.name.to_string()).collect();
    let unwanted = live.keys().filter(|key| !desired.contains_key(key));
    let unwanted: Vec<String> = unwanted.map(|key| format!("public key {key}")).collect();
    let list = |names: &[String]| {
        let more = if names.len() > NAMED { ", …" } else { "" };
        format!("{}{more}", names[..names.len().min(NAMED)].join(", "))
    };
    match (missing.is_empty(), unwanted.is_empty()) {
        (true, true) => Ok(()),
        (false, true) => Err(format!("lacks {}", list(&missing))),
        (true, false) => Err(format!("has peers that are not wanted: {}", list(&unwanted))),
        (false, false) => Err(format!(
            "lacks {}, and has peers that are not wanted: {}",
            list(&missing),
            list(&unwanted)
        )),
    }
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
        assert_eq!(peers(&desired, &live(&[1, 2])), Ok(()));
        assert_eq!(peers(&desired, &live(&[1])), Err("lacks b7".to_owned()));
        let unwanted = format!("has peers that are not wanted: public key {}", key(3));
        assert_eq!(peers(&desired, &live(&[1, 2, 3])), Err(unwanted.clone()));
        assert_eq!(peers(&desired, &live(&[1, 3])), Err(format!("lacks b7, and {unwanted}")));
    }
}
