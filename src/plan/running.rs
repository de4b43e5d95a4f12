//! What runs now, as a state of the fleet: so that its reachability can be compared with what is
//! wanted.
//!
//! Nothing but observations is needed: what a file does not have any more is put together from
//! those who still know it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipnet::IpNet;

use super::names::Names;
use super::seen::Seen;
use super::{former, lans};
use crate::inventory::Inventory;
use crate::model::{Endpoint, EndpointHost, HostName, Port, PublicKey};
use crate::observed::{ObservedHost, ObservedInterface};
use crate::topology::{
    Derived, Forwards, InterfaceId, NodeId, NodeKind, Peer, PeerSettings, Topology,
};

/// The state of the fleet as it runs: addresses, peers and forwarding as they were seen on every
/// host that was read, everything else as `base` says.
///
/// `names` gives who has or had a key. A peer whose host `base` does not have becomes a host with
/// the addresses and LANs by which others know it, and so do LANs that only live `AllowedIPs` lead
/// to. Unmanaged peers are taken to be configured as in `base`; a live endpoint counts as known,
/// however it was learned. Live routes are not looked at.
#[must_use]
pub fn running<'o>(
    base: (&Inventory, &Topology),
    names: &BTreeMap<PublicKey, HostName>,
    seen: impl Fn(&HostName) -> Option<&'o ObservedHost>,
) -> (Inventory, Topology) {
    let seen = Seen { names, of: &seen };
    let (inventory, topology) = former::with_former(base, &seen);
    let mut runs = topology.clone();
    let nodes: BTreeMap<&HostName, NodeId> =
        (0..).map(NodeId).zip(&topology.nodes).map(|(id, node)| (&node.name, id)).collect();
    let managed = |id: InterfaceId| {
        matches!(topology.node(topology.interface(id).node).kind, NodeKind::Host(_))
    };
    let live: BTreeMap<InterfaceId, &ObservedInterface> = (0..)
        .map(NodeId)
        .take(topology.nodes.len())
        .flat_map(|node| seen.interfaces(&inventory, &topology, node).0)
        .collect();
    let read = |id: InterfaceId| {
        managed(id) && (seen.of)(&topology.node(topology.interface(id).node).name).is_some()
    };
    for (id, interface) in (0..).map(InterfaceId).zip(&mut runs.interfaces) {
        if !read(id) {
            continue;
        }
        let Some(found) = live.get(&id).filter(|found| found.up) else {
            interface.addresses.clear();
            interface.peers.clear();
            continue;
        };
        let at = interface.at;
        interface.addresses = found.addresses.iter().copied().map(Derived::seen).collect();
        interface.listen_port = Derived::seen(Port::new(found.listen_port));
        let network = interface.network;
        let mut shared = None;
        let peer = |(key, peer): (&PublicKey, &crate::observed::ObservedPeer)| {
            let remote = *nodes.get(names.get(key)?)?;
            let there = topology.member(remote, network)?;
            // A session needs the key that the other end really has, as far as that was seen.
            let same = live.get(&there).is_some_and(|live| live.public_key == Some(*key));
            let endpoint = peer.endpoint.and_then(|addr| {
                let port = Port::new(addr.port())?;
                let endpoint = Endpoint { host: EndpointHost::Addr(addr.ip()), port };
                Some(Arc::new(Derived::seen(endpoint)))
            });
            let settings = PeerSettings {
                at,
                keepalive: Derived::seen(peer.keepalive),
                psk: Derived::seen(false),
            };
            (same || !read(there)).then(|| Peer {
                remote: there,
                allowed_ips: Derived::seen(peer.allowed_ips.iter().map(IpNet::trunc).collect()),
                endpoint,
                heard: peer.latest_handshake > 0,
                settings: settings.shared(&mut shared),
            })
        };
        interface.peers = found.peers.iter().filter_map(peer).collect();
        interface.peers.sort_by_key(|peer| peer.remote);
        interface.peers.dedup_by_key(|peer| peer.remote);
    }
    let fleet = Names::of(&inventory.fleet.value);
    for node in &mut runs.nodes {
        let host = (seen.of)(&node.name).filter(|_| matches!(node.kind, NodeKind::Host(_)));
        if let Some(host) = host {
            node.forwards = Forwards::seen(host.forward_v4, host.forward_v6);
            if !fleet.masquerades(host) {
                node.masquerade = Derived::seen(Vec::new());
            }
        }
    }
    let read: BTreeSet<NodeId> =
        nodes.iter().filter(|(name, _)| (seen.of)(name).is_some()).map(|(_, node)| *node).collect();
    lans::settle(base.1, &inventory, &mut runs, &read, &seen);
    (inventory, runs)
}

#[cfg(test)]
#[path = "running_tests.rs"]
mod tests;
