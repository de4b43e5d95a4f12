//! LAN prefixes: at one place each, and apart from the tunnel networks.

use std::collections::{HashMap, HashSet};

use ipnet::IpNet;

use crate::finding::{Code, Finding};
use crate::inventory::Inventory;
use crate::model::{Located, covers};
use crate::topology::{Node, NodeKind, Topology};

/// A node that delivers to a LAN, and where that is written.
type Owner<'t> = (&'t Node, &'t Located<IpNet>);

/// One prefix that nodes of two sites deliver to: one of the two LANs is never reached.
pub(super) fn equal(inventory: &Inventory, topology: &Topology) -> Vec<Finding> {
    let place = |node: &Node| match node.site {
        Some(site) => format!("site `{}`", inventory.sites[site].name.value),
        None => format!("`{}`", node.name),
    };
    // Within one network, owners at two places are enough to compare with.
    let mut first: HashMap<(IpNet, usize), Vec<Owner<'_>>> = HashMap::new();
    let mut findings = Vec::new();
    for node in &topology.nodes {
        for (subnet, network) in node
            .subnets
            .iter()
            .flat_map(|subnet| networks(topology, node).map(move |n| (subnet, n)))
        {
            let owners = first.entry((subnet.value.trunc(), network)).or_default();
            let apart = |other: &Node| {
                (other.site.is_none() || other.site != node.site) && other.name != node.name
            };
            if let Some((other, theirs)) = owners.iter().find(|(other, _)| apart(other)) {
                let title =
                    format!("{} is at {} and at {}", subnet.value, place(other), place(node));
                findings.push(
                    Finding::new(Code::EqualLans, title, subnet.at)
                        .label(format!("at {}", place(node)))
                        .also(theirs.at, format!("at {}", place(other)))
                        .help(
                            "renumber one of the LANs, or keep them in networks that share no host",
                        ),
                );
            }
            if owners.len() < 2 && owners.iter().all(|(other, _)| apart(other)) {
                owners.push((node, subnet));
            }
        }
    }
    dedup(findings)
}

/// The networks that a node is in.
fn networks(topology: &Topology, node: &Node) -> impl Iterator<Item = usize> {
    node.interfaces.iter().map(|id| topology.interface(*id).network)
}

/// Several gateways of one site say the same: one finding for each pair of places.
fn dedup(findings: Vec<Finding>) -> Vec<Finding> {
    let mut kept: Vec<Finding> = Vec::new();
    let mut seen: HashMap<_, usize> = HashMap::new();
    for finding in findings {
        let key = (finding.primary.at, finding.others.first().map(|label| label.at));
        if seen.insert(key, kept.len()).is_none() {
            kept.push(finding);
        }
    }
    kept
}

/// Whether two nodes are in one network.
fn share(topology: &Topology, a: &Node, b: &Node) -> bool {
    networks(topology, a).any(|network| networks(topology, b).any(|other| other == network))
}

/// A site with several gateways that share no network: its hosts answer through one of them,
/// whichever the packet came through, and the other one's peers never hear it.
pub(super) fn split(inventory: &Inventory, topology: &Topology) -> Vec<Finding> {
    let mut gateways: Vec<Vec<&Node>> = vec![Vec::new(); inventory.sites.len()];
    for node in &topology.nodes {
        let NodeKind::Host(index) = node.kind else { continue };
        let host = &inventory.hosts[index];
        if let Some(site) =
            node.site.filter(|_| host.settings.gateway.get() && !host.settings.masquerade.get())
        {
            gateways[site].push(node);
        }
    }
    let mut findings = Vec::new();
    for (site, nodes) in inventory.sites.iter().zip(&gateways) {
        let Some(lan) = site.subnets.first() else { continue };
        // Gateways of one network clash there, which is a finding of its own.
        let apart = nodes.iter().enumerate().find_map(|(index, a)| {
            nodes[index + 1..].iter().find(|b| !share(topology, a, b)).map(|b| (*a, *b))
        });
        let Some((a, b)) = apart else { continue };
        let networks = |node: &Node| {
            let mut names = node.interfaces.iter().map(|id| {
                let network = &inventory.networks[topology.interface(*id).network];
                format!("`{}`", network.name.value)
            });
            names.next().unwrap_or_default()
        };
        let title = format!(
            "replies from site `{}` may leave by another gateway than the one they answer",
            site.name.value
        );
        findings.push(
            Finding::new(Code::SplitGateways, title, b.at)
                .label(format!("the way to network {}", networks(b)))
                .also(a.at, format!("the way to network {}", networks(a)))
                .also(lan.at, "has one default router")
                .help(format!(
                    "either give the LAN's router a route to each network through its gateway, or \
                     write `masquerade: true` under `{}` and `{}`, so that replies come back to \
                     the one that was asked",
                    a.name, b.name
                )),
        );
    }
    findings
}

/// A LAN that overlaps a tunnel network: packets to one end up in the other. Networks that no host
/// has beside those that lead to the LAN never meet it.
pub(super) fn over_networks(inventory: &Inventory, topology: &Topology) -> Vec<Finding> {
    if topology.interfaces.is_empty() {
        return Vec::new();
    }
    let meet: HashSet<(usize, usize)> = topology
        .nodes
        .iter()
        .flat_map(|node| {
            networks(topology, node)
                .flat_map(move |one| networks(topology, node).map(move |two| (one, two)))
        })
        .collect();
    // Who is on the LANs of each site.
    let mut at_site: Vec<HashSet<usize>> = vec![HashSet::new(); inventory.sites.len()];
    for node in &topology.nodes {
        if let Some(site) = node.site {
            at_site[site].extend(networks(topology, node));
        }
    }
    let mut findings = Vec::new();
    for (site, known) in inventory.sites.iter().zip(&at_site) {
        findings.extend(overlaps(inventory, &site.subnets, known, &meet));
    }
    for (node, host) in topology.nodes.iter().zip(&inventory.hosts) {
        let known = networks(topology, node).collect();
        findings.extend(overlaps(inventory, &host.subnets, &known, &meet));
    }
    for peer in &inventory.peers {
        let known = HashSet::from([peer.network]);
        findings.extend(overlaps(inventory, &peer.settings.subnets, &known, &meet));
    }
    findings
}

/// The tunnel networks that LANs overlap; `known` are the networks of whoever is on the LANs.
fn overlaps(
    inventory: &Inventory,
    lans: &[Located<IpNet>],
    known: &HashSet<usize>,
    meet: &HashSet<(usize, usize)>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for lan in lans {
        for (index, network) in inventory.networks.iter().enumerate() {
            for prefix in &network.prefixes {
                let overlap =
                    covers(&lan.value, &prefix.value) || covers(&prefix.value, &lan.value);
                let known_too = || {
                    known.is_empty()
                        || known.iter().any(|own| *own == index || meet.contains(&(*own, index)))
                };
                if overlap && known_too() {
                    let name = &network.name.value;
                    let title =
                        format!("{} overlaps {} of network `{name}`", lan.value, prefix.value);
                    findings.push(
                        Finding::new(Code::LanOverlapsNetwork, title, lan.at)
                            .label("a LAN")
                            .also(prefix.at, "where tunnel addresses come from")
                            .help("choose prefixes for the network that no LAN uses"),
                    );
                }
            }
        }
    }
    findings
}
