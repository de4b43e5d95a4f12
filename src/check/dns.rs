//! DNS servers of interfaces: each one has to be reached.

use std::net::IpAddr;

use super::folded::Folded;
use super::tables::Tables;
use super::walk::{Cause, Doubt, Packet, Start, Walker};
use crate::finding::{Code, Finding};
use crate::inventory::{Inventory, UnmanagedPeer};
use crate::model::{Family, Located, Location};
use crate::topology::{Interface, NodeId, Topology};

/// Where the DNS servers of an interface are written.
fn declared<'i>(
    inventory: &'i Inventory,
    topology: &Topology,
    interface: &Interface,
) -> &'i [Located<String>] {
    if let Some((_, own)) = topology.membership(inventory, interface) {
        return own.settings.dns.as_ref().map_or(&[], |dns| dns.value.as_slice());
    }
    let node = topology.node(interface.node);
    node.unmanaged(inventory).map_or(&[], UnmanagedPeer::dns)
}

/// A DNS server that no tunnel and no LAN of the host leads to: while the interface is up, names
/// are not resolved. Servers of the Internet are left to the host's own way out.
pub(super) fn servers(inventory: &Inventory, topology: &Topology) -> Vec<Finding> {
    if topology.interfaces.iter().all(|interface| interface.dns.is_empty()) {
        return Vec::new();
    }
    let tables = Tables::new(inventory, topology);
    let walker = Walker::new(inventory, &tables, Doubt::Works);
    let certain = Walker::new(inventory, &tables, Doubt::Fails);
    let mut findings: Folded<Location> = Folded::new();
    for (id, node) in (0..).map(NodeId).zip(&topology.nodes) {
        if !node.is_ours(inventory) {
            continue;
        }
        for interface in node.interfaces.iter().map(|id| topology.interface(*id)) {
            for server in declared(inventory, topology, interface) {
                let Ok(addr) = server.value.parse::<IpAddr>() else { continue };
                // What a host inherits and is itself, it does not use.
                if !interface.dns.contains(&server.value) {
                    continue;
                }
                let own = || {
                    let mut addresses = interface.addresses.iter().map(|own| own.value.addr());
                    addresses.find(|own| Family::of_addr(own) == Family::of_addr(&addr))
                };
                let source = walker.source(id, addr).or_else(own);
                let lost = lost(&tables, &walker, id, source, addr);
                let lost = lost.or_else(|| asleep(&tables, &certain, id, source?, addr));
                let Some(lost) = lost else { continue };
                findings.add(server.at, || {
                    let title = format!("`{}` cannot ask the DNS server {addr}", node.name);
                    let mut finding =
                    Finding::new(Code::DnsUnreachable, title, server.at).label(lost).help(format!(
                        "name a server that the tunnel leads to (the tunnel address of a host that \
                         answers DNS, or one in the `subnets` of a gateway that is linked to `{}`)",
                        node.name
                    ));
                    if finding.primary.at != node.at {
                        finding = finding.also(node.at, "uses it while its interface is up");
                    }
                    match source {
                        Some(source) => finding.witness(source, addr),
                        None => finding,
                    }
                });
            }
        }
    }
    findings.into_findings()
}

/// Why a server is not reached; `None` where it is, or where the Internet has it.
fn lost(
    tables: &Tables<'_>,
    walker: &Walker<'_>,
    node: NodeId,
    source: Option<IpAddr>,
    addr: IpAddr,
) -> Option<String> {
    if addr.is_loopback() {
        return None;
    }
    let topology = tables.topology();
    if tables.holders(addr).iter().any(|own| topology.interface(*own).node == node) {
        return Some("this is its own address in the tunnel".to_owned());
    }
    let Some(source) = source else {
        return Some(format!("the tunnel has no {} address", Family::of_addr(&addr)));
    };
    let routed = tables.route(node, addr);
    if routed.is_none() && tables.is_internet(addr) {
        return None;
    }
    let walk = walker.walk(Start::Node(node), Packet { source, destination: addr }, &[]);
    if walk.end.is_ok() {
        return None;
    }
    Some(if routed.is_none() {
        "no AllowedIPs hold this private address".to_owned()
    } else {
        let last = walk.steps.last().map(|step| &tables.topology().node(step.node).name);
        last.map_or_else(String::new, |last| format!("what is sent to it ends at `{last}`"))
    })
}

/// Whether the server is a device that sleeps until it has something to send.
fn asleep(
    tables: &Tables<'_>,
    walker: &Walker<'_>,
    node: NodeId,
    source: IpAddr,
    addr: IpAddr,
) -> Option<String> {
    let walk = walker.walk(Start::Node(node), Packet { source, destination: addr }, &[]);
    let Err(Cause::Asleep(id)) = walk.end else { return None };
    let topology = tables.topology();
    let name = &topology.node(topology.interface(id).node).name;
    Some(format!("`{name}` sleeps: nothing makes it begin its session"))
}
