//! Public keys: one for each peer.

use std::collections::HashMap;

use super::folded::Folded;
use crate::finding::{Code, Finding};
use crate::inventory::{Inventory, PskMode};
use crate::model::{HostName, Location, PublicKey};
use crate::topology::Topology;

/// Two unmanaged peers of one network with one key: the second one on an interface takes the first one's
/// `AllowedIPs` away. Interfaces of two networks are apart. (Keys of hosts are made by the vault, one for
/// each.)
pub(super) fn duplicates(inventory: &Inventory, _topology: &Topology) -> Vec<Finding> {
    let mut first: HashMap<(usize, PublicKey), (&HostName, Location)> = HashMap::new();
    let mut findings = Vec::new();
    for peer in &inventory.peers {
        let Some(key) = &peer.settings.public_key else { continue };
        if let Some((other, at)) = first.get(&(peer.network, key.value)) {
            let title = format!("`{other}` and `{}` have one public key", peer.name.value);
            findings.push(
                Finding::new(Code::DuplicateKey, title, key.at)
                    .label(format!("of `{}`", peer.name.value))
                    .also(*at, format!("of `{other}`"))
                    .help("each device needs a key of its own; leave `public_key` out to have one made"),
            );
        } else {
            first.insert((peer.network, key.value), (&peer.name.value, key.at));
        }
    }
    findings
}

/// Peers that brought their own key, where their network asks for preshared keys.
pub(super) fn unshared(inventory: &Inventory, topology: &Topology) -> Vec<Finding> {
    let mut findings: Folded<Location> = Folded::new();
    for peer in &inventory.peers {
        let network = &inventory.networks[peer.network];
        let wanted = network.psk.declared().filter(|psk| psk.value == PskMode::Pairwise);
        let (Some(psk), Some(key)) = (wanted, &peer.settings.public_key) else { continue };
        let id = topology.find(&peer.name.value);
        // Whoever is told a key has one, and whoever is said to have none is meant to.
        let said = peer.settings.psk.declared().is_some();
        let shares = id.is_none_or(|id| {
            let mut node = topology.node(id).interfaces.iter();
            node.all(|own| topology.interface(*own).peers.iter().all(|one| one.settings.psk.value))
        });
        if said || shares {
            continue;
        }
        findings.add(key.at, || {
            let title = format!(
                "`{}` has no preshared key, which network `{}` asks for",
                peer.name.value, network.name.value
            );
            Finding::new(Code::NoPresharedKey, title, key.at)
                .label("a key of its own: the vault derives nothing for it")
                .also(psk.at, "each pair is to have one")
                .help(
                    "leave `public_key` out to have its configuration made here, with a preshared \
                     key; or know that this link has none",
                )
        });
    }
    findings.into_findings()
}

/// Unmanaged peers that have the key of a host or of another peer, by what the vault holds: the
/// names and all their keys, those of rotations under way too.
#[must_use]
pub fn against_vault<'v>(
    inventory: &Inventory,
    keys: impl IntoIterator<Item = (&'v HostName, PublicKey)>,
) -> Vec<Finding> {
    let mut owners: HashMap<PublicKey, &HostName> = HashMap::new();
    for (name, key) in keys {
        owners.entry(key).or_insert(name);
    }
    let places: HashMap<&HostName, Location> = inventory
        .hosts
        .iter()
        .map(|host| (&host.name.value, host.name.at))
        .chain(inventory.peers.iter().map(|peer| (&peer.name.value, peer.name.at)))
        .collect();
    let mut findings = Vec::new();
    for peer in &inventory.peers {
        let Some(key) = &peer.settings.public_key else { continue };
        // A peer that once had its key made here and now brings the same one is still itself.
        let Some(owner) = owners.get(&key.value).filter(|owner| **owner != &peer.name.value) else {
            continue;
        };
        let name = &peer.name.value;
        let via = peer.via.iter().any(|via| via.value == **owner);
        let (code, title, help) = if via {
            let title = format!("`{name}` has the public key of `{owner}`, which it is linked to");
            let help = "an interface ignores a peer with its own key without a word: write the key \
                        of the device (`wg show` there), or leave `public_key` out to have one made";
            (Code::OwnKey, title, help)
        } else {
            let title = format!("`{owner}` and `{name}` have one public key");
            let help = "each device needs a key of its own: write the one of the device, or leave \
                        `public_key` out to have one made";
            (Code::DuplicateKey, title, help)
        };
        let mut finding =
            Finding::new(code, title, key.at).label(format!("of `{owner}`, says the vault"));
        if let Some(at) = places.get(owner) {
            finding = finding.also(*at, "whose key it is");
        }
        findings.push(finding.help(help));
    }
    findings
}
