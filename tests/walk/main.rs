//! The walk against a slow reference, over small random fleets with mutated topologies.

mod agrees;
mod difference;
mod failures;
mod hybrid;
mod kept;
mod laws;
mod legal;
mod patches;
mod reference;
mod sessions;

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use reference::Reference;
use wgfleet::check;
use wgfleet::check::tables::Tables;
use wgfleet::check::walk::{Cause, Doubt, Packet, Place, Start, Walker};
use wgfleet::finding::{Code, Severity};
use wgfleet::inventory::{self, Expect, Inventory, Selector};
use wgfleet::model::{Located, RouteTable};
use wgfleet::topology::{self, NodeId, Topology};

/// How a walk ends, and at which node.
type Walked = (Result<Place, Cause>, NodeId);

/// How many random fleets a run tries; `PROPTEST_CASES` overrides it.
const CASES: u32 = 2_000;

/// Prefixes that a mutation puts into `AllowedIPs`.
const NETS: &[&str] = &[
    "0.0.0.0/0",
    "0.0.0.0/1",
    "::/0",
    "10.1.0.0/24",
    "10.1.0.2/32",
    "10.1.0.0/30",
    "10.2.0.0/24",
    "10.100.0.0/29",
    "10.100.0.4/30",
    "10.100.1.0/30",
    "10.100.1.3/32",
    "10.100.2.0/31",
    "fd01::/64",
    "fd64:1::/126",
    "1.0.0.0/8",
];

#[derive(Debug, Clone)]
pub(crate) struct HostSpec {
    networks: u8,
    site: Option<u8>,
    /// Bits: nat, gateway, transit, exit, masquerade, endpoint, keepalive off.
    switches: u8,
    full_tunnel: bool,
    /// Which address its endpoint has, and whether it says one for its LAN.
    place: u8,
}

#[derive(Debug, Clone)]
pub(crate) struct PeerSpec {
    via: u8,
    /// Bits: full tunnel, own key, keepalive, endpoint, subnets.
    switches: u8,
}

#[derive(Debug, Clone)]
pub(crate) struct Mutation {
    kind: u8,
    interface: u8,
    peer: u8,
    value: u8,
}

#[derive(Debug, Clone)]
pub(crate) struct Spec {
    shapes: [u8; 2],
    hosts: Vec<HostSpec>,
    peers: Vec<PeerSpec>,
    mutations: Vec<Mutation>,
}

fn spec() -> impl Strategy<Value = Spec> {
    let host = (
        1_u8..4,
        proptest::option::of(0_u8..3),
        any::<u8>(),
        proptest::bool::weighted(0.15),
        0_u8..24,
    )
        .prop_map(|(networks, site, switches, full_tunnel, place)| HostSpec {
            networks,
            site,
            switches,
            full_tunnel,
            place,
        });
    let peer = (any::<u8>(), any::<u8>()).prop_map(|(via, switches)| PeerSpec { via, switches });
    let mutation = (any::<u8>(), any::<u8>(), any::<u8>(), any::<u8>())
        .prop_map(|(kind, interface, peer, value)| Mutation { kind, interface, peer, value });
    (
        any::<[u8; 2]>(),
        proptest::collection::vec(host, 2..8),
        proptest::collection::vec(peer, 0..2),
        proptest::collection::vec(mutation, 0..6),
    )
        .prop_map(|(shapes, hosts, peers, mutations)| Spec { shapes, hosts, peers, mutations })
}

fn yaml(spec: &Spec) -> String {
    let mut hosts = spec.hosts.clone();
    // Fleets of like hosts, each at a site of its own: what classes are made of.
    if spec.shapes[0] & 4 == 4 {
        let like = hosts[1].clone();
        for (index, host) in hosts.iter_mut().enumerate().skip(1) {
            *host = HostSpec { site: like.site.and(u8::try_from(index).ok()), ..like.clone() };
        }
    }
    // The first host is in both networks and is what spokes and peers lead to.
    hosts[0].networks = 3;
    let mut text = String::from("fleet: random\nnetworks:\n");
    for (index, shape) in spec.shapes.iter().enumerate() {
        let prefixes = if index == 0 { "[10.1.0.0/24, \"fd01::/64\"]" } else { "[10.2.0.0/24]" };
        let links = if shape % 2 == 0 { "mesh" } else { "{ hub: h0 }" };
        let name = ["a", "b"][index];
        let _ = writeln!(text, "  {name}: {{ prefixes: {prefixes}, links: {links} }}");
    }
    text.push_str("sites:\n");
    for site in 0..8 {
        // Two of them are on one private net.
        let underlay = if site == 1 || site == 2 { ", underlay: { name: mpls }" } else { "" };
        let _ = writeln!(
            text,
            "  s{site}: {{ subnets: [10.100.{site}.0/29, \"fd64:{site}::/125\"]{underlay} }}"
        );
    }
    text.push_str("hosts:\n");
    for (index, host) in hosts.iter().enumerate() {
        let bit = |bit: u8| host.switches >> bit & 1 == 1;
        let _ = write!(text, "  h{index}: {{ ssh: h{index}");
        if let Some(site) = host.site {
            let _ = write!(text, ", site: s{site}");
        }
        let gateway = bit(1) && host.site.is_some();
        let full = host.full_tunnel && index > 0;
        for (key, on) in [
            ("nat", bit(0)),
            ("gateway", gateway),
            ("transit", bit(2)),
            ("exit", bit(3)),
            ("masquerade", bit(4)),
        ] {
            if on {
                let _ = write!(text, ", {key}: true");
            }
        }
        if bit(6) && bit(7) {
            text.push_str(", keepalive: off");
        }
        text.push_str(", networks: {");
        for (network, name) in ["a", "b"].iter().enumerate() {
            if host.networks >> network & 1 == 1 {
                let last = index + 1;
                let address = if network == 0 {
                    format!("[10.1.0.{last}, \"fd01::{last}\"]")
                } else {
                    format!("[10.2.0.{last}]")
                };
                let _ = write!(text, " {name}: {{ address: {address}");
                if bit(5) || index == 0 {
                    let port = 51820 + network;
                    let addr = match host.place {
                        0..3 => format!("192.168.44.{last}"),
                        3 => "127.0.0.1".to_owned(),
                        // Within a tunnel.
                        4 => format!("10.1.0.{last}"),
                        _ => format!("198.51.100.{last}"),
                    };
                    let _ = write!(text, ", endpoint: \"{addr}:{port}\"");
                    if host.place >= 20 {
                        let _ = write!(text, ", local_endpoint: \"192.168.44.{last}:{port}\"");
                    }
                }
                if full && (network == 0 || host.networks == 2) {
                    text.push_str(", full_tunnel: h0");
                }
                text.push_str(" },");
            }
        }
        text.push_str(" } }\n");
    }
    peers(spec, &hosts, &mut text);
    text
}

fn peers(spec: &Spec, hosts: &[HostSpec], text: &mut String) {
    text.push_str("peers:\n");
    for (index, peer) in spec.peers.iter().enumerate() {
        let bit = |bit: u8| peer.switches >> bit & 1 == 1;
        let candidates: Vec<usize> =
            (0..hosts.len()).filter(|host| hosts[*host].networks & 1 == 1).collect();
        let via = candidates[usize::from(peer.via) % candidates.len()];
        let last = 100 + index;
        let _ = write!(
            text,
            "  p{index}: {{ network: a, via: h{via}, address: [10.1.0.{last}, \"fd01::{last}\"]"
        );
        if bit(0) {
            text.push_str(", full_tunnel: true");
        }
        if bit(1) {
            text.push_str(", public_key: hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=");
        }
        if bit(2) {
            text.push_str(", keepalive: 25");
        }
        if bit(3) {
            text.push_str(", endpoint: \"203.0.113.9:51820\"");
        }
        if bit(4) {
            let _ = write!(text, ", subnets: 10.200.{index}.0/29");
        }
        text.push_str(" }\n");
    }
}

fn mutate(topology: &mut Topology, mutations: &[Mutation]) {
    for Mutation { kind, interface, peer, value } in mutations {
        let count = topology.interfaces.len();
        let interface = &mut topology.interfaces[usize::from(*interface) % count];
        if kind % 7 == 0 {
            interface.table.value =
                [RouteTable::Off, RouteTable::Number(100), RouteTable::Number(254)]
                    [usize::from(*value) % 3];
            continue;
        }
        if kind % 7 == 1 {
            let forwards = &mut topology.nodes[interface.node.0 as usize].forwards;
            (forwards.v4.value, forwards.v6.value) = (value & 1 == 1, value & 2 == 2);
            continue;
        }
        let peers = interface.peers.len();
        if peers == 0 {
            continue;
        }
        let peer = &mut interface.peers[usize::from(*peer) % peers];
        let mut nets = peer.allowed_ips.to_vec();
        match kind % 7 {
            2 if !nets.is_empty() => {
                nets.remove(usize::from(*value) % nets.len());
            }
            3 | 4 => nets.push(NETS[usize::from(*value) % NETS.len()].parse().expect("a prefix")),
            5 => peer.endpoint = None,
            _ => Arc::make_mut(&mut peer.settings).keepalive.value = None,
        }
        peer.allowed_ips.value = nets.into();
    }
}

fn fleet(spec: &Spec) -> (Inventory, Topology) {
    let text = yaml(spec);
    let parsed = inventory::parse(PathBuf::from("fleet.yaml"), text.clone());
    let errors: Vec<_> =
        parsed.findings.iter().filter(|finding| finding.severity == Severity::Error).collect();
    let inventory = parsed.inventory.unwrap_or_else(|| panic!("{text}\n{errors:#?}"));
    let mut topology = topology::build(&inventory, &|_: &_, _: &_| -> Vec<IpAddr> { Vec::new() });
    mutate(&mut topology, &spec.mutations);
    (inventory, topology)
}

/// Every tunnel address, and addresses on both sides of the boundaries within LANs and outside.
fn addresses(topology: &Topology) -> Vec<IpAddr> {
    let tunnels = topology.interfaces.iter().flat_map(|own| &own.addresses);
    let mut addresses: Vec<IpAddr> = tunnels.map(|addr| addr.value.addr()).collect();
    let more = [
        "10.100.0.1",
        "10.100.0.5",
        "10.100.1.2",
        "10.100.1.3",
        "10.100.2.1",
        "10.100.2.6",
        "fd64:1::1",
        "fd64:1::5",
        "10.200.0.1",
        "10.1.0.77",
        "1.1.1.1",
        "9.9.9.9",
        "2001:db8::1",
        "172.16.0.1",
    ];
    addresses.extend(more.iter().map(|addr| addr.parse::<IpAddr>().expect("an address")));
    addresses
}

/// An endpoint that is private to another place, in a prefix that a tunnel takes elsewhere: the session cannot
/// begin for either reason, and the two name one each.
fn either_lost(one: &Walked, other: &Walked) -> bool {
    let lost = |walked: &Walked| match walked.0 {
        Err(Cause::PrivateEndpoint(id) | Cause::Swallowed(id)) => Some((id, walked.1)),
        _ => None,
    };
    lost(one).is_some() && lost(one) == lost(other)
}

fn compare(inventory: &Inventory, topology: &Topology) -> Result<(), TestCaseError> {
    let tables = Tables::new(inventory, topology);
    let reference = Reference { inventory, topology };
    let addresses = addresses(topology);
    for doubt in [Doubt::Fails, Doubt::Works] {
        let walker = Walker::new(inventory, &tables, doubt);
        for node in (0..).map(NodeId).take(topology.nodes.len()) {
            for source in &addresses {
                let holders = tables.holders(*source);
                let own = holders.iter().any(|id| topology.interface(*id).node == node);
                if !own && !holders.is_empty() {
                    continue;
                }
                let start = if own { Start::Node(node) } else { Start::Through(node) };
                for to in addresses.iter().filter(|to| to.is_ipv4() == source.is_ipv4()) {
                    let packet = Packet { source: *source, destination: *to };
                    let walk = walker.walk(start, packet, &[]);
                    let last = walk.steps.last().expect("a walk has a step").node;
                    let slow = reference.walk(start, packet, doubt, &mut Vec::new());
                    let end = (walk.end, last);
                    prop_assert!(
                        end == slow || either_lost(&end, &slow),
                        "{end:?} and {slow:?}: {start:?} {packet:?} {doubt:?}"
                    );
                }
            }
        }
    }
    Ok(())
}

fn rules(inventory: &Inventory) -> Vec<Expect> {
    let hosts = inventory.hosts.iter().map(|host| Selector::Host(host.name.value.clone()));
    let sites = inventory.sites.iter().map(|site| Selector::Site(site.name.value.clone()));
    let ends: Vec<Selector> = hosts.take(3).chain(sites).collect();
    let at = inventory.fleet.at;
    let mut rules = Vec::new();
    for from in &ends {
        for to in &ends {
            for allow in [true, false] {
                let (from, to) = (Located::new(from.clone(), at), Located::new(to.clone(), at));
                rules.push(Expect { allow, from, to, without: None, at });
            }
        }
    }
    rules
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases(CASES)) })]

    /// Every packet ends at the same node for the same reason.
    #[test]
    fn packets_end_where_the_slow_reference_says(spec in spec()) {
        let (inventory, topology) = fleet(&spec);
        compare(&inventory, &topology)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases(CASES / 10)) })]

    /// Classes of addresses give the verdict that every single address gives.
    #[test]
    fn rules_hold_where_every_single_address_says_so(spec in spec()) {
        let (inventory, topology) = fleet(&spec);
        let reference = Reference { inventory: &inventory, topology: &topology };
        for rule in rules(&inventory) {
            let slow = reference.keeps(rule.allow, &rule.from.value, &rule.to.value);
            let mut alone = inventory.clone();
            alone.expects = vec![rule.clone()];
            let found = check::check(&alone, &topology);
            let fast = !found.iter().any(|finding| {
                finding.code == Code::ExpectFails && !finding.title.contains("share no address")
            });
            prop_assert_eq!(fast, slow, "{:?}\n{:#?}", rule, found);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases(CASES / 2)) })]

    /// One walk for a whole class of flows says what each of them says by itself.
    #[test]
    fn classes_of_flows_hold_where_every_single_flow_says_so(spec in spec()) {
        let (inventory, topology) = fleet(&spec);
        let reference = Reference { inventory: &inventory, topology: &topology };
        for pair in check::pairs(&inventory, &topology) {
            let sited = |point: &check::Point| {
                point.network.is_some() || topology.node(point.node).site.is_some()
            };
            if sited(&pair.from) && sited(&pair.to) {
                let slow = reference.flow(&pair.from, &pair.to);
                prop_assert_eq!(pair.cause.is_none(), slow, "{:?}", pair);
            }
        }
    }
}

pub(crate) fn cases(otherwise: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// The same random fleets in every run.
fn specs(count: usize) -> Vec<Spec> {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let one = |_| spec().new_tree(&mut runner).expect("a fleet").current();
    (0..count).map(one).collect()
}

/// The fleets above are worth something: packets arrive in each way and are lost for each cause.
#[test]
fn the_random_fleets_meet_every_cause() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut met = std::collections::BTreeSet::new();
    for _ in 0..400 {
        let spec = spec().new_tree(&mut runner).expect("a fleet").current();
        let (inventory, topology) = fleet(&spec);
        let reference = Reference { inventory: &inventory, topology: &topology };
        for node in (0..).map(NodeId).take(topology.nodes.len()) {
            let own = topology.node(node).interfaces.iter();
            let own: Vec<IpAddr> = own.flat_map(|id| topology.tunnel_addresses(*id)).collect();
            for to in addresses(&topology) {
                for source in own.iter().filter(|source| source.is_ipv4() == to.is_ipv4()) {
                    let packet = Packet { source: *source, destination: to };
                    let start = Start::Node(node);
                    let (end, _) = reference.walk(start, packet, Doubt::Fails, &mut Vec::new());
                    let text = format!("{end:?}");
                    met.insert(text.split(['(', ')']).nth(1).unwrap_or_default().to_owned());
                }
            }
        }
    }
    for wanted in [
        "Node",
        "Lan",
        "OwnLan",
        "Internet",
        "NoRoute",
        "RouteElsewhere",
        "NoPeer",
        "NoSession",
        "PrivateEndpoint",
        "Hairpin",
        "Asleep",
        "SourceRefused",
        "NoForwarding",
        "NoExit",
        "Loop",
    ] {
        assert!(met.contains(wanted), "no packet ends with {wanted}: {met:?}");
    }
}
