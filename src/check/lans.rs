//! LAN prefixes: at one place each, and apart from the tunnel networks.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

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

/// Blocks in which no LAN that a gateway routes can be, and what they are.
const NO_LANS: &[(&str, &str)] = &[
    ("0.0.0.0/8", "stand for the host itself"),
    ("127.0.0.0/8", "are loopback addresses"),
    ("169.254.0.0/16", "are link-local: no router forwards them"),
    ("224.0.0.0/4", "are multicast groups"),
    ("240.0.0.0/4", "are reserved"),
    ("::/127", "are loopback addresses"),
    ("fe80::/10", "are link-local: no router forwards them"),
    ("ff00::/8", "are multicast groups"),
];

/// LANs whose addresses no router forwards, and networks whose addresses no host can have.
pub(super) fn unusable(inventory: &Inventory, _topology: &Topology) -> Vec<Finding> {
    let blocks: Vec<(IpNet, &str)> =
        NO_LANS.iter().filter_map(|(net, what)| Some((net.parse().ok()?, *what))).collect();
    let sites = inventory.sites.iter().flat_map(|site| &site.subnets);
    let hosts = inventory.hosts.iter().flat_map(|host| &host.subnets);
    let peers = inventory.peers.iter().flat_map(|peer| &peer.settings.subnets);
    let lans = sites.chain(hosts).chain(peers).map(|net| (net, true));
    let networks = inventory.networks.iter().flat_map(|network| &network.prefixes);
    let all = lans.chain(networks.map(|net| (net, false)));
    all.filter_map(|(net, lan)| {
        let block = blocks.iter().filter(|(block, _)| covers(block, &net.value.trunc()));
        // A tunnel is a link of its own.
        let mut block = block.filter(|(_, what)| lan || !what.contains("link-local"));
        let (_, what) = block.next()?;
        let title =
            format!("{} is no prefix of a {}", net.value, if lan { "LAN" } else { "network" });
        let private = if net.value.addr().is_ipv4() { "172.20.1.0/24" } else { "fd20:1::/64" };
        Some(
            Finding::new(Code::UnusableAddress, title, net.at)
                .label(format!("its addresses {what}"))
                .help(format!("write the prefix that its hosts have, such as {private}")),
        )
    })
    .collect()
}

/// Whether hosts of a site use one of its LANs themselves: then it is declared so that their tunnels
/// leave it alone.
fn used(topology: &Topology, site: usize, lan: IpNet) -> bool {
    let inside = |text: &String| text.parse::<IpAddr>().is_ok_and(|addr| lan.contains(&addr));
    let here = topology.nodes.iter().filter(|node| node.site == Some(site));
    here.flat_map(|node| &node.interfaces).map(|id| topology.interface(*id)).any(|own| {
        let mut nets = own.peers.iter().flat_map(|peer| peer.allowed_ips.iter());
        nets.any(|net| net.prefix_len() > 0 && covers(net, &lan)) || own.dns.iter().any(inside)
    })
}

/// A site with subnets that none of its hosts routes.
pub(super) fn unrouted(inventory: &Inventory, topology: &Topology) -> Vec<Finding> {
    let mut routed = vec![false; inventory.sites.len()];
    let mut first: Vec<Option<&Node>> = vec![None; inventory.sites.len()];
    for node in &topology.nodes {
        let (NodeKind::Host(host), Some(site)) = (node.kind, node.site) else { continue };
        routed[site] |= inventory.hosts[host].settings.gateway.get();
        first[site] = first[site].or(Some(node));
    }
    let sites = inventory.sites.iter().zip(routed).zip(first).enumerate();
    sites
        .filter(|(_, ((_, routed), _))| !routed)
        .filter_map(|(index, ((site, _), first))| {
            let lan = site.subnets.first()?;
            // A host of the site may have it as a subnet of its own.
            let own = |net: &Located<IpNet>| {
                let mut here = topology.nodes.iter().filter(|node| node.site == Some(index));
                here.any(|node| node.subnets.iter().any(|own| own.value == net.value))
            };
            let known = |net: &Located<IpNet>| own(net) || used(topology, index, net.value);
            if site.subnets.iter().all(known) {
                return None;
            }
            let name = &site.name.value;
            let title = format!("site `{name}` has subnets and no gateway");
            let finding = Finding::new(Code::NoGateway, title, lan.at)
                .label("nobody reaches it through the tunnels");
            Some(match first {
                Some(host) => finding.also(host.at, "could be the gateway").help(format!(
                    "write `gateway: true` under the host that routes the LAN, such as `{}`, or \
                     leave `subnets` out",
                    host.name
                )),
                None => finding.help(
                    "give the site a host that routes the LAN, with `gateway: true`, or leave \
                     `subnets` out",
                ),
            })
        })
        .collect()
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
