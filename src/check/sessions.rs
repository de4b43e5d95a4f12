//! Sessions: somebody has to begin them.

use std::collections::HashMap;

use crate::finding::{Code, Finding};
use crate::inventory::Inventory;
use crate::model::Location;
use crate::topology::{Interface, InterfaceId, Peer, Topology};

/// A link where neither end knows an endpoint of the other. One finding for each place that says
/// so, counting its links.
pub(super) fn initiators(inventory: &Inventory, topology: &Topology) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    let mut causes: HashMap<(usize, Location), usize> = HashMap::new();
    for (id, interface) in (0..).map(InterfaceId).zip(&topology.interfaces) {
        let silent =
            interface.peers.iter().filter(|peer| peer.endpoint.is_none() && id < peer.remote);
        for peer in silent {
            if back(topology, id, peer).is_some_and(|back| back.endpoint.is_some()) {
                continue;
            }
            if let Some(index) = causes.get(&(interface.network, peer.at)) {
                findings[*index].count += 1;
                continue;
            }
            causes.insert((interface.network, peer.at), findings.len());
            findings.push(finding(inventory, topology, interface, peer));
        }
    }
    findings
}

/// What the other end says about this one.
fn back<'t>(topology: &'t Topology, id: InterfaceId, peer: &Peer) -> Option<&'t Peer> {
    let peers = &topology.interface(peer.remote).peers;
    peers.binary_search_by_key(&id, |peer| peer.remote).ok().map(|index| &peers[index])
}

fn finding(
    inventory: &Inventory,
    topology: &Topology,
    interface: &Interface,
    peer: &Peer,
) -> Finding {
    let (a, b) = (topology.node(interface.node), topology.remote(peer));
    let why =
        |nat: bool| if nat { "behind NAT, without an endpoint" } else { "without an endpoint" };
    Finding::new(
        Code::NoInitiator,
        format!("neither `{}` nor `{}` can begin their session", a.name, b.name),
        peer.at,
    )
    .label(format!("links them in network `{}`", inventory.networks[interface.network].name.value))
    .also(a.at, why(a.nat))
    .also(b.at, why(b.nat))
    .help(
        "give one of them an `endpoint:` (behind NAT: a forwarded port), or link both to a hub \
         that has one",
    )
}
