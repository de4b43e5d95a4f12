//! `AllowedIPs`: each prefix on one peer of an interface, and every peer's own address among them.

use std::collections::HashMap;

use ipnet::IpNet;
use rayon::prelude::*;

use super::folded::Folded;
use crate::finding::{Code, Finding};
use crate::inventory::Inventory;
use crate::model::{Location, host_net};
use crate::topology::{self, Because, Interface, InterfaceId, Node, Peer, Topology};

/// One prefix on two peers of an interface, and the peers.
type Clash = (IpNet, InterfaceId, InterfaceId);

/// One prefix in the `AllowedIPs` of two peers of one interface: the kernel gives it to the last
/// one without a word.
pub(super) fn duplicates(inventory: &Inventory, topology: &Topology) -> Vec<Finding> {
    let clashes: Vec<(InterfaceId, Vec<Clash>)> = topology
        .interfaces
        .par_iter()
        .enumerate()
        .filter_map(|(index, interface)| {
            let clashes = of(interface);
            let id = InterfaceId(u32::try_from(index).ok()?);
            (!clashes.is_empty()).then_some((id, clashes))
        })
        .collect();
    // The same two peers clash on every interface that has both, and two gateways of one site in
    // each of its subnets: one finding, counted.
    let mut findings: Folded<Cause> = Folded::new();
    for (id, clashes) in clashes {
        let interface = topology.interface(id);
        for clash in clashes {
            let (net, first, last) = clash;
            let declared = override_of(interface, last).or_else(|| override_of(interface, first));
            if declared.is_none()
                && (equal_lans(topology, clash) || equal_addresses(topology, clash))
            {
                continue;
            }
            let cause = (declared.is_some().then_some(net), declared, first, last);
            findings.add(cause, || duplicate(inventory, topology, id, clash));
        }
    }
    findings.into_findings()
}

/// A declared prefix with its place, and the two peers.
type Cause = (Option<IpNet>, Option<Location>, InterfaceId, InterfaceId);

/// Where an interface overrides what it accepts from a peer.
fn override_of(interface: &Interface, remote: InterfaceId) -> Option<Location> {
    let peer = interface.peers.iter().find(|peer| peer.remote == remote)?;
    peer.overridden()
}

/// Whether the clash follows from one prefix at two places, which is a finding of its own.
fn equal_lans(topology: &Topology, (net, first, last): Clash) -> bool {
    let (a, b) = (
        topology.node(topology.interface(first).node),
        topology.node(topology.interface(last).node),
    );
    let has = |node: &Node| node.subnets.iter().any(|subnet| subnet.value == net);
    (a.site.is_none() || a.site != b.site) && has(a) && has(b)
}

/// Whether the clash follows from one address on two hosts, which is a finding of its own.
fn equal_addresses(topology: &Topology, (net, first, last): Clash) -> bool {
    let has = |id| topology.tunnel_addresses(id).any(|addr| host_net(addr) == net);
    has(first) && has(last)
}

fn duplicate(
    inventory: &Inventory,
    topology: &Topology,
    id: InterfaceId,
    (net, first, last): Clash,
) -> Finding {
    let interface = topology.interface(id);
    let node = |id: InterfaceId| topology.node(topology.interface(id).node);
    let (one, two) = (node(first), node(last));
    // An override is what is to change; otherwise the second peer.
    let swapped = override_of(interface, last).is_none() && override_of(interface, first).is_some();
    let (here, there) = if swapped { (first, last) } else { (last, first) };
    let place = |remote| {
        let remote = topology.interface(remote);
        let because = topology::origin(inventory, topology, interface, remote, &net);
        (because.at().unwrap_or(topology.node(remote.node).at), because)
    };
    let says = |remote: InterfaceId| format!("`{}`", node(remote).name);
    let ((at, _), (other_at, other)) = (place(here), place(there));
    let mut finding = Finding::new(
        Code::DuplicateAllowedIp,
        format!("on `{}`, {net} belongs to both `{}` and `{}`", node(id).name, one.name, two.name),
        at,
    )
    .label(says(here))
    .also(other_at, says(there));
    if !matches!(other, Because::Override(_)) && other_at == at {
        // Two gateways of one site: the LAN is one place, so point at them too.
        finding = finding.also(one.at, "one peer that has it").also(two.at, "the other");
    }
    let winner = match (one.known_key(inventory), two.known_key(inventory)) {
        (Some(a), Some(b)) => {
            let winner = if a < b { two } else { one };
            format!("here that is `{}`, whose key sorts last", winner.name)
        }
        _ => {
            "in a rendered file that is the one whose public key sorts last, which a rotation can \
             change"
                .to_owned()
        }
    };
    let instead = if net.prefix_len() == 0 {
        "Send everything to one peer only"
    } else {
        "Give the prefix to one peer, or a longer one to one of them: the longest match wins"
    };
    let mut finding = finding.help(format!(
        "an interface has one table of AllowedIPs, and the peer that is configured last takes the \
             prefix without a warning; {winner}. {instead}"
    ));
    let target = net.hosts().next().unwrap_or_else(|| net.network());
    let source = interface.addresses.iter().map(|addr| addr.value.addr());
    if let Some(source) = source.filter(|addr| addr.is_ipv4() == target.is_ipv4()).min() {
        finding = finding.witness(source, target);
    }
    finding
}

fn of(interface: &Interface) -> Vec<Clash> {
    // Of the longest list only what is in another one, too: most interfaces have one long list.
    let long = interface.peers.iter().filter(|peer| peer.allowed_ips.is_sorted());
    let long = long.max_by_key(|peer| peer.allowed_ips.len());
    let is_long = |peer: &Peer| long.is_some_and(|long| long.remote == peer.remote);
    let mut entries: Vec<(IpNet, InterfaceId)> = interface
        .peers
        .iter()
        .filter(|peer| !is_long(peer))
        .flat_map(|peer| peer.allowed_ips.iter().map(|net| (net.trunc(), peer.remote)))
        .collect();
    if let Some(long) = long {
        let both = entries.iter().filter(|(net, _)| long.allowed_ips.contains(net));
        let both: Vec<(IpNet, InterfaceId)> = both.map(|(net, _)| (*net, long.remote)).collect();
        entries.extend(both);
    }
    entries.sort_unstable();
    entries.dedup();
    entries
        .windows(2)
        .filter(|pair| pair[0].0 == pair[1].0)
        .map(|pair| (pair[0].0, pair[0].1, pair[1].1))
        .collect()
}

/// Overrides that lack a tunnel address of the peer: it cannot be pinged, and what it sends from
/// that address is dropped. A derived list lacks one only where two have it, which is said already.
pub(super) fn missing(_inventory: &Inventory, topology: &Topology) -> Vec<Finding> {
    let mut findings = Vec::new();
    // Lists are shared between interfaces; each list and peer is looked at once.
    let mut seen: HashMap<(*const IpNet, usize, InterfaceId), bool> = HashMap::new();
    for interface in &topology.interfaces {
        for peer in interface.peers.iter().filter(|peer| peer.overridden().is_some()) {
            let key = (peer.allowed_ips.base().0, peer.allowed_ips.len(), peer.remote);
            let lacks = || {
                topology
                    .tunnel_addresses(peer.remote)
                    .any(|addr| !peer.allowed_ips.iter().any(|net| net.contains(&addr)))
            };
            if !*seen.entry(key).or_insert_with(lacks) {
                continue;
            }
            let addresses: Vec<String> = topology
                .tunnel_addresses(peer.remote)
                .filter(|addr| !peer.allowed_ips.iter().any(|net| net.contains(addr)))
                .map(|addr| addr.to_string())
                .collect();
            let (node, remote) = (topology.node(interface.node), topology.remote(peer));
            let list = addresses.join(" and ");
            let title = format!("`{}` does not accept {list} from `{}`", node.name, remote.name);
            findings.push(
                Finding::new(
                    Code::MissingTunnelAddress,
                    title,
                    peer.overridden().unwrap_or(peer.at()),
                )
                .label("the AllowedIPs lack the peer's own tunnel address")
                .also(remote.at, format!("has {list}"))
                .help(format!("add {list} to the list, or remove the override")),
            );
        }
    }
    findings
}
