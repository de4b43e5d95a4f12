//! What must hold of every derived topology, against a slow and obvious reference.
//!
//! Fleets are written as text and parsed, so that the parser takes part. The reference knows the
//! links from the generated specification alone and follows single packets hop by hop.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use proptest::prelude::*;
use wgfleet::inventory::{Inventory, parse};
use wgfleet::model::{HostName, NetworkName};
use wgfleet::topology::{self, InterfaceId, NodeKind, Topology};

/// Prefixes behind hosts: nested in one another, equal, of both families, one within an overlay.
const POOL: [&str; 9] = [
    "172.16.0.0/12",
    "172.16.0.0/16",
    "172.16.4.0/24",
    "172.16.4.128/25",
    "192.168.1.0/24",
    "10.1.0.64/26",
    "fd99::/48",
    "fd99::1:0/112",
    "198.18.0.0/15",
];

#[derive(Debug, Clone)]
struct Spec {
    sites: Vec<Vec<usize>>,
    networks: Vec<NetworkSpec>,
    hosts: Vec<HostSpec>,
    peers: Vec<PeerSpec>,
}

#[derive(Debug, Clone)]
struct NetworkSpec {
    v6: bool,
    shapes: Vec<Shape>,
}

#[derive(Debug, Clone)]
enum Shape {
    Mesh(Vec<usize>),
    Hub { hubs: Vec<usize>, spokes: Option<Vec<usize>>, mesh_hubs: bool },
    Pair(usize, usize),
}

#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the file format")]
struct HostSpec {
    site: Option<usize>,
    gateway: bool,
    transit: bool,
    nat: bool,
    endpoint: bool,
    subnets: BTreeSet<usize>,
    networks: BTreeSet<usize>,
    /// Sends everything through this host of its first network, where that is another one.
    exit: Option<usize>,
}

#[derive(Debug, Clone)]
struct PeerSpec {
    network: usize,
    via: Vec<usize>,
    full: bool,
    subnets: BTreeSet<usize>,
}

impl Spec {
    fn members(&self, network: usize) -> Vec<usize> {
        let member = |index: &usize| self.hosts[*index].networks.contains(&network);
        (0..self.hosts.len()).filter(member).collect()
    }

    /// What is left of a choice of hosts once those outside the network are dropped.
    fn within(&self, network: usize, chosen: &[usize]) -> Vec<usize> {
        let members = self.members(network);
        let mut seen = BTreeSet::new();
        let chosen = chosen.iter().map(|index| index % self.hosts.len());
        chosen.filter(|index| members.contains(index) && seen.insert(*index)).collect()
    }

    fn exit_of(&self, host: usize) -> Option<(usize, usize)> {
        let network = *self.hosts[host].networks.first()?;
        let exit = self.hosts[host].exit? % self.hosts.len();
        let takes = self.hosts[exit].networks.contains(&network);
        // An exit that itself goes through another one can go in circles: the file's own doing.
        (exit != host && takes && self.hosts[exit].exit.is_none()).then_some((network, exit))
    }

    fn via(&self, peer: &PeerSpec) -> Vec<usize> {
        let via = self.within(peer.network, &peer.via);
        if via.is_empty() { self.members(peer.network).into_iter().take(1).collect() } else { via }
    }

    /// The file, hosts and peers in the order that is given.
    #[expect(clippy::too_many_lines, reason = "one line for each key of the format")]
    fn yaml(&self, hosts: &[usize]) -> String {
        let mut out = String::from("fleet: laws\nnetworks:\n");
        let names = |list: &[usize]| {
            list.iter().map(|index| format!("h{index}")).collect::<Vec<_>>().join(", ")
        };
        for (index, network) in self.networks.iter().enumerate() {
            let v6 = if network.v6 { format!(", \"fd1{index}::/64\"") } else { String::new() };
            let mut shapes = Vec::new();
            for shape in &network.shapes {
                match shape {
                    Shape::Mesh(chosen) if chosen.is_empty() => shapes.push("mesh".to_owned()),
                    Shape::Mesh(chosen) => {
                        let chosen = self.within(index, chosen);
                        if !chosen.is_empty() {
                            shapes.push(format!("{{ mesh: [{}] }}", names(&chosen)));
                        }
                    }
                    Shape::Hub { hubs, spokes, mesh_hubs } => {
                        let hubs = self.within(index, hubs);
                        if hubs.is_empty() {
                            continue;
                        }
                        let mut shape = format!("{{ hub: [{}], ", names(&hubs));
                        if let Some(spokes) = spokes {
                            let spokes = self.within(index, spokes);
                            if spokes.is_empty() {
                                continue;
                            }
                            let _ = write!(shape, "spokes: [{}], ", names(&spokes));
                        }
                        let _ = write!(shape, "mesh_hubs: {mesh_hubs} }}");
                        shapes.push(shape);
                    }
                    Shape::Pair(a, b) => {
                        if let [a, b] = self.within(index, &[*a, *b])[..] {
                            shapes.push(format!("[h{a}, h{b}]"));
                        }
                    }
                }
            }
            let _ = writeln!(
                out,
                "  n{index}: {{ prefixes: [10.{}.0.0/24{v6}], links: [{}] }}",
                index + 1,
                shapes.join(", ")
            );
        }
        out.push_str("sites:\n");
        for (index, subnets) in self.sites.iter().enumerate() {
            let _ = writeln!(out, "  s{index}: {{ subnets: [{}] }}", pool(subnets.iter()));
        }
        out.push_str("hosts:\n");
        for index in hosts {
            let host = &self.hosts[*index];
            let _ = writeln!(out, "  h{index}:");
            if let Some(site) = host.site {
                let _ = writeln!(out, "    site: s{site}");
            }
            for (key, on) in
                [("gateway", host.gateway), ("transit", host.transit), ("nat", host.nat)]
            {
                // A gateway without subnets has nothing to route, and is refused.
                let routes = host.site.is_some_and(|site| !self.sites[site].is_empty());
                if on && (key != "gateway" || routes) {
                    let _ = writeln!(out, "    {key}: true");
                }
            }
            let _ = writeln!(out, "    subnets: [{}]", pool(host.subnets.iter()));
            out.push_str("    networks:\n");
            for network in &host.networks {
                let number = index + 1;
                let v6 = if self.networks[*network].v6 {
                    format!(", \"fd1{network}::{number:x}\"")
                } else {
                    String::new()
                };
                let _ = write!(
                    out,
                    "      n{network}: {{ address: [10.{}.0.{number}{v6}]",
                    network + 1
                );
                if host.endpoint {
                    let _ = write!(out, ", endpoint: \"192.0.2.{number}:{}\"", 51820 + network);
                }
                if let Some((first, exit)) = self.exit_of(*index)
                    && first == *network
                {
                    let _ = write!(out, ", full_tunnel: h{exit}");
                }
                out.push_str(" }\n");
            }
        }
        out.push_str("peers:\n");
        for (index, peer) in self.peers.iter().enumerate() {
            let number = 100 + index;
            let v6 = if self.networks[peer.network].v6 {
                format!(", \"fd1{}::{number:x}\"", peer.network)
            } else {
                String::new()
            };
            let _ = writeln!(
                out,
                "  p{index}: {{ network: n{}, via: [{}], full_tunnel: {}, subnets: [{}], address: [10.{}.0.{number}{v6}] }}",
                peer.network,
                names(&self.via(peer)),
                peer.full,
                pool(peer.subnets.iter()),
                peer.network + 1,
            );
        }
        out
    }

    /// Links and hosts that pass traffic on, by name, as the specification alone has them.
    fn graph(&self, network: usize) -> (BTreeSet<(String, String)>, BTreeSet<String>) {
        let mut links = BTreeSet::new();
        let mut link = |a: String, b: String| {
            if a != b {
                links.insert((a.clone(), b.clone()));
                links.insert((b, a));
            }
        };
        let host = |index: usize| format!("h{index}");
        let members = self.members(network);
        let mut transit: BTreeSet<String> =
            members.iter().filter(|i| self.hosts[**i].transit).map(|i| host(*i)).collect();
        for shape in &self.networks[network].shapes {
            match shape {
                Shape::Mesh(chosen) => {
                    let all = if chosen.is_empty() {
                        members.clone()
                    } else {
                        self.within(network, chosen)
                    };
                    for a in &all {
                        for b in &all {
                            link(host(*a), host(*b));
                        }
                    }
                }
                Shape::Hub { hubs, spokes, mesh_hubs } => {
                    let hubs = self.within(network, hubs);
                    let spokes = spokes
                        .as_ref()
                        .map_or_else(|| members.clone(), |s| self.within(network, s));
                    if hubs.is_empty() || spokes.is_empty() {
                        continue;
                    }
                    for hub in &hubs {
                        transit.insert(host(*hub));
                        for spoke in spokes.iter().filter(|spoke| !hubs.contains(spoke)) {
                            link(host(*hub), host(*spoke));
                        }
                        for other in hubs.iter().filter(|_| *mesh_hubs) {
                            link(host(*hub), host(*other));
                        }
                    }
                }
                Shape::Pair(a, b) => {
                    if let [a, b] = self.within(network, &[*a, *b])[..] {
                        link(host(a), host(b));
                    }
                }
            }
        }
        for (index, peer) in self.peers.iter().enumerate().filter(|(_, p)| p.network == network) {
            for via in self.via(peer) {
                link(format!("p{index}"), host(via));
            }
        }
        for index in members {
            if let Some((first, exit)) = self.exit_of(index)
                && first == network
            {
                link(host(index), host(exit));
            }
        }
        (links, transit)
    }
}

fn pool<'a>(chosen: impl Iterator<Item = &'a usize>) -> String {
    let chosen: BTreeSet<usize> = chosen.copied().collect();
    chosen.iter().map(|index| format!("\"{}\"", POOL[*index])).collect::<Vec<_>>().join(", ")
}

fn shape() -> impl Strategy<Value = Shape> {
    let some = || proptest::collection::vec(0_usize..8, 1..5);
    prop_oneof![
        2 => prop_oneof![Just(Vec::new()), some()].prop_map(Shape::Mesh),
        4 => (some(), proptest::option::of(some()), any::<bool>())
            .prop_map(|(hubs, spokes, mesh_hubs)| Shape::Hub { hubs, spokes, mesh_hubs }),
        4 => (0_usize..8, 0_usize..8).prop_map(|(a, b)| Shape::Pair(a, b)),
    ]
}

fn subnets() -> impl Strategy<Value = BTreeSet<usize>> {
    proptest::collection::btree_set(0..POOL.len(), 0..3)
}

fn host(networks: usize) -> impl Strategy<Value = HostSpec> {
    (
        proptest::option::weighted(0.4, 0_usize..2),
        any::<(bool, bool)>(),
        proptest::bool::weighted(0.3),
        any::<bool>(),
        subnets(),
        proptest::collection::btree_set(0..networks, 1..=networks),
        proptest::option::weighted(0.2, 0_usize..8),
    )
        .prop_map(|(site, (gateway, nat), transit, endpoint, subnets, networks, exit)| {
            HostSpec { site, gateway, transit, nat, endpoint, subnets, networks, exit }
        })
}

fn spec() -> impl Strategy<Value = Spec> {
    (1_usize..=2).prop_flat_map(|networks| {
        let network = (any::<bool>(), proptest::collection::vec(shape(), 1..5))
            .prop_map(|(v6, shapes)| NetworkSpec { v6, shapes });
        let peer =
            (0..networks, proptest::collection::vec(0_usize..8, 1..3), any::<bool>(), subnets())
                .prop_map(|(network, via, full, subnets)| PeerSpec { network, via, full, subnets });
        (
            proptest::collection::vec(proptest::collection::vec(0..POOL.len(), 0..3), 2),
            proptest::collection::vec(network, networks),
            proptest::collection::vec(host(networks), 2..8),
            proptest::collection::vec(peer, 0..3),
        )
            .prop_map(|(sites, networks, hosts, peers)| {
                let mut spec = Spec { sites, networks, hosts, peers };
                // A network needs a member for its peers' `via`.
                let all: BTreeSet<usize> = (0..spec.networks.len()).collect();
                spec.hosts[0].networks = all;
                spec
            })
    })
}

fn inventory(text: &str) -> Inventory {
    let parsed = parse(PathBuf::from("fleet.yaml"), text.to_owned());
    parsed.inventory.unwrap_or_else(|| panic!("{text}\n{:?}", parsed.findings))
}

fn topology(text: &str) -> Topology {
    topology::build(&inventory(text), &|_: &NetworkName, _: &HostName| Vec::new())
}

fn holds(net: &IpNet, addr: IpAddr) -> bool {
    net.contains(&addr)
}

/// One network of a topology as a packet sees it.
struct Fabric<'a> {
    topology: &'a Topology,
    members: Vec<InterfaceId>,
}

impl<'a> Fabric<'a> {
    fn new(topology: &'a Topology, network: usize) -> Self {
        let ids = (0..).map(InterfaceId).take(topology.interfaces.len());
        let members = ids.filter(|id| topology.interface(*id).network == network).collect();
        Self { topology, members }
    }

    fn name(&self, id: InterfaceId) -> &str {
        self.topology.node(self.topology.interface(id).node).name.as_str()
    }

    fn find(&self, name: &str) -> InterfaceId {
        *self.members.iter().find(|id| self.name(**id) == name).expect("a member")
    }

    fn own(&self, id: InterfaceId) -> Vec<IpNet> {
        let interface = self.topology.interface(id);
        let tunnel = interface.addresses.iter().map(|a| IpNet::from(a.value.addr()));
        let node = self.topology.node(interface.node);
        tunnel.chain(node.subnets.iter().map(|net| net.value.trunc())).collect()
    }

    /// The only member that an address belongs to, by longest match; `None` for a tie or nobody.
    fn owner(&self, addr: IpAddr) -> Option<InterfaceId> {
        let mut best: Vec<(u8, InterfaceId)> = Vec::new();
        for id in &self.members {
            let own = self.own(*id).into_iter().filter(|net| holds(net, addr));
            best.extend(own.map(|net| net.prefix_len()).max().map(|length| (length, *id)));
        }
        let most = best.iter().map(|(length, _)| *length).max()?;
        let mut longest = best.iter().filter(|(length, _)| *length == most);
        let first = longest.next().map(|(_, id)| *id);
        if longest.next().is_some() { None } else { first }
    }

    /// Longest match over the `AllowedIPs` of an interface; the last peer wins a tie.
    fn lookup(&self, id: InterfaceId, addr: IpAddr) -> Option<InterfaceId> {
        let mut best: Option<(u8, InterfaceId)> = None;
        for peer in &self.topology.interface(id).peers {
            for net in peer.allowed_ips.iter().filter(|net| holds(net, addr)) {
                if best.is_none_or(|(length, _)| net.prefix_len() >= length) {
                    best = Some((net.prefix_len(), peer.remote));
                }
            }
        }
        best.map(|(_, remote)| remote)
    }

    /// Addresses worth asking about: first and last of every prefix.
    fn probes(&self, id: InterfaceId) -> Vec<IpAddr> {
        self.own(id).iter().flat_map(|net| [net.addr(), net.broadcast()]).collect()
    }

    /// Follows a packet; every receiver must accept its source.
    fn follow(
        &self,
        from: InterfaceId,
        source: IpAddr,
        target: IpAddr,
    ) -> Result<Vec<InterfaceId>, String> {
        let mut way = vec![from];
        let mut at = from;
        while !self.own(at).iter().any(|net| holds(net, target)) || self.owner(target) != Some(at) {
            let next = self
                .lookup(at, target)
                .ok_or_else(|| format!("{} has no peer for {target}", self.name(at)))?;
            let back = self.lookup(next, source);
            if back != Some(at) {
                return Err(format!(
                    "{} drops {source} from {}: it belongs to {:?}",
                    self.name(next),
                    self.name(at),
                    back.map(|id| self.name(id).to_owned())
                ));
            }
            if way.contains(&next) {
                return Err(format!("a loop at {}", self.name(next)));
            }
            way.push(next);
            at = next;
        }
        Ok(way)
    }
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() }
}

/// Names that can be reached over hosts that pass traffic on, by plain search.
fn reachable(
    links: &BTreeSet<(String, String)>,
    transit: &BTreeSet<String>,
    from: &str,
) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::from([(from.to_owned(), 0)]);
    let mut queue = VecDeque::from([from.to_owned()]);
    while let Some(at) = queue.pop_front() {
        if at != from && !transit.contains(&at) {
            continue;
        }
        for (_, next) in links.iter().filter(|(a, _)| *a == at) {
            if !found.contains_key(next) {
                found.insert(next.clone(), found[&at] + 1);
                queue.push_back(next.clone());
            }
        }
    }
    found.remove(from);
    found
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_wanted_packet_arrives_and_so_does_its_answer(spec in spec()) {
        let order: Vec<usize> = (0..spec.hosts.len()).collect();
        let topology = topology(&spec.yaml(&order));
        for network in 0..spec.networks.len() {
            let fabric = Fabric::new(&topology, network);
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
        let topology = topology(&spec.yaml(&order));
        for network in 0..spec.networks.len() {
            let fabric = Fabric::new(&topology, network);
            let mut targets: BTreeSet<IpAddr> = fabric.members.iter().flat_map(|id| fabric.probes(*id)).collect();
            targets.extend(["10.1.0.200", "10.1.0.70", "10.2.0.200", "fd10::99", "203.0.113.9"].map(|a| a.parse::<IpAddr>().unwrap()));
            for from in &fabric.members {
                let sources = topology.tunnel_addresses(*from);
                let packets: Vec<_> = sources.flat_map(|s| targets.iter().map(move |t| (s, t))).collect();
                for (source, target) in packets {
                    let (mut at, mut steps) = (*from, 0);
                    while !fabric.own(at).iter().any(|net| holds(net, *target)) {
                        let Some(next) = fabric.lookup(at, *target) else { break };
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
        }
    }

    #[test]
    fn lists_hold_nothing_that_contradicts(spec in spec()) {
        let order: Vec<usize> = (0..spec.hosts.len()).collect();
        let text = spec.yaml(&order);
        let topology = topology(&text);
        for network in 0..spec.networks.len() {
            let fabric = Fabric::new(&topology, network);
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
        let topology = topology(&text);
        for host in 0..spec.hosts.len() {
            let Some((network, exit)) = spec.exit_of(host) else { continue };
            let fabric = Fabric::new(&topology, network);
            let (from, exit) = (fabric.find(&format!("h{host}")), fabric.find(&format!("h{exit}")));
            let outside: IpAddr = "203.0.113.9".parse().unwrap();
            prop_assert_eq!(fabric.lookup(from, outside), Some(exit));
            let source = topology.tunnel_addresses(from).find(IpAddr::is_ipv4).unwrap();
            if fabric.owner(source) == Some(from) {
                prop_assert_eq!(fabric.lookup(exit, source), Some(from));
            }
            let node = topology.node(topology.interface(exit).node);
            prop_assert!(node.exit && node.forwards.v4 && !node.masquerade.is_empty());
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
            interface.listen_port,
            node.forwards,
            interface.mtu,
            node.masquerade,
            node.exit,
        );
        let peers: BTreeMap<&str, String> = interface
            .peers
            .iter()
            .map(|peer| {
                let what = format!(
                    "{:?} {:?} {:?} {}",
                    peer.allowed_ips, peer.endpoint, peer.keepalive, peer.psk
                );
                (topology.remote(peer).name.as_str(), what)
            })
            .collect();
        let _ = write!(text, " {peers:#?}");
        all.insert((node.name.to_string(), interface.network), text);
    }
    all
}

/// Prints how long large fleets take; nothing is asserted about time.
#[test]
fn large_fleets() {
    let mut mesh = String::from(
        "fleet: m\nnetworks: { n: { prefixes: [10.0.0.0/16], links: mesh } }\nhosts:\n",
    );
    let mut transit = String::from(
        "fleet: m\nnetworks: { n: { prefixes: [10.0.0.0/16], links: mesh } }\ndefaults: { transit: true }\nhosts:\n",
    );
    let mut hub = String::from(
        "fleet: h\nnetworks: { n: { prefixes: [10.0.0.0/16], links: { hub: [hub-0, hub-1] } } }\nhosts:\n  hub-0: {}\n  hub-1: {}\n",
    );
    let mut plain = hub.clone();
    for index in 0..2000 {
        let (high, low) = (index / 256, index % 256);
        let _ = writeln!(hub, "  s-{index}: {{ subnets: 172.{}.{low}.0/24 }}", 16 + high);
        let _ = writeln!(plain, "  s-{index}: {{}}");
        if index < 1000 {
            let _ = writeln!(mesh, "  h-{index}: {{ subnets: 172.{}.{low}.0/24 }}", 16 + high);
            let _ = writeln!(transit, "  h-{index}: {{}}");
        }
    }
    for (text, peers) in [(mesh, 999), (transit, 999), (plain, 2001), (hub, 2001)] {
        let inventory = inventory(&text);
        let (lock, _) =
            wgfleet::inventory::allocate(&inventory, &wgfleet::inventory::Lock::default());
        let addresses =
            |network: &NetworkName, name: &HostName| lock.address(network, name).to_vec();
        let topology = topology::build(&inventory, &addresses);
        assert_eq!(topology.interfaces[0].peers.len(), peers);
    }
}
