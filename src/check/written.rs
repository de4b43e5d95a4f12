//! Where the file says what an interface or a peer entry has.

use crate::inventory::{Host, HostInterface, Inventory, PeerOverride, UnmanagedPeer};
use crate::model::{Location, covers};
use crate::topology::{Interface, Node, NodeKind, Topology};

/// The host of a node with what it says about one network.
pub(super) fn own(
    inventory: &Inventory,
    kind: NodeKind,
    network: usize,
) -> Option<(&Host, &HostInterface)> {
    let NodeKind::Host(index) = kind else { return None };
    let host = &inventory.hosts[index];
    host.interfaces.iter().find(|own| own.network == network).map(|own| (host, own))
}

/// The unmanaged peer of a node.
pub(super) fn unmanaged(inventory: &Inventory, kind: NodeKind) -> Option<&UnmanagedPeer> {
    match kind {
        NodeKind::Host(_) => None,
        NodeKind::Unmanaged(index) => inventory.peers.get(index),
    }
}

/// The key that a peer brought, and by which wg(8) orders it.
pub(super) fn known_key(inventory: &Inventory, node: &Node) -> Option<[u8; 32]> {
    let peer = unmanaged(inventory, node.kind)?;
    peer.public_key.as_ref().map(|key| *key.value.as_bytes())
}

/// Whether wgfleet writes the configuration of a node: a host, or a peer whose config it issues.
pub(super) fn ours(inventory: &Inventory, kind: NodeKind) -> bool {
    unmanaged(inventory, kind).is_none_or(|peer| peer.public_key.is_none())
}

/// What an interface overrides for a peer; a search, so for findings only.
pub(super) fn override_of<'i>(
    inventory: &'i Inventory,
    topology: &Topology,
    interface: &Interface,
    remote: &Node,
) -> Option<&'i PeerOverride> {
    let (_, own) = own(inventory, topology.node(interface.node).kind, interface.network)?;
    own.peers.iter().find(|peer| peer.peer.value == remote.name)
}

/// Where it is written how `interface` finds its peer `remote` (an interface of the same network).
pub(super) fn endpoint(
    inventory: &Inventory,
    topology: &Topology,
    interface: &Interface,
    remote: &Interface,
    local: bool,
) -> Location {
    let node = topology.node(remote.node);
    let overridden = override_of(inventory, topology, interface, node);
    if let Some(at) = overridden.and_then(|own| own.endpoint.as_ref()).map(|own| own.at) {
        return at;
    }
    let of_host = own(inventory, node.kind, remote.network).and_then(|(_, own)| {
        let nearby = own.local_endpoint.as_ref().filter(|_| local);
        nearby.or(own.endpoint.as_ref()).or(own.local_endpoint.as_ref()).map(|own| own.at)
    });
    let of_peer = unmanaged(inventory, node.kind).and_then(|peer| peer.endpoint.as_ref());
    of_host.or(of_peer.map(|endpoint| endpoint.at)).unwrap_or(remote.at)
}

/// Where the prefix that `interface` gives to its peer `remote` is written: an entry of the
/// override, otherwise the LAN or address that it is derived from.
pub(super) fn allowed(
    inventory: &Inventory,
    topology: &Topology,
    interface: &Interface,
    remote: &Interface,
    net: &ipnet::IpNet,
) -> (Location, Option<ipnet::IpNet>) {
    let node = topology.node(remote.node);
    let list = override_of(inventory, topology, interface, node)
        .and_then(|own| own.allowed_ips.as_ref().map(|list| (list, own.peer.at)));
    if let Some((list, at)) = list {
        let entry = list.iter().find(|entry| entry.value.trunc() == *net);
        return entry.map_or((at, None), |entry| (entry.at, Some(entry.value)));
    }
    let lan = node.subnets.iter().find(|lan| lan.value.trunc() == *net);
    let addr = remote.addresses.iter().find(|addr| net.contains(&addr.value.addr()));
    let prefixes = &inventory.networks[remote.network].prefixes;
    let prefix = prefixes.iter().find(|prefix| covers(net, &prefix.value));
    let at = lan
        .map(|lan| lan.at)
        .or_else(|| addr.filter(|_| net.prefix_len() == net.max_prefix_len()).map(|addr| addr.at))
        .or_else(|| prefix.filter(|_| net.prefix_len() > 0).map(|prefix| prefix.at));
    (at.unwrap_or(node.at), None)
}

/// Where an interface's MTU is declared, and whether it is for this interface alone.
pub(super) fn mtu(inventory: &Inventory, node: &Node, interface: &Interface) -> Option<Location> {
    let of_host =
        own(inventory, node.kind, interface.network).and_then(|(_, own)| own.mtu.as_ref());
    let of_peer = unmanaged(inventory, node.kind).and_then(|peer| peer.mtu.as_ref());
    let of_network = inventory.networks[interface.network].mtu.as_ref();
    of_host.or(of_peer).or(of_network).map(|mtu| mtu.at)
}
