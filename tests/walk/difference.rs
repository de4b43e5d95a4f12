//! The difference of two states of a fleet, against single flows that the slow reference walks.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use proptest::prelude::*;
use wgfleet::check::{Difference, Point, State, difference};
use wgfleet::finding::FlowEnd;
use wgfleet::inventory::{self, Inventory};
use wgfleet::topology::{self, NodeId, Topology};

use super::reference::Reference;
use super::{HostSpec, Spec, cases, mutate, spec, yaml};

/// What becomes of a fleet: hosts that another takes the place of, one that goes, one that moves
/// in the file, other links, other mutations.
#[derive(Debug, Clone)]
pub(crate) struct Edit {
    hosts: Vec<(u8, HostSpec)>,
    gone: Option<u8>,
    pub(crate) first: bool,
    shapes: Option<[u8; 2]>,
    mutate: bool,
}

pub(crate) fn edit() -> impl Strategy<Value = (Spec, Spec, Edit)> {
    let rest = (
        proptest::collection::vec(any::<u8>(), 0..3),
        proptest::option::of(any::<u8>()),
        any::<bool>(),
        proptest::option::of(any::<[u8; 2]>()),
        any::<bool>(),
    );
    (spec(), spec(), rest).prop_map(|(one, other, (places, gone, first, shapes, mutate))| {
        let hosts = places.into_iter().zip(other.hosts.iter().cloned()).collect();
        (one, other.clone(), Edit { hosts, gone, first, shapes, mutate })
    })
}

fn parse(text: &str) -> (Inventory, Topology) {
    let parsed = inventory::parse(PathBuf::from("fleet.yaml"), text.to_owned());
    let inventory = parsed.inventory.unwrap_or_else(|| panic!("{text}\n{:#?}", parsed.findings));
    let topology = topology::build(&inventory, &|_: &_, _: &_| -> Vec<IpAddr> { Vec::new() });
    (inventory, topology)
}

/// Both states of a fleet.
pub(crate) fn states(spec: &Spec, other: &Spec, edit: &Edit) -> [(Inventory, Topology); 2] {
    let mut spec = spec.clone();
    // The reference knows LANs of sites only.
    for peer in &mut spec.peers {
        peer.switches &= !16;
    }
    let mut after = spec.clone();
    for (place, host) in &edit.hosts {
        let index = usize::from(*place) % after.hosts.len();
        after.hosts[index] = host.clone();
    }
    after.shapes = edit.shapes.unwrap_or(after.shapes);
    // A peer's host is the first: no edit takes it away.
    for peer in spec.peers.iter_mut().chain(&mut after.peers) {
        peer.via = 0;
    }
    let before = yaml(&spec);
    let mut text = yaml(&after);
    let line = |text: &str, host: usize| -> Option<(usize, usize)> {
        let start = text.find(&format!("  h{host}: "))?;
        Some((start, start + text[start..].find('\n')? + 1))
    };
    if let Some(gone) = edit.gone {
        let gone = 1 + usize::from(gone) % (after.hosts.len() - 1);
        let (start, end) = line(&text, gone).expect("the host is there");
        text.replace_range(start..end, "");
    }
    if edit.first
        && let Some((start, end)) = line(&text, 1)
    {
        let moved = text[start..end].to_owned();
        text.replace_range(start..end, "");
        let hosts = text.find("hosts:\n  h").expect("there are hosts") + "hosts:\n".len();
        text.insert_str(hosts, &moved);
    }
    let (inventory, mut topology) = parse(&before);
    mutate(&mut topology, &spec.mutations);
    let (later, mut wanted) = parse(&text);
    mutate(&mut wanted, if edit.mutate { &other.mutations } else { &spec.mutations });
    [(inventory, topology), (later, wanted)]
}

/// Every prefix by which something tells addresses apart.
pub(crate) fn boundaries((inventory, topology): &(Inventory, Topology)) -> Vec<IpNet> {
    let networks = inventory.networks.iter().flat_map(|network| &network.prefixes);
    let sites = inventory.sites.iter().flat_map(|site| &site.subnets);
    let own = topology.nodes.iter().flat_map(|node| &node.subnets);
    let mut nets: Vec<IpNet> = networks.chain(sites).chain(own).map(|net| net.value).collect();
    nets.extend(topology.nodes.iter().flat_map(|node| node.masquerade.iter()));
    for interface in &topology.interfaces {
        nets.extend(interface.addresses.iter().map(|addr| addr.value.trunc()));
        nets.extend(interface.addresses.iter().map(|addr| IpNet::from(addr.value.addr())));
        nets.extend(interface.peers.iter().flat_map(|peer| peer.allowed_ips.iter().copied()));
    }
    nets
}

/// An end by name: the host of a tunnel address, or the site of a LAN's.
pub(crate) type Key = (String, IpAddr);

/// Every end of a state: each tunnel address, and of each LAN one address for all that nothing in
/// either state tells apart.
pub(crate) fn ends(state: &(Inventory, Topology), nets: &[IpNet]) -> BTreeMap<Key, Point> {
    let (inventory, topology) = state;
    let mut ends = BTreeMap::new();
    let mut taken = BTreeSet::new();
    for interface in &topology.interfaces {
        for addr in interface.addresses.iter().map(|addr| addr.value.addr()) {
            let name = topology.node(interface.node).name.to_string();
            let network = Some(interface.network);
            ends.insert((name, addr), Point { node: interface.node, addr, network });
            taken.insert(addr);
        }
    }
    for (id, node) in (0..).map(NodeId).zip(&topology.nodes) {
        let Some(site) = node.site else { continue };
        let site = format!("site {}", inventory.sites[site].name.value);
        let mut known = BTreeSet::new();
        for subnet in &node.subnets {
            let (low, count) = (subnet.value.network(), 8_u8);
            for offset in 0..count {
                let addr = match low {
                    IpAddr::V4(low) => IpAddr::V4((u32::from(low) + u32::from(offset)).into()),
                    IpAddr::V6(low) => IpAddr::V6((u128::from(low) + u128::from(offset)).into()),
                };
                let held: Vec<usize> =
                    (0..nets.len()).filter(|index| nets[*index].contains(&addr)).collect();
                if known.insert(held) && !taken.contains(&addr) {
                    let point = Point { node: id, addr, network: None };
                    ends.entry((site.clone(), addr)).or_insert(point);
                }
            }
        }
    }
    ends
}

/// Whether no tunnel is between two ends: they are at one host, or at one site where a LAN is one.
pub(crate) fn together(topology: &Topology, a: &Point, b: &Point) -> bool {
    let with_lan = a.network.is_none() || b.network.is_none();
    let site = |point: &Point| topology.node(point.node).site.filter(|_| with_lan);
    match (site(a), site(b)) {
        (Some(a), Some(b)) => a == b,
        (None, None) => a.node == b.node,
        _ => false,
    }
}

/// How many flows begin and cease to work, one by one.
fn slow(states: &[(Inventory, Topology); 2]) -> [u64; 2] {
    let nets: Vec<IpNet> =
        states.iter().flat_map(boundaries).collect::<BTreeSet<_>>().into_iter().collect();
    let ends = [ends(&states[0], &nets), ends(&states[1], &nets)];
    let keys: BTreeSet<&Key> = ends.iter().flat_map(BTreeMap::keys).collect();
    let mut counts = [0, 0];
    for from in &keys {
        for to in keys.iter().filter(|to| to.1.is_ipv4() == from.1.is_ipv4() && *to != from) {
            let mut works = [false, false];
            let mut local = false;
            for (side, (inventory, topology)) in states.iter().enumerate() {
                let points = ends[side].get(*from).zip(ends[side].get(*to));
                let Some((a, b)) = points else { continue };
                if together(topology, a, b) {
                    local = true;
                    continue;
                }
                works[side] = Reference { inventory, topology }.flow(a, b);
            }
            if !local && works[0] != works[1] {
                counts[usize::from(works[0])] += 1;
            }
        }
    }
    counts
}

fn fast(states: &[(Inventory, Topology); 2]) -> Difference {
    let [before, after] = states;
    difference(State::new(&before.0, &before.1), State::new(&after.0, &after.1))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases(600)) })]

    /// Flows gained and lost are those that single flows are, one by one, over two files.
    #[test]
    fn flows_of_two_files_differ_where_every_single_flow_does((spec, other, edit) in edit()) {
        let states = states(&spec, &other, &edit);
        let found = fast(&states);
        // What full tunnels reach outside is no flow between two ends.
        let inside = |rows: &[wgfleet::check::Moved]| -> u64 {
            rows.iter().filter(|row| row.to != FlowEnd::Internet).map(|row| row.flows).sum()
        };
        let [gained, lost] = slow(&states);
        prop_assert_eq!((inside(&found.gained), inside(&found.lost)), (gained, lost), "{:#?}", found);
        // Every flow that is lost is counted at some host, and no host is blamed for none.
        prop_assert_eq!(found.losses() > 0, !found.lost_at.is_empty(), "{:#?}", found);
        prop_assert!(found.lost_at.values().all(|flows| *flows > 0), "{:#?}", found);
        // Each host counts a flow once.
        prop_assert!(found.lost_at.values().all(|flows| *flows <= found.losses()), "{:#?}", found);
        // The other way round it is the other way round.
        let [before, after] = states;
        let back = fast(&[after, before]);
        prop_assert_eq!((back.gains(), back.losses()), (found.losses(), found.gains()));
    }
}
