//! Public keys: one for each peer.

use std::collections::HashMap;

use crate::finding::{Code, Finding};
use crate::inventory::Inventory;
use crate::model::{HostName, Location, PublicKey};
use crate::topology::Topology;

/// Two unmanaged peers with one key: the second one on an interface takes the first one's
/// `AllowedIPs` away. (Keys of hosts are made by the vault, one for each.)
pub(super) fn duplicates(inventory: &Inventory, _topology: &Topology) -> Vec<Finding> {
    let mut first: HashMap<PublicKey, (&HostName, Location)> = HashMap::new();
    let mut findings = Vec::new();
    for peer in &inventory.peers {
        let Some(key) = &peer.public_key else { continue };
        if let Some((other, at)) = first.get(&key.value) {
            let title = format!("`{other}` and `{}` have one public key", peer.name.value);
            findings.push(
                Finding::new(Code::DuplicateKey, title, key.at)
                    .label(format!("of `{}`", peer.name.value))
                    .also(*at, format!("of `{other}`"))
                    .help("each device needs a key of its own; leave `public_key` out to have one made"),
            );
        } else {
            first.insert(key.value, (&peer.name.value, key.at));
        }
    }
    findings
}
