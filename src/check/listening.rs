//! Listen ports: fixed where others are to send, and the one that they send to.

use std::collections::HashMap;

use super::entry::entry;
use super::folded::Folded;
use crate::finding::{Code, Finding, Severity};
use crate::inventory::Inventory;
use crate::model::{HostName, Location};
use crate::topology::{NodeId, NodeKind, Topology};

/// Endpoints of hosts without a fixed port, or with another one.
pub(super) fn ports(inventory: &Inventory, topology: &Topology) -> Vec<Finding> {
    let mut findings = own(inventory, topology);
    findings.extend(overridden(inventory, topology));
    findings
}

/// A host that says it is reached at one port and listens on another, with no NAT in between: there is
/// none on its LAN.
fn own(inventory: &Inventory, topology: &Topology) -> Vec<Finding> {
    let mut findings = Vec::new();
    for interface in &topology.interfaces {
        let Some((host, own)) = topology.membership(inventory, interface) else { continue };
        let Some(port) = interface.listen_port.value else { continue };
        let said = interface.listen_port.at_or(interface.at);
        let endpoint = own.settings.endpoint.as_ref().filter(|_| !host.settings.nat.get());
        let local = own.settings.local_endpoint.as_ref();
        for (told, on_lan) in
            endpoint.map(|told| (told, false)).into_iter().chain(local.map(|told| (told, true)))
        {
            if told.value.port != port {
                let asked = told.value.port.get();
                findings.push(mismatch(
                    &host.name.value,
                    (port.get(), said),
                    (asked, told.at),
                    on_lan,
                ));
            }
        }
    }
    findings
}

fn mismatch(
    name: &HostName,
    (listens, said): (u16, Location),
    (told, at): (u16, Location),
    on_lan: bool,
) -> Finding {
    let title = format!("`{name}` listens on UDP port {listens} and is looked for on {told}");
    let help = if on_lan {
        format!(
            "no router is between hosts of one LAN: write {listens} here, or `listen_port: {told}`"
        )
    } else {
        format!(
            "write {listens} here, or `listen_port: {told}`; where a router forwards {told} to \
             {listens}, say so with `nat: true`"
        )
    };
    Finding::new(Code::PortMismatch, title, at)
        .label(format!("port {told}"))
        .also(said, format!("listens on {listens}"))
        .help(help)
}

/// What hosts are told by overrides about where others listen.
fn overridden(inventory: &Inventory, topology: &Topology) -> Vec<Finding> {
    let hosts = &inventory.hosts;
    if hosts.iter().flat_map(|host| &host.interfaces).all(|own| own.peers.is_empty()) {
        return Vec::new();
    }
    let names: HashMap<&HostName, NodeId> =
        (0..).map(NodeId).zip(&topology.nodes).map(|(id, node)| (&node.name, id)).collect();
    // What all spokes of a hub are told is one mistake.
    let mut findings: Folded<(NodeId, u16, Code)> = Folded::new();
    for (host, id) in hosts.iter().zip((0..).map(NodeId)) {
        for own in &host.interfaces {
            for told in &own.peers {
                let Some(endpoint) = &told.settings.endpoint else { continue };
                let Some(far) = names.get(&told.peer.value).copied() else { continue };
                let (Some(here), Some(there)) =
                    (topology.member(id, own.network), topology.member(far, own.network))
                else {
                    continue;
                };
                let node = topology.node(far);
                let NodeKind::Host(_) = node.kind else { continue };
                // Overrides of peers that nothing links are said elsewhere.
                let Some(back) = entry(topology, there, here) else { continue };
                let asked = endpoint.value.port.get();
                match topology.interface(there).listen_port.value {
                    None => {
                        let title = format!(
                            "`{}` has no fixed port for `{}` to reach",
                            node.name, host.name.value
                        );
                        let mut finding = Finding::new(Code::NoListenPort, title, endpoint.at)
                            .label(format!("expects it on UDP port {asked}"))
                            .also(node.at, "the kernel chooses another port at each start")
                            .help(format!(
                                "give `{0}` `listen_port: {asked}`, or write its `endpoint:` there \
                                 instead of here: then everybody finds it",
                                node.name
                            ));
                        if back.endpoint.is_some() {
                            // It can begin the session itself.
                            finding.severity = Severity::Warning;
                        }
                        findings.add_found((far, asked, Code::NoListenPort), finding);
                    }
                    Some(port) if port.get() != asked && !node.nat.value => {
                        findings.add((far, asked, Code::PortMismatch), || {
                            let listens = (port.get(), node.at);
                            mismatch(&node.name, listens, (asked, endpoint.at), false)
                        });
                    }
                    Some(_) => {}
                }
            }
        }
    }
    findings.into_findings()
}
