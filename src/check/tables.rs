//! Longest matches over the whole fleet: `AllowedIPs` of every interface, routes of every node.
//!
//! A fleet has few prefixes and many interfaces that hold them, so there is one trie of all
//! prefixes, and each prefix knows which interfaces give it to which peer. The chain from the
//! longest prefix of an address to the shortest decides every lookup on every node.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use prefix_trie::joint::JointPrefixMap;

use super::boundaries::{boundaries, places};
use super::clashes;
use super::uncovered::uncovered;
use crate::inventory::Inventory;
use crate::model::{RouteTable, covers, host_net};
use crate::topology::{InterfaceId, NodeId, Topology};

/// Blocks that the Internet does not route: each is a boundary of equivalence classes.
const PRIVATE: &[&str] = &[
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "224.0.0.0/3",
];
/// The block of IPv6 that the Internet routes.
const GLOBAL_V6: &str = "2000::/3";

/// Where a node's kernel sends a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Out {
    /// Onto a LAN of the node.
    Lan,
    /// Into a tunnel interface.
    Tunnel(InterfaceId),
}

/// What a lookup found: the prefix that decided, and what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Match<T> {
    /// The prefix.
    pub net: IpNet,
    /// What it leads to.
    pub to: T,
}

/// Addresses that no lookup on any node tells apart, by one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Class {
    /// The longest prefix that holds the class.
    pub net: IpNet,
    /// An address of the class; one that a host can have where there is any.
    pub addr: IpAddr,
}

/// One prefix of the fleet.
#[derive(Debug)]
pub(super) struct Entry {
    /// The prefix.
    pub(super) net: IpNet,
    /// The next shorter prefix that holds it.
    pub(super) parent: Option<usize>,
    /// Interfaces whose `AllowedIPs` have it and the peer that gets it, in order of interface; those aside that
    /// have it with a list that they share.
    peers: Vec<(InterfaceId, InterfaceId)>,
    /// Index of the list that others have it with.
    shared: Option<usize>,
    /// Of those who share that list, the interfaces that have the prefix otherwise or not, in order.
    but: Vec<InterfaceId>,
    /// Interfaces that give it to two peers: which of them gets it hangs on their keys.
    pub(super) contested: Vec<InterfaceId>,
    /// Nodes that deliver to it as a LAN, in order.
    pub(super) lans: Vec<NodeId>,
    /// Interfaces that have it as an address, in order.
    pub(super) addresses: Vec<InterfaceId>,
    /// Whether something of the fleet is there: a LAN or a network.
    pub(super) inside: bool,
}

/// One list of prefixes that many interfaces give to one peer.
#[derive(Debug)]
pub(super) struct SharedList {
    /// Who gets it.
    pub(super) to: InterfaceId,
    /// The interfaces that have it, in order.
    pub(super) holders: Vec<InterfaceId>,
    /// The entries of which it is the list that is shared, in order.
    pub(super) entries: Vec<usize>,
}

/// Who has a list: of whom it leaves something out, with that.
#[derive(Debug, Default)]
struct Users {
    holders: Vec<InterfaceId>,
    but: Vec<(usize, InterfaceId)>,
}

/// All prefixes of a fleet, and who does what with them.
#[derive(Debug)]
pub struct Tables<'t> {
    topology: &'t Topology,
    running: Option<&'t Topology>,
    trie: JointPrefixMap<IpNet, usize>,
    /// In order of [`IpNet`]: a prefix stands before all that it holds.
    entries: Vec<Entry>,
    lists: Vec<SharedList>,
    global_v6: Option<IpNet>,
    private: Vec<IpNet>,
    /// Interfaces that may not come up.
    down: HashSet<InterfaceId>,
}

impl<'t> Tables<'t> {
    /// Builds the tables of a fleet.
    #[must_use]
    pub fn new(inventory: &Inventory, topology: &'t Topology) -> Self {
        Self::among(inventory, topology, &[])
    }

    /// The same, where classes of addresses end at `others` too: tables of two fleets that each
    /// have the other's [`boundaries`] tell the same addresses apart.
    #[must_use]
    pub(super) fn among(inventory: &Inventory, topology: &'t Topology, others: &[IpNet]) -> Self {
        let private: Vec<IpNet> = PRIVATE.iter().filter_map(|net| net.parse().ok()).collect();
        let global_v6: Option<IpNet> = GLOBAL_V6.parse().ok();
        let mut nets: Vec<IpNet> = private.clone();
        nets.extend(global_v6);
        nets.extend([IpNet::V4(ipnet::Ipv4Net::default()), IpNet::V6(ipnet::Ipv6Net::default())]);
        nets.extend(others);
        let inside = places(inventory, topology);
        nets.extend(boundaries(inventory, topology));
        nets.sort_unstable();
        nets.dedup();
        let entries = chained(&nets);
        let trie = nets.iter().copied().zip(0..).collect();
        let down = clashes::all(topology);
        let lists = Vec::new();
        let mut tables =
            Self { topology, running: None, trie, entries, lists, global_v6, private, down };
        for net in inside {
            if let Some(index) = tables.index(&net) {
                tables.entries[index].inside = true;
            }
        }
        tables.fill(inventory);
        tables
    }

    /// Every prefix, in order: one stands before all that it holds.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry of a prefix.
    pub(super) fn index(&self, net: &IpNet) -> Option<usize> {
        self.entries.binary_search_by(|entry| entry.net.cmp(net)).ok()
    }

    /// The lists that several interfaces share.
    pub(super) fn lists(&self) -> &[SharedList] {
        &self.lists
    }

    /// The peer that an interface gives an entry to.
    fn peer_on(&self, entry: &Entry, interface: InterfaceId) -> Option<InterfaceId> {
        let own = entry.peers.binary_search_by_key(&interface, |(holder, _)| *holder);
        if let Ok(found) = own {
            return Some(entry.peers[found].1);
        }
        let list = &self.lists[entry.shared?];
        let has = list.holders.binary_search(&interface).is_ok();
        (has && entry.but.binary_search(&interface).is_err()).then_some(list.to)
    }

    /// The interfaces that have an entry, each with the peer that it gives it to.
    pub(super) fn peers_of<'a>(
        &'a self,
        entry: &'a Entry,
    ) -> impl Iterator<Item = (InterfaceId, InterfaceId)> + 'a {
        let list = entry.shared.map(|list| &self.lists[list]);
        let shared = list.into_iter().flat_map(|list| {
            let mut but = entry.but.iter().peekable();
            let holders = list.holders.iter().filter(move |id| but.next_if_eq(id).is_none());
            holders.map(|holder| (*holder, list.to))
        });
        entry.peers.iter().copied().chain(shared)
    }

    fn fill(&mut self, inventory: &Inventory) {
        let topology = self.topology;
        for (id, node) in (0..).map(NodeId).zip(&topology.nodes) {
            for subnet in &node.subnets {
                if let Some(index) = self.index(&subnet.value.trunc()) {
                    let lans = &mut self.entries[index].lans;
                    if lans.last() != Some(&id) {
                        lans.push(id);
                    }
                }
            }
        }
        // Lists by their place in memory and who gets them, in the order in which they are met.
        let mut known: HashMap<(*const IpNet, usize, InterfaceId), usize> = HashMap::new();
        let mut users: Vec<(&[IpNet], InterfaceId, Users)> = Vec::new();
        for (id, interface) in (0..).map(InterfaceId).zip(&topology.interfaces) {
            for addr in topology.tunnel_addresses(id) {
                if let Some(index) = self.index(&host_net(addr)) {
                    self.entries[index].addresses.push(id);
                }
            }
            for peer in &interface.peers {
                let (at, base) = peer.allowed_ips.base();
                let list = *known.entry((at, base.len(), peer.remote)).or_insert_with(|| {
                    users.push((base, peer.remote, Users::default()));
                    users.len() - 1
                });
                let left_out = peer.allowed_ips.left_out();
                let left_out = left_out.filter_map(|net| Some((self.index(net)?, id)));
                users[list].2.but.extend(left_out);
                users[list].2.holders.push(id);
            }
        }
        // Of each entry the list that most interfaces have it with is shared.
        let mut indices: HashMap<(*const IpNet, usize), Arc<[usize]>> = HashMap::new();
        let mut all: Vec<(Arc<[usize]>, InterfaceId, Users)> = Vec::with_capacity(users.len());
        for (base, to, users) in users {
            let found = indices.entry((base.as_ptr(), base.len())).or_insert_with(|| {
                base.iter().filter_map(|net| self.index(&net.trunc())).collect()
            });
            all.push((Arc::clone(found), to, users));
        }
        all.sort_by_key(|(.., users)| std::cmp::Reverse(users.holders.len()));
        let mut raw: HashMap<usize, Vec<(InterfaceId, InterfaceId)>> = HashMap::new();
        for (nets, to, Users { mut holders, mut but }) in all {
            // The same list of two peers of an interface is in order of the peer.
            holders.sort_unstable();
            holders.dedup();
            but.sort_unstable();
            but.dedup();
            let list = self.lists.len();
            let mut entries = Vec::new();
            for index in nets.iter().copied() {
                let first = but.partition_point(|(entry, _)| *entry < index);
                let left = but[first..].iter().take_while(|(entry, _)| *entry == index);
                let left: Vec<InterfaceId> = left.map(|(_, holder)| *holder).collect();
                let entry = &mut self.entries[index];
                if entry.shared.is_none() && holders.len() > 1 {
                    (entry.shared, entry.but) = (Some(list), left);
                    entries.push(index);
                } else if entry.shared != Some(list) {
                    let rest = holders.iter().filter(|id| left.binary_search(id).is_err());
                    raw.entry(index).or_default().extend(rest.map(|holder| (*holder, to)));
                }
            }
            if !entries.is_empty() {
                entries.sort_unstable();
                self.lists.push(SharedList { to, holders, entries });
            }
        }
        for (index, peers) in raw {
            self.settle(inventory, index, peers);
        }
    }

    /// Puts those who do not have an entry with the shared list in order, and finds who has it for two peers.
    fn settle(
        &mut self,
        inventory: &Inventory,
        index: usize,
        mut raw: Vec<(InterfaceId, InterfaceId)>,
    ) {
        // Peers are set in order of their keys, as far as the file knows them.
        let topology = self.topology;
        let known =
            |id: InterfaceId| topology.node(topology.interface(id).node).known_key(inventory);
        let shared: Vec<(InterfaceId, InterfaceId)> = {
            let (entry, mut with) = (&self.entries[index], raw.clone());
            with.retain(|(holder, _)| {
                let list = entry.shared.map(|list| &self.lists[list]);
                list.is_some_and(|list| list.holders.binary_search(holder).is_ok())
                    && entry.but.binary_search(holder).is_err()
            });
            let to = entry.shared.map(|list| self.lists[list].to);
            with.into_iter().filter_map(|(holder, _)| Some((holder, to?))).collect()
        };
        raw.extend(&shared);
        raw.sort_unstable();
        raw.dedup();
        let Entry { peers, contested, but, .. } = &mut self.entries[index];
        but.extend(shared.iter().map(|(holder, _)| *holder));
        but.sort_unstable();
        but.dedup();
        for (id, remote) in raw {
            match peers.last_mut() {
                // The same prefix on two peers: the last one silently gets it.
                Some((holder, to)) if *holder == id => {
                    contested.push(id);
                    let stays = known(*to).zip(known(remote)).is_some_and(|(a, b)| a > b);
                    if !stays {
                        *to = remote;
                    }
                }
                _ => peers.push((id, remote)),
            }
        }
    }

    /// With what runs, whose endpoints have been heard from.
    #[must_use]
    pub fn beside(self, running: &'t Topology) -> Self {
        Self { running: Some(running), ..self }
    }

    /// What runs, where it was looked at.
    #[must_use]
    pub fn running(&self) -> Option<&'t Topology> {
        self.running
    }

    /// The fleet that the tables are of.
    #[must_use]
    pub fn topology(&self) -> &'t Topology {
        self.topology
    }

    /// Every prefix that holds an address, longest first.
    fn chain(&self, addr: IpAddr) -> impl Iterator<Item = &Entry> {
        let longest = self.trie.get_lpm(&host_net(addr)).map(|(_, index)| *index);
        std::iter::successors(longest.map(|index| &self.entries[index]), |entry| {
            entry.parent.map(|index| &self.entries[index])
        })
    }

    /// Every prefix around an address, longest first.
    pub(super) fn around(&self, addr: IpAddr) -> impl Iterator<Item = &Entry> {
        self.chain(addr)
    }

    /// The peer that an interface sends an address to and accepts it from.
    #[must_use]
    pub fn peer(&self, interface: InterfaceId, addr: IpAddr) -> Option<Match<InterfaceId>> {
        self.chain(addr).find_map(|entry| {
            let to = self.peer_on(entry, interface)?;
            Some(Match { net: entry.net, to })
        })
    }

    /// Whether an interface gives the longest prefix of an address to two peers.
    #[must_use]
    pub fn is_contested(&self, interface: InterfaceId, addr: IpAddr) -> bool {
        let mut chain = self.chain(addr).filter(|entry| self.peer_on(entry, interface).is_some());
        chain.next().is_some_and(|entry| entry.contested.contains(&interface))
    }

    /// Where the kernel of a node sends an address that is not its own: LANs and connected tunnel
    /// prefixes first, then the routes that wg-quick(8) adds, the longest prefix above all.
    #[must_use]
    pub fn route(&self, node: NodeId, addr: IpAddr) -> Option<Match<Out>> {
        self.route_but(node, addr, |_| false)
    }

    /// Where the kernel sends the encrypted packets of an interface: by the rule of a literal /0 they
    /// pass where they have its mark, which are those of the interface itself and of interfaces that are
    /// given the same one.
    #[must_use]
    pub(super) fn route_outside(&self, from: InterfaceId, addr: IpAddr) -> Option<Match<Out>> {
        let own = self.topology.interface(from);
        let mark = own.fwmark.value.filter(|mark| mark.0 != 0);
        self.route_but(own.node, addr, |id| {
            let other = self.topology.interface(id);
            let marked = id == from || (mark.is_some() && other.fwmark.value == mark);
            marked && other.table.value == RouteTable::Auto
        })
    }

    /// A route, where some interfaces' /0 do not count.
    fn route_but(
        &self,
        node: NodeId,
        addr: IpAddr,
        passes: impl Fn(InterfaceId) -> bool,
    ) -> Option<Match<Out>> {
        let interfaces = &self.topology.node(node).interfaces;
        let connected = |net: &IpNet| {
            interfaces.iter().find(|id| {
                let addresses = &self.topology.interface(**id).addresses;
                addresses.iter().any(|addr| addr.value.trunc() == *net)
            })
        };
        self.chain(addr).find_map(|entry| {
            let to = if entry.lans.binary_search(&node).is_ok() {
                Out::Lan
            } else if let Some(id) = connected(&entry.net) {
                Out::Tunnel(*id)
            } else {
                let routed = |id: &&InterfaceId| {
                    self.in_main(**id)
                        && self.peer_on(entry, **id).is_some()
                        && !self.is_connected(**id, &entry.net)
                };
                // The policy rule of the interface that came up last stands first.
                let default = entry.net.prefix_len() == 0;
                let found = if default {
                    interfaces.iter().rev().filter(|id| !passes(**id)).find(routed)
                } else {
                    interfaces.iter().find(routed)
                };
                Out::Tunnel(*found?)
            };
            Some(Match { net: entry.net, to })
        })
    }

    /// Whether an interface has a connected route that holds a prefix: wg-quick(8) adds none then.
    fn is_connected(&self, id: InterfaceId, net: &IpNet) -> bool {
        let addresses = &self.topology.interface(id).addresses;
        addresses.iter().any(|addr| covers(&addr.value.trunc(), net))
    }

    /// An interface whose routes the operator sets and whose `AllowedIPs` hold an address.
    #[must_use]
    pub fn route_elsewhere(&self, node: NodeId, addr: IpAddr) -> Option<Match<InterfaceId>> {
        let interfaces = &self.topology.node(node).interfaces;
        interfaces.iter().find_map(|id| {
            let found = self.peer(*id, addr).filter(|_| !self.in_main(*id))?;
            Some(Match { net: found.net, to: *id })
        })
    }

    /// Whether the routes of an interface are added to what every packet of its host meets.
    fn in_main(&self, id: InterfaceId) -> bool {
        matches!(
            self.topology.interface(id).table.value,
            RouteTable::Auto | RouteTable::Number(254)
        )
    }

    /// The nodes that deliver to an address as a LAN: those of the longest prefix.
    #[must_use]
    pub fn gateways(&self, addr: IpAddr) -> &[NodeId] {
        let longest = self.trie.get_lpm(&host_net(addr)).map(|(_, index)| *index);
        let mut at = longest;
        while let Some(index) = at {
            if !self.entries[index].lans.is_empty() {
                return &self.entries[index].lans;
            }
            at = self.entries[index].parent;
        }
        &[]
    }

    /// Every node that delivers to an address as a LAN, with the length of its longest prefix for it.
    pub(super) fn lans(&self, addr: IpAddr) -> Vec<(NodeId, u8)> {
        let mut lans: Vec<(NodeId, u8)> = Vec::new();
        for entry in self.chain(addr) {
            for node in &entry.lans {
                if !lans.iter().any(|(known, _)| known == node) {
                    lans.push((*node, entry.net.prefix_len()));
                }
            }
        }
        lans
    }

    /// The interfaces that have a tunnel address.
    #[must_use]
    pub fn holders(&self, addr: IpAddr) -> &[InterfaceId] {
        self.index(&host_net(addr)).map_or(&[], |index| &self.entries[index].addresses)
    }

    /// Whether an address is of the Internet: routed there, and no part of the fleet.
    #[must_use]
    pub fn is_internet(&self, addr: IpAddr) -> bool {
        self.is_public(addr) && !self.chain(addr).any(|entry| entry.inside)
    }

    /// Whether an address is one that the Internet routes.
    pub(super) fn is_public(&self, addr: IpAddr) -> bool {
        match addr {
            IpAddr::V4(_) => !self.private.iter().any(|net| net.contains(&addr)),
            IpAddr::V6(_) => self.global_v6.is_some_and(|net| net.contains(&addr)),
        }
    }

    /// Whether two members of one network have a tunnel address.
    pub(super) fn is_shared(&self, addr: IpAddr) -> bool {
        let holders = self.holders(addr);
        let network = |id: &InterfaceId| self.topology.interface(*id).network;
        let mut pairs = holders.iter().enumerate();
        holders.len() > 1
            && pairs.any(|(at, a)| holders[at + 1..].iter().any(|b| network(a) == network(b)))
    }

    /// Whether an interface may not come up.
    pub(super) fn is_down(&self, id: InterfaceId) -> bool {
        self.down.contains(&id)
    }

    /// One address for each class of `within`: addresses of a class are in the same prefixes, so
    /// every node does the same with them.
    #[must_use]
    pub fn classes(&self, within: IpNet) -> Vec<Class> {
        let within = within.trunc();
        let first = self.entries.partition_point(|entry| entry.net < within);
        let inner: Vec<IpNet> = self.entries[first..]
            .iter()
            .map(|entry| entry.net)
            .take_while(|net| covers(&within, net))
            .filter(|net| *net != within)
            .collect();
        let mut classes = Vec::new();
        for (index, net) in std::iter::once(within).chain(inner.iter().copied()).enumerate() {
            if let Some(addr) = uncovered(&net, &inner[index..]) {
                classes.push(Class { net, addr });
            }
        }
        classes
    }
}

impl Entry {
    /// The interfaces that do not have it with the shared list, each with the peer that it gives it to.
    pub(super) fn others(&self) -> &[(InterfaceId, InterfaceId)] {
        &self.peers
    }

    /// The list that others have it with, and who of those does not.
    pub(super) fn shared(&self) -> Option<(usize, &[InterfaceId])> {
        self.shared.map(|list| (list, self.but.as_slice()))
    }
}

/// Entries in order, each with the next shorter one that holds it.
fn chained(nets: &[IpNet]) -> Vec<Entry> {
    let mut open: Vec<usize> = Vec::new();
    let mut entries: Vec<Entry> = Vec::with_capacity(nets.len());
    for (index, net) in nets.iter().enumerate() {
        while open.last().is_some_and(|last| !covers(&nets[*last], net)) {
            open.pop();
        }
        entries.push(Entry {
            net: *net,
            parent: open.last().copied(),
            peers: Vec::new(),
            shared: None,
            but: Vec::new(),
            contested: Vec::new(),
            lans: Vec::new(),
            addresses: Vec::new(),
            inside: false,
        });
        open.push(index);
    }
    entries
}

#[cfg(test)]
#[path = "tables_tests.rs"]
mod tests;
