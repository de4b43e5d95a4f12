//! Random fleets of three to six hosts, some of them wrong.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use wgfleet::inventory::{self, Inventory};
use wgfleet::topology::{self, Interface, Node, Topology};

/// Prefixes that a mutation puts into `AllowedIPs`: nested in, around and beside what is there.
const NETS: &[&str] = &[
    "10.0.0.0/8",
    "10.1.0.0/25",
    "10.1.0.2/31",
    "10.1.0.3/32",
    "10.2.0.2/32",
    "10.2.0.0/28",
    "10.100.0.0/16",
    "10.100.1.0/24",
    "10.100.2.0/25",
    "10.100.2.192/26",
    "10.100.3.0/24",
    "fd01::/96",
    "fd01::3/128",
    "fd64:2::/64",
];

/// splitmix64: the same fleet for the same seed, on every machine and in every version.
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d).wrapping_add(1))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap_or_default()
    }

    fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }
}

/// A fleet as it is raised: what the file says, with the mutations.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) text: String,
    pub(crate) inventory: Inventory,
    pub(crate) topology: Topology,
    /// What was changed, in words.
    pub(crate) mutations: Vec<String>,
}

/// The fleet of a seed. Draws until one can be brought up: wg-quick refuses an interface whose
/// prefix another one routes, and routes an endpoint into its own tunnel.
pub(crate) fn of(seed: u64) -> Fleet {
    let mut dice = Dice::new(seed);
    loop {
        let text = yaml(&mut dice, seed);
        let parsed = inventory::parse(PathBuf::from("fleet.yaml"), text.clone());
        let inventory =
            parsed.inventory.unwrap_or_else(|| panic!("{text}\n{:#?}", parsed.findings));
        let mut topology =
            topology::build(&inventory, &|_: &_, _: &_| -> Vec<IpAddr> { Vec::new() });
        let mut mutations = Vec::new();
        for _ in 0..dice.below(6) {
            mutations.extend(mutate(&mut topology, &mut dice));
        }
        if comes_up(&topology) {
            return Fleet { text, inventory, topology, mutations };
        }
    }
}

fn yaml(dice: &mut Dice, seed: u64) -> String {
    let count = 3 + dice.below(4);
    let shapes: Vec<String> = (0..2)
        .map(|_| match dice.below(5) {
            0 | 1 => "{ hub: h0 }".to_owned(),
            2 | 3 => "mesh".to_owned(),
            _ => "[{ hub: h0 }, [h1, h2]]".to_owned(),
        })
        .collect();
    let both = dice.percent(50);
    let mut text = format!("fleet: p{seed}\nnetworks:\n");
    let _ =
        writeln!(text, "  a: {{ prefixes: [10.1.0.0/24, \"fd01::/64\"], links: {} }}", shapes[0]);
    if both {
        let links = if shapes[1].contains("h1") { "{ hub: h0 }" } else { &shapes[1] };
        let _ = writeln!(text, "  b: {{ prefixes: 10.2.0.0/24, links: {links} }}");
    }
    text.push_str("sites:\n");
    for site in 0..count {
        let v6 = if site % 2 == 0 { format!(", \"fd64:{site}::/64\"") } else { String::new() };
        let _ = writeln!(text, "  s{site}: {{ subnets: [10.100.{site}.0/24{v6}] }}");
    }
    text.push_str("hosts:\n");
    // Fleets whose hosts give addresses that mean something at their own site alone.
    let hidden = dice.percent(40);
    // The site of the host before, and whether that is behind NAT.
    let mut before: Option<(usize, bool)> = None;
    for host in 0..count {
        let first = host == 0;
        let _ = write!(text, "  h{host}: {{ ssh: h{host}");
        // Two hosts at one site are both behind its NAT, or neither is.
        let shared = before.filter(|_| dice.percent(45));
        let site = match shared {
            Some((site, _)) => Some(site),
            None => (first || dice.percent(70)).then_some(host),
        };
        if let Some(site) = site {
            let _ = write!(text, ", site: s{site}");
            // Where both are linked to a third, one of two gateways takes the LAN from the other.
            if dice.percent(if shared.is_some() { 15 } else { 70 }) {
                text.push_str(", gateway: true");
            }
        }
        let nat = shared.map_or_else(|| !first && dice.percent(40), |(_, nat)| nat);
        before = site.map(|site| (site, nat));
        if nat {
            text.push_str(", nat: true");
        }
        if dice.percent(15) {
            text.push_str(", transit: true");
        }
        if first && dice.percent(50) {
            text.push_str(", exit: true");
        }
        if dice.percent(15) {
            text.push_str(", masquerade: true");
        }
        // A prefix nested in another site's.
        if dice.percent(15) {
            let other = (host + 1) % count;
            let _ = write!(text, ", subnets: 10.100.{other}.192/26");
        }
        let full = !first && dice.percent(12);
        let networks = if !both || (!first && dice.percent(35)) { 1 } else { 2 };
        // The shapes name h1 and h2 in the first network.
        let only_second = host > 2 && networks == 1 && both && dice.percent(40);
        text.push_str(", networks: {");
        for network in 0..2 {
            if (network == 0 && only_second) || (network == 1 && networks == 1 && !only_second) {
                continue;
            }
            let last = host + 1;
            let addresses = ["10.1.0.", "10.2.0."][network];
            let v6 = if network == 0 { format!(", \"fd01::{last}\"") } else { String::new() };
            let _ = write!(text, " {}: {{ address: [{addresses}{last}{v6}]", ["a", "b"][network]);
            let port = 51820 + network;
            // Behind NAT it is a forwarded port.
            if first || !nat || dice.percent(if shared.is_some() { 90 } else { 30 }) {
                let private = !first && !nat && site.is_some() && hidden && dice.percent(60);
                let net = if private { "192.168.77" } else { "198.51.100" };
                let _ = write!(text, ", endpoint: \"{net}.{last}:{port}\"");
                // Whom nobody finds may still begin.
                if private && dice.percent(60) {
                    text.push_str(", keepalive: 25");
                }
            }
            if nat && dice.percent(15) {
                let _ = write!(text, ", local_endpoint: \"192.168.78.{last}:{port}\"");
            }
            if full && (network == 0 || only_second) {
                text.push_str(", full_tunnel: h0");
            }
            text.push_str(" },");
        }
        text.push_str(" } }\n");
    }
    if dice.percent(35) {
        peer(dice, &mut text);
    }
    text
}

/// A device that nobody logs in to, linked to the first host: a phone behind a NAT of its own, or
/// somebody's router.
fn peer(dice: &mut Dice, text: &mut String) {
    text.push_str("peers:\n  p0: { network: a, via: h0, address: [10.1.0.100, \"fd01::64\"]");
    if dice.percent(40) {
        text.push_str(", endpoint: \"203.0.113.9:51820\"");
    } else if dice.percent(60) {
        text.push_str(", keepalive: 25");
    }
    if dice.percent(30) {
        text.push_str(", full_tunnel: true");
    }
    text.push_str(" }\n");
}

fn mutate(topology: &mut Topology, dice: &mut Dice) -> Option<String> {
    let names: Vec<String> = topology.nodes.iter().map(|node| node.name.to_string()).collect();
    let count = topology.interfaces.len();
    let remotes: Vec<usize> =
        topology.interfaces.iter().map(|interface| interface.node.0 as usize).collect();
    let interface = &mut topology.interfaces[dice.below(count)];
    let (node, own) = (interface.node.0 as usize, interface.name.to_string());
    let what = dice.below(8);
    if what == 0 {
        let forwards = &mut topology.nodes[node].forwards;
        (forwards.v4.value, forwards.v6.value) = (dice.percent(30), dice.percent(30));
        return Some(format!("{} forwards {:?}", names[node], forwards.families()));
    }
    if interface.peers.is_empty() {
        return None;
    }
    let peers = interface.peers.len();
    let peer = &mut interface.peers[dice.below(peers)];
    let remote = &names[remotes[peer.remote.0 as usize]];
    let mut nets = peer.allowed_ips.to_vec();
    let said = match what {
        1..=3 if !nets.is_empty() => {
            let gone = nets.remove(dice.below(nets.len()));
            format!("{} ({own}) lacks {gone} of {remote}", names[node])
        }
        4 => {
            peer.endpoint = None;
            format!("{} ({own}) has no endpoint for {remote}", names[node])
        }
        _ => {
            let more: IpNet = NETS[dice.below(NETS.len())].parse().expect("a prefix");
            nets.push(more);
            format!("{} ({own}) has {more} for {remote}", names[node])
        }
    };
    nets.sort_unstable();
    nets.dedup();
    peer.allowed_ips.value = nets.into();
    Some(said)
}

/// Whether every interface can be brought up as it is described.
fn comes_up(topology: &Topology) -> bool {
    topology.nodes.iter().all(|node| node_comes_up(topology, node))
}

fn node_comes_up(topology: &Topology, node: &Node) -> bool {
    let own: Vec<&Interface> = node.interfaces.iter().map(|id| topology.interface(*id)).collect();
    let allowed = |interface: &Interface| -> Vec<IpNet> {
        interface.peers.iter().flat_map(|peer| peer.allowed_ips.iter().copied()).collect()
    };
    let connected = |interface: &Interface| -> Vec<IpNet> {
        interface.addresses.iter().map(|addr| addr.value.trunc()).collect()
    };
    own.iter().enumerate().all(|(index, interface)| {
        let nets = allowed(interface);
        let mut sorted = nets.clone();
        sorted.sort_unstable();
        let twice = sorted.windows(2).any(|pair| pair[0] == pair[1]);
        let others = own.iter().enumerate().filter(|(other, _)| *other != index);
        let mut theirs = others.flat_map(|(_, other)| [allowed(other), connected(other)].concat());
        let clash = theirs.any(|net| nets.contains(&net));
        let lan = node.subnets.iter().any(|subnet| nets.contains(&subnet.value));
        let two_defaults = own.len() > 1 && nets.iter().any(|net| net.prefix_len() == 0);
        // An endpoint within the AllowedIPs other than /0.
        let underlay: IpNet = "198.51.100.0/24".parse().expect("a prefix");
        let swallowed =
            nets.iter().any(|net| net.prefix_len() > 0 && net.contains(&underlay.network()));
        !(twice || clash || lan || two_defaults || swallowed)
    })
}
