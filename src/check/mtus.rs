//! MTUs: an encrypted packet has to fit what carries it.

use std::net::IpAddr;

use super::carriers::Carriers;
use super::entry::{entry, literal};
use super::folded::Folded;
use crate::finding::{Code, Finding, Severity};
use crate::inventory::Inventory;
use crate::model::{Family, Location};
use crate::topology::{Interface, InterfaceId, Node, Peer, Topology};

/// Bytes around an inner packet over IPv4: 20 + 8 + 32.
const OVER_V4: u16 = 60;
/// Bytes around an inner packet over IPv6: 40 + 8 + 32.
const OVER_V6: u16 = 80;
/// Bytes of an underlay that says nothing else.
const ETHERNET: u16 = 1500;
/// What every IPv6 link has to carry (RFC 8200, section 5).
const LEAST_V6: u16 = 1280;

/// The address that a session goes by: one that this side is told, or else the one by which the
/// other side begins it.
fn carrying(topology: &Topology, id: InterfaceId, peer: &Peer) -> Option<IpAddr> {
    match peer.endpoint {
        Some(_) => literal(peer),
        None => literal(entry(topology, peer.remote, id)?),
    }
}

/// The bytes that encryption adds over an address, and whether that is certain.
fn overhead(addr: Option<IpAddr>) -> (u16, bool) {
    match addr {
        Some(IpAddr::V4(_)) => (OVER_V4, true),
        Some(IpAddr::V6(_)) => (OVER_V6, true),
        None => (OVER_V6, false),
    }
}

/// Every interface whose packets do not fit.
pub(super) fn sizes(inventory: &Inventory, topology: &Topology) -> Vec<Finding> {
    let carriers = Carriers::new(inventory, topology);
    let mut all: Folded<(Code, Location)> = Folded::new();
    let mut add = |finding: Option<Finding>| {
        if let Some(finding) = finding {
            all.add_found((finding.code, finding.primary.at), finding);
        }
    };
    for (id, interface) in (0..).map(InterfaceId).zip(&topology.interfaces) {
        let node = topology.node(interface.node);
        if !node.is_ours(inventory) {
            continue;
        }
        let declared = interface.mtu.because.declared();
        if let Some(at) = declared {
            add(underlay(inventory, topology, node, id, at));
        }
        if node.interfaces.len() > 1 {
            add(nested(topology, &carriers, node, id, declared));
        }
        add(small(inventory, topology, node, interface, declared));
    }
    all.into_findings()
}

/// The underlay of a node: its bytes, and where they are written.
fn way_out(inventory: &Inventory, node: &Node) -> (u16, Option<Location>) {
    let mtu = node.site.and_then(|site| inventory.sites[site].underlay.mtu.as_ref());
    mtu.map_or((ETHERNET, None), |mtu| (mtu.value.get(), Some(mtu.at)))
}

/// A declared MTU against the underlays of both ends of each link.
fn underlay(
    inventory: &Inventory,
    topology: &Topology,
    node: &Node,
    id: InterfaceId,
    at: Location,
) -> Option<Finding> {
    let interface = topology.interface(id);
    let own = way_out(inventory, node);
    let mtu = interface.mtu.get();
    // Most interfaces are far below what any link would need.
    let worst = interface.peers.iter().filter_map(|peer| {
        let far = topology.remote(peer);
        let least = own.min(way_out(inventory, far));
        let (bytes, sure) = overhead(carrying(topology, id, peer));
        let fits = least.0.saturating_sub(bytes);
        // Over a name's IPv4 address it might still fit.
        let broken = mtu > least.0.saturating_sub(OVER_V4) || (sure && mtu > fits);
        (mtu > fits).then_some((fits, !broken, bytes, least, far))
    });
    let (fits, only_v6, bytes, (least, place), far) =
        worst.min_by_key(|worst| (worst.0, worst.1))?;
    let title = format!("MTU {mtu} of `{}` does not fit the way to `{}`", node.name, far.name);
    let mut finding =
        Finding::new(Code::MtuTooLarge, title, at).label(format!("at most {fits}")).help(format!(
            "{least} bytes of underlay, less {bytes} for the encryption{}: write `mtu: {fits}`, or \
             leave it out to have it derived",
            if only_v6 { " over IPv6" } else { "" }
        ));
    if let Some(place) = place {
        finding = finding.also(place, "what the way out carries");
    }
    if only_v6 {
        finding.severity = Severity::Info;
    }
    Some(finding)
}

/// A tunnel within another one of the same host.
fn nested(
    topology: &Topology,
    carriers: &Carriers<'_>,
    node: &Node,
    id: InterfaceId,
    declared: Option<Location>,
) -> Option<Finding> {
    let interface = topology.interface(id);
    let mtu = interface.mtu.get();
    interface.peers.iter().find_map(|peer| {
        let addr = literal(peer)?;
        let carrier = carriers.carrier(id, addr)?;
        let outer = topology.interface(carrier.to);
        let fits = outer.mtu.get().saturating_sub(overhead(literal(peer)).0);
        if std::ptr::eq(outer, interface) || mtu <= fits {
            return None;
        }
        let title = format!(
            "{} of `{}` is carried by {}, and its MTU {mtu} does not fit",
            interface.name, node.name, outer.name
        );
        Some(
            Finding::new(Code::MtuNested, title, declared.unwrap_or(interface.at))
                .label(format!("at most {fits}"))
                .also(outer.at, format!("{} has an MTU of {}", outer.name, outer.mtu))
                .also(topology.remote(peer).at, format!("{addr} is reached through {}", outer.name))
                .help(format!("write `mtu: {fits}` for {}", interface.name)),
        )
    })
}

/// IPv6 on an interface that is too small for it: the kernel has none there.
fn small(
    inventory: &Inventory,
    topology: &Topology,
    node: &Node,
    interface: &Interface,
    declared: Option<Location>,
) -> Option<Finding> {
    if interface.mtu.get() >= LEAST_V6 {
        return None;
    }
    let v6 = interface.addresses.iter().find(|addr| Family::of(&addr.value) == Family::V6)?;
    let nodes = interface.peers.iter().map(|peer| topology.remote(peer));
    let ways = std::iter::once(node).chain(nodes).map(|node| way_out(inventory, node));
    let least = ways.min_by_key(|way| way.0).and_then(|way| way.1);
    let title =
        format!("IPv6 on {} of `{}`, whose MTU is {}", interface.name, node.name, interface.mtu);
    let finding =
        Finding::new(Code::MtuBelowIpv6, title, declared.or(least).unwrap_or(interface.at)).label(
            if declared.is_some() { "below 1280" } else { "leaves less than 1280 for the tunnel" },
        );
    let v6_at = v6.at_or(interface.at);
    let finding = if v6_at == finding.primary.at {
        finding
    } else {
        finding.also(v6_at, "has an IPv6 address there")
    };
    Some(finding.help(
        "the kernel turns IPv6 off on interfaces below 1280 bytes, and the address cannot be added: \
         write at least `mtu: 1280` (an underlay of 1360), or leave the network without an IPv6 \
         prefix",
    ))
}
