//! Full tunnels: both address families through them, and out again at the far end.

use ipnet::IpNet;

use super::folded::Folded;
use crate::finding::{Code, Finding};
use crate::inventory::Inventory;
use crate::model::{Family, Location, RouteTable, covers, is_private};
use crate::topology::{Interface, Node, NodeKind, Peer, Topology};

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// Whether prefixes are everything of a family, or everything of it that the Internet routes.
fn whole(nets: &[IpNet], family: Family) -> bool {
    let global = IpNet::V6(ipnet::Ipv6Net::new_assert((0x2000_u128 << 112).into(), 3));
    nets.iter()
        .filter(|net| Family::of(net) == family)
        .any(|net| net.prefix_len() == 0 || (family == Family::V6 && covers(net, &global)))
}

/// The families that an interface sends all of.
fn full(interface: &Interface) -> [bool; 2] {
    let nets = interface.peers.iter().flat_map(|peer| peer.allowed_ips.up_to(8));
    let nets: Vec<IpNet> = nets.copied().collect();
    if nets.is_empty() {
        return [false, false];
    }
    let nets = IpNet::aggregate(&nets);
    FAMILIES.map(|family| whole(&nets, family))
}

/// The peer that gets what no other one does, in a family that an interface sends all of.
fn exit_of(interface: &Interface, family: Family) -> Option<&Peer> {
    let own = |net: &&IpNet| Family::of(net) == family;
    let width = |peer: &Peer| peer.allowed_ips.up_to(8).filter(own).map(IpNet::prefix_len).min();
    let widest = interface.peers.iter().filter_map(|peer| Some((width(peer)?, peer)));
    widest.min_by_key(|(length, _)| *length).map(|(_, peer)| peer)
}

/// Interfaces that wgfleet configures and that have a full tunnel with routes.
fn full_tunnels<'t>(
    inventory: &'t Inventory,
    topology: &'t Topology,
) -> impl Iterator<Item = (&'t Interface, &'t Node, [bool; 2])> {
    topology.interfaces.iter().filter_map(|interface| {
        let node = topology.node(interface.node);
        let ours = interface.table.value == RouteTable::Auto && node.is_ours(inventory);
        let families = if ours { full(interface) } else { [false, false] };
        families.contains(&true).then_some((interface, node, families))
    })
}

fn holds(interface: &Interface, family: Family) -> bool {
    interface.addresses.iter().any(|addr| Family::of(&addr.value) == family)
}

/// A family beside the tunnel, or lost within it.
pub(super) fn families(inventory: &Inventory, topology: &Topology) -> Vec<Finding> {
    let mut findings: Folded<(Code, Family, Location)> = Folded::new();
    for (interface, node, families) in full_tunnels(inventory, topology) {
        for (family, whole) in FAMILIES.into_iter().zip(families) {
            let other = if family == Family::V4 { Family::V6 } else { Family::V4 };
            let found = if whole {
                blackhole(inventory, topology, interface, node, family)
            } else {
                Some(leak(inventory, topology, interface, node, family, other))
            };
            let Some(finding) = found else { continue };
            findings.add((finding.code, family, finding.primary.at), || finding);
        }
    }
    findings.into_findings()
}

/// The override that makes a full tunnel, or the file's `full_tunnel`.
fn declared(
    inventory: &Inventory,
    topology: &Topology,
    interface: &Interface,
    node: &Node,
    family: Family,
) -> (Location, bool) {
    if let Some(at) = exit_of(interface, family).and_then(Peer::overridden) {
        return (at, true);
    }
    let own = topology.membership(inventory, interface);
    let via = own.and_then(|(_, own)| own.full_tunnel_via.as_ref()).map(|via| via.at);
    (via.unwrap_or(node.at), false)
}

fn leak(
    inventory: &Inventory,
    topology: &Topology,
    interface: &Interface,
    node: &Node,
    family: Family,
    other: Family,
) -> Finding {
    let network = &inventory.networks[interface.network];
    let (at, overridden) = declared(inventory, topology, interface, node, other);
    let everything = if family == Family::V4 { "0.0.0.0/0" } else { "::/0" };
    let title = format!("{family} traffic of `{}` bypasses its full tunnel", node.name);
    let has = holds(interface, family);
    // Whoever shares the network leaks for the same reason.
    let primary = if has || overridden { at } else { network.name.at };
    let mut finding = Finding::new(Code::FamilyLeak, title, primary);
    if has || overridden {
        finding = finding.label(format!("only {other} goes through the tunnel")).help(format!(
            "add {everything} to the list (and give network `{}` an {family} prefix where it has \
             none), or turn {family} off on the device",
            network.name.value
        ));
    } else {
        finding = finding
            .label(format!("has no {family} prefix"))
            .also(at, format!("sends all of its {other} through it"))
            .help(format!(
                "give the network an {family} prefix, such as {}, so that {everything} goes \
                 through the tunnel too; or turn {family} off on the device",
                if family == Family::V4 { "10.30.0.0/24" } else { "fd30::/64" }
            ));
    }
    finding
}

fn blackhole(
    inventory: &Inventory,
    topology: &Topology,
    interface: &Interface,
    node: &Node,
    family: Family,
) -> Option<Finding> {
    let peer = exit_of(interface, family)?;
    let far = topology.remote(peer);
    let (at, _) = declared(inventory, topology, interface, node, family);
    let title = format!("{family} of `{}` goes into its full tunnel and is lost", node.name);
    let finding = Finding::new(Code::FamilyBlackhole, title, at);
    let network = &inventory.networks[interface.network];
    if !holds(interface, family) {
        let help = format!(
            "give network `{}` an {family} prefix, or leave {family} out of the AllowedIPs of `{}`",
            network.name.value, far.name
        );
        return Some(
            finding
                .label(format!("takes all of {family}"))
                .also(interface.at, format!("has no {family} address in the tunnel"))
                .help(help),
        );
    }
    let forwards = far.forwards.of(family);
    let managed = matches!(far.kind, NodeKind::Host(_));
    // An exit that forwards nothing is said by `dead_ends`.
    let one = far.forwards.any();
    (managed && far.exit.value && one && !forwards).then(|| {
        finding
            .label(format!("takes all of {family}"))
            .also(far.at, format!("has no {family} in the tunnel to send on"))
            .help(format!("give `{}` an {family} address in the network", far.name))
    })
}

/// Everything is sent to a host that is no exit and sends it no further.
pub(super) fn dead_ends(inventory: &Inventory, topology: &Topology) -> Vec<Finding> {
    let mut findings: Folded<(Location, Location)> = Folded::new();
    for (interface, node, families) in full_tunnels(inventory, topology) {
        let mut peers = FAMILIES
            .into_iter()
            .zip(families)
            .filter(|(_, whole)| *whole)
            .filter_map(|(family, _)| Some((family, exit_of(interface, family)?)));
        let Some((family, peer)) = peers.find(|(_, peer)| {
            let far = topology.remote(peer);
            let onward =
                far.interfaces.iter().any(|id| full(topology.interface(*id)) != [false; 2]);
            matches!(far.kind, NodeKind::Host(_)) && !far.exit.value && !onward
        }) else {
            continue;
        };
        let far = topology.remote(peer);
        let (at, _) = declared(inventory, topology, interface, node, family);
        findings.add((at, far.at), || {
            let title =
                format!("`{}` sends everything to `{}`, which is no exit", node.name, far.name);

            Finding::new(Code::DeadEnd, title, at)
                .label(format!("all of {family}"))
                .also(far.at, "neither sends it on nor masquerades it: replies would not come back")
                .help(format!(
                    "write `exit: true` under `{}`, or only the fleet's own prefixes here",
                    far.name
                ))
        });
    }
    findings.into_findings()
}

/// Exits that are told not to masquerade: what they send to the Internet has an address that this has no
/// route to.
pub(super) fn unmasked(inventory: &Inventory, topology: &Topology) -> Vec<Finding> {
    let mut findings: Folded<Location> = Folded::new();
    for node in topology.nodes.iter().filter(|node| node.exit.value) {
        let NodeKind::Host(host) = node.kind else { continue };
        let written = inventory.hosts[host].settings.masquerade.declared();
        let Some(off) = written.filter(|masquerade| !masquerade.value) else { continue };
        let interfaces = node.interfaces.iter().map(|id| topology.interface(*id));
        let mut prefixes =
            interfaces.flat_map(|own| &inventory.networks[own.network].prefixes).filter(|prefix| {
                node.forwards.of(Family::of(&prefix.value)) && is_private(prefix.value.addr())
            });
        let Some(prefix) = prefixes.next() else { continue };
        findings.add(off.at, || {
            let title =
                format!("`{}` is an exit, and does not masquerade what it sends on", node.name);
            Finding::new(Code::DeadEnd, title, off.at)
                .label("no reply from the Internet comes back")
                .also(prefix.at, "addresses that the Internet does not route")
                .also(node.exit.at_or(node.at), "makes it an exit")
                .help(format!(
                    "remove `masquerade: false`; where the router of `{}` masquerades {} itself and \
                     routes it back, nothing is wrong, but this cannot be proved",
                    node.name, prefix.value
                ))
        });
    }
    findings.into_findings()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_and_the_routed_part_of_ipv6_are_everything() {
        let nets = |texts: &[&str]| -> Vec<IpNet> {
            let nets: Vec<IpNet> = texts.iter().map(|text| text.parse().unwrap()).collect();
            IpNet::aggregate(&nets)
        };
        assert!(whole(&nets(&["0.0.0.0/1", "128.0.0.0/1"]), Family::V4));
        assert!(whole(&nets(&["2000::/3"]), Family::V6));
        assert!(whole(&nets(&["::/1", "8000::/1"]), Family::V6));
        assert!(!whole(&nets(&["0.0.0.0/1", "fc00::/7"]), Family::V4));
        assert!(!whole(&nets(&["0.0.0.0/0", "fc00::/7"]), Family::V6));
    }
}
