//! LANs that devices on the road will sit in themselves.

use ipnet::IpNet;

use crate::finding::{Code, Finding};
use crate::inventory::Inventory;
use crate::model::{Located, Location, covers};
use crate::topology::{Node, NodeKind, Topology};

/// What home routers, hotels and phones' hotspots hand out most.
const COMMON: &[&str] = &[
    "192.168.0.0/24",
    "192.168.1.0/24",
    "192.168.2.0/24",
    "192.168.8.0/24",
    "192.168.10.0/24",
    "192.168.43.0/24",
    "192.168.50.0/24",
    "192.168.86.0/24",
    "192.168.88.0/24",
    "192.168.100.0/24",
    "192.168.178.0/24",
    "172.20.10.0/28",
    "10.0.0.0/24",
    "10.0.1.0/24",
    "10.1.1.0/24",
];

/// Whether a node is somewhere else each day: a device without endpoint, LAN or site.
fn roams(node: &Node) -> bool {
    matches!(node.kind, NodeKind::Unmanaged(_)) && node.nat.value && node.subnets.is_empty()
}

/// A LAN that roaming devices are to reach and that the networks they visit often have too.
pub(super) fn lans(inventory: &Inventory, topology: &Topology) -> Vec<Finding> {
    let common: Vec<IpNet> = COMMON.iter().filter_map(|net| net.parse().ok()).collect();
    let mut all: Vec<&Located<IpNet>> = Vec::new();
    for node in &topology.nodes {
        for lan in &node.subnets {
            if common.iter().any(|net| {
                covers(net, &lan.value) || covers(&lan.value, net) && lan.value.prefix_len() >= 20
            }) {
                all.push(lan);
            }
        }
    }
    all.sort_by_key(|lan| lan.at);
    all.dedup_by_key(|lan| lan.at);
    if all.is_empty() {
        return Vec::new();
    }
    let mut findings: Vec<(Location, Finding)> = Vec::new();
    for interface in &topology.interfaces {
        let node = topology.node(interface.node);
        if !roams(node) {
            continue;
        }
        for lan in &all {
            if !interface.peers.iter().any(|peer| peer.allowed_ips.hold(&lan.value)) {
                continue;
            }
            if let Some((_, finding)) = findings.iter_mut().find(|(at, _)| *at == lan.at) {
                finding.count += 1;
                continue;
            }
            let issued = node.is_ours(inventory);
            let title =
                format!("`{}` cannot reach {} from a network of that prefix", node.name, lan.value);
            let finding = Finding::new(Code::RoamingLan, title, lan.at)
                .label("a prefix that many home and hotel networks have")
                .also(
                    node.at,
                    if issued { "sits in such networks" } else { "may sit in such networks" },
                )
                .help(
                    "the network that a device sits in wins over its tunnel; where that will hurt, \
                     renumber the LAN to something rarer, such as a /24 of 10.64.0.0/10 or of \
                     172.16.0.0/12",
                );
            findings.push((lan.at, finding));
        }
    }
    findings.into_iter().map(|(_, finding)| finding).collect()
}
