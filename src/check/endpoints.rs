//! Endpoints that not everybody who is told them can reach.

use std::collections::HashMap;
use std::net::IpAddr;

use super::nested::{Memo, Nesting, literal};
use super::written;
use crate::finding::{Code, Finding, Severity};
use crate::inventory::Inventory;
use crate::model::Location;
use crate::topology::{Interface, Node, Topology};

/// Whether the Internet does not route an address.
fn private(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(addr) => {
            let [a, b, ..] = addr.octets();
            addr.is_private() || addr.is_link_local() || (a == 100 && (64..128).contains(&b))
        }
        IpAddr::V6(addr) => addr.is_unique_local() || addr.is_unicast_link_local(),
    }
}

/// Whether an address is no place that a packet could be sent to.
fn nowhere(addr: IpAddr) -> bool {
    let broadcast = matches!(addr, IpAddr::V4(addr) if addr.is_broadcast());
    addr.is_loopback() || addr.is_unspecified() || addr.is_multicast() || broadcast
}

/// Whether two nodes may be on one private net: one site, one named underlay, or no word on it.
fn together(inventory: &Inventory, a: &Node, b: &Node) -> bool {
    let underlay =
        |site: usize| inventory.sites[site].underlay.name.as_ref().map(|name| &name.value);
    match (a.site, b.site) {
        (Some(a), Some(b)) => a == b || (underlay(a).is_some() && underlay(a) == underlay(b)),
        (None, None) => true,
        _ => false,
    }
}

/// A private endpoint that is told to hosts of other sites.
pub(super) fn private_across(inventory: &Inventory, topology: &Topology) -> Vec<Finding> {
    let nesting = Nesting::new(inventory, topology);
    let mut kinds = Memo::new(topology);
    let mut findings: Vec<Finding> = Vec::new();
    let mut causes: HashMap<Location, usize> = HashMap::new();
    for interface in &topology.interfaces {
        let node = topology.node(interface.node);
        if !written::ours(inventory, node.kind) {
            continue;
        }
        for peer in &interface.peers {
            let Some(addr) = literal(peer) else { continue };
            let kind = kinds.of(peer.remote, addr, || Kind::of(addr, &nesting));
            let remote = topology.interface(peer.remote);
            let far = topology.node(remote.node);
            if kind == Kind::Public || (kind == Kind::Private && together(inventory, node, far)) {
                continue;
            }
            let at = written::endpoint(inventory, topology, interface, remote, false);
            if let Some(index) = causes.get(&at) {
                findings[*index].count += 1;
                continue;
            }
            causes.insert(at, findings.len());
            findings.push(finding(inventory, (node, interface), (far, remote), addr, kind, at));
        }
    }
    findings
}

/// What an endpoint's address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Of the Internet, or reached through another tunnel.
    Public,
    /// Of some private net.
    Private,
    /// No place at all.
    Nowhere,
}

impl Kind {
    fn of(addr: IpAddr, nesting: &Nesting<'_>) -> Self {
        if nowhere(addr) {
            Self::Nowhere
        } else if private(addr) && !nesting.inside(addr) {
            Self::Private
        } else {
            Self::Public
        }
    }
}

fn finding(
    inventory: &Inventory,
    (node, interface): (&Node, &Interface),
    (far, _): (&Node, &Interface),
    addr: IpAddr,
    kind: Kind,
    at: Location,
) -> Finding {
    let title = format!("`{}` cannot reach `{}` at {addr}", node.name, far.name);
    let finding = Finding::new(Code::PrivateEndpoint, title, at);
    if kind == Kind::Nowhere {
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
    let mut findings: Vec<Finding> = Vec::new();
    let mut causes: HashMap<Location, usize> = HashMap::new();
    for interface in &topology.interfaces {
        let node = topology.node(interface.node);
        let Some(site) = node.site else { continue };
        for peer in &interface.peers {
            let remote = topology.interface(peer.remote);
            let far = topology.node(remote.node);
            if far.site != Some(site) || !far.nat {
                continue;
            }
            let Some(endpoint) = &peer.endpoint else { continue };
            let Some((_, own)) = written::own(inventory, far.kind, remote.network) else {
                continue;
            };
            let outer = own.endpoint.as_ref().is_some_and(|outer| outer.value == *endpoint);
            if !outer || own.local_endpoint.is_some() || literal(peer).is_some_and(private) {
                continue;
            }
            let at = written::endpoint(inventory, topology, interface, remote, false);
            if let Some(index) = causes.get(&at) {
                findings[*index].count += 1;
                continue;
            }
            causes.insert(at, findings.len());
            let title = format!(
                "`{}` and `{}` are behind one NAT and meet at its outside",
                node.name, far.name
            );
            let port = remote.listen_port.map_or(endpoint.port.get(), crate::model::Port::get);
            findings.push(
                Finding::new(Code::Hairpin, title, at)
                    .label("the port that the NAT forwards")
                    .also(node.at, "at the same site, is told this endpoint")
                    .also(far.at, "behind NAT")
                    .help(format!(
                        "few NATs turn packets around (hairpin): give `{}` a `local_endpoint: \
                         ADDRESS:{port}` with its address on the LAN",
                        far.name
                    )),
            );
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_internet_does_not_route_is_private() {
        let is = |text: &str| private(text.parse().unwrap());
        for yes in ["10.1.2.3", "192.168.0.1", "172.31.0.1", "100.64.0.1", "fd00::1", "fe80::1"] {
            assert!(is(yes), "{yes}");
        }
        for no in ["198.51.100.1", "172.32.0.1", "100.128.0.1", "2001:db8::1"] {
            assert!(!is(no), "{no}");
        }
        assert!(nowhere("127.0.0.1".parse().unwrap()) && nowhere("::".parse().unwrap()));
    }
}
