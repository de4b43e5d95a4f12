//! UDP ports, endpoints and interface names: one user each.

use std::collections::HashMap;

use super::written;
use crate::finding::{Code, Finding};
use crate::inventory::Inventory;
use crate::model::{Endpoint, HostName, Location};
use crate::topology::Topology;

/// Two interfaces of one host on one UDP port: the second one does not come up.
pub(super) fn ports(inventory: &Inventory, topology: &Topology) -> Vec<Finding> {
    let mut findings = Vec::new();
    for node in topology.nodes.iter().filter(|node| node.interfaces.len() > 1) {
        let mut first: HashMap<u16, (Location, &str)> = HashMap::new();
        for id in &node.interfaces {
            let interface = topology.interface(*id);
            let Some(port) = interface.listen_port else { continue };
            let at = written::own(inventory, node.kind, interface.network)
                .and_then(|(_, own)| {
                    let endpoint = || own.endpoint.as_ref().map(|endpoint| endpoint.at);
                    own.listen_port.as_ref().map(|port| port.at).or_else(endpoint)
                })
                .unwrap_or(interface.at);
            if let Some((other, name)) = first.get(&port.get()) {
                let title = format!("two interfaces of `{}` on UDP port {port}", node.name);
                findings.push(
                    Finding::new(Code::PortClash, title, at)
                        .label(format!("port of {}", interface.name))
                        .also(*other, format!("port of {name}"))
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

/// Two hosts that are reached at one endpoint: only one of them can be.
pub(super) fn endpoints(inventory: &Inventory, _topology: &Topology) -> Vec<Finding> {
    let mut first: HashMap<&Endpoint, (Location, &HostName)> = HashMap::new();
    let mut findings = Vec::new();
    let hosts = inventory.hosts.iter().flat_map(|host| {
        host.interfaces.iter().filter_map(move |own| {
            own.endpoint.as_ref().map(|endpoint| (&host.name.value, endpoint))
        })
    });
    let peers = inventory
        .peers
        .iter()
        .filter_map(|peer| peer.endpoint.as_ref().map(|endpoint| (&peer.name.value, endpoint)));
    for (name, endpoint) in hosts.chain(peers) {
        match first.get(&endpoint.value) {
            // Two interfaces of one host clash by their port.
            Some((_, other)) if *other == name => {}
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
                first.insert(&endpoint.value, (endpoint.at, name));
            }
        }
    }
    findings
}

/// Two interfaces of one host with one name.
pub(super) fn interfaces(inventory: &Inventory, topology: &Topology) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    // The same two networks clash on every host that is in both: one finding, counted.
    let mut causes: HashMap<(Location, Location), usize> = HashMap::new();
    for node in topology.nodes.iter().filter(|node| node.interfaces.len() > 1) {
        let mut first: HashMap<&str, Location> = HashMap::new();
        for id in &node.interfaces {
            let interface = topology.interface(*id);
            let network = &inventory.networks[interface.network];
            let at = written::own(inventory, node.kind, interface.network)
                .and_then(|(_, own)| own.interface.as_ref().map(|name| name.at))
                .unwrap_or(network.interface.at);
            let Some(other) = first.get(interface.name.as_str()) else {
                first.insert(interface.name.as_str(), at);
                continue;
            };
            if let Some(index) = causes.get(&(*other, at)) {
                findings[*index].count += 1;
                continue;
            }
            causes.insert((*other, at), findings.len());
            let title = format!("two interfaces of `{}` are named {}", node.name, interface.name);
            findings.push(
                Finding::new(Code::InterfaceClash, title, at)
                    .label(format!("for network `{}`", network.name.value))
                    .also(*other, "and for this one")
                    .also(node.at, "in both networks")
                    .help("give the networks different `interface:` names"),
            );
        }
    }
    findings
}
