//! The walk once more, slow and obvious: every lookup is a scan over everything.

use std::net::IpAddr;

use ipnet::IpNet;
use wgfleet::check::Point;
use wgfleet::check::walk::{Cause, Doubt, Packet, Place, Start};
use wgfleet::inventory::{Inventory, Selector};
use wgfleet::model::{EndpointHost, RouteTable};
use wgfleet::topology::{Derived, InterfaceId, NodeId, NodeKind, Peer, Topology};

/// The fleet, and how doubts are settled.
pub(crate) struct Reference<'t> {
    pub(crate) inventory: &'t Inventory,
    pub(crate) topology: &'t Topology,
}

pub(crate) type End = (Result<Place, Cause>, NodeId);
/// A link that a packet crossed.
pub(crate) type Link = (InterfaceId, InterfaceId);

impl Reference<'_> {
    fn interfaces(&self, node: NodeId) -> Vec<InterfaceId> {
        self.topology.node(node).interfaces.clone()
    }

    /// The last of the longest prefixes of an interface that hold an address.
    fn peer(&self, id: InterfaceId, addr: IpAddr) -> Option<&Peer> {
        let mut best: Option<(u8, &Peer)> = None;
        for peer in &self.topology.interface(id).peers {
            for net in peer.allowed_ips.iter().filter(|net| net.contains(&addr)) {
                if best.is_none_or(|(length, _)| net.prefix_len() >= length) {
                    best = Some((net.prefix_len(), peer));
                }
            }
        }
        best.map(|(_, peer)| peer)
    }

    /// Every route of a node: prefix, rank among equals (less is better), and the interface.
    fn routes(&self, node: NodeId) -> Vec<(IpNet, usize, Option<InterfaceId>)> {
        let mut routes = Vec::new();
        for subnet in &self.topology.node(node).subnets {
            routes.push((subnet.value, 0, None));
        }
        for (rank, id) in self.interfaces(node).into_iter().enumerate() {
            let interface = self.topology.interface(id);
            for addr in &interface.addresses {
                routes.push((addr.value.trunc(), 1 + rank, Some(id)));
            }
            if matches!(interface.table.value, RouteTable::Off)
                || matches!(interface.table.value, RouteTable::Number(number) if number != 254)
            {
                continue;
            }
            for net in interface.peers.iter().flat_map(|peer| peer.allowed_ips.iter()) {
                let held = |addr: &Derived<IpNet>| {
                    addr.value.contains(&net.network())
                        && addr.value.prefix_len() <= net.prefix_len()
                };
                if interface.addresses.iter().any(held) {
                    continue;
                }
                let rank = if net.prefix_len() == 0 { 1000 - rank } else { 100 + rank };
                routes.push((*net, rank, Some(id)));
            }
        }
        routes
    }

    #[expect(clippy::option_option, reason = "no route, a LAN, a tunnel")]
    fn route(&self, node: NodeId, addr: IpAddr) -> Option<Option<InterfaceId>> {
        let mut routes = self.routes(node);
        routes.retain(|(net, ..)| net.contains(&addr));
        routes.sort_by_key(|(net, rank, _)| (std::cmp::Reverse(net.prefix_len()), *rank));
        routes.first().map(|(_, _, id)| *id)
    }

    fn internet(&self, addr: IpAddr) -> bool {
        let public = match addr {
            IpAddr::V4(addr) => {
                let [a, b, ..] = addr.octets();
                !(matches!(a, 0 | 10 | 127 | 224..)
                    || (a == 100 && (64..128).contains(&b))
                    || (a == 169 && b == 254)
                    || (a == 172 && (16..32).contains(&b))
                    || (a == 192 && b == 168))
            }
            IpAddr::V6(addr) => (0x2000..0x4000).contains(&addr.segments()[0]),
        };
        let nets = self.inventory.networks.iter().flat_map(|network| &network.prefixes);
        let sites = self.inventory.sites.iter().flat_map(|site| &site.subnets);
        let own = self.topology.nodes.iter().flat_map(|node| &node.subnets);
        public && !nets.chain(sites).chain(own).any(|net| net.value.contains(&addr))
    }

    fn managed(&self, node: NodeId) -> bool {
        matches!(self.topology.node(node).kind, NodeKind::Host(_))
    }

    /// Whether a packet crosses from an interface to the remote of its peer; `None`: only where
    /// doubts work out.
    fn session(&self, id: InterfaceId, peer: &Peer) -> Result<Option<()>, Cause> {
        let back = self.topology.interface(peer.remote).peers.iter().find(|p| p.remote == id);
        let Some(back) = back else { return Err(Cause::NoSession(peer.remote)) };
        let far = self.topology.interface(peer.remote).node;
        let trusted = match self.topology.node(far).kind {
            NodeKind::Unmanaged(index) => {
                let peer = &self.inventory.peers[index];
                peer.settings.public_key.is_some() && peer.settings.keepalive.is_none()
            }
            NodeKind::Host(_) => false,
        };
        let there = self.obstacle(id, peer);
        let back_again = self.obstacle(peer.remote, back);
        match (&peer.endpoint, &back.endpoint) {
            (None, None) => Err(Cause::NoSession(peer.remote)),
            (Some(_), _) if there.is_none() => Ok(Some(())),
            (_, Some(_)) if back_again.is_none() => {
                Ok((back.keepalive().is_some() || trusted).then_some(()))
            }
            _ if [there, back_again].contains(&Some(Obstacle::Nat)) => {
                Err(Cause::Hairpin(peer.remote))
            }
            _ => Err(Cause::PrivateEndpoint(peer.remote)),
        }
    }

    /// What keeps packets from the endpoint that an interface has for a peer.
    fn obstacle(&self, id: InterfaceId, peer: &Peer) -> Option<Obstacle> {
        let endpoint = peer.endpoint.as_ref()?;
        let remote = self.topology.interface(peer.remote);
        let (here, far) =
            (self.topology.node(self.topology.interface(id).node), self.topology.node(remote.node));
        if let NodeKind::Unmanaged(index) = here.kind
            && self.inventory.peers[index].settings.public_key.is_some()
        {
            return None;
        }
        let sites = (here.site, far.site);
        if let EndpointHost::Addr(IpAddr::V4(addr)) = endpoint.host {
            let [a, b, ..] = addr.octets();
            if a == 127 || addr.is_unspecified() {
                return Some(Obstacle::Place);
            }
            if a == 10 || (a == 192 && b == 168) || (a == 172 && (16..32).contains(&b)) {
                let underlay = |site: usize| self.inventory.sites[site].underlay.name.clone();
                let near = match sites {
                    (None, None) => true,
                    (Some(a), Some(b)) => {
                        a == b
                            || underlay(a).is_some_and(|name| {
                                underlay(b).is_some_and(|other| name.value == other.value)
                            })
                    }
                    _ => false,
                };
                let tunnelled = self.topology.interfaces.iter().any(|own| {
                    let nets = own.peers.iter().flat_map(|peer| peer.allowed_ips.iter().copied());
                    let connected = own.addresses.iter().map(|addr| addr.value);
                    nets.filter(|net| net.prefix_len() > 0)
                        .chain(connected)
                        .any(|net| net.contains(&IpAddr::V4(addr)))
                });
                return (!near && !tunnelled).then_some(Obstacle::Place);
            }
        }
        let NodeKind::Host(host) = far.kind else { return None };
        let own = self.inventory.hosts[host].interfaces.iter();
        let own = own.filter(|own| own.network == remote.network).find(|own| {
            own.settings.local_endpoint.is_none()
                && own.settings.endpoint.as_ref().is_some_and(|own| own.value == endpoint.value)
        });
        let one_nat = here.nat.value && far.nat.value && here.site.is_some() && sites.0 == sites.1;
        (one_nat && own.is_some()).then_some(Obstacle::Nat)
    }

    /// Walks a packet; the links that it crossed are added to `open`.
    pub(crate) fn walk(
        &self,
        start: Start,
        packet: Packet,
        doubt: Doubt,
        open: &mut Vec<Link>,
    ) -> End {
        let (mut node, mut forwarded) = match start {
            Start::Node(node) => (node, false),
            Start::Through(node) => (node, true),
        };
        let before = open.clone();
        let mut arrived = false;
        let mut seen = Vec::new();
        let (source, to) = (packet.source, packet.destination);
        loop {
            let here = self.topology.node(node);
            let holds = |id: &InterfaceId| {
                self.topology.interface(*id).addresses.iter().any(|addr| addr.value.addr() == to)
            };
            if here.interfaces.iter().any(holds) {
                return (Ok(Place::Node(node)), node);
            }
            let family = here.forwards.of(wgfleet::model::Family::of_addr(&to));
            let passes = !forwarded || family || (!self.managed(node) && !arrived);
            let out = match self.route(node, to) {
                Some(None) if passes || !self.managed(node) => return (Ok(Place::Lan(node)), node),
                Some(None) => return (Err(Cause::NoForwarding), node),
                Some(Some(id)) => id,
                None => {
                    let site = here.site.map(|site| &self.inventory.sites[site].subnets);
                    let on_lan = site.is_some_and(|s| s.iter().any(|net| net.value.contains(&to)));
                    if on_lan && !arrived {
                        return (Ok(Place::OwnLan(node)), node);
                    }
                    if arrived && here.exit.value && self.internet(to) {
                        let end = if passes {
                            Ok(Place::Internet(node))
                        } else {
                            Err(Cause::NoForwarding)
                        };
                        return (end, node);
                    }
                    let elsewhere = here.interfaces.iter().copied().find(|id| {
                        let table = self.topology.interface(*id).table.value;
                        !matches!(table, RouteTable::Auto | RouteTable::Number(254))
                            && self.peer(*id, to).is_some()
                    });
                    match elsewhere {
                        Some(id) if doubt == Doubt::Fails => {
                            return (Err(Cause::RouteElsewhere(id)), node);
                        }
                        Some(id) => id,
                        None if arrived && self.internet(to) => return (Err(Cause::NoExit), node),
                        None => return (Err(Cause::NoRoute), node),
                    }
                }
            };
            if !passes {
                return (Err(Cause::NoForwarding), node);
            }
            let Some(peer) = self.peer(out, to) else { return (Err(Cause::NoPeer(out)), node) };
            match self.session(out, peer) {
                Err(Cause::PrivateEndpoint(_) | Cause::Hairpin(_)) if doubt == Doubt::Works => {}
                Err(cause) => return (Err(cause), node),
                Ok(None)
                    if doubt == Doubt::Fails
                        && !before.contains(&(out, peer.remote))
                        && !before.contains(&(peer.remote, out)) =>
                {
                    return (Err(Cause::Asleep(peer.remote)), node);
                }
                Ok(_) => {}
            }
            if seen.contains(&node) {
                return (Err(Cause::Loop), node);
            }
            seen.push(node);
            open.push((out, peer.remote));
            let receiver = peer.remote;
            let far = self.topology.interface(receiver).node;
            if self.peer(receiver, source).map(|peer| peer.remote) != Some(out) {
                return (Err(Cause::SourceRefused(receiver)), far);
            }
            (node, arrived, forwarded) = (far, true, true);
        }
    }

    /// Whether a rule over hosts and sites holds, tried with every single address.
    pub(crate) fn keeps(&self, allow: bool, from: &Selector, to: &Selector) -> bool {
        let mut kept = true;
        for from in self.ends(from) {
            for to in self.ends(to) {
                let together = match (from.0, to.0) {
                    (Some(a), Some(b)) => a == b,
                    _ => from.1.is_some() && from.1 == to.1,
                };
                if together {
                    continue;
                }
                for v4 in [true, false] {
                    let of = |end: &Member| -> Vec<IpAddr> {
                        end.2.iter().copied().filter(|addr| addr.is_ipv4() == v4).collect()
                    };
                    let (sources, targets) = (of(&from), of(&to));
                    if sources.is_empty() || targets.is_empty() {
                        continue;
                    }
                    let starts = self.starts(&from, sources[0]);
                    let mut any = false;
                    for start in starts {
                        for target in &targets {
                            if matches!(start, Start::Through(node)
                                if from.0.is_none() && self.on_link(node, sources[0], *target))
                            {
                                continue;
                            }
                            any |= if allow {
                                let source = self.chosen(&from, *target).unwrap_or(sources[0]);
                                self.round(start, source, *target, &from, &to)
                            } else {
                                sources.iter().any(|source| {
                                    let packet = Packet { source: *source, destination: *target };
                                    let end =
                                        self.walk(start, packet, Doubt::Works, &mut Vec::new());
                                    end.0.is_ok_and(|place| self.is(place, &to))
                                })
                            };
                        }
                    }
                    kept &= any == allow;
                }
            }
        }
        kept
    }

    /// The address that a host's kernel sends from.
    fn chosen(&self, from: &Member, target: IpAddr) -> Option<IpAddr> {
        let node = from.0?;
        let of = |id: InterfaceId| {
            let addresses = &self.topology.interface(id).addresses;
            addresses.iter().map(|a| a.value.addr()).find(|a| a.is_ipv4() == target.is_ipv4())
        };
        let routed = self.route(node, target).flatten().and_then(of);
        routed.or_else(|| self.interfaces(node).into_iter().find_map(of))
    }

    fn starts(&self, from: &Member, source: IpAddr) -> Vec<Start> {
        match from.0 {
            Some(node) => vec![Start::Node(node)],
            None => self
                .gateways(source)
                .into_iter()
                .filter(|node| self.topology.node(*node).site == from.1)
                .map(Start::Through)
                .collect(),
        }
    }

    fn gateways(&self, addr: IpAddr) -> Vec<NodeId> {
        let all = (0..).map(NodeId).zip(&self.topology.nodes);
        all.filter(|(_, node)| node.subnets.iter().any(|net| net.value.contains(&addr)))
            .map(|(id, _)| id)
            .collect()
    }

    fn on_link(&self, gateway: NodeId, machine: IpAddr, other: IpAddr) -> bool {
        let subnets = &self.topology.node(gateway).subnets;
        subnets.iter().any(|net| net.value.contains(&machine) && net.value.contains(&other))
    }

    /// Whether one flow works, there and back: from an address (of a host, or of a machine on a
    /// LAN) to an address. A host that sends to a LAN leaves the source to its kernel.
    pub(crate) fn flow(&self, from: &Point, to: &Point) -> bool {
        let member = |point: &Point| -> Member {
            let site = self.topology.node(point.node).site;
            (point.network.map(|_| point.node), site, vec![point.addr])
        };
        let (a, b) = (member(from), member(to));
        self.starts(&a, from.addr).into_iter().any(|start| {
            let lan = matches!(start, Start::Through(node)
                if a.0.is_none() && self.on_link(node, from.addr, to.addr));
            let chosen = if from.network == to.network { None } else { self.chosen(&a, to.addr) };
            !lan && self.round(start, chosen.unwrap_or(from.addr), to.addr, &a, &b)
        })
    }

    fn is(&self, place: Place, end: &Member) -> bool {
        match (place, end.0) {
            (Place::Node(at), Some(node)) => at == node,
            (Place::Lan(at) | Place::OwnLan(at), None) => self.topology.node(at).site == end.1,
            _ => false,
        }
    }

    fn round(
        &self,
        start: Start,
        source: IpAddr,
        target: IpAddr,
        from: &Member,
        to: &Member,
    ) -> bool {
        let mut open = Vec::new();
        let packet = Packet { source, destination: target };
        let (end, at) = self.walk(start, packet, Doubt::Fails, &mut open);
        let Some(place) = end.ok().filter(|place| self.is(*place, to)) else { return false };
        let starts = match place {
            Place::Lan(_) => {
                let here = self.topology.node(at);
                let NodeKind::Host(host) = here.kind else { return false };
                let masked = here.masquerade.iter().any(|net| net.contains(&source))
                    && (self.inventory.hosts[host].settings.masquerade.get()
                        || !here.subnets.iter().any(|net| net.value.contains(&target)));
                if masked {
                    vec![Start::Through(at)]
                } else {
                    let gateways = self.gateways(target).into_iter();
                    gateways
                        .filter(|node| self.topology.node(*node).site == here.site)
                        .filter(|node| !self.on_link(*node, target, source))
                        .map(Start::Through)
                        .collect()
                }
            }
            _ => vec![Start::Node(at)],
        };
        let reply = Packet { source: target, destination: source };
        starts.into_iter().any(|start| {
            let (end, _) = self.walk(start, reply, Doubt::Fails, &mut open.clone());
            end.is_ok_and(|place| self.is(place, from))
        })
    }

    /// The ends of a host or a site: every address of a LAN is an end of its own.
    fn ends(&self, selector: &Selector) -> Vec<Member> {
        let mut ends = Vec::new();
        for (id, node) in (0..).map(NodeId).zip(&self.topology.nodes) {
            let site = node.site.map(|site| &self.inventory.sites[site].name.value);
            let chosen = match selector {
                Selector::Host(name) => node.name == *name,
                Selector::Site(name) => site == Some(name),
                _ => false,
            };
            if chosen {
                let interfaces = node.interfaces.iter().map(|id| self.topology.interface(*id));
                let addresses = interfaces.flat_map(|own| &own.addresses);
                let addresses = addresses.map(|addr| addr.value.addr()).collect();
                ends.push((Some(id), node.site, addresses));
            }
        }
        for (index, site) in self.inventory.sites.iter().enumerate() {
            if matches!(selector, Selector::Site(name) if *name == site.name.value) {
                for net in &site.subnets {
                    let (low, length) = (net.value.network(), net.value.max_prefix_len());
                    let count = 1_u32 << (length - net.value.prefix_len());
                    for offset in 0..count {
                        let addr = match low {
                            IpAddr::V4(low) => IpAddr::V4((u32::from(low) + offset).into()),
                            IpAddr::V6(low) => {
                                IpAddr::V6((u128::from(low) + u128::from(offset)).into())
                            }
                        };
                        ends.push((None, Some(index), vec![addr]));
                    }
                }
            }
        }
        ends
    }
}

/// What is between an end and the endpoint that it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Obstacle {
    /// It is private to another place, or no place.
    Place,
    /// It is the outside of the NAT that both are behind.
    Nat,
}

/// A node, or none for an address of a LAN; the site; the addresses.
type Member = (Option<NodeId>, Option<usize>, Vec<IpAddr>);
