//! Encrypted packets that a tunnel carries: into itself, which never works, or into another one.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

use ipnet::IpNet;
use prefix_trie::joint::JointPrefixSet;

use super::entry::{entry, literal, prefixes};
use super::folded::Folded;
use super::tables::{Match, Out, Tables};
use crate::finding::{Code, Finding, Severity};
use crate::inventory::Inventory;
use crate::model::{Family, Location, host_net};
use crate::topology::{self, Interface, InterfaceId, NodeId, Peer, Topology};

/// One end's side of a link: its interface, and the peer's.
type Side = (InterfaceId, InterfaceId);

/// Hops that an encrypted packet is followed for.
const FAR: usize = 64;

/// Which tunnels carry the encrypted packets of which others.
pub(super) struct Nesting<'a> {
    inventory: &'a Inventory,
    topology: &'a Topology,
    /// Every prefix of `AllowedIPs` but /0, and every connected one.
    inner: OnceCell<JointPrefixSet<IpNet>>,
    tables: OnceCell<Tables<'a>>,
}

impl<'a> Nesting<'a> {
    pub(super) fn new(inventory: &'a Inventory, topology: &'a Topology) -> Self {
        Self { inventory, topology, inner: OnceCell::new(), tables: OnceCell::new() }
    }

    /// Whether some tunnel of the fleet leads to an address otherwise than by /0.
    pub(super) fn inside(&self, addr: IpAddr) -> bool {
        self.inner.get_or_init(|| prefixes(self.topology)).get_lpm(&host_net(addr)).is_some()
    }

    /// The interface of a node that an encrypted packet of `interface` is routed into.
    pub(super) fn carrier(
        &self,
        interface: &Interface,
        addr: IpAddr,
    ) -> Option<Match<InterfaceId>> {
        let many = self.topology.node(interface.node).interfaces.len() > 1;
        (many || self.inside(addr)).then(|| self.into(interface.node, addr)).flatten()
    }

    fn into(&self, node: NodeId, addr: IpAddr) -> Option<Match<InterfaceId>> {
        let tables = self.tables.get_or_init(|| Tables::new(self.inventory, self.topology));
        let Match { net, to } = tables.route(node, addr)?;
        let Out::Tunnel(to) = to else { return None };
        // A LAN of the site that is as close is on the wire.
        let site = self.topology.node(node).site.map(|site| &self.inventory.sites[site].subnets);
        let near = site
            .into_iter()
            .flatten()
            .any(|lan| lan.value.contains(&addr) && lan.value.prefix_len() >= net.prefix_len());
        (!near).then_some(Match { net, to })
    }

    /// The sides that the encrypted packets of one side go through; `Err` where they come back to
    /// a host that they have been at.
    fn carriers(&self, side: Side, addr: IpAddr) -> Result<Vec<Side>, Vec<Side>> {
        let own = self.topology.interface(side.0);
        let mut sides = Vec::new();
        let Some(first) = self.carrier(own, addr) else { return Ok(sides) };
        // wg-quick's policy rule lets the interface's own packets pass by /0.
        if first.net.prefix_len() == 0 && first.to == side.0 {
            return Ok(sides);
        }
        let mut nodes = vec![own.node];
        let mut at = Some(first);
        while let Some(Match { to, .. }) = at {
            let tables = self.tables.get_or_init(|| Tables::new(self.inventory, self.topology));
            let Some(next) = tables.peer(to, addr) else { break };
            sides.push((to, next.to));
            let node = self.topology.interface(next.to).node;
            if nodes.contains(&node) || nodes.len() > FAR {
                return Err(sides);
            }
            nodes.push(node);
            let own =
                tables.holders(addr).iter().any(|id| self.topology.interface(*id).node == node);
            at = if own { None } else { self.into(node, addr) };
        }
        Ok(sides)
    }
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

/// Endpoints that a tunnel's own routes lead to, in one step or around a cycle of tunnels.
pub(super) fn endpoints(inventory: &Inventory, topology: &Topology) -> Vec<Finding> {
    let nesting = Nesting::new(inventory, topology);
    let mut known = Memo::new(topology);
    // The sides whose packets go into a tunnel at all, with what carries them.
    let mut carried: BTreeMap<Side, Vec<Side>> = BTreeMap::new();
    let mut findings = Findings { inventory, topology, all: Folded::new() };
    for (id, interface) in (0..).map(InterfaceId).zip(&topology.interfaces) {
        let node = topology.node(interface.node);
        if !node.is_ours(inventory) {
            continue;
        }
        let whole = halves(interface);
        for peer in interface.peers.iter().filter(|peer| peer.endpoint.is_some()) {
            let Some(addr) = literal(peer) else {
                if let Some(families) = whole.filter(|_| interface.table.value != OFF) {
                    findings.named(interface, peer, families);
                }
                continue;
            };
            let inside = known.of(peer.remote, addr, || nesting.inside(addr));
            if !inside && node.interfaces.len() < 2 {
                continue;
            }
            match nesting.carriers((id, peer.remote), addr) {
                Ok(sides) if sides.is_empty() => {}
                Ok(sides) if sides[0].0 == id => findings.own(interface, peer, addr),
                Ok(sides) => {
                    carried.insert((id, peer.remote), sides);
                }
                Err(sides) if sides[0].0 == id => findings.own(interface, peer, addr),
                Err(sides) => findings.cycle((id, peer.remote), &sides),
            }
        }
    }
    for cycle in cycles(&carried) {
        if let Some((first, rest)) = cycle.split_first() {
            findings.cycle(*first, rest);
        }
    }
    findings.all.into_findings()
}

const OFF: crate::model::RouteTable = crate::model::RouteTable::Off;

/// The families that an interface routes whole without a literal /0, if any.
fn halves(interface: &Interface) -> Option<[bool; 2]> {
    let short = |net: &&IpNet| (1..=8).contains(&net.prefix_len());
    let nets = interface.peers.iter().flat_map(|peer| peer.allowed_ips.iter().filter(short));
    let nets: Vec<IpNet> = nets.copied().collect();
    if nets.len() < 2 {
        return None;
    }
    let whole = IpNet::aggregate(&nets);
    let of = |family| whole.iter().any(|net| net.prefix_len() == 0 && Family::of(net) == family);
    Some([of(Family::V4), of(Family::V6)]).filter(|families| families.contains(&true))
}

/// Sides that carry one another's packets, each cycle once. `carried` is small: it holds only what
/// goes through another tunnel.
fn cycles(carried: &BTreeMap<Side, Vec<Side>>) -> Vec<Vec<Side>> {
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

struct Findings<'a> {
    inventory: &'a Inventory,
    topology: &'a Topology,
    /// By the place of the endpoint and that of the prefix.
    all: Folded<(Location, Location)>,
}

impl Findings<'_> {
    fn add(&mut self, finding: Finding) {
        let second = finding.others.first().map_or(finding.primary.at, |label| label.at);
        self.all.add((finding.primary.at, second), || finding);
    }

    /// Where the prefix that an interface gives to a peer is written.
    fn origin(&self, interface: &Interface, remote: &Interface, net: &IpNet) -> Location {
        topology::origin(self.inventory, self.topology, interface, remote, net)
            .at()
            .unwrap_or(self.topology.node(remote.node).at)
    }

    /// The endpoint lies in the very interface whose packets go to it.
    fn own(&mut self, interface: &Interface, peer: &Peer, addr: IpAddr) {
        let topology = self.topology;
        let (node, remote) = (topology.node(interface.node), topology.remote(peer));
        let entries = interface.peers.iter().flat_map(|holder| {
            holder
                .allowed_ips
                .iter()
                .filter(|net| net.contains(&addr))
                .map(move |net| (holder, net))
        });
        let best = entries.max_by_key(|(_, net)| net.prefix_len());
        let at = self.topology.endpoint_at(peer);
        let title = format!(
            "`{}` routes the encrypted packets for `{}` back into the same tunnel, `{}`",
            node.name, remote.name, interface.name
        );
        let mut finding = Finding::new(Code::EndpointInTunnel, title, at)
            .label(format!("the endpoint {addr} of `{}`", remote.name));
        let mut inside = format!("the network of {}", interface.name);
        if let Some((holder, net)) = best {
            let other = topology.interface(holder.remote);
            let place = self.origin(interface, other, net);
            inside = net.to_string();
            let name = &topology.node(other.node).name;
            finding = finding.also(place, format!("{net} is routed to `{name}`"));
        } else {
            finding = finding.also(interface.at, inside.clone());
        }
        let wide = best.is_some_and(|(_, net)| net.prefix_len() <= 8);
        let instead = if wide {
            "for a full tunnel write 0.0.0.0/0 and ::/0, the only prefixes that wg-quick gives a \
             way around the tunnel"
        } else {
            "use an endpoint outside of it, or a narrower prefix"
        };
        finding = finding.help(format!(
            "{addr} lies in {inside}, so the encrypted packets are routed into the tunnel again \
             and no handshake ever leaves: {instead}"
        ));
        // Where both are on one private underlay, the host may have a closer route.
        let shared = |site: Option<usize>| {
            let underlay = site.map(|site| &self.inventory.sites[site].underlay);
            underlay.and_then(|underlay| underlay.name.as_ref()).map(|name| &name.value)
        };
        if shared(node.site).is_some() && shared(node.site) == shared(remote.site) {
            finding.severity = Severity::Warning;
        }
        self.add(finding);
    }

    /// A name, and prefixes that together are everything.
    fn named(&mut self, interface: &Interface, peer: &Peer, families: [bool; 2]) {
        let (node, remote) = (self.topology.node(interface.node), self.topology.remote(peer));
        let Some(endpoint) = &peer.endpoint else { return };
        let short = |net: &&IpNet| (1..=8).contains(&net.prefix_len());
        let holder =
            interface.peers.iter().find(|peer| peer.allowed_ips.iter().any(|net| short(&net)));
        let place = holder.and_then(Peer::overridden).unwrap_or(interface.at);
        let title = format!(
            "`{}` routes the encrypted packets for `{}` back into the same tunnel, `{}`",
            node.name, remote.name, interface.name
        );
        let mut finding = Finding::new(
            Code::EndpointInTunnel,
            title,
            self.topology.endpoint_at(peer),
        )
        .label(format!("whatever address {endpoint} has"))
        .also(place, "these prefixes together are every address")
        .help(
            "write 0.0.0.0/0 and ::/0 instead of their halves: wg-quick gives only a literal \
                 /0 a way around the tunnel",
        );
        if families != [true, true] {
            // An address of the other family would pass by.
            finding.severity = Severity::Warning;
        }
        self.add(finding);
    }

    /// Tunnels that carry one another.
    fn cycle(&mut self, first: Side, rest: &[Side]) {
        let topology = self.topology;
        let describe = |side: &Side| {
            let interface = topology.interface(side.0);
            let name = &topology.node(interface.node).name;
            let far = &topology.node(topology.interface(side.1).node).name;
            format!("`{name}` {} to `{far}`", interface.name)
        };
        let interface = topology.interface(first.0);
        let Some(peer) = entry(topology, first.0, first.1) else { return };
        let (node, remote) = (topology.node(interface.node), topology.remote(peer));
        let path: Vec<String> = rest.iter().chain(std::iter::once(&first)).map(describe).collect();
        let title =
            format!("the tunnel from `{}` to `{}` is carried by itself", node.name, remote.name);
        let mut finding =
            Finding::new(Code::EndpointInTunnel, title, self.topology.endpoint_at(peer))
                .label(format!("the endpoint of `{}`", remote.name));
        for side in rest {
            let carrier = topology.interface(side.0);
            let Some(inner) = entry(topology, side.0, side.1) else { continue };
            let far = topology.interface(side.1);
            let addr = literal(peer);
            let nets = inner.allowed_ips.iter();
            let net = nets.filter(|net| addr.is_some_and(|addr| net.contains(&addr)));
            let at = match net.max_by_key(|net| net.prefix_len()) {
                Some(net) => self.origin(carrier, far, net),
                None => carrier.at,
            };
            finding = finding.also(at, format!("goes through {}", describe(side)));
        }
        let finding = finding.help(format!(
            "its encrypted packets take {}: give one of these links an endpoint that no tunnel \
             leads to",
            path.join(", then ")
        ));
        self.add(finding);
    }
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
