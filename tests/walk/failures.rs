//! What is lost with each thing that fails, against the slow reference over a fleet that truly lacks it.

use std::sync::Arc;

use proptest::prelude::*;
use wgfleet::check::{self, Failing, Failure, Pair, Point};
use wgfleet::inventory::Inventory;
use wgfleet::topology::{InterfaceId, NodeId, Topology};

use super::reference::Reference;

/// Fleets that a run tries unless `PROPTEST_CASES` says otherwise.
const CASES: u32 = 40;

/// The fleet without something: no end of a session that is lost knows where the other one is.
fn without(inventory: &Inventory, topology: &Topology, failure: Failure) -> Topology {
    let mut less = topology.clone();
    for (id, interface) in (0..).map(InterfaceId).zip(&mut less.interfaces) {
        for peer in &mut interface.peers {
            if failure.cuts(inventory, topology, id, peer.remote) {
                peer.endpoint = None;
                Arc::make_mut(&mut peer.settings).keepalive.value = None;
            }
        }
    }
    if let Failure::Node(node) = failure {
        less.nodes[node.0 as usize].subnets.clear();
    }
    less
}

/// Every thing that can fail.
fn all(inventory: &Inventory, topology: &Topology) -> Vec<Failure> {
    let nodes = (0..).map(NodeId).take(topology.nodes.len()).map(Failure::Node);
    let links = (0..).map(InterfaceId).zip(&topology.interfaces).flat_map(|(id, interface)| {
        let peers = interface.peers.iter().filter(move |peer| id < peer.remote);
        peers.map(move |peer| Failure::Link(id, peer.remote))
    });
    let uplinks = (0..inventory.sites.len()).map(Failure::Uplink);
    nodes.chain(links).chain(uplinks).collect()
}

/// Whether an end is gone with a node: an address of it, or a LAN that only it leads to.
fn gone(topology: &Topology, lost: NodeId, point: &Point) -> bool {
    if point.network.is_some() {
        return point.node == lost;
    }
    let site = topology.node(point.node).site;
    let nodes = (0..).map(NodeId).zip(&topology.nodes);
    let mut leads = nodes.filter(|(id, node)| {
        let here = *id == point.node || (site.is_some() && node.site == site);
        here && node.subnets.iter().any(|net| net.value.contains(&point.addr))
    });
    leads.all(|(id, _)| id == lost)
}

fn compare(inventory: &Inventory, topology: &Topology) -> Result<u64, TestCaseError> {
    let working: Vec<Pair> = check::pairs(inventory, topology)
        .into_iter()
        .filter(|pair| pair.wanted && pair.cause.is_none())
        .collect();
    let mut lost_in_all = 0;
    let all = all(inventory, topology);
    let known = check::lost_with(inventory, topology, &all);
    for (failure, found) in all.into_iter().zip(known) {
        let less = without(inventory, topology, failure);
        let reference = Reference { inventory, topology: &less };
        let (mut ends, mut lost) = (0, 0);
        let (mut which, mut at) = (Vec::new(), Vec::new());
        for pair in &working {
            let at_it = match failure {
                Failure::Node(node) => {
                    gone(topology, node, &pair.from) || gone(topology, node, &pair.to)
                }
                _ => false,
            };
            if at_it {
                ends += 1;
                at.push((pair.from, pair.to));
            } else if !reference.flow(&pair.from, &pair.to) {
                lost += 1;
                which.push((pair.from, pair.to));
            }
        }
        let exits = full_tunnels(inventory, topology);
        if exits == 0 {
            prop_assert_eq!(found, (ends, lost), "{:?}: {:?} {:?}", failure, which, at);
        } else {
            // Flows to the Internet are counted, too: the reference has none.
            prop_assert!(found.0 >= ends && found.1 >= lost, "{:?}: {:?} {:?}", failure, which, at);
        }
        lost_in_all += lost;
    }
    classes(inventory, topology)?;
    Ok(lost_in_all)
}

fn full_tunnels(inventory: &Inventory, topology: &Topology) -> usize {
    let hosts = inventory.hosts.iter().flat_map(|host| &host.interfaces);
    let peers = inventory.peers.iter().filter(|peer| peer.settings.full_tunnel.get());
    let _ = topology;
    hosts.filter(|own| own.full_tunnel_via.is_some()).count() + peers.count()
}

/// The failure that stands for a class is like all of its hosts, and all things are in some class.
fn classes(inventory: &Inventory, topology: &Topology) -> Result<(), TestCaseError> {
    let failures = check::failures(inventory, topology);
    let counted: usize = failures.without.iter().map(|without| without.count).sum();
    let sites = (0..inventory.sites.len())
        .filter(|site| topology.nodes.iter().any(|node| node.site == Some(*site)));
    let empty = inventory.sites.len() - sites.count();
    prop_assert_eq!(counted + empty, all(inventory, topology).len());
    for without in &failures.without {
        let Failing::Host { .. } = &without.failing else { continue };
        let nodes = without.hosts.iter().map(|host| topology.find(host).expect("it is there"));
        let alike: Vec<Failure> = nodes.map(Failure::Node).collect();
        for found in check::lost_with(inventory, topology, &alike) {
            prop_assert_eq!(found, (without.ends, without.lost), "{:?}", alike);
        }
        prop_assert_eq!(without.ends + without.lost + without.survive, failures.flows);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(super::cases(CASES)) })]

    #[test]
    fn what_is_lost_is_what_a_fleet_without_it_lacks(spec in super::spec()) {
        let (inventory, topology) = super::fleet(&spec);
        compare(&inventory, &topology)?;
    }
}

#[test]
fn the_fleets_that_are_tried_lose_something() {
    let mut lost = 0;
    for spec in super::specs(20) {
        let (inventory, topology) = super::fleet(&spec);
        lost += compare(&inventory, &topology).expect("the two agree");
    }
    assert!(lost > 100, "{lost}");
}
