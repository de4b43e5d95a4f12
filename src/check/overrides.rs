//! Overrides of peers that a host does not have.

use std::collections::HashSet;

use super::folded::Folded;
use crate::finding::{Code, Finding, Severity};
use crate::inventory::Inventory;
use crate::model::{HostName, Location};
use crate::topology::Topology;

/// An override for a host that nothing links: it would be ignored without a word.
pub(super) fn unlinked(inventory: &Inventory, topology: &Topology) -> Vec<Finding> {
    let mut findings: Folded<Location> = Folded::new();
    for (host, node) in inventory.hosts.iter().zip(&topology.nodes) {
        if host.interfaces.iter().all(|own| own.peers.is_empty()) {
            continue;
        }
        let peers = node.interfaces.iter().flat_map(|id| &topology.interface(*id).peers);
        let linked: HashSet<&HostName> = peers.map(|peer| &topology.remote(peer).name).collect();
        // Each interface has all overrides of its host.
        for told in host.interfaces.iter().take(1).flat_map(|own| &own.peers) {
            let far = &told.peer.value;
            if linked.contains(far) {
                continue;
            }
            findings.add(told.peer.at, || {
                let name = &host.name.value;
                let title =
                    format!("`{name}` overrides what it has of `{far}`, and is not linked to it");
                let mut finding = Finding::new(Code::Conflict, title, told.peer.at)
                    .label("has no effect")
                    .also(host.name.at, "no network links the two")
                    .help(format!(
                        "link them (`links: [[{name}, {far}]]` beside the others of a network that \
                         both are in), or remove the override"
                    ));
                finding.severity = Severity::Warning;
                finding
            });
        }
    }
    findings.into_findings()
}
