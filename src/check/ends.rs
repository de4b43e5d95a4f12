//! Every end that a flow can have, and classes of ends that the fleet treats alike.
//!
//! Two ends are alike where exchanging their nodes changes nothing that a walk looks at: whoever
//! knows the one knows the other in the same way, and both nodes know everybody else in the same
//! way. A flow between two classes then ends as any other between them does, so one walk proves
//! all. Whatever breaks the symmetry makes a class of its own: a node that leads to what is not
//! its own, one that masquerades, prefixes nested in its own, an entry that only one of them has.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use rayon::prelude::*;

use super::entry::entry;
use super::flows::Member;
use super::session::{SessionStart, Sessions};
use super::tables::{Entry, SharedList, Tables};
use crate::inventory::Inventory;
use crate::model::{Family, RouteTable, host_net};
use crate::topology::{InterfaceId, NodeId, NodeKind, Topology};

/// One end in one family.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    /// The address, or the class of a LAN's addresses.
    pub(super) member: Member,
    /// The node that has the address, or delivers to the LAN.
    pub(super) node: NodeId,
    /// The network of a tunnel address.
    pub(super) network: Option<usize>,
    /// An address of it.
    pub(super) addr: IpAddr,
    /// Index of the longest prefix that holds it.
    leaf: usize,
}

/// Where an end is: between two ends of one place there is no tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Spot {
    /// A node.
    Node(NodeId),
    /// A site.
    Site(usize),
}

impl End {
    /// Its family.
    pub(super) fn family(&self) -> Family {
        Family::of_addr(&self.addr)
    }

    /// Whether it is a LAN.
    pub(super) fn is_lan(&self) -> bool {
        matches!(self.member, Member::Lan { .. })
    }

    /// Where it is, for flows with or without a LAN at one of their ends.
    pub(super) fn spot(&self, topology: &Topology, with_lan: bool) -> Spot {
        match topology.node(self.node).site.filter(|_| with_lan) {
            Some(site) => Spot::Site(site),
            None => Spot::Node(self.node),
        }
    }
}

/// All ends of a fleet in classes.
#[derive(Debug)]
pub(super) struct Ends {
    /// Every end: tunnel addresses in order of interface, then LANs.
    pub(super) all: Vec<End>,
    /// Ends that are alike, as indices in order; classes in order of their first end.
    pub(super) classes: Vec<Vec<usize>>,
}

impl Ends {
    /// Finds the ends of a fleet, and which of them are alike.
    #[must_use]
    pub(super) fn new(inventory: &Inventory, tables: &Tables<'_>) -> Self {
        let all = ends(tables);
        let marks = Marks::new(inventory, tables);
        let mut groups: BTreeMap<[u128; 2], Vec<usize>> = BTreeMap::new();
        let mut fresh = 0_u128;
        let mut coloured: Vec<Option<[u128; 2]>> = vec![None; all.len()];
        for with in [With::Nothing, With::Itself, With::Relayed] {
            let mut alike: HashMap<u128, Vec<usize>> = HashMap::new();
            for (index, end) in all.iter().enumerate() {
                if coloured[index].is_none()
                    && let Some(key) = marks.end(end, with)
                {
                    alike.entry(key).or_default().push(index);
                }
            }
            for (key, members) in alike {
                if members.len() > 1 {
                    for index in members {
                        coloured[index] = Some([1 + with as u128, key]);
                    }
                }
            }
        }
        for (index, colour) in coloured.into_iter().enumerate() {
            let colour = colour.unwrap_or_else(|| {
                fresh += 1;
                [0, fresh]
            });
            groups.entry(colour).or_default().push(index);
        }
        let mut classes: Vec<Vec<usize>> = groups.into_values().collect();
        classes.sort_unstable();
        Self { all, classes }
    }
}

fn ends(tables: &Tables<'_>) -> Vec<End> {
    let topology = tables.topology();
    let mut all = Vec::new();
    for interface in &topology.interfaces {
        for addr in interface.addresses.iter().map(|net| net.value.addr()) {
            let Some(leaf) = tables.index(&host_net(addr)) else { continue };
            let (member, node) = (Member::Address(interface.node, addr), interface.node);
            all.push(End { member, node, network: Some(interface.network), addr, leaf });
        }
    }
    let mut seen = HashSet::new();
    for (id, node) in (0..).map(NodeId).zip(&topology.nodes) {
        for subnet in &node.subnets {
            for class in tables.classes(subnet.value) {
                let addr = class.addr;
                let here = tables.gateways(addr).contains(&id) && tables.holders(addr).is_empty();
                let Some(leaf) = tables.index(&class.net).filter(|_| here) else { continue };
                // A host's own subnet counts as one of its site's, as in rules.
                let site = node.site.filter(|_| matches!(node.kind, NodeKind::Host(_)));
                let member = Member::Lan { addr, site, node: site.is_none().then_some(id) };
                if seen.insert(member) {
                    all.push(End { member, node: id, network: None, addr, leaf });
                }
            }
        }
    }
    all
}

/// A number that depends on all words and, in sums, not on their order.
fn mix(words: [u64; 4]) -> u128 {
    let lane = |keys: [u64; 4]| {
        let joined = words.iter().zip(keys).fold(0_u64, |state, (word, key)| {
            (state.rotate_left(23) ^ word.wrapping_add(key)).wrapping_mul(key | 1)
        });
        let state = (joined ^ (joined >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        state ^ (state >> 29)
    };
    let high = lane([
        0x9e37_79b9_7f4a_7c15,
        0xbf58_476d_1ce4_e5b9,
        0x94d0_49bb_1331_11eb,
        0x2545_f491_4f6c_dd1d,
    ]);
    let low = lane([
        0x243f_6a88_85a3_08d3,
        0x1319_8a2e_0370_7344,
        0xa409_3822_299f_31d0,
        0x082e_fa98_ec4e_6c89,
    ]);
    (u128::from(high) << 64) | u128::from(low)
}

/// One number from several, in order.
fn fold(parts: &[u128]) -> u128 {
    parts.iter().fold(7, |state, part| {
        let halves = |word: u128| {
            let bytes = word.to_le_bytes();
            let half = |from: usize| {
                (0..8).fold(0_u64, |number, byte| number << 8 | u64::from(bytes[from + byte]))
            };
            [half(0), half(8)]
        };
        let ([a, b], [c, d]) = (halves(state), halves(*part));
        mix([a, b, c, d])
    })
}

/// What is added to who knows an end, before two are compared: an owner is the only one that does
/// not know its own prefix as all others like it do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum With {
    /// Nothing: only others than its like know it.
    Nothing = 0,
    /// That it leads to itself, as in a mesh.
    Itself = 1,
    /// That it leads through the relay by which its like reach it, as behind a hub.
    Relayed = 2,
}

/// What tells nodes and ends apart.
struct Marks<'a> {
    topology: &'a Topology,
    tables: &'a Tables<'a>,
    /// The only node that has a prefix as its own.
    owners: Vec<Option<NodeId>>,
    /// Whom those who do not have the owner for a peer send each prefix to; never the owner itself.
    relays: Vec<Option<InterfaceId>>,
    /// Who knows each prefix.
    known: Vec<u128>,
    nodes: Vec<u128>,
}

const SELF: u64 = u64::MAX;

impl<'a> Marks<'a> {
    fn new(inventory: &Inventory, tables: &'a Tables<'a>) -> Self {
        let topology = tables.topology();
        let (owners, alone) = owners(tables);
        // What all holders of a list come to, for an owner that they have it from and for another.
        let sum = |list: &SharedList, to: u64| {
            let holders = list.holders.iter();
            holders.fold(0_u128, |sum, holder| sum.wrapping_add(knower(topology, *holder, to)))
        };
        let lists: Vec<[u128; 2]> = tables
            .lists()
            .par_iter()
            .map(|list| [sum(list, u64::from(list.to.0)), sum(list, SELF)])
            .collect();
        let known = tables
            .entries()
            .par_iter()
            .zip(&owners)
            .map(|(entry, owner)| knowers(tables, &lists, entry, *owner))
            .collect();
        let relays = tables
            .entries()
            .par_iter()
            .zip(&owners)
            .map(|(entry, owner)| relay(tables, entry, (*owner)?))
            .collect();
        let mut marks = Self { topology, tables, owners, relays, known, nodes: Vec::new() };
        let interfaces = marks.interfaces(inventory, &alone);
        marks.nodes = (0..)
            .map(NodeId)
            .zip(&topology.nodes)
            .map(|(id, node)| {
                let own = node.interfaces.iter().map(|own| interfaces[own.0 as usize]);
                let mut parts = vec![marks.plain(id, &alone)];
                parts.extend(own);
                fold(&parts)
            })
            .collect();
        marks
    }

    /// What a node is, whoever else there is.
    fn plain(&self, id: NodeId, alone: &[bool]) -> u128 {
        let node = self.topology.node(id);
        let who = if alone[id.0 as usize] { u64::from(id.0) } else { SELF };
        let bits = u64::from(node.forwards.v4.value)
            | u64::from(node.forwards.v6.value) << 1
            | u64::from(matches!(node.kind, NodeKind::Host(_))) << 2;
        mix([11, who, bits, node.interfaces.len() as u64])
    }

    /// What each interface has for whom, summed up.
    fn entries_known(&self) -> Vec<u128> {
        let topology = self.topology;
        let mut known = vec![0_u128; topology.interfaces.len()];
        let told = |index: usize, to: InterfaceId| mix([1, index as u64, u64::from(to.0), 0]);
        for list in self.tables.lists() {
            let all = list
                .entries
                .iter()
                .fold(0_u128, |sum, index| sum.wrapping_add(told(*index, list.to)));
            for holder in &list.holders {
                let sum = &mut known[holder.0 as usize];
                *sum = sum.wrapping_add(all);
            }
        }
        for (index, entry) in self.tables.entries().iter().enumerate() {
            for (holder, to) in entry.others() {
                let sum = &mut known[holder.0 as usize];
                *sum = sum.wrapping_add(told(index, *to));
            }
            if let Some((list, but)) = entry.shared() {
                for holder in but {
                    let sum = &mut known[holder.0 as usize];
                    *sum = sum.wrapping_sub(told(index, self.tables.lists()[list].to));
                }
            }
            for holder in &entry.contested {
                let sum = &mut known[holder.0 as usize];
                *sum = sum.wrapping_add(mix([12, index as u64, 0, 0]));
            }
        }
        known
    }

    /// A colour for each interface: equal where the two see their network alike.
    fn interfaces(&self, inventory: &Inventory, alone: &[bool]) -> Vec<u128> {
        let topology = self.topology;
        let known = self.entries_known();
        let sessions = Sessions::heard(inventory, topology, self.tables.running());
        let linked: Vec<u128> = topology
            .interfaces
            .par_iter()
            .enumerate()
            .map(|(index, interface)| {
                let id = InterfaceId(u32::try_from(index).unwrap_or(u32::MAX));
                interface.peers.iter().fold(0_u128, |sum, peer| {
                    let Some(answer) = entry(topology, peer.remote, id) else {
                        return sum.wrapping_add(link(
                            peer.remote,
                            SessionStart::Never,
                            SessionStart::Never,
                        ));
                    };
                    let there = sessions.between(id, peer, answer);
                    let back = sessions.between(peer.remote, answer, peer);
                    sum.wrapping_add(link(peer.remote, there, back))
                })
            })
            .collect();
        let key = |index: usize, with: (With, SessionStart)| {
            let interface = &topology.interfaces[index];
            let id = InterfaceId(u32::try_from(index).unwrap_or(u32::MAX));
            let mut sum = known[index].wrapping_add(linked[index]);
            let mut through = SELF;
            match with {
                (With::Nothing, _) => {}
                (With::Itself, state) => {
                    let own = self.own(id).map(|index| mix([1, index as u64, u64::from(id.0), 0]));
                    sum = own.fold(sum, u128::wrapping_add).wrapping_add(link(id, state, state));
                }
                (With::Relayed, _) => {
                    let relayed =
                        self.own(id).filter_map(|own| Some((own, self.relay_on(own, id)?)));
                    let mut relayed = relayed.peekable();
                    let first = relayed.peek().map(|(_, relay)| *relay);
                    through = first.map_or(SELF, |relay| u64::from(relay.0));
                    // Prefixes behind several relays make it like no other.
                    let same = relayed.filter(|(_, relay)| Some(*relay) == first);
                    let own = same.map(|(own, relay)| mix([1, own as u64, u64::from(relay.0), 0]));
                    sum = own.fold(sum, u128::wrapping_add);
                }
            }
            let table = match interface.table.value {
                RouteTable::Auto => 0,
                RouteTable::Off => 1,
                RouteTable::Number(number) => u64::from(number) + 2,
            };
            let connected = interface.addresses.iter().filter_map(|addr| {
                self.tables
                    .index(&addr.value.trunc())
                    .filter(|_| addr.value.prefix_len() < addr.value.max_prefix_len())
            });
            let connected =
                connected.fold(0_u128, |sum, net| sum.wrapping_add(mix([2, net as u64, 0, 0])));
            let plain = self.plain(interface.node, alone);
            let down = mix([10, u64::from(self.tables.is_down(id)), 0, 0]);
            fold(&[sum, connected, plain, down, mix([3, interface.network as u64, table, through])])
        };
        let itself = SessionStart::ALL.map(|start| (With::Itself, start));
        let variants = std::iter::once((With::Nothing, SessionStart::Never))
            .chain(itself)
            .chain([(With::Relayed, SessionStart::Never)]);
        let mut colours: Vec<Option<u128>> = vec![None; topology.interfaces.len()];
        for (variant, with) in variants.enumerate() {
            let mut alike: HashMap<u128, Vec<usize>> = HashMap::new();
            for (index, colour) in colours.iter().enumerate() {
                if colour.is_none() {
                    alike.entry(key(index, with)).or_default().push(index);
                }
            }
            for (key, members) in alike {
                if members.len() > 1 {
                    for index in members {
                        colours[index] = Some(fold(&[variant as u128, key]));
                    }
                }
            }
        }
        let single = |index: usize| mix([4, index as u64, 0, 0]);
        colours
            .into_iter()
            .enumerate()
            .map(|(i, colour)| colour.unwrap_or_else(|| single(i)))
            .collect()
    }

    /// The prefixes that an interface tells its network as its node's own.
    fn own(&self, id: InterfaceId) -> impl Iterator<Item = usize> + '_ {
        let interface = self.topology.interface(id);
        let addresses = self.topology.tunnel_addresses(id).map(host_net);
        let subnets = self.topology.node(interface.node).subnets.iter();
        let nets = addresses.chain(subnets.map(|subnet| subnet.value.trunc()));
        nets.filter_map(|net| self.tables.index(&net))
            .filter(move |index| self.owners[*index] == Some(interface.node))
    }

    /// The relay to a prefix that is in the network of an interface.
    fn relay_on(&self, prefix: usize, id: InterfaceId) -> Option<InterfaceId> {
        let network = |id: InterfaceId| self.topology.interface(id).network;
        self.relays[prefix].filter(|relay| network(*relay) == network(id))
    }

    /// What the fleet does with an end; `None` where nothing can be like it.
    fn end(&self, end: &End, with: With) -> Option<u128> {
        let kind = match end.member {
            Member::Lan { site, .. } => 1 + u64::from(site.is_some()),
            _ => 0,
        };
        let network = end.network.map_or(SELF, |network| network as u64);
        let shape = mix([6, kind, network, 0]);
        let mut parts = vec![shape, self.nodes[end.node.0 as usize]];
        parts.push(self.known(end.node, end.network, end.leaf, with)?);
        if kind == 0 {
            // The kernel may choose another of the node's addresses to send from.
            for id in &self.topology.node(end.node).interfaces {
                let network = self.topology.interface(*id).network;
                for addr in self.topology.tunnel_addresses(*id) {
                    let alike = Family::of_addr(&addr) == end.family() && addr != end.addr;
                    if let Some(leaf) = self.tables.index(&host_net(addr)).filter(|_| alike) {
                        parts.push(self.known(end.node, Some(network), leaf, with)?);
                    }
                }
            }
        }
        Some(fold(&parts))
    }

    /// Who knows a prefix of a node, in a network or in all.
    fn known(&self, node: NodeId, own: Option<usize>, leaf: usize, with: With) -> Option<u128> {
        let entry: &Entry = &self.tables.entries()[leaf];
        self.owners[leaf].filter(|owner| *owner == node)?;
        let mut sum = self.known[leaf];
        let mut through = SELF;
        for id in &self.topology.node(node).interfaces {
            let network = self.topology.interface(*id).network;
            let to = match with {
                With::Nothing => None,
                With::Itself => own.is_none_or(|own| own == network).then_some(SELF),
                With::Relayed => self.relay_on(leaf, *id).map(|relay| u64::from(relay.0)),
            };
            if let Some(to) = to {
                sum = sum.wrapping_add(mix([5, u64::from(id.0), to, network as u64]));
                through = to;
            }
        }
        let parent = entry.parent.map_or(SELF, |parent| parent as u64);
        Some(fold(&[sum, mix([8, parent, u64::from(entry.inside), through])]))
    }
}

/// That an interface sends a prefix to somebody.
fn knower(topology: &Topology, holder: InterfaceId, to: u64) -> u128 {
    let network = topology.interface(holder).network as u64;
    mix([5, u64::from(holder.0), to, network])
}

/// Who sends a prefix to whom, its owner left open.
fn knowers(tables: &Tables<'_>, lists: &[[u128; 2]], entry: &Entry, owner: Option<NodeId>) -> u128 {
    let topology = tables.topology();
    let own = |to: InterfaceId| Some(topology.interface(to).node) == owner;
    let name = |to: InterfaceId| if own(to) { SELF } else { u64::from(to.0) };
    let contested = entry
        .contested
        .iter()
        .fold(0_u128, |sum, holder| sum.wrapping_add(mix([13, u64::from(holder.0), 0, 0])));
    let others = entry.others().iter().fold(contested, |sum, (holder, to)| {
        sum.wrapping_add(knower(topology, *holder, name(*to)))
    });
    let Some((list, but)) = entry.shared() else { return others };
    let to = tables.lists()[list].to;
    let all = others.wrapping_add(lists[list][usize::from(own(to))]);
    but.iter().fold(all, |sum, holder| sum.wrapping_sub(knower(topology, *holder, name(to))))
}

/// Whom most of those send a prefix to who do not have its owner for a peer (Boyer and Moore); of
/// one that has no majority, two owners are never alike.
fn relay(tables: &Tables<'_>, entry: &Entry, owner: NodeId) -> Option<InterfaceId> {
    let topology = tables.topology();
    let far = |to: InterfaceId| topology.interface(to).node != owner;
    let shared = entry.shared().map(|(list, but)| (&tables.lists()[list], but.len()));
    let shared = shared.map(|(list, but)| (list.to, list.holders.len() - but));
    let shared = shared.filter(|(to, votes)| far(*to) && *votes > 0);
    let first = shared.map_or((None, 0), |(to, votes)| (Some(to), votes));
    let others = entry.others().iter().map(|(_, to)| *to).filter(|to| far(*to));
    let (relay, _) = others.fold(first, |(relay, votes), to| match relay {
        Some(known) if known == to => (relay, votes + 1),
        Some(_) if votes > 0 => (relay, votes - 1),
        _ => (Some(to), 1),
    });
    relay
}

fn link(remote: InterfaceId, there: SessionStart, back: SessionStart) -> u128 {
    mix([7, u64::from(remote.0), there as u64, back as u64])
}

/// Who has each prefix as its only owner, and which nodes are like no other.
fn owners(tables: &Tables<'_>) -> (Vec<Option<NodeId>>, Vec<bool>) {
    let topology = tables.topology();
    let entries = tables.entries();
    let nodes = |entry: &Entry| -> Vec<NodeId> {
        let holders = entry.addresses.iter().map(|id| topology.interface(*id).node);
        let mut nodes: Vec<NodeId> = holders.chain(entry.lans.iter().copied()).collect();
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    };
    let mut alone: Vec<bool> =
        topology.nodes.iter().map(|node| node.exit.value || !node.masquerade.is_empty()).collect();
    let mut owners = Vec::with_capacity(entries.len());
    for entry in entries {
        let all = nodes(entry);
        let owner = match all.as_slice() {
            [owner] => Some(*owner),
            several => {
                for node in several {
                    alone[node.0 as usize] = true;
                }
                None
            }
        };
        let shared = entry.shared().map(|(list, but)| (&tables.lists()[list], but.len()));
        let shared =
            shared.filter(|(list, but)| list.holders.len() > *but).map(|(list, _)| list.to);
        for to in entry.others().iter().map(|(_, to)| *to).chain(shared) {
            let to = topology.interface(to).node;
            if owner != Some(to) {
                alone[to.0 as usize] = true;
            }
        }
        owners.push(owner);
    }
    // What lies within a prefix of its own is treated by its owner as by nobody else.
    for entry in entries {
        if let Some(owner) = entry.parent.and_then(|parent| owners[parent]) {
            alone[owner.0 as usize] = true;
        }
    }
    (owners, alone)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::path::PathBuf;

    use super::*;

    fn classes(network: &str, count: usize, spoke: impl Fn(usize) -> String) -> usize {
        let mut text =
            format!("fleet: f\nnetworks: {{ n: {{ prefixes: 10.0.0.0/16, {network} }} }}\n");
        text += "hosts:\n  h0: { endpoint: \"h0.example.com:5\", address: 10.0.0.1 }\n";
        text += "  h1: { endpoint: \"h1.example.com:5\", address: 10.0.0.2 }\n";
        for index in 0..count {
            let _ = writeln!(text, "  s{index}: {{ address: 10.0.1.{index}, {} }}", spoke(index));
        }
        let parsed = crate::inventory::parse(PathBuf::from("fleet.yaml"), text);
        let inventory = parsed.inventory.expect("the file is valid");
        let none = |_: &_, _: &_| -> Vec<IpAddr> { Vec::new() };
        let topology = crate::topology::build(&inventory, &none);
        Ends::new(&inventory, &Tables::new(&inventory, &topology)).classes.len()
    }

    #[test]
    fn spokes_with_lans_are_alike_however_many_they_are() {
        let lan = |index: usize| format!("nat: true, subnets: 172.23.{index}.0/24");
        for network in ["links: { hub: h0 }", "links: { hub: [h0, h1] }"] {
            // The two first hosts, the spokes' addresses, the spokes' LANs.
            assert_eq!(classes(network, 3, lan), 4, "{network}");
            assert_eq!(classes(network, 30, lan), 4, "{network}");
        }
        // One that is unlike: its LAN lies within another's.
        let odd = |index: usize| match index {
            0 => "nat: true, subnets: 172.23.5.128/25".to_owned(),
            index => lan(index),
        };
        assert!(classes("links: { hub: h0 }", 30, odd) > 4);
    }
}
