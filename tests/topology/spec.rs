//! Fleets to derive a topology from: text for the parser, and the same links for the reference.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use proptest::prelude::*;

/// Prefixes behind hosts: nested in one another, equal, of both families, one within an overlay.
pub(crate) const POOL: [&str; 9] = [
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
pub(crate) struct Spec {
    pub(crate) sites: Vec<Vec<usize>>,
    pub(crate) networks: Vec<NetworkSpec>,
    pub(crate) hosts: Vec<HostSpec>,
    pub(crate) peers: Vec<PeerSpec>,
}

#[derive(Debug, Clone)]
pub(crate) struct NetworkSpec {
    pub(crate) v6: bool,
    pub(crate) shapes: Vec<Shape>,
}

#[derive(Debug, Clone)]
pub(crate) enum Shape {
    Mesh(Vec<usize>),
    Hub { hubs: Vec<usize>, spokes: Option<Vec<usize>>, mesh_hubs: bool },
    Pair(usize, usize),
}

#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the file format")]
pub(crate) struct HostSpec {
    pub(crate) site: Option<usize>,
    pub(crate) gateway: bool,
    pub(crate) transit: bool,
    pub(crate) nat: bool,
    pub(crate) endpoint: bool,
    pub(crate) subnets: BTreeSet<usize>,
    pub(crate) networks: BTreeSet<usize>,
    /// Sends everything through this host of its first network, where that is another one.
    pub(crate) exit: Option<usize>,
}

#[derive(Debug, Clone)]
pub(crate) struct PeerSpec {
    pub(crate) network: usize,
    pub(crate) via: Vec<usize>,
    pub(crate) full: bool,
    pub(crate) subnets: BTreeSet<usize>,
}

impl Spec {
    pub(crate) fn members(&self, network: usize) -> Vec<usize> {
        let member = |index: &usize| self.hosts[*index].networks.contains(&network);
        (0..self.hosts.len()).filter(member).collect()
    }

    /// What is left of a choice of hosts once those outside the network are dropped.
    pub(crate) fn within(&self, network: usize, chosen: &[usize]) -> Vec<usize> {
        let members = self.members(network);
        let mut seen = BTreeSet::new();
        let chosen = chosen.iter().map(|index| index % self.hosts.len());
        chosen.filter(|index| members.contains(index) && seen.insert(*index)).collect()
    }

    pub(crate) fn exit_of(&self, host: usize) -> Option<(usize, usize)> {
        let network = *self.hosts[host].networks.first()?;
        let exit = self.hosts[host].exit? % self.hosts.len();
        let takes = self.hosts[exit].networks.contains(&network);
        // An exit that itself goes through another one can go in circles: the file's own doing.
        (exit != host && takes && self.hosts[exit].exit.is_none()).then_some((network, exit))
    }

    pub(crate) fn via(&self, peer: &PeerSpec) -> Vec<usize> {
        let via = self.within(peer.network, &peer.via);
        if via.is_empty() { self.members(peer.network).into_iter().take(1).collect() } else { via }
    }

    pub(crate) fn host_yaml(&self, index: usize, out: &mut String) {
        let host = &self.hosts[index];
        let _ = writeln!(out, "  h{index}:");
        if let Some(site) = host.site {
            let _ = writeln!(out, "    site: s{site}");
        }
        for (key, on) in [("gateway", host.gateway), ("transit", host.transit), ("nat", host.nat)] {
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
            let _ =
                write!(out, "      n{network}: {{ address: [10.{}.0.{number}{v6}]", network + 1);
            if host.endpoint {
                let _ = write!(out, ", endpoint: \"192.0.2.{number}:{}\"", 51820 + network);
            }
            if let Some((first, exit)) = self.exit_of(index)
                && first == *network
            {
                let _ = write!(out, ", full_tunnel: h{exit}");
            }
            out.push_str(" }\n");
        }
    }

    /// The file, hosts and peers in the order that is given.
    pub(crate) fn yaml(&self, hosts: &[usize]) -> String {
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
            self.host_yaml(*index, &mut out);
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
    pub(crate) fn graph(&self, network: usize) -> (BTreeSet<(String, String)>, BTreeSet<String>) {
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

pub(crate) fn pool<'a>(chosen: impl Iterator<Item = &'a usize>) -> String {
    let chosen: BTreeSet<usize> = chosen.copied().collect();
    chosen.iter().map(|index| format!("\"{}\"", POOL[*index])).collect::<Vec<_>>().join(", ")
}

pub(crate) fn shape() -> impl Strategy<Value = Shape> {
    let some = || proptest::collection::vec(0_usize..8, 1..5);
    prop_oneof![
        2 => prop_oneof![Just(Vec::new()), some()].prop_map(Shape::Mesh),
        4 => (some(), proptest::option::of(some()), any::<bool>())
            .prop_map(|(hubs, spokes, mesh_hubs)| Shape::Hub { hubs, spokes, mesh_hubs }),
        4 => (0_usize..8, 0_usize..8).prop_map(|(a, b)| Shape::Pair(a, b)),
    ]
}

pub(crate) fn subnets() -> impl Strategy<Value = BTreeSet<usize>> {
    proptest::collection::btree_set(0..POOL.len(), 0..3)
}

pub(crate) fn host(networks: usize) -> impl Strategy<Value = HostSpec> {
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

pub(crate) fn spec() -> impl Strategy<Value = Spec> {
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
