//! UDP ports, endpoints and interface names: one user each.

use std::collections::HashMap;

use super::folded::Folded;
use crate::finding::{Code, Finding};
use crate::inventory::Inventory;
use crate::model::{Endpoint, EndpointHost, HostName, Location, is_private};
use crate::topology::Topology;

/// Two interfaces of one host on one UDP port: the second one does not come up.
pub(super) fn ports(_inventory: &Inventory, topology: &Topology) -> Vec<Finding> {
    let mut findings = Vec::new();
    for node in topology.nodes.iter().filter(|node| node.interfaces.len() > 1) {
        let mut first: HashMap<u16, (Location, &str)> = HashMap::new();
        for id in &node.interfaces {
            let interface = topology.interface(*id);
            let Some(port) = interface.listen_port.value else { continue };
            let at = interface.listen_port.at_or(interface.at);
            if let Some((other, name)) = first.get(&port.get()) {
                let title = format!("two interfaces of `{}` on UDP port {port}", node.name);
                findings.push(
                    Finding::new(Code::PortClash, title, at)
                        .label(format!("`{}` listens here", interface.name))
                        .also(*other, format!("`{name}` listens here"))
                        .help(
                            "give one of them another `listen_port`, under `networks:` of the host",
                        ),
                );
            } else {
                first.insert(port.get(), (at, interface.name.as_str()));
            }
        }
    }
    findings
}

/// A private net: one address there is not the same one in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Net<'i> {
    /// That of hosts of which nothing is said.
    Unsaid,
    /// A site's own.
    Site(usize),
    /// One that joins sites.
    Named(&'i str),
}

/// The private net that an endpoint is in, if it is in one.
fn private_net<'i>(
    inventory: &'i Inventory,
    site: Option<usize>,
    endpoint: &Endpoint,
) -> Option<Net<'i>> {
    let EndpointHost::Addr(addr) = endpoint.host else { return None };
    is_private(addr).then_some(())?;
    let Some(site) = site else { return Some(Net::Unsaid) };
    let name = inventory.sites[site].underlay.name.as_ref();
    Some(name.map_or(Net::Site(site), |name| Net::Named(name.value.as_str())))
}

/// Two hosts that are reached at one endpoint: only one of them can be.
pub(super) fn endpoints(inventory: &Inventory, _topology: &Topology) -> Vec<Finding> {
    let mut first: HashMap<(&Endpoint, Option<Net<'_>>), (Location, &HostName)> = HashMap::new();
    let mut findings = Vec::new();
    let hosts = inventory.hosts.iter().flat_map(|host| {
        host.interfaces.iter().filter_map(move |own| {
            // What the host itself listens on is said where its ports are.
            let ports = if host.settings.nat.get() { None } else { Some(&host.name.value) };
            own.settings
                .endpoint
                .as_ref()
                .map(|endpoint| (&host.name.value, host.site, endpoint, ports))
        })
    });
    let peers = inventory.peers.iter().filter_map(|peer| {
        peer.settings.endpoint.as_ref().map(|endpoint| (&peer.name.value, None, endpoint, None))
    });
    for (name, site, endpoint, ports) in hosts.chain(peers) {
        let net = private_net(inventory, site, &endpoint.value);
        match first.get(&(&endpoint.value, net)) {
            Some((_, other)) if ports == Some(*other) => {}
            Some((at, other)) if *other == name => {
                let title = format!("two interfaces of `{name}` are reached at one endpoint");
                findings.push(
                    Finding::new(Code::PortClash, title, endpoint.at)
                        .label("forwarded to one of them")
                        .also(*at, "taken here already")
                        .help("forward a port of its own to each"),
                );
            }
            Some((at, other)) => {
                let title = format!("`{other}` and `{name}` are reached at one endpoint");
                findings.push(
                    Finding::new(Code::PortClash, title, endpoint.at)
                        .label(format!("of `{name}`"))
                        .also(*at, format!("of `{other}`"))
                        .help("give each a port of its own"),
                );
            }
            None => {
                first.insert((&endpoint.value, net), (endpoint.at, name));
            }
        }
    }
    findings
}

/// How the names of network cards and of other interfaces of the kernel begin.
const CARDS: &[&str] = &["eth", "eno", "ens", "enp", "enx", "wlan", "wlp", "wlx", "ww"];

/// A name that a network card or the loopback interface has.
fn is_taken(name: &str) -> bool {
    let number = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
    name == "lo" || CARDS.iter().any(|card| name.strip_prefix(card).is_some_and(number))
}

/// Interfaces with the name of a network card.
pub(super) fn cards(inventory: &Inventory, topology: &Topology) -> Vec<Finding> {
    let mut findings: Folded<Location> = Folded::new();
    for interface in topology.interfaces.iter().filter(|own| is_taken(own.name.as_str())) {
        let node = topology.node(interface.node);
        if !node.is_ours(inventory) {
            continue;
        }
        let at = interface.name.at_or(interface.at);
        findings.add(at, || {
            let title = format!("`{}` is the name of a network card", interface.name);
            Finding::new(Code::InterfaceClash, title, at)
                .label("no tunnel can have it on a host with that card")
                .also(node.at, "has an interface of this name")
                .help("write another name, such as `interface: wg0`")
        });
    }
    findings.into_findings()
}

/// Two interfaces of one host with one name.
pub(super) fn interfaces(inventory: &Inventory, topology: &Topology) -> Vec<Finding> {
    // The same two networks clash on every host that is in both: one finding, counted.
    let mut findings: Folded<(Location, Location)> = Folded::new();
    for node in topology.nodes.iter().filter(|node| node.interfaces.len() > 1) {
        let mut first: HashMap<&str, Location> = HashMap::new();
        for id in &node.interfaces {
            let interface = topology.interface(*id);
            let network = &inventory.networks[interface.network];
            let at = interface.name.at_or(network.interface.at);
            let Some(other) = first.get(interface.name.as_str()) else {
                first.insert(interface.name.as_str(), at);
                continue;
            };
            findings.add((*other, at), || {
                let title =
                    format!("two interfaces of `{}` are named `{}`", node.name, interface.name);

                Finding::new(Code::InterfaceClash, title, at)
                    .label(format!("for network `{}`", network.name.value))
                    .also(*other, "and for this network")
                    .also(node.at, "in both networks")
                    .help("give the networks different `interface:` names")
            });
        }
    }
    findings.into_findings()
}
