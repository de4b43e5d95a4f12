//! What must hold of every derived topology, against a slow and obvious reference.
//!
//! Fleets are written as text and parsed, so that the parser takes part. The reference knows the
//! links from the generated specification alone and follows single packets hop by hop.

mod fabric;
mod spec;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;

use fabric::{Fabric, holds, reachable};
use ipnet::IpNet;
use proptest::prelude::*;
use spec::spec;
use wgfleet::check;
use wgfleet::finding::{Code, Severity};
use wgfleet::inventory::{Inventory, parse};
use wgfleet::model::{HostName, NetworkName};
use wgfleet::topology::{self, InterfaceId, NodeKind, Topology};

fn inventory(text: &str) -> Inventory {
    let parsed = parse(PathBuf::from("fleet.yaml"), text.to_owned());
    parsed.inventory.unwrap_or_else(|| panic!("{text}\n{:?}", parsed.findings))
}

fn no_addresses(_: &NetworkName, _: &HostName) -> Vec<IpAddr> {
    Vec::new()
}

fn topology(text: &str) -> Topology {
    topology::build(&inventory(text), &no_addresses)
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_wanted_packet_arrives_and_so_does_its_answer(spec in spec()) {
        let order: Vec<usize> = (0..spec.hosts.len()).collect();
        let inventory = inventory(&spec.yaml(&order));
        let topology = topology::build(&inventory, &no_addresses);
        for network in 0..spec.networks.len() {
            let fabric = Fabric::new(&inventory, &topology, network);
            let (links, transit) = spec.graph(network);
            for from in &fabric.members {
                let peers: BTreeSet<(String, String)> = topology.interface(*from).peers.iter()
                    .map(|peer| (fabric.name(*from).to_owned(), fabric.name(peer.remote).to_owned()))
                    .collect();
                let wanted = links.iter().filter(|(a, _)| a == fabric.name(*from)).cloned().collect();
                prop_assert_eq!(peers, wanted, "links of {}", fabric.name(*from));
                for (to, hops) in reachable(&links, &transit, fabric.name(*from)) {
                    let to = fabric.find(&to);
                    for source in fabric.probes(*from) {
                        for target in fabric.probes(to) {
                            if source.is_ipv4() != target.is_ipv4()
                                || fabric.owner(source) != Some(*from)
                                || fabric.owner(target) != Some(to)
                                || fabric.members.iter().any(|id| {
                                    *id != *from && fabric.is_beside(*id, source)
                                        || *id != to && fabric.is_beside(*id, target)
                                })
                            {
                                continue;
                            }
                            let there = fabric.follow(*from, source, target);
                            let told = format!("{source} -> {target}: {there:?}\n{}", spec.yaml(&order));
                            let there = there.map_err(|_| TestCaseError::fail(told.clone()))?;
                            let mut back = fabric.follow(to, target, source)
                                .map_err(|why| TestCaseError::fail(format!("back: {why}; {told}")))?;
                            back.reverse();
                            prop_assert_eq!(&there, &back, "{}", told);
                            prop_assert_eq!(there.len(), hops + 1, "the shortest way: {}", told);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn no_packet_goes_in_circles(spec in spec()) {
        let order: Vec<usize> = (0..spec.hosts.len()).collect();
        let inventory = inventory(&spec.yaml(&order));
        let topology = topology::build(&inventory, &no_addresses);
        for network in 0..spec.networks.len() {
            let fabric = Fabric::new(&inventory, &topology, network);
            let mut targets: BTreeSet<IpAddr> = fabric.members.iter().flat_map(|id| fabric.probes(*id)).collect();
            targets.extend(["10.1.0.200", "10.1.0.70", "10.2.0.200", "fd10::99", "203.0.113.9"].map(|a| a.parse::<IpAddr>().unwrap()));
            let mut disputed = None;
            for from in &fabric.members {
                let sources = topology.tunnel_addresses(*from);
                let packets: Vec<_> = sources.flat_map(|s| targets.iter().map(move |t| (s, t))).collect();
                for (source, target) in packets {
                    let (mut at, mut steps) = (*from, 0);
                    while !fabric.own(at).iter().any(|net| holds(net, *target))
                        && !fabric.is_beside(at, *target)
                    {
                        let Some(next) = fabric.lookup(at, *target) else { break };
                        if fabric.disputed(at, *target) {
                            disputed = Some((at, *target));
                            break;
                        }
                        if fabric.lookup(next, source) != Some(at) {
                            break;
                        }
                        at = next;
                        steps += 1;
                        prop_assert!(steps <= fabric.members.len(), "{} from {}\n{}", target, fabric.name(*from), spec.yaml(&order));
                        // Only a host passes on what is not its own.
                        if matches!(topology.node(topology.interface(at).node).kind, NodeKind::Unmanaged(_)) {
                            break;
                        }
                    }
                }
            }
            if let Some((at, target)) = disputed {
                let told = check::check(&inventory, &topology);
                let told = told.iter().any(|finding| {
                    finding.severity == Severity::Error
                        && matches!(finding.code, Code::DuplicateAllowedIp | Code::EqualLans)
                });
                prop_assert!(told, "{} on {}\n{}", target, fabric.name(at), spec.yaml(&order));
            }
        }
    }

    #[test]
    fn lists_hold_nothing_that_contradicts(spec in spec()) {
        let order: Vec<usize> = (0..spec.hosts.len()).collect();
        let text = spec.yaml(&order);
        let inventory = inventory(&text);
        let topology = topology::build(&inventory, &no_addresses);
        for network in 0..spec.networks.len() {
            let fabric = Fabric::new(&inventory, &topology, network);
            for id in &fabric.members {
                let own = fabric.own(*id);
                let mut seen: BTreeMap<IpNet, InterfaceId> = BTreeMap::new();
                for peer in &topology.interface(*id).peers {
                    let within: BTreeSet<&IpNet> = peer.allowed_ips.iter().collect();
                    prop_assert_eq!(within.len(), peer.allowed_ips.len(), "twice in one list");
                    for net in peer.allowed_ips.iter() {
                        prop_assert!(!own.contains(net), "{} has {net} itself\n{text}", fabric.name(*id));
                        if let Some(other) = seen.insert(*net, peer.remote) {
                            let owners = fabric.members.iter().filter(|id| fabric.own(**id).contains(net)).count();
                            prop_assert!(owners > 1, "{}: {net} on {} and {}\n{text}", fabric.name(*id), fabric.name(other), fabric.name(peer.remote));
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn the_order_of_hosts_means_nothing(spec in spec(), seed in any::<u64>()) {
        let order: Vec<usize> = (0..spec.hosts.len()).collect();
        let mut other = order.clone();
        other.sort_by_key(|index| (*index as u64 + 1).wrapping_mul(seed | 1) >> 7);
        let (one, two) = (spec.yaml(&order), spec.yaml(&other));
        prop_assert_eq!(by_name(&topology(&one)), by_name(&topology(&two)), "{}\n{}", one, two);
    }

    #[test]
    fn everything_else_goes_to_the_exit(spec in spec()) {
        let order: Vec<usize> = (0..spec.hosts.len()).collect();
        let text = spec.yaml(&order);
        let inventory = inventory(&text);
        let topology = topology::build(&inventory, &no_addresses);
        for host in 0..spec.hosts.len() {
            let Some((network, exit)) = spec.exit_of(host) else { continue };
            let fabric = Fabric::new(&inventory, &topology, network);
            let (from, exit) = (fabric.find(&format!("h{host}")), fabric.find(&format!("h{exit}")));
            let outside: IpAddr = "203.0.113.9".parse().unwrap();
            prop_assert_eq!(fabric.lookup(from, outside), Some(exit));
            let source = topology.tunnel_addresses(from).find(IpAddr::is_ipv4).unwrap();
            if fabric.owner(source) == Some(from) {
                prop_assert_eq!(fabric.lookup(exit, source), Some(from));
            }
            let node = topology.node(topology.interface(exit).node);
            prop_assert!(node.exit.value && node.forwards.v4.value && !node.masquerade.is_empty());
        }
    }
}

/// Everything that is derived, without the numbers that the order gives.
fn by_name(topology: &Topology) -> BTreeMap<(String, usize), String> {
    let mut all = BTreeMap::new();
    for interface in &topology.interfaces {
        let node = topology.node(interface.node);
        let mut text = format!(
            "{:?} {:?} {:?} {} {:?} {:?}",
            interface.addresses.iter().map(|a| a.value).collect::<Vec<_>>(),
            interface.listen_port.value,
            node.forwards.families(),
            interface.mtu,
            node.masquerade.value,
            node.exit.value,
        );
        let peers: BTreeMap<&str, String> = interface
            .peers
            .iter()
            .map(|peer| {
                let what = format!(
                    "{:?} {:?} {:?} {}",
                    peer.allowed_ips.value,
                    peer.address(),
                    peer.keepalive(),
                    peer.settings.psk.value
                );
                (topology.remote(peer).name.as_str(), what)
            })
            .collect();
        let _ = write!(text, " {peers:#?}");
        all.insert((node.name.to_string(), interface.network), text);
    }
    all
}

/// The entries of all `AllowedIPs` that are kept: a list that several peers share counts once.
fn entries(topology: &Topology) -> usize {
    let peers = topology.interfaces.iter().flat_map(|interface| &interface.peers);
    let lists = peers.map(|peer| (peer.allowed_ips.base().0, peer.allowed_ips.base().1.len()));
    lists.collect::<BTreeSet<_>>().into_iter().map(|(_, entries)| entries).sum()
}

/// A fleet of some hosts beside its hubs: its text, and the peers of its first host.
fn large(shape: &str, hosts: usize) -> (String, usize) {
    let (links, first, lans, transit) = match shape {
        "mesh" => ("mesh", "", true, false),
        "mesh, all transit" => ("mesh", "", false, true),
        "2 hubs" => ("{ hub: [hub-0, hub-1] }", "  hub-0: {}\n  hub-1: {}\n", false, false),
        _ => ("{ hub: [hub-0, hub-1] }", "  hub-0: {}\n  hub-1: {}\n", true, false),
    };
    let mut text = format!(
        "fleet: large\nnetworks: {{ n: {{ prefixes: [10.0.0.0/16], links: {links} }} }}\n\
         defaults: {{ transit: {transit} }}\nhosts:\n{first}"
    );
    for index in 0..hosts {
        let (high, low) = (16 + index / 256, index % 256);
        let lan = if lans { format!("subnets: 172.{high}.{low}.0/24") } else { String::new() };
        let _ = writeln!(text, "  h-{index}: {{ {lan} }}");
    }
    (text, if first.is_empty() { hosts - 1 } else { hosts + 1 })
}

/// A mesh of n hosts has n² sessions: what is kept of them grows with the hosts all the same, and so it does
/// where each spoke's list leaves out its own LAN.
/// Counted, for time says more about the machine.
#[test]
fn entries_grow_with_hosts_and_not_with_pairs() {
    let [few, many] = [100, 400];
    for shape in ["mesh", "mesh, all transit", "2 hubs", "2 hubs, a LAN each"] {
        let kept = [few, many].map(|hosts| {
            let (text, peers) = large(shape, hosts);
            let inventory = inventory(&text);
            let (lock, _) =
                wgfleet::inventory::allocate(&inventory, &wgfleet::inventory::LockFile::default());
            let addresses =
                |network: &NetworkName, name: &HostName| lock.address(network, name).to_vec();
            let topology = topology::build(&inventory, &addresses);
            assert_eq!(topology.interfaces[0].peers.len(), peers, "{shape}");
            entries(&topology)
        });
        assert!(kept[1] <= 5 * kept[0], "{shape}: {kept:?} entries of {few} and of {many} hosts");
    }
}

/// Two ends and two ways between them, each through two of four hosts that pass traffic on.
fn two_ways(names: [&str; 4], hosts: &[&str]) -> String {
    let [a, b, c, d] = names;
    let mut text = format!(
        "fleet: ways\nnetworks:\n  n: {{ prefixes: [10.0.0.0/24], links: [[from, {a}], [{a}, {b}], \
         [{b}, to], [from, {c}], [{c}, {d}], [{d}, to]] }}\nhosts:\n"
    );
    for host in hosts {
        let all = ["from", "to", "h0", "h1", "h2", "h3"];
        let number = all.iter().position(|name| name == host).unwrap() + 1;
        let transit = host.starts_with('h');
        let _ = writeln!(text, "  {host}: {{ address: 10.0.0.{number}, transit: {transit} }}");
    }
    text
}

/// The sums that names which count up give are often the same: those of `h0` and `h3`, and of `h1` and
/// `h2`. All the same both ends take one way, whatever the order of the file.
#[test]
fn both_ends_choose_the_same_of_two_ways() {
    let mut hosts = ["from", "to", "h0", "h1", "h2", "h3"];
    for names in [["h0", "h3", "h1", "h2"], ["h0", "h2", "h1", "h3"], ["h3", "h0", "h1", "h2"]] {
        let mut chosen = BTreeSet::new();
        for turns in 0..12 {
            hosts.rotate_left(1);
            if turns == 6 {
                hosts.reverse();
            }
            let text = two_ways(names, &hosts);
            let inventory = inventory(&text);
            let topology = topology::build(&inventory, &no_addresses);
            let fabric = Fabric::new(&inventory, &topology, 0);
            let (from, to) = (fabric.find("from"), fabric.find("to"));
            let [source, target] = ["10.0.0.1", "10.0.0.2"].map(|a| a.parse().unwrap());
            let there = fabric.follow(from, source, target).expect("a path");
            let mut back = fabric.follow(to, target, source).expect("an answer");
            back.reverse();
            assert_eq!(there, back, "{text}");
            chosen.insert(fabric.name(there[1]).to_owned());
        }
        assert_eq!(chosen.len(), 1, "{names:?}");
    }
}

/// Hand-made spokes have addresses without a prefix, and pairs of one network differ in their keys.
#[test]
fn a_pair_and_an_address_may_differ_from_their_network() {
    let topology = topology(
        "fleet: f
networks: { n: { prefixes: [10.0.0.0/24, \"fd00::/64\"], psk: pairwise } }
hosts:
  a: { address: [10.0.0.1, \"fd00::1\"], peers: { b: { psk: none }, p: { keepalive: 5 } } }
  b: { address: [10.0.0.2, \"fd00::2\"], on_link: false }
  c: { address: [10.0.0.3, \"fd00::3\"] }
peers:
  p: { via: a, address: 10.0.0.4, public_key: hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo= }
  q: { via: a, address: 10.0.0.5, psk: pairwise, public_key: xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg= }
",
    );
    let addresses = |name: &str| -> Vec<String> {
        let node = topology.find(&name.parse().expect("a name")).expect("it is there");
        let id = topology.node(node).interfaces[0];
        topology.interface(id).addresses.iter().map(|addr| addr.value.to_string()).collect()
    };
    assert_eq!(addresses("a"), ["10.0.0.1/24", "fd00::1/64"]);
    assert_eq!(addresses("b"), ["10.0.0.2/32", "fd00::2/128"]);
    let keyed = |from: &str| -> Vec<(String, bool)> {
        let node = topology.find(&from.parse().expect("a name")).expect("it is there");
        let id = topology.node(node).interfaces[0];
        let peers = topology.interface(id).peers.iter();
        peers
            .map(|peer| (topology.remote(peer).name.to_string(), peer.settings.psk.value))
            .collect()
    };
    let pairs = |all: [(&str, bool); 4]| all.map(|(name, has)| (name.to_owned(), has));
    assert_eq!(keyed("a"), pairs([("b", false), ("c", true), ("p", false), ("q", true)]));
    // Said at one end, it holds at both.
    assert_eq!(keyed("b"), [("a".to_owned(), false), ("c".to_owned(), true)]);
    assert_eq!(keyed("q"), [("a".to_owned(), true)]);
}
