//! Interfaces of one host that want what only one of them can have.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use ipnet::IpNet;

use crate::model::{RouteTable, covers};
use crate::topology::{Interface, InterfaceId, Node, Topology};

/// Whether the routes of an interface go where every packet of its host meets them.
pub(super) fn in_main(interface: &Interface) -> bool {
    matches!(interface.table.value, RouteTable::Auto | RouteTable::Number(254))
}

/// What an interface adds routes for, and by which peer.
pub(super) fn routed(interface: &Interface) -> impl Iterator<Item = (IpNet, usize)> + '_ {
    let connected =
        |net: &IpNet| interface.addresses.iter().any(|addr| covers(&addr.value.trunc(), net));
    interface.peers.iter().enumerate().flat_map(move |(index, peer)| {
        let nets = peer.allowed_ips.iter().filter(move |net| !connected(net));
        nets.map(move |net| (net.trunc(), index))
    })
}

/// The interfaces that share a port, a name or a route with another one of their host: which of them
/// comes up is not certain.
pub(super) fn all(topology: &Topology) -> HashSet<InterfaceId> {
    let mut all = HashSet::new();
    for node in topology.nodes.iter().filter(|node| node.interfaces.len() > 1) {
        let of = |id: InterfaceId| topology.interface(id);
        shared(node, &mut all, |id| of(id).listen_port.value);
        shared(node, &mut all, |id| Some(of(id).name.as_str()));
        let routes = |id: InterfaceId| {
            let nets = routed(of(id)).filter(|(net, _)| net.prefix_len() > 0 && in_main(of(id)));
            nets.map(|(net, _)| net).collect::<HashSet<_>>()
        };
        shared(node, &mut all, routes);
    }
    all
}

/// Adds the interfaces of a node that have something in common.
fn shared<T: Eq + Hash, I: IntoIterator<Item = T>>(
    node: &Node,
    all: &mut HashSet<InterfaceId>,
    what: impl Fn(InterfaceId) -> I,
) {
    let mut first: HashMap<T, InterfaceId> = HashMap::new();
    for id in &node.interfaces {
        for one in what(*id) {
            if let Some(other) = first.insert(one, *id) {
                all.extend([*id, other]);
            }
        }
    }
}
