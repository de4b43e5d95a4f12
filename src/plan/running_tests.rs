//! States that run, rebuilt from what hosts say.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;

use super::*;
use crate::check::{Difference, Moved, State, difference};
use crate::finding::FlowEnd;
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
                endpoint: peer.address().and_then(Endpoint::socket_addr),
                allowed_ips: peer.allowed_ips.iter().copied().collect(),
                latest_handshake: 0,
                received: 0,
                sent: 0,
                keepalive: peer.keepalive(),
            };
            (key(peer.remote.0 as usize), observed)
        });
        ObservedInterface {
            backend: LiveBackend::Kernel,
            up: true,
            mtu: 1420,
            public_key: Some(key(index)),
            listen_port: interface.listen_port.value.map_or(0, crate::model::Port::get),
            fwmark: 0,
            addresses: interface.addresses.iter().map(|addr| addr.value).collect(),
            routes: BTreeSet::new(),
            unrouted: BTreeSet::new(),
            unruled: BTreeSet::new(),
            peers: peers.collect(),
        }
    };
    let host = |(index, node): (usize, &crate::topology::Node)| {
        let interfaces = [(topology.interfaces[index].name.value.clone(), interface(index))].into();
        let (forward_v4, forward_v6) = (node.forwards.v4.value, node.forwards.v6.value);
        let host = ObservedHost { interfaces, forward_v4, forward_v6, ..ObservedHost::default() };
        (node.name.clone(), host)
    };
    topology.nodes.iter().enumerate().map(host).collect()
}

fn fleet() -> (Inventory, Topology, BTreeMap<PublicKey, HostName>) {
    parse(FLEET)
}

/// A fleet whose hosts have keys by their number.
fn parse(text: &str) -> (Inventory, Topology, BTreeMap<PublicKey, HostName>) {
    let parsed = crate::inventory::parse(PathBuf::from("fleet.yaml"), text.to_owned());
    let inventory = parsed.inventory.unwrap_or_else(|| panic!("{text}{:#?}", parsed.findings));
    let topology =
        crate::topology::build(&inventory, &|_: &_, _: &_| -> Vec<IpAddr> { Vec::new() });
    let names = topology.nodes.iter().enumerate();
    let names = names.map(|(index, node)| (key(index), node.name.clone())).collect();
    (inventory, topology, names)
}

/// What applying `wanted` changes about what `seen` says.
fn moved(
    inventory: &Inventory,
    wanted: &Topology,
    names: &BTreeMap<PublicKey, HostName>,
    seen: &BTreeMap<HostName, ObservedHost>,
) -> Difference {
    let (before, runs) = running((inventory, wanted), names, |name| seen.get(name));
    difference(State::new(&before, &runs), State::new(inventory, wanted))
}

#[test]
fn what_runs_as_wanted_differs_in_nothing() {
    let (inventory, wanted, names) = fleet();
    let seen = observed(&wanted);
    assert!(moved(&inventory, &wanted, &names, &seen).is_empty());
}

#[test]
fn flows_are_gained_and_lost_with_a_packet_that_shows_it() {
    let (inventory, wanted, names) = fleet();
    let mut seen = observed(&wanted);
    let hub: HostName = "hub".parse().unwrap();
    seen.get_mut(&hub).unwrap().forward_v4 = false;
    let (before, runs) = running((&inventory, &wanted), &names, |name| seen.get(name));
    let (runs, after) = (State::new(&before, &runs), State::new(&inventory, &wanted));
    let moved = difference(runs, after);
    assert!(moved.lost.is_empty());
    assert_eq!(moved.gains(), 2, "a to b and back: {moved:?}");
    let first = &moved.gained[0];
    assert_eq!((&*first.from.to_string(), &*first.to.to_string()), ("`a`", "`b`"));
    let reason = first.reason.as_ref().unwrap();
    assert_eq!(reason.host.as_ref().map(HostName::as_str), Some("hub"), "{first:?}");
    // And the other way round, where the hub drops them.
    let back = difference(after, runs);
    assert_eq!(back.lost.len(), moved.gained.len());
    assert_eq!(back.lost_at[&hub], 2, "{back:?}");
    // A host on which nothing runs: all of its flows are gained.
    let a: HostName = "a".parse().unwrap();
    seen.get_mut(&a).unwrap().interfaces.clear();
    let moved = self::moved(&inventory, &wanted, &names, &seen);
    assert_eq!(moved.gains(), 4, "{moved:?}");
}

/// Applies `old`, then reads the hosts of `new` alone: what the new file costs.
fn change(old: &str, new: &str) -> Difference {
    let (_, ran, names) = parse(old);
    let seen = observed(&ran);
    let (inventory, wanted, _) = parse(new);
    let still = |name: &HostName| wanted.find(name).is_some();
    let seen = seen.into_iter().filter(|(name, _)| still(name)).collect();
    moved(&inventory, &wanted, &names, &seen)
}

/// `from to flows` of each row of lost flows.
fn lost(difference: &Difference) -> Vec<String> {
    let rows = difference.lost.iter();
    rows.map(|row| format!("{} {} {}", row.from, row.to, row.flows)).collect()
}

const SITES: &str = "fleet: f
networks: { n: { prefixes: 10.9.0.0/24, links: LINKS } }
sites:
  left:
    subnets: [10.50.0.0/24, 10.51.0.0/24]
    hosts: { a: { address: 10.9.0.2, endpoint: \"192.0.2.2:51820\", gateway: true } }
  right:
    subnets: 10.60.0.0/24
    hosts: { b: { address: 10.9.0.3, endpoint: \"192.0.2.3:51820\", gateway: true } }
hosts:
  hub: { address: 10.9.0.1, endpoint: \"192.0.2.1:51820\" }
  c: { address: 10.9.0.4, endpoint: \"192.0.2.4:51820\" }
";

#[test]
fn a_host_that_the_file_has_no_more_costs_its_flows() {
    for links in ["mesh", "{ hub: hub }"] {
        let old = SITES.replace("LINKS", links);
        let new = old.replace("  c: { address: 10.9.0.4, endpoint: \"192.0.2.4:51820\" }\n", "");
        let moved = change(&old, &new);
        assert_eq!(moved.gained, [], "{links}");
        // To and from: two hosts with sites of two and one LAN, and the hub.
        assert_eq!(moved.losses(), 2 * (3 + 2 + 1), "{links} {:#?}", moved.lost);
        let all = lost(&moved);
        assert!(all.contains(&"`hub` `c` 1".to_owned()), "{all:?}");
        let gone = "`c` is not there";
        let said = |row: &Moved| row.reason.as_ref().map(ToString::to_string);
        assert!(moved.lost.iter().any(|row| said(row).as_deref() == Some(gone)), "{moved:#?}");
        assert_eq!(moved.lost_at[&"b".parse().unwrap()], 4, "{:?}", moved.lost_at);
        // Once that is done it is no part of the fleet.
        let (inventory, wanted, names) = parse(&new);
        let seen = observed(&wanted);
        assert!(self::moved(&inventory, &wanted, &names, &seen).is_empty());
    }
}

#[test]
fn a_subnet_and_a_gateway_that_go_cost_their_flows() {
    for links in ["mesh", "{ hub: hub }"] {
        let old = SITES.replace("LINKS", links);
        let moved = change(&old, &old.replace(", 10.51.0.0/24]", "]"));
        assert_eq!(moved.gained, [], "{links}");
        // To and from the LAN: b, its LAN, the hub, c.
        assert_eq!(moved.losses(), 2 * 4, "{links} {:#?}", moved.lost);
        assert!(
            moved.lost.iter().any(|row| row.to.to_string() == "the LAN of 10.51.0.1"),
            "{moved:#?}"
        );
        let moved = change(&old, &old.replacen(", gateway: true", ", gateway: false", 1));
        assert_eq!(moved.gained, [], "{links}");
        assert_eq!(moved.losses(), 2 * 2 * 4, "{links} {:#?}", moved.lost);
    }
}

#[test]
fn a_site_and_a_hub_that_go_cost_their_flows() {
    let old = SITES.replace("LINKS", "{ hub: hub }");
    let right = old.find("  right:").unwrap();
    let hosts = old.find("hosts:\n  hub").unwrap();
    let moved = change(&old, &format!("{}{}", &old[..right], &old[hosts..]));
    // The host and its LAN, to and from: a, its two LANs, the hub, c.
    assert_eq!((moved.gains(), moved.losses()), (0, 2 * 2 * 5), "{:#?}", moved.lost);
    // Another hub takes over: nothing between the others is lost.
    let new = old
        .replace("hub: hub", "hub: c")
        .replace("  hub: { address: 10.9.0.1, endpoint: \"192.0.2.1:51820\" }\n", "");
    let moved = change(&old, &new);
    assert_eq!(moved.gained, [], "{moved:#?}");
    let hub = FlowEnd::Host { host: "hub".parse().unwrap() };
    let between = |row: &&crate::check::Moved| row.from != hub && row.to != hub;
    assert_eq!(moved.lost.iter().find(between), None);
}

#[test]
fn a_lan_that_moves_to_another_gateway_is_not_lost() {
    let old = SITES.replace("LINKS", "mesh").replace("c: {", "c: { subnets: 10.70.0.0/24,");
    let new = old
        .replace("c: { subnets: 10.70.0.0/24,", "c: {")
        .replace("hub: { address", "hub: { subnets: 10.70.0.0/24, address");
    assert_eq!(change(&old, &new), Difference::default());
}

#[test]
fn a_network_that_the_file_has_no_more_costs_its_flows() {
    let old = "fleet: f
networks:
  n: { prefixes: 10.9.0.0/24 }
  m: { prefixes: 10.8.0.0/24, interface: wg1, links: { hub: b } }
hosts:
  a: { networks: { n: { address: 10.9.0.1, endpoint: \"192.0.2.1:1\" }, m: { address: 10.8.0.1, endpoint: \"192.0.2.1:2\" } } }
  b: { networks: { n: { address: 10.9.0.2, endpoint: \"192.0.2.2:1\" }, m: { address: 10.8.0.2, endpoint: \"192.0.2.2:2\" } } }
  c: { networks: { n: { address: 10.9.0.3, endpoint: \"192.0.2.3:1\" }, m: { address: 10.8.0.3, endpoint: \"192.0.2.3:2\" } } }
";
    let cut = |text: &str, from: &str, to: &str| {
        let mut text = text.to_owned();
        while let Some(start) = text.find(from) {
            let end = start + text[start..].find(to).unwrap();
            text.replace_range(start..end, "");
        }
        text
    };
    // Keys are by host here.
    let (_, ran, _) = parse(old);
    let mut seen = observed_by_node(&ran);
    let names = |topology: &Topology| -> BTreeMap<PublicKey, HostName> {
        let nodes = topology.nodes.iter().enumerate();
        nodes.map(|(index, node)| (key(100 + index), node.name.clone())).collect()
    };
    let names = names(&ran);
    let without = cut(&cut(old, ", m: { address", " } }\n"), "  m: {", "hosts:");
    let (inventory, wanted, _) = parse(&without);
    let moved = self::moved(&inventory, &wanted, &names, &seen);
    // Of each ordered pair of hosts: to the address there, from it, and between the two.
    assert_eq!((moved.gains(), moved.losses()), (0, 18), "{moved:#?}");
    // One host leaves the network, the others stay.
    let leaves = old.replacen(", m: { address: 10.8.0.3, endpoint: \"192.0.2.3:2\" }", "", 1);
    let (inventory, wanted, _) = parse(&leaves);
    let moved = self::moved(&inventory, &wanted, &names, &seen);
    // To and from its address there, and what it sends to those of the two others.
    assert_eq!((moved.gains(), moved.losses()), (0, 10), "{moved:#?}");
    // What is not of this fleet counts for nothing.
    for host in seen.values_mut() {
        for live in host.interfaces.values_mut() {
            live.public_key = Some(key(90));
            live.peers.clear();
        }
    }
    let none: HostName = "a".parse().unwrap();
    let alone = [(none.clone(), seen[&none].clone())].into();
    let (inventory, wanted, _) = parse(&without);
    assert!(self::moved(&inventory, &wanted, &names, &alone).lost.is_empty());
}

/// The same where a host has one key on all its interfaces, as wgfleet does it.
fn observed_by_node(topology: &Topology) -> BTreeMap<HostName, ObservedHost> {
    let mut all = observed(topology);
    for (index, node) in topology.nodes.iter().enumerate() {
        let host = all.get_mut(&node.name).unwrap();
        host.interfaces.clear();
        for id in &node.interfaces {
            let interface = topology.interface(*id);
            let peers = interface.peers.iter().map(|peer| {
                let observed = ObservedPeer {
                    psk: ObservedPsk::None,
                    endpoint: peer.address().and_then(Endpoint::socket_addr),
                    allowed_ips: peer.allowed_ips.iter().copied().collect(),
                    latest_handshake: 0,
                    received: 0,
                    sent: 0,
                    keepalive: peer.keepalive(),
                };
                (key(100 + topology.interface(peer.remote).node.0 as usize), observed)
            });
            let live = ObservedInterface {
                backend: LiveBackend::Kernel,
                up: true,
                mtu: 1420,
                public_key: Some(key(100 + index)),
                listen_port: interface.listen_port.value.map_or(0, crate::model::Port::get),
                fwmark: 0,
                addresses: interface.addresses.iter().map(|addr| addr.value).collect(),
                routes: BTreeSet::new(),
                unrouted: BTreeSet::new(),
                unruled: BTreeSet::new(),
                peers: peers.collect(),
            };
            host.interfaces.insert(interface.name.value.clone(), live);
        }
    }
    all
}

#[test]
fn a_host_that_was_not_read_is_as_the_base_says() {
    let old = SITES.replace("LINKS", "mesh");
    let (base, ran, names) = parse(&old);
    let mut seen = observed(&ran);
    let b: HostName = "b".parse().unwrap();
    seen.remove(&b);
    let (inventory, runs) = running((&base, &ran), &names, |name| seen.get(name));
    let same = difference(State::new(&inventory, &runs), State::new(&base, &ran));
    assert!(same.is_empty(), "{same:#?}");
}
