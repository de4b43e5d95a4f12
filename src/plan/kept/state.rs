//! The fleet that a plan leads to while links keep their old values.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::{Keeps, KeptLink};
use crate::desired::{DesiredHost, DesiredInterface, DesiredPeer};
use crate::inventory::Inventory;
use crate::model::HostName;
use crate::topology::{
    AllowedIps, Derived, Forwards, Interface, InterfaceId, NodeId, Peer, PeerSettings, Topology,
};

/// What the file means, but for links that keep their old values: of those `hosts` have what they are to
/// have.
#[must_use]
pub fn with_kept(
    (inventory, wanted): (&Inventory, &Topology),
    hosts: &[DesiredHost],
    kept: &[KeptLink],
) -> Topology {
    let mut topology = wanted.clone();
    let names: BTreeSet<&HostName> = kept.iter().map(|link| &link.host).collect();
    let nodes = (0..).map(NodeId).zip(&wanted.nodes);
    let nodes: HashMap<&HostName, NodeId> = nodes.map(|(id, node)| (&node.name, id)).collect();
    for host in hosts.iter().filter(|host| names.contains(&host.name)) {
        let Some(node) = nodes.get(&host.name).copied() else { continue };
        let mut links = kept.iter().filter(|link| link.host == host.name);
        if links.any(|link| link.keeps.contains(&Keeps::Forwarding)) {
            let forwards = host.forwarding;
            topology.nodes[node.0 as usize].forwards = Forwards::seen(forwards.v4, forwards.v6);
        }
        for own in &host.interfaces {
            if let Some(id) = interface(inventory, wanted, node, own) {
                let here = wanted.interface(id);
                let known: HashMap<InterfaceId, &Peer> =
                    here.peers.iter().map(|peer| (peer.remote, peer)).collect();
                let peers = own.peers.values().filter_map(|peer| {
                    // One that the file does not have in the network any more is nowhere.
                    let remote = wanted.member(*nodes.get(&peer.name)?, here.network)?;
                    Some(entry(here, known.get(&remote).copied(), remote, peer))
                });
                let mut peers: Vec<Peer> = peers.collect();
                peers.sort_by_key(|peer| peer.remote);
                topology.interfaces[id.0 as usize].peers = peers;
            }
        }
    }
    topology
}

fn interface(
    inventory: &Inventory,
    topology: &Topology,
    node: NodeId,
    own: &DesiredInterface,
) -> Option<InterfaceId> {
    let mut ids = topology.node(node).interfaces.iter().copied();
    ids.find(|id| {
        let known = topology.interface(*id);
        known.name.value == own.name && inventory.networks[known.network].name.value == own.network
    })
}

/// The entry of a peer: that of the file, where it is the same.
fn entry(here: &Interface, known: Option<&Peer>, remote: InterfaceId, peer: &DesiredPeer) -> Peer {
    if let Some(known) = known
        && known.allowed_ips.iter().eq(peer.allowed_ips.iter())
        && known.address() == peer.endpoint.as_ref()
    {
        return known.clone();
    }
    let endpoint = peer.endpoint.clone().map(|endpoint| Arc::new(Derived::seen(endpoint)));
    let settings = PeerSettings {
        at: here.at,
        keepalive: Derived::seen(peer.keepalive),
        psk: Derived::seen(peer.psk_epoch.is_some()),
    };
    Peer {
        remote,
        allowed_ips: Derived::seen(AllowedIps::new(Arc::clone(&peer.allowed_ips))),
        endpoint,
        heard: false,
        settings: Arc::new(settings),
    }
}
