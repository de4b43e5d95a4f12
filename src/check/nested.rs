//! Encrypted packets that a tunnel carries: into itself, which never works, or into another one.

use std::net::IpAddr;

use ipnet::IpNet;

use super::carriers::{Carried, Carriers, Side, cycles, wholly};
use super::entry::{entry, literal};
use super::folded::Folded;
use crate::finding::{Code, Finding, Severity};
use crate::inventory::Inventory;
use crate::model::Location;
use crate::topology::{self, Interface, InterfaceId, Peer, Topology};

/// Endpoints that a tunnel's own routes lead to, in one step or around a cycle of tunnels.
pub(super) fn endpoints(inventory: &Inventory, topology: &Topology) -> Vec<Finding> {
    let carriers = Carriers::new(inventory, topology);
    let mut findings = Findings { inventory, topology, carriers: &carriers, all: Folded::new() };
    for (id, interface) in (0..).map(InterfaceId).zip(&topology.interfaces) {
        if !topology.node(interface.node).is_ours(inventory) {
            continue;
        }
        let named = |peer: &&Peer| peer.endpoint.is_some() && literal(peer).is_none();
        let whole = interface.peers.iter().any(|peer| named(&peer)).then(|| wholly(interface));
        let Some(families) = whole.filter(|families| families.contains(&true)) else { continue };
        for peer in interface.peers.iter().filter(named) {
            findings.named((id, peer.remote), peer, families);
        }
    }
    let through = carriers.through();
    let cycles = cycles(&through);
    for (side, carried) in carriers.all() {
        let Some(peer) = entry(topology, side.0, side.1) else { continue };
        let Some(addr) = literal(peer) else { continue };
        match carried {
            Carried::Itself => findings.own(*side, peer, addr),
            Carried::Circle(sides) => findings.cycle(*side, sides),
            Carried::Through { sides, .. } => {
                let told = cycles.iter().any(|cycle| cycle.contains(side));
                if !told && carriers.loses(*side) {
                    findings.astray(*side, peer, sides);
                }
            }
        }
    }
    for cycle in cycles {
        if let Some((first, rest)) = cycle.split_first() {
            findings.cycle(*first, rest);
        }
    }
    findings.all.into_findings()
}

struct Findings<'a> {
    inventory: &'a Inventory,
    topology: &'a Topology,
    carriers: &'a Carriers<'a>,
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
    fn own(&mut self, side: Side, peer: &Peer, addr: IpAddr) {
        let (topology, interface) = (self.topology, self.topology.interface(side.0));
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
        let length = best.map_or(u8::MAX, |(_, net)| net.prefix_len());
        let instead = match length {
            0 => {
                "leave `table:` out: only then does wg-quick give a /0 a way around the tunnel for \
                 the packets of the tunnel itself"
            }
            1..=8 => {
                "for a full tunnel write 0.0.0.0/0 and ::/0, the only prefixes that wg-quick gives \
                 a way around the tunnel"
            }
            _ => "use an endpoint outside of it, or a narrower prefix",
        };
        finding = finding.help(format!(
            "{addr} lies in {inside}, so the encrypted packets are routed into the tunnel again \
             and no handshake ever leaves: {instead}"
        ));
        // The host may have a closer route.
        if self.carriers.one_underlay(side) {
            finding.severity = Severity::Warning;
        }
        self.add(finding);
    }

    /// A name, and prefixes that together are everything.
    fn named(&mut self, side: Side, peer: &Peer, families: [bool; 2]) {
        let (topology, interface) = (self.topology, self.topology.interface(side.0));
        let (node, remote) = (topology.node(interface.node), topology.remote(peer));
        let Some(endpoint) = &peer.endpoint else { return };
        let short = |net: &IpNet| net.prefix_len() <= 8;
        let holder = interface.peers.iter().find(|peer| peer.allowed_ips.iter().any(short));
        let literal =
            holder.is_some_and(|peer| peer.allowed_ips.iter().any(|net| net.prefix_len() == 0));
        let place = holder.and_then(Peer::overridden).unwrap_or(interface.at);
        let title = format!(
            "`{}` routes the encrypted packets for `{}` back into the same tunnel, `{}`",
            node.name, remote.name, interface.name
        );
        let help = if literal {
            "leave `table:` out: only then does wg-quick give a /0 a way around the tunnel"
        } else {
            "write 0.0.0.0/0 and ::/0 instead of their halves: wg-quick gives only a literal /0 a \
             way around the tunnel"
        };
        let mut finding =
            Finding::new(Code::EndpointInTunnel, title, self.topology.endpoint_at(peer))
                .label(format!("whatever address {endpoint} has"))
                .also(place, "these prefixes together are every address")
                .help(help);
        if families != [true, true] {
            // An address of the other family would pass by.
            finding.severity = Severity::Warning;
        }
        self.add(finding);
    }

    /// Another tunnel takes the packets to where the endpoint is not.
    fn astray(&mut self, side: Side, peer: &Peer, sides: &[Side]) {
        let topology = self.topology;
        let Some(first) = sides.first() else { return };
        let (interface, carrier) = (topology.interface(side.0), topology.interface(first.0));
        let (node, remote) = (topology.node(interface.node), topology.remote(peer));
        let name = |id: InterfaceId| &topology.node(topology.interface(id).node).name;
        let title = format!(
            "`{}` routes the encrypted packets for `{}` into {}, which does not bring them there",
            node.name, remote.name, carrier.name
        );
        let last = sides.last().map_or(first.1, |last| last.1);
        let finding = Finding::new(Code::EndpointInTunnel, title, topology.endpoint_at(peer))
            .label(format!("the endpoint of `{}`", remote.name))
            .also(carrier.at, format!("takes them to `{}`", name(first.1)))
            .also(topology.node(topology.interface(last).node).at, "no further than here")
            .help(format!(
                "give `{}` an endpoint that no tunnel of `{}` leads to, or let {} lead there: \
                 `wgfleet why {} {}` says where it ends",
                remote.name,
                node.name,
                carrier.name,
                node.name,
                name(last)
            ));
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
