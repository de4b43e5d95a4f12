//! Endpoints that not everybody who is told them can reach.

use std::net::IpAddr;

use super::entry::literal;
use super::folded::Folded;
use super::underlay::{Reach, Underlay};
use crate::finding::{Code, Finding, Severity};
use crate::inventory::Inventory;
use crate::model::{Location, is_private};
use crate::topology::{Interface, InterfaceId, Node, Topology};

/// A private endpoint that is told to hosts of other sites.
pub(super) fn private_across(inventory: &Inventory, topology: &Topology) -> Vec<Finding> {
    let underlay = Underlay::new(inventory, topology, None);
    let mut findings: Folded<Location> = Folded::new();
    for (id, interface) in (0..).map(InterfaceId).zip(&topology.interfaces) {
        let node = topology.node(interface.node);
        if !node.is_ours(inventory) {
            continue;
        }
        for peer in &interface.peers {
            let Some(addr) = literal(peer) else { continue };
            let reach = underlay.reach(id, peer);
            if !matches!(reach, Reach::Private | Reach::Nowhere) {
                continue;
            }
            let remote = topology.interface(peer.remote);
            let far = topology.node(remote.node);
            let at = topology.endpoint_at(peer);
            findings.add(at, || finding(inventory, (node, interface), far, (addr, reach), at));
        }
    }
    findings.into_findings()
}

fn finding(
    inventory: &Inventory,
    (node, interface): (&Node, &Interface),
    far: &Node,
    (addr, reach): (IpAddr, Reach),
    at: Location,
) -> Finding {
    let title = format!("`{}` cannot reach `{}` at {addr}", node.name, far.name);
    let finding = Finding::new(Code::PrivateEndpoint, title, at);
    if reach == Reach::Nowhere {
        let mut finding = finding
            .label("no host is reached at such an address")
            .also(node.at, "is told to send there")
            .help("write the address or name that the other hosts know it by");
        finding.severity = Severity::Error;
        return finding;
    }
    let place = |node: &Node| match node.site {
        Some(site) => format!("at site `{}`", inventory.sites[site].name.value),
        None => "at no site".to_owned(),
    };
    let network = &inventory.networks[interface.network].name.value;
    finding
        .label(format!("a private address, {}", place(far)))
        .also(node.at, format!("{}, linked in network `{network}`", place(node)))
        .help(format!(
            "write the public address or name of `{0}` and keep this one as `local_endpoint`; \
             where a private net joins the sites, say so with `underlay: {{ name: … }}` at each; \
             where `{0}` is behind NAT without a forwarded port, leave the endpoint out: it begins",
            far.name
        ))
}

/// Two hosts of one site behind its NAT that find each other by the outer address only.
pub(super) fn hairpins(inventory: &Inventory, topology: &Topology) -> Vec<Finding> {
    let underlay = Underlay::new(inventory, topology, None);
    let mut findings: Folded<Location> = Folded::new();
    for interface in &topology.interfaces {
        let node = topology.node(interface.node);
        for peer in &interface.peers {
            let remote = topology.interface(peer.remote);
            let far = topology.node(remote.node);
            let Some(endpoint) = &peer.endpoint else { continue };
            if !underlay.outside(node, endpoint, (&underlay, peer.remote))
                || literal(peer).is_some_and(is_private)
            {
                continue;
            }
            let at = topology.endpoint_at(peer);
            findings.add(at, || {
                let title = format!(
                    "`{}` and `{}` are behind one NAT and meet at its outside",
                    node.name, far.name
                );
                let port = remote.listen_port.map_or(endpoint.port.get(), crate::model::Port::get);

                Finding::new(Code::Hairpin, title, at)
                    .label("the port that the NAT forwards")
                    .also(node.at, "at the same site, is told this endpoint")
                    .also(far.at, "behind NAT")
                    .help(format!(
                        "few NATs turn packets around (hairpin): give `{}` a `local_endpoint: \
                         ADDRESS:{port}` with its address on the LAN",
                        far.name
                    ))
            });
        }
    }
    findings.into_findings()
}
