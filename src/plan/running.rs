//! What runs now, as a topology: so that its reachability can be compared with what is wanted.

use std::collections::BTreeMap;
use std::sync::Arc;

use ipnet::IpNet;

use crate::model::{Endpoint, EndpointHost, HostName, Located, Port, PublicKey};
use crate::observed::{ObservedHost, ObservedInterface};
use crate::topology::{Forwarding, InterfaceId, NodeId, NodeKind, Peer, Topology};

/// The wanted topology with addresses, peers and forwarding as they were seen on every host.
///
/// `names` gives who has or had a key. Unmanaged peers are taken to be configured as wanted; a live
/// endpoint counts as known, however it was learned. Live routes are not looked at.
#[must_use]
pub fn running<'o>(
    wanted: &Topology,
    names: &BTreeMap<PublicKey, HostName>,
    seen: impl Fn(&HostName) -> Option<&'o ObservedHost>,
) -> Topology {
    let mut topology = wanted.clone();
    let nodes: BTreeMap<&HostName, NodeId> =
        (0..).map(NodeId).zip(&wanted.nodes).map(|(id, node)| (&node.name, id)).collect();
    let live = |id: InterfaceId| -> Option<&ObservedInterface> {
        let interface = wanted.interface(id);
        seen(&wanted.node(interface.node).name)?.interfaces.get(&interface.name)
    };
    let managed =
        |id: InterfaceId| matches!(wanted.node(wanted.interface(id).node).kind, NodeKind::Host(_));
    for (id, interface) in (0..).map(InterfaceId).zip(&mut topology.interfaces) {
        if !managed(id) {
            continue;
        }
        let Some(found) = live(id).filter(|found| found.up) else {
            interface.addresses.clear();
            interface.peers.clear();
            continue;
        };
        let at = interface.at;
        interface.addresses = found.addresses.iter().map(|net| Located::new(*net, at)).collect();
        interface.peers = found
            .peers
            .iter()
            .filter_map(|(key, peer)| {
                let remote = *nodes.get(names.get(key)?)?;
                let network = interface.network;
                let mut there = wanted.node(remote).interfaces.iter().copied();
                let there = there.find(|id| wanted.interface(*id).network == network)?;
                // A session needs the key that the other end really has.
                let same = live(there).is_some_and(|live| live.public_key == Some(*key));
                let endpoint = peer.endpoint.and_then(|addr| {
                    let port = Port::new(addr.port())?;
                    Some(Arc::new(Endpoint { host: EndpointHost::Addr(addr.ip()), port }))
                });
                (same || !managed(there)).then(|| Peer {
                    remote: there,
                    allowed_ips: peer.allowed_ips.iter().map(IpNet::trunc).collect(),
                    allowed_ips_at: None,
                    endpoint,
                    heard: peer.latest_handshake > 0,
                    keepalive: peer.keepalive,
                    psk: false,
                    at,
                })
            })
            .collect();
        interface.peers.sort_by_key(|peer| peer.remote);
        interface.peers.dedup_by_key(|peer| peer.remote);
    }
    for node in &mut topology.nodes {
        if let Some(host) = seen(&node.name).filter(|_| matches!(node.kind, NodeKind::Host(_))) {
            node.forwards = Forwarding { v4: host.forward_v4, v6: host.forward_v6 };
            if host.firewall.is_none() {
                node.masquerade.clear();
            }
        }
    }
    topology
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::IpAddr;
    use std::path::PathBuf;

    use super::*;
    use crate::check::difference;
    use crate::inventory::Inventory;
    use crate::model::PrivateKey;
    use crate::observed::{LiveBackend, ObservedPeer, ObservedPsk};
    use zeroize::Zeroizing;

    const FLEET: &str = "fleet: f
networks: { n: { prefixes: 10.9.0.0/24, links: { hub: hub } } }
hosts:
  hub: { address: 10.9.0.1, endpoint: \"192.0.2.1:51820\" }
  a: { address: 10.9.0.2, endpoint: \"192.0.2.2:51820\" }
  b: { address: 10.9.0.3, endpoint: \"192.0.2.3:51820\" }
";

    fn key(index: usize) -> PublicKey {
        let mut bytes = Zeroizing::new([9_u8; 32]);
        bytes[5] = u8::try_from(index).unwrap();
        PrivateKey::from_random(bytes).public()
    }

    /// Every host as the topology has it.
    fn observed(topology: &Topology) -> BTreeMap<HostName, ObservedHost> {
        let interface = |index: usize| {
            let interface = &topology.interfaces[index];
            let peers = interface.peers.iter().map(|peer| {
                let observed = ObservedPeer {
                    psk: ObservedPsk::None,
                    endpoint: peer.endpoint.as_deref().and_then(Endpoint::socket_addr),
                    allowed_ips: peer.allowed_ips.iter().copied().collect(),
                    latest_handshake: 0,
                    received: 0,
                    sent: 0,
                    keepalive: peer.keepalive,
                };
                (key(peer.remote.0 as usize), observed)
            });
            ObservedInterface {
                backend: LiveBackend::Kernel,
                up: true,
                mtu: 1420,
                public_key: Some(key(index)),
                listen_port: 51820,
                fwmark: 0,
                addresses: interface.addresses.iter().map(|addr| addr.value).collect(),
                routes: BTreeSet::new(),
                peers: peers.collect(),
            }
        };
        let host = |(index, node): (usize, &crate::topology::Node)| {
            let interfaces = [(topology.interfaces[index].name.clone(), interface(index))].into();
            let (forward_v4, forward_v6) = (node.forwards.v4, node.forwards.v6);
            let host =
                ObservedHost { interfaces, forward_v4, forward_v6, ..ObservedHost::default() };
            (node.name.clone(), host)
        };
        topology.nodes.iter().enumerate().map(host).collect()
    }

    fn fleet() -> (Inventory, Topology, BTreeMap<PublicKey, HostName>) {
        let parsed = crate::inventory::parse(PathBuf::from("fleet.yaml"), FLEET.to_owned());
        let inventory = parsed.inventory.unwrap();
        let topology =
            crate::topology::build(&inventory, &|_: &_, _: &_| -> Vec<IpAddr> { Vec::new() });
        let names = topology.nodes.iter().enumerate();
        let names = names.map(|(index, node)| (key(index), node.name.clone())).collect();
        (inventory, topology, names)
    }

    #[test]
    fn what_runs_as_wanted_differs_in_nothing() {
        let (inventory, wanted, names) = fleet();
        let seen = observed(&wanted);
        let runs = running(&wanted, &names, |name| seen.get(name));
        assert!(difference(&inventory, &runs, &wanted).is_empty());
    }

    #[test]
    fn flows_are_gained_and_lost_with_a_packet_that_shows_it() {
        let (inventory, wanted, names) = fleet();
        let mut seen = observed(&wanted);
        let hub: HostName = "hub".parse().unwrap();
        seen.get_mut(&hub).unwrap().forward_v4 = false;
        let runs = running(&wanted, &names, |name| seen.get(name));
        let moved = difference(&inventory, &runs, &wanted);
        assert!(moved.lost.is_empty());
        let flows: u64 = moved.gained.iter().map(|moved| moved.flows).sum();
        assert_eq!(flows, 2, "a to b and back: {moved:?}");
        let first = &moved.gained[0];
        assert_eq!((&*first.from, &*first.to), ("`a`", "`b`"));
        assert!(first.reason.as_deref().unwrap().contains("`hub`"), "{first:?}");
        // And the other way round.
        assert_eq!(difference(&inventory, &wanted, &runs).lost.len(), moved.gained.len());
        // A host on which nothing runs: all of its flows are gained.
        let a: HostName = "a".parse().unwrap();
        seen.get_mut(&a).unwrap().interfaces.clear();
        let runs = running(&wanted, &names, |name| seen.get(name));
        let moved = difference(&inventory, &runs, &wanted);
        let flows: u64 = moved.gained.iter().map(|moved| moved.flows).sum();
        assert_eq!(flows, 4, "{moved:?}");
    }
}
