//! The walk once more, slow and obvious: every lookup is a scan over everything.

use std::net::IpAddr;

use ipnet::IpNet;
use wgfleet::check::Point;
use wgfleet::check::walk::{Cause, Doubt, Packet, Place, Start};
use wgfleet::inventory::{Inventory, Selector};
use wgfleet::model::RouteTable;
use wgfleet::topology::{Derived, Interface, InterfaceId, NodeId, NodeKind, Peer, Topology};

/// The fleet, and how doubts are settled.
pub(crate) struct Reference<'t> {
    pub(crate) inventory: &'t Inventory,
    pub(crate) topology: &'t Topology,
}

pub(crate) type End = (Result<Place, Cause>, NodeId);
/// A link that a packet crossed.
pub(crate) type Link = (InterfaceId, InterfaceId);

impl Reference<'_> {
    pub(super) fn interfaces(&self, node: NodeId) -> Vec<InterfaceId> {
        self.topology.node(node).interfaces.clone()
    }

    /// The last of the longest prefixes of an interface that hold an address.
    pub(super) fn peer(&self, id: InterfaceId, addr: IpAddr) -> Option<&Peer> {
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

    /// Whether two peers of an interface have the longest prefix that holds an address.
    fn two_peers(&self, id: InterfaceId, addr: IpAddr) -> bool {
        let mut all: Vec<(u8, InterfaceId)> = Vec::new();
        for peer in &self.topology.interface(id).peers {
            for net in peer.allowed_ips.iter().filter(|net| net.contains(&addr)) {
                all.push((net.prefix_len(), peer.remote));
            }
        }
        let longest = all.iter().map(|(length, _)| *length).max();
        all.retain(|(length, _)| Some(*length) == longest);
        all.iter().any(|(_, remote)| *remote != all[0].1)
    }

    /// Whether another interface of the same host has the port, the name or a route of one.
    fn down(&self, id: InterfaceId) -> bool {
        let own = self.topology.interface(id);
        let routes = |id: InterfaceId| -> Vec<IpNet> {
            let all = self.routes(own.node).into_iter();
            all.filter(|(net, rank, of)| *of == Some(id) && *rank >= 100 && net.prefix_len() > 0)
                .map(|(net, ..)| net.trunc())
                .collect()
        };
        self.interfaces(own.node).into_iter().filter(|other| *other != id).any(|other| {
            let theirs = self.topology.interface(other);
            let fixed = own.listen_port.value.is_some();
            let port = fixed && own.listen_port.value == theirs.listen_port.value;
            let (ours, others) = (routes(id), routes(other));
            port || own.name.value == theirs.name.value
                || ours.iter().any(|net| others.contains(net))
        })
    }

    /// Whether two members of one network have an address.
    fn two_holders(&self, addr: IpAddr) -> bool {
        let all = &self.topology.interfaces;
        let has = |own: &&Interface| own.addresses.iter().any(|own| own.value.addr() == addr);
        let holders: Vec<usize> = all.iter().filter(has).map(|own| own.network).collect();
        holders.iter().enumerate().any(|(at, network)| holders[..at].contains(network))
    }

    /// Every route of a node: prefix, rank among equals (less is better), and the interface.
    pub(super) fn routes(&self, node: NodeId) -> Vec<(IpNet, usize, Option<InterfaceId>)> {
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

    pub(super) fn internet(&self, addr: IpAddr) -> bool {
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

    pub(super) fn managed(&self, node: NodeId) -> bool {
        matches!(self.topology.node(node).kind, NodeKind::Host(_))
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
                let own = here.interfaces.iter().copied().find(holds);
                return match own.filter(|_| doubt == Doubt::Fails && self.two_holders(to)) {
                    Some(id) => (Err(Cause::TwoHolders(id)), node),
                    None => (Ok(Place::Node(node)), node),
                };
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
                        let end = passes.then_some(Place::Internet(node));
                        return (end.ok_or(Cause::NoForwarding), node);
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
            let certain = doubt == Doubt::Fails;
            if certain && self.down(out) {
                return (Err(Cause::Down(out)), node);
            }
            if certain && self.two_peers(out, to) {
                return (Err(Cause::TwoPeers(out)), node);
            }
            match self.session(out, peer) {
                Err(
                    Cause::PrivateEndpoint(_)
                    | Cause::Hairpin(_)
                    | Cause::Swallowed(_)
                    | Cause::Unheard(_),
                ) if doubt == Doubt::Works => {}
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
            if certain && self.down(receiver) {
                return (Err(Cause::Down(receiver)), far);
            }
            if certain && self.two_peers(receiver, source) {
                return (Err(Cause::TwoPeers(receiver)), far);
            }
            let accepts_all = !certain && !self.managed(far);
            if self.peer(receiver, source).map(|peer| peer.remote) != Some(out) && !accepts_all {
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
                    let (mut any, mut stray) = (false, false);
                    for start in starts {
                        let mut here = false;
                        let mut enters = false;
                        for target in &targets {
                            if matches!(start, Start::Through(node)
                                if from.0.is_none() && self.on_link(node, sources[0], *target))
                            {
                                continue;
                            }
                            here |= if allow {
                                let source = self.chosen(&from, *target).unwrap_or(sources[0]);
                                enters |= self.enters(start, source, *target, &[]);
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
                        any |= here;
                        stray |= allow && enters && !here;
                    }
                    kept &= (any && !stray) == allow || (any == allow && !allow);
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
        let chosen = if from.network == to.network { None } else { self.chosen(&a, to.addr) };
        let source = chosen.unwrap_or(from.addr);
        let mut starts = self.starts(&a, from.addr);
        starts.retain(|start| {
            !matches!(start, Start::Through(node)
                if a.0.is_none() && self.on_link(*node, from.addr, to.addr))
        });
        let works = |start: &Start| self.round(*start, source, to.addr, &a, &b);
        let enters = |start: &Start| self.enters(*start, source, to.addr, &[]);
        starts.iter().any(works) && !starts.iter().any(|start| enters(start) && !works(start))
    }

    /// Whether a packet that comes to a gateway gets further than its routing.
    fn enters(&self, start: Start, source: IpAddr, to: IpAddr, open: &[Link]) -> bool {
        let packet = Packet { source, destination: to };
        let (end, at) = self.walk(start, packet, Doubt::Fails, &mut open.to_vec());
        let (Start::Node(first) | Start::Through(first)) = start;
        let none = matches!(
            end,
            Err(Cause::NoRoute | Cause::NoPeer(_) | Cause::RouteElsewhere(_) | Cause::NoForwarding)
        );
        !none || at != first
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
                let kept = match here.kind {
                    NodeKind::Host(host) => {
                        !self.inventory.hosts[host].settings.masquerade.get()
                            && here.subnets.iter().any(|net| net.value.contains(&target))
                    }
                    NodeKind::Unmanaged(_) => true,
                };
                let masked = !kept && here.masquerade.iter().any(|net| net.contains(&source));
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
        let comes = |start: &Start| {
            let (end, _) = self.walk(*start, reply, Doubt::Fails, &mut open.clone());
            end.is_ok_and(|place| self.is(place, from))
        };
        let enters = |start: &Start| self.enters(*start, target, source, &open);
        starts.iter().any(comes) && !starts.iter().any(|start| enters(start) && !comes(start))
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

/// A node, or none for an address of a LAN; the site; the addresses.
type Member = (Option<NodeId>, Option<usize>, Vec<IpAddr>);
