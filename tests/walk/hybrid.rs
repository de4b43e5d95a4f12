//! Fleets of which some hosts have changed: what is said of them, against single flows that the slow
//! reference walks through each mixture.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use proptest::prelude::*;
use wgfleet::check::{Changing, Clashing, Hybrids, Role, State, hybrids};
use wgfleet::finding::FlowEnd;
use wgfleet::inventory::Inventory;
use wgfleet::model::HostName;
use wgfleet::topology::{Forwards, Interface, InterfaceId, Node, NodeId, NodeKind, Topology, mix};

use super::cases;
use super::difference::{Key, boundaries, edit, ends, states, together};
use super::reference::Reference;

type Fleet = (Inventory, Topology);

fn hosts(fleet: &Fleet) -> BTreeSet<HostName> {
    let nodes = fleet.1.nodes.iter();
    let hosts = nodes.filter(|node| matches!(node.kind, NodeKind::Host(_)));
    hosts.map(|node| node.name.clone()).collect()
}

/// Gives `fleet` each host and interface that only `other` has, with nothing on it: a peer that is not
/// there yet is no reason to send its packets elsewhere. Both have the same networks and sites.
fn pad(fleet: &Fleet, other: &Fleet) -> Fleet {
    let (mut inventory, mut topology) = fleet.clone();
    for node in &other.1.nodes {
        let NodeKind::Host(index) = node.kind else { continue };
        let id = topology.find(&node.name).unwrap_or_else(|| {
            inventory.hosts.push(other.0.hosts[index].clone());
            topology.nodes.push(Node {
                kind: NodeKind::Host(inventory.hosts.len() - 1),
                interfaces: Vec::new(),
                subnets: Vec::new(),
                forwards: Forwards::default(),
                ..node.clone()
            });
            NodeId(u32::try_from(topology.nodes.len() - 1).expect("few nodes"))
        });
        for own in node.interfaces.iter().map(|id| other.1.interface(*id)) {
            if topology.member(id, own.network).is_none() {
                let interface = InterfaceId(u32::try_from(topology.interfaces.len()).expect("few"));
                let (addresses, peers) = (Vec::new(), Vec::new());
                topology.interfaces.push(Interface { node: id, addresses, peers, ..own.clone() });
                topology.nodes[id.0 as usize].interfaces.push(interface);
            }
        }
    }
    (inventory, topology)
}

/// All flows that work once the hosts of `changed` are as they are wanted, one by one.
fn works(
    states: &[Fleet; 2],
    nets: &[IpNet],
    changed: &BTreeSet<HostName>,
) -> BTreeSet<(Key, Key)> {
    let [before, after] = states;
    let foreign = |name: &HostName| {
        let node = after.1.find(name).map(|id| after.1.node(id));
        node.is_some_and(|node| matches!(node.kind, NodeKind::Unmanaged(_)))
    };
    let state = mix((&before.0, &before.1), (&after.0, &after.1), |name| {
        changed.contains(name) || foreign(name)
    });
    let ends = ends(&state, nets);
    let (inventory, topology) = (&state.0, &state.1);
    let reference = Reference { inventory, topology };
    let mut works = BTreeSet::new();
    for (from, a) in &ends {
        for (to, b) in ends.iter().filter(|(to, _)| to.1.is_ipv4() == from.1.is_ipv4()) {
            if from != to && !together(topology, a, b) && reference.flow(a, b) {
                works.insert((from.clone(), to.clone()));
            }
        }
    }
    works
}

/// What has to change together.
fn groups(hosts: &BTreeSet<HostName>, hybrids: &Hybrids) -> Vec<BTreeSet<HostName>> {
    let mut groups: Vec<BTreeSet<HostName>> =
        hosts.iter().map(|host| BTreeSet::from([host.clone()])).collect();
    for clash in &hybrids.clashes {
        let (with, mut rest): (Vec<_>, Vec<_>) = groups
            .into_iter()
            .partition(|group| clash.hosts.iter().any(|host| group.contains(host)));
        rest.push(with.into_iter().flatten().collect());
        groups = rest;
    }
    groups
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases(400)) })]

    /// Whichever groups have changed: what works before and afterwards works. And where no two hosts
    /// have to change together, every order is good; where some have to, some order is not.
    #[test]
    fn whatever_groups_have_changed_flows_work(
        (spec, other, mut edit) in edit(),
        stays in proptest::option::weighted(0.3, any::<u8>()),
        picks in proptest::collection::vec(any::<u16>(), 6),
    ) {
        // Which of two peers with one prefix gets it depends on the order of the file.
        edit.first = false;
        let states = states(&spec, &other, &edit);
        let nets: BTreeSet<IpNet> = states.iter().flat_map(boundaries).collect();
        let nets: Vec<IpNet> = nets.into_iter().collect();
        let mut changing = Changing::default();
        let wanted: Vec<HostName> = hosts(&states[1]).into_iter().collect();
        for (index, name) in wanted.iter().enumerate() {
            let role = match stays {
                Some(stays) if usize::from(stays) % wanted.len() == index => Role::Stays,
                _ => Role::Changes,
            };
            changing.roles.insert(name.clone(), role);
        }
        let changes: BTreeSet<HostName> = changing
            .roles
            .iter()
            .filter(|(_, role)| **role == Role::Changes)
            .map(|(name, _)| name.clone())
            .collect();
        let (before, after) = (State::new(&states[0].0, &states[0].1), State::new(&states[1].0, &states[1].1));
        let found = hybrids(before, after, &changing);
        let states = [pad(&states[0], &states[1]), pad(&states[1], &states[0])];
        let kept: BTreeSet<(Key, Key)> = works(&states, &nets, &BTreeSet::new())
            .intersection(&works(&states, &nets, &changes))
            .cloned()
            .collect();
        let broken = |changed: &BTreeSet<HostName>| {
            let works = works(&states, &nets, changed);
            kept.iter().find(|flow| !works.contains(*flow)).cloned()
        };
        let groups = groups(&changes, &found);
        for pick in &picks {
            let chosen = groups.iter().enumerate().filter(|(index, _)| pick >> (index % 16) & 1 == 1);
            let changed: BTreeSet<HostName> = chosen.flat_map(|(_, group)| group.clone()).collect();
            let lost = broken(&changed);
            prop_assert_eq!(lost, None, "{:?} of {:?}: {:#?}", changed, groups, found);
        }
        // What tunnels of hosts that have changed and others do with encrypted packets is not looked at.
        let outside = found.clashes.iter().any(|clash| {
            clash.to == FlowEnd::Internet || clash.because == Clashing::Carrier
        });
        // An address that takes the place of another is the same end to a change.
        let moved = ends_moved(&states);
        if !found.clashes.is_empty() && !outside && !moved && changes.len() <= 6 {
            let names: Vec<&HostName> = changes.iter().collect();
            let mut all = 0..1_u32 << names.len();
            let breaks = all.any(|bits| {
                let changed = names.iter().enumerate().filter(|(index, _)| bits >> index & 1 == 1);
                broken(&changed.map(|(_, name)| (*name).clone()).collect()).is_some()
            });
            prop_assert!(breaks, "every order is good: {:#?}", found);
        }
    }
}

/// Whether a host has another address in a network than before.
fn ends_moved(states: &[Fleet; 2]) -> bool {
    let addresses = |(inventory, topology): &Fleet| {
        let mut all: BTreeMap<(HostName, String), BTreeSet<IpNet>> = BTreeMap::new();
        for own in &topology.interfaces {
            let network = inventory.networks[own.network].name.value.to_string();
            let name = topology.node(own.node).name.clone();
            all.entry((name, network))
                .or_default()
                .extend(own.addresses.iter().map(|net| net.value));
        }
        all
    };
    let (old, new) = (addresses(&states[0]), addresses(&states[1]));
    old.iter().any(|(key, nets)| new.get(key).is_some_and(|other| other != nets))
}
