//! Links that would keep a flow working while something has failed: given only where the file with the
//! link is proved.

use std::net::IpAddr;

use super::failure::Failure;
use super::flow::Flow;
use super::flows::Member;
use super::tables::Tables;
use super::walk::{Doubt, Walker};
use crate::inventory::{Inventory, LinkShape};
use crate::model::{Family, HostName, Located, NetworkName};
use crate::topology::{self, InterfaceId, NodeId, NodeKind, Topology};

/// Fleets up to this size are derived anew with a link that might help.
const LARGE: usize = 300;
/// Links that are tried.
const TRIED: usize = 3;

/// Two hosts that reach one another without what fails, once they are linked.
#[derive(Debug)]
pub(super) struct Spare {
    pub(super) a: HostName,
    pub(super) b: HostName,
    pub(super) network: NetworkName,
}

/// A link by which two hosts keep reaching one another that do not while something has failed.
pub(super) fn spare(inventory: &Inventory, topology: &Topology, failure: Failure) -> Option<Spare> {
    if topology.nodes.len() > LARGE {
        return None;
    }
    let tables = Tables::new(inventory, topology);
    let whole = Walker::new(inventory, &tables, Doubt::Fails);
    let less = whole.without(failure);
    let hurt =
        |a: NodeId, b: NodeId| works((&tables, &whole), a, b) && !works((&tables, &less), a, b);
    let mut tried = 0;
    for (near, far) in candidates(topology, failure) {
        let (a, b) = (topology.interface(near).node, topology.interface(far).node);
        if tried == TRIED {
            break;
        }
        if !may_meet(inventory, topology, near, far) || !hurt(a, b) {
            continue;
        }
        tried += 1;
        let name = |node: NodeId| topology.node(node).name.clone();
        let network = topology.interface(near).network;
        let mut changed = inventory.clone();
        let at = changed.networks[network].name.at;
        let end = |node: NodeId| Located::new(name(node), at);
        changed.networks[network].links.push(LinkShape::Pair { a: end(a), b: end(b), at });
        let known = |network: &NetworkName, member: &HostName| -> Vec<IpAddr> {
            let index = inventory.networks.iter().position(|own| own.name.value == *network);
            let node = topology.find(member);
            let id = node.zip(index).and_then(|(node, index)| topology.member(node, index));
            id.map(|id| topology.tunnel_addresses(id).collect()).unwrap_or_default()
        };
        let with = topology::build(&changed, &known);
        let tables = Tables::new(&changed, &with);
        let walker = Walker::new(&changed, &tables, Doubt::Fails).without(failure);
        let fleet = (&tables, &walker);
        if works(fleet, a, b) && works(fleet, b, a) {
            let network = inventory.networks[network].name.value.clone();
            return Some(Spare { a: name(a), b: name(b), network });
        }
    }
    None
}

/// Whether one host reaches another, in every family that both have.
fn works((tables, walker): (&Tables<'_>, &Walker<'_>), a: NodeId, b: NodeId) -> bool {
    let (from, to) = (Member::Node(a), Member::Node(b));
    let topology = tables.topology();
    let prove = |family| Flow { topology, tables, walker, from: &from, to: &to, family }.prove();
    let mut results = [Family::V4, Family::V6].into_iter().filter_map(prove).peekable();
    results.peek().is_some() && results.all(|result| result.is_ok())
}

/// Whether one of two hosts says where it is found.
fn may_meet(inventory: &Inventory, topology: &Topology, a: InterfaceId, b: InterfaceId) -> bool {
    [a, b].into_iter().any(|id| {
        let own = topology.membership(inventory, topology.interface(id));
        own.is_some_and(|(_, own)| {
            own.settings.endpoint.is_some() || own.settings.local_endpoint.is_some()
        })
    })
}

/// Pairs of managed hosts in one network that meet through what fails, and are not linked.
fn candidates(
    topology: &Topology,
    failure: Failure,
) -> impl Iterator<Item = (InterfaceId, InterfaceId)> {
    let managed = |id: &InterfaceId| {
        let node = topology.interface(*id).node;
        matches!(topology.node(node).kind, NodeKind::Host(_))
    };
    let around = |id: InterfaceId, itself: bool| -> Vec<InterfaceId> {
        let peers = topology.interface(id).peers.iter().map(|peer| peer.remote);
        peers.chain(itself.then_some(id)).filter(managed).collect()
    };
    let sides: Vec<(Vec<InterfaceId>, Vec<InterfaceId>)> = match failure {
        Failure::Node(node) => {
            let own = topology.node(node).interfaces.iter();
            own.map(|id| (around(*id, false), around(*id, false))).collect()
        }
        Failure::Link(a, b) => vec![(around(a, true), around(b, true))],
        Failure::Uplink(_) => Vec::new(),
    };
    let linked = |a: InterfaceId, b: InterfaceId| super::entry::entry(topology, a, b).is_some();
    sides.into_iter().flat_map(move |(near, far)| {
        let pairs =
            near.into_iter().flat_map(move |a| far.clone().into_iter().map(move |b| (a, b)));
        pairs.filter(move |(a, b)| a < b && !linked(*a, *b)).collect::<Vec<_>>()
    })
}
