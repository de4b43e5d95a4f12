//! What carries encrypted packets: the wire, or a tunnel by the routes and rules of their host.
//!
//! wg-quick(8) gives a literal /0 a rule that the marked packets of its own interface pass by. Another
//! interface's packets do not have that mark, and no other prefix has such a rule.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;
use std::sync::OnceLock;

use ipnet::IpNet;
use prefix_trie::joint::JointPrefixSet;

use super::entry::{entry, literal, prefixes};
use super::tables::{Match, Out, Tables};
use crate::inventory::Inventory;
use crate::model::{Family, RouteTable, host_net};
use crate::topology::{Interface, InterfaceId, NodeId, Peer, Topology};

/// One end's side of a link: its interface, and the peer's.
pub(super) type Side = (InterfaceId, InterfaceId);

/// Hops that an encrypted packet is followed for.
const FAR: usize = 64;

/// Where the encrypted packets of one side go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Carried {
    /// Into the very interface that they come out of, at once or after a round.
    Itself,
    /// Through the sides of other tunnels in turn, and out of the last one.
    Through {
        /// The sides.
        sides: Vec<Side>,
        /// Whether they come out where the endpoint is.
        arrives: bool,
    },
    /// In a circle that does not begin with their own interface.
    Circle(Vec<Side>),
}

/// Which tunnels carry the encrypted packets of which others.
#[derive(Debug)]
pub(super) struct Carriers<'a> {
    inventory: &'a Inventory,
    topology: &'a Topology,
    /// Every prefix of `AllowedIPs` but /0, and every connected one.
    inner: OnceLock<JointPrefixSet<IpNet>>,
    tables: OnceLock<Box<Tables<'a>>>,
    all: OnceLock<BTreeMap<Side, Carried>>,
    lost: OnceLock<BTreeSet<Side>>,
}

impl<'a> Carriers<'a> {
    pub(super) fn new(inventory: &'a Inventory, topology: &'a Topology) -> Self {
        Self {
            inventory,
            topology,
            inner: OnceLock::new(),
            tables: OnceLock::new(),
            all: OnceLock::new(),
            lost: OnceLock::new(),
        }
    }

    /// Whether some tunnel of the fleet leads to an address otherwise than by /0.
    fn inside(&self, addr: IpAddr) -> bool {
        self.inner.get_or_init(|| prefixes(self.topology)).get_lpm(&host_net(addr)).is_some()
    }

    fn tables(&self) -> &Tables<'a> {
        self.tables.get_or_init(|| Box::new(Tables::new(self.inventory, self.topology)))
    }

    /// The interface of a node that an encrypted packet of its interface `id` is routed into.
    pub(super) fn carrier(&self, id: InterfaceId, addr: IpAddr) -> Option<Match<InterfaceId>> {
        let node = self.topology.interface(id).node;
        let many = self.topology.node(node).interfaces.len() > 1;
        // By /0 of its own it passes, unless that is a plain route.
        let plain = main(self.topology.interface(id));
        let found = (many || plain || self.inside(addr))
            .then(|| self.tables().route_outside(id, addr))
            .flatten();
        self.tunnel(node, addr, found?)
    }

    /// The tunnel that a route leads into, where no LAN of the node's site is as close.
    fn tunnel(&self, node: NodeId, addr: IpAddr, found: Match<Out>) -> Option<Match<InterfaceId>> {
        let Match { net, to: Out::Tunnel(to) } = found else { return None };
        let site = self.topology.node(node).site.map(|site| &self.inventory.sites[site].subnets);
        let near = site
            .into_iter()
            .flatten()
            .any(|lan| lan.value.contains(&addr) && lan.value.prefix_len() >= net.prefix_len());
        (!near).then_some(Match { net, to })
    }

    /// Where the encrypted packets of one side go; `None`: onto the wire.
    fn follow(&self, side: Side, addr: IpAddr) -> Option<Carried> {
        let own = self.topology.interface(side.0);
        let first = self.carrier(side.0, addr)?;
        if first.to == side.0 {
            return Some(Carried::Itself);
        }
        let source = self
            .topology
            .tunnel_addresses(first.to)
            .find(|own| Family::of_addr(own) == Family::of_addr(&addr));
        let (tables, mut sides, mut nodes) = (self.tables(), Vec::new(), vec![own.node]);
        let mut to = first.to;
        let arrives = loop {
            let Some(next) = tables.peer(to, addr) else { break false };
            sides.push((to, next.to));
            let id = self.topology.interface(next.to).node;
            if nodes.contains(&id) || nodes.len() > FAR {
                return Some(Carried::Circle(sides));
            }
            nodes.push(id);
            let back = source.and_then(|source| tables.peer(next.to, source));
            if back.map(|back| back.to) != Some(to) {
                break false;
            }
            if tables.holders(addr).iter().any(|own| self.topology.interface(*own).node == id) {
                break id == self.topology.interface(side.1).node;
            }
            let node = self.topology.node(id);
            let out = tables.route(id, addr);
            if !node.forwards.of(Family::of_addr(&addr)) {
                break false;
            }
            match out.and_then(|out| self.tunnel(id, addr, out)) {
                Some(onward) => to = onward.to,
                None => break self.leaves(id, side, addr, out),
            }
        };
        Some(Carried::Through { sides, arrives })
    }

    /// Whether what leaves the tunnels at a node gets to the endpoint of a side.
    fn leaves(&self, at: NodeId, side: Side, addr: IpAddr, out: Option<Match<Out>>) -> bool {
        let (node, far) = (self.topology.node(at), self.topology.interface(side.1).node);
        let lan = out.is_some_and(|out| out.to == Out::Lan);
        let beside = node.site.is_some() && node.site == self.topology.node(far).site;
        lan || beside || (node.exit.value && self.tables().is_internet(addr))
    }

    /// Every side whose packets do not go onto the wire.
    pub(super) fn all(&self) -> &BTreeMap<Side, Carried> {
        self.all.get_or_init(|| {
            let mut all = BTreeMap::new();
            let mut known = Memo::new(self.topology);
            for (id, interface) in (0..).map(InterfaceId).zip(&self.topology.interfaces) {
                let node = self.topology.node(interface.node);
                let plain = main(interface);
                let whole = OnceCell::new();
                for peer in &interface.peers {
                    if peer.endpoint.is_none() {
                        continue;
                    }
                    let side = (id, peer.remote);
                    let Some(addr) = literal(peer) else {
                        let whole = whole.get_or_init(|| wholly(interface));
                        if *whole == [true, true] && node.is_ours(self.inventory) {
                            all.insert(side, Carried::Itself);
                        }
                        continue;
                    };
                    let inside = known.of(peer.remote, addr, || self.inside(addr));
                    let may = inside || plain || node.interfaces.len() > 1;
                    if may && node.is_ours(self.inventory) {
                        all.extend(self.follow(side, addr).map(|carried| (side, carried)));
                    }
                }
            }
            all
        })
    }

    /// Whether the packets of a side never get to its endpoint.
    pub(super) fn loses(&self, side: Side) -> bool {
        let all = self.all();
        !all.is_empty() && self.lost.get_or_init(|| self.find_lost(all)).contains(&side)
    }

    /// Whether tunnels take the packets of a side to its endpoint.
    pub(super) fn brings(&self, side: Side) -> bool {
        let through = matches!(self.all().get(&side), Some(Carried::Through { arrives: true, .. }));
        through && !self.loses(side)
    }

    fn find_lost(&self, all: &BTreeMap<Side, Carried>) -> BTreeSet<Side> {
        let mut lost: BTreeSet<Side> = cycles(&self.through()).into_iter().flatten().collect();
        for (side, carried) in all {
            let bad = match carried {
                // There the host may have a closer route.
                Carried::Itself => !self.one_underlay(*side),
                Carried::Circle(_) => true,
                Carried::Through { sides, arrives } => !arrives || self.silent(sides),
            };
            if bad {
                lost.insert(*side);
            }
        }
        // What is carried by what is lost is lost too.
        loop {
            let more: Vec<Side> = all
                .iter()
                .filter(|(side, carried)| {
                    let Carried::Through { sides, .. } = carried else { return false };
                    let lost = |(a, b): &Side| lost.contains(&(*a, *b)) || lost.contains(&(*b, *a));
                    sides.iter().any(lost) && !lost(side)
                })
                .map(|(side, _)| *side)
                .collect();
            if more.is_empty() {
                return lost;
            }
            lost.extend(more);
        }
    }

    /// Whether one of the tunnels is a link of which neither end knows the other's endpoint.
    fn silent(&self, sides: &[Side]) -> bool {
        let told = |a: InterfaceId, b: InterfaceId| {
            entry(self.topology, a, b).is_some_and(|peer| peer.endpoint.is_some())
        };
        sides.iter().any(|(a, b)| !told(*a, *b) && !told(*b, *a))
    }

    /// Whether both ends of a side are on one named private net.
    pub(super) fn one_underlay(&self, (from, to): Side) -> bool {
        let name = |id: InterfaceId| {
            let site = self.topology.node(self.topology.interface(id).node).site?;
            self.inventory.sites[site].underlay.name.as_ref().map(|name| &name.value)
        };
        name(from).is_some() && name(from) == name(to)
    }

    /// The sides that go through others, with those.
    pub(super) fn through(&self) -> BTreeMap<Side, Vec<Side>> {
        let through = self.all().iter().filter_map(|(side, carried)| match carried {
            Carried::Through { sides, .. } => Some((*side, sides.clone())),
            _ => None,
        });
        through.collect()
    }
}

/// Whether an interface has a literal /0 that is a plain route of the main table.
fn main(interface: &Interface) -> bool {
    let whole = |peer: &Peer| peer.allowed_ips.up_to(0).next().is_some();
    interface.table.value == RouteTable::Number(254) && interface.peers.iter().any(whole)
}

/// The families that an interface routes whole without a way around the tunnel: IPv4, IPv6.
pub(super) fn wholly(interface: &Interface) -> [bool; 2] {
    let least = match interface.table.value {
        RouteTable::Auto => 1,
        RouteTable::Number(254) => 0,
        RouteTable::Off | RouteTable::Number(_) => return [false; 2],
    };
    let short = |net: &&IpNet| net.prefix_len() >= least;
    let nets = interface.peers.iter().flat_map(|peer| peer.allowed_ips.up_to(8).filter(short));
    let whole = IpNet::aggregate(&nets.copied().collect());
    [Family::V4, Family::V6]
        .map(|family| whole.iter().any(|net| net.prefix_len() == 0 && Family::of(net) == family))
}

/// What is known of addresses by the interface that they are an endpoint of, which nearly always
/// has but one.
#[derive(Debug)]
pub(super) struct Memo<T>(Vec<Option<(IpAddr, T)>>);

impl<T: Copy> Memo<T> {
    pub(super) fn new(topology: &Topology) -> Self {
        Self(vec![None; topology.interfaces.len()])
    }

    pub(super) fn of(&mut self, remote: InterfaceId, addr: IpAddr, find: impl FnOnce() -> T) -> T {
        let slot = &mut self.0[remote.0 as usize];
        match slot {
            Some((known, value)) if *known == addr => *value,
            _ => slot.insert((addr, find())).1,
        }
    }
}

/// Sides that carry one another's packets, each cycle once. `carried` is small: it holds only what
/// goes through another tunnel.
pub(super) fn cycles(carried: &BTreeMap<Side, Vec<Side>>) -> Vec<Vec<Side>> {
    let mut done: HashSet<Side> = HashSet::new();
    let mut found = Vec::new();
    for start in carried.keys() {
        // Depth first, the path kept beside the stack of what is left to try.
        let mut path: Vec<Side> = Vec::new();
        let mut stack: Vec<(Side, usize)> = vec![(*start, 0)];
        while let Some((side, next)) = stack.pop() {
            if next == 0 {
                if done.contains(&side) {
                    continue;
                }
                if let Some(begin) = path.iter().position(|other| *other == side) {
                    found.push(path[begin..].to_vec());
                    continue;
                }
                path.push(side);
            }
            if let Some(below) = carried.get(&side).and_then(|sides| sides.get(next)) {
                stack.push((side, next + 1));
                stack.push((*below, 0));
            } else {
                path.pop();
                done.insert(side);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cycle_is_found_once_and_a_chain_is_none() {
        let side = |a: u32, b: u32| (InterfaceId(a), InterfaceId(b));
        let (a, b, c) = (side(0, 1), side(2, 3), side(4, 5));
        let chain = BTreeMap::from([(a, vec![b]), (b, vec![c])]);
        assert!(cycles(&chain).is_empty());
        let ring = BTreeMap::from([(a, vec![b]), (b, vec![c]), (c, vec![a])]);
        assert_eq!(cycles(&ring), [vec![a, b, c]]);
    }
}
