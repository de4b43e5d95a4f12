//! Sessions and what carries them, slow and obvious.

use std::cmp::Reverse;
use std::net::IpAddr;

use ipnet::IpNet;
use wgfleet::check::walk::Cause;
use wgfleet::model::{EndpointHost, Family, Port, RouteTable};
use wgfleet::topology::{Because, InterfaceId, NodeId, NodeKind, Peer};

use super::reference::{Link, Reference};

/// What is between an end and the endpoint that it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Obstacle {
    /// It is private to another place.
    Place,
    /// It is no place.
    Nowhere,
    /// It is the outside of the NAT that both are behind.
    Nat,
    /// A tunnel takes what is sent there elsewhere.
    Tunnel,
    /// The host there listens on another port.
    Port,
}

/// Seconds for which every NAT remembers.
const REMEMBERED: u16 = 120;

impl Reference<'_> {
    /// Whether a packet crosses from an interface to the remote of its peer; `None`: only where
    /// doubts work out.
    pub(super) fn session(&self, id: InterfaceId, peer: &Peer) -> Result<Option<()>, Cause> {
        let Some(back) = self.told(peer.remote, id) else {
            return Err(Cause::NoSession(peer.remote));
        };
        let node = self.topology.node(self.topology.interface(peer.remote).node);
        let trusted = match node.kind {
            NodeKind::Unmanaged(index) => {
                let peer = &self.inventory.peers[index];
                peer.settings.public_key.is_some() && peer.settings.keepalive.is_none()
            }
            NodeKind::Host(_) => false,
        };
        let keeps = |every: u16| !node.nat.value || every <= REMEMBERED;
        let held = trusted || back.keepalive().is_some_and(|every| keeps(every.get()));
        let obstacles = [self.obstacle(id, peer), self.obstacle(peer.remote, back)];
        if obstacles.contains(&Some(Obstacle::Tunnel)) {
            return Err(Cause::Swallowed(peer.remote));
        }
        if obstacles.contains(&Some(Obstacle::Nowhere)) {
            return Err(Cause::PrivateEndpoint(peer.remote));
        }
        match (&peer.endpoint, &back.endpoint) {
            (None, None) => Err(Cause::NoSession(peer.remote)),
            (Some(_), _) if obstacles[0].is_none() => Ok(Some(())),
            (_, Some(_)) if obstacles[1].is_none() => Ok(held.then_some(())),
            _ if obstacles.contains(&Some(Obstacle::Nat)) => Err(Cause::Hairpin(peer.remote)),
            _ if obstacles.contains(&Some(Obstacle::Port)) => Err(Cause::Unheard(peer.remote)),
            _ => Err(Cause::PrivateEndpoint(peer.remote)),
        }
    }

    /// The entry that an interface has for another.
    fn told(&self, of: InterfaceId, remote: InterfaceId) -> Option<&Peer> {
        self.topology.interface(of).peers.iter().find(|peer| peer.remote == remote)
    }

    /// What keeps packets from the endpoint that an interface has for a peer.
    fn obstacle(&self, id: InterfaceId, peer: &Peer) -> Option<Obstacle> {
        let endpoint = peer.endpoint.as_ref()?;
        let remote = self.topology.interface(peer.remote);
        let (here, far) =
            (self.topology.node(self.topology.interface(id).node), self.topology.node(remote.node));
        if !here.is_ours(self.inventory) {
            return None;
        }
        let EndpointHost::Addr(IpAddr::V4(addr)) = endpoint.host else { return None };
        let [a, b, ..] = addr.octets();
        if a == 127 || addr.is_unspecified() {
            return Some(Obstacle::Nowhere);
        }
        let carried = self.carried((id, peer.remote), IpAddr::V4(addr), &mut Vec::new());
        if carried == Some(false) {
            return Some(Obstacle::Tunnel);
        }
        let deaf = self.deaf(peer, endpoint.port).then_some(Obstacle::Port);
        let private = a == 10 || (a == 192 && b == 168) || (a == 172 && (16..32).contains(&b));
        let own_underlay = carried.is_some() && self.swallows_itself((id, peer.remote));
        if private && (carried.is_none() || own_underlay) {
            let underlay = |site: usize| self.inventory.sites[site].underlay.name.clone();
            let near = match (here.site, far.site) {
                (None, None) => true,
                (Some(a), Some(b)) => {
                    a == b
                        || underlay(a).is_some_and(|name| {
                            underlay(b).is_some_and(|other| name.value == other.value)
                        })
                }
                _ => false,
            };
            return if near { deaf } else { Some(Obstacle::Place) };
        }
        let NodeKind::Host(host) = far.kind else { return None };
        let own = self.inventory.hosts[host].interfaces.iter();
        let own = own.filter(|own| own.network == remote.network).find(|own| {
            own.settings.local_endpoint.is_none()
                && own.settings.endpoint.as_ref().is_some_and(|own| own.value == endpoint.value)
        });
        let one_nat =
            here.nat.value && far.nat.value && here.site.is_some() && here.site == far.site;
        if one_nat && own.is_some() { Some(Obstacle::Nat) } else { deaf }
    }

    /// Whether the host that a peer is listens on another port than the one that it is told.
    fn deaf(&self, peer: &Peer, port: Port) -> bool {
        let far = self.topology.interface(peer.remote);
        let endpoint = peer.endpoint.as_ref().map(|told| told.because);
        let local = matches!(endpoint, Some(Because::PeerLocalEndpoint(_)));
        let nat = self.topology.node(far.node).nat.value;
        self.managed(far.node)
            && match far.listen_port.value {
                Some(own) => own != port && (!nat || local),
                None => true,
            }
    }

    /// The first of the routes of a node for an address that an interface's encrypted packets take.
    fn way(
        &self,
        node: NodeId,
        addr: IpAddr,
        own: Option<InterfaceId>,
    ) -> Option<(IpNet, Option<InterfaceId>)> {
        let passes = |net: &IpNet, to: Option<InterfaceId>| {
            let auto = |id| self.topology.interface(id).table.value == RouteTable::Auto;
            net.prefix_len() == 0 && own.is_some() && to == own && own.is_some_and(auto)
        };
        let mut routes = self.routes(node);
        routes.retain(|(net, _, to)| net.contains(&addr) && !passes(net, *to));
        routes.sort_by_key(|(net, rank, _)| (Reverse(net.prefix_len()), *rank));
        routes.first().map(|(net, _, to)| (*net, *to))
    }

    /// The tunnel among the ways of a node, where no LAN of its site is as close.
    fn tunnel(&self, node: NodeId, addr: IpAddr, own: Option<InterfaceId>) -> Option<InterfaceId> {
        let (net, to) = self.way(node, addr, own)?;
        let site = self.topology.node(node).site.map(|site| &self.inventory.sites[site].subnets);
        let near = site
            .into_iter()
            .flatten()
            .any(|lan| lan.value.contains(&addr) && lan.value.prefix_len() >= net.prefix_len());
        to.filter(|_| !near)
    }

    fn literal(&self, (own, remote): Link) -> Option<IpAddr> {
        match self.told(own, remote)?.endpoint.as_ref()?.host {
            EndpointHost::Addr(addr) => Some(addr),
            EndpointHost::Name(_) => None,
        }
    }

    /// Whether the encrypted packets of a side go into its own interface.
    fn swallows_itself(&self, side: Link) -> bool {
        let node = self.topology.interface(side.0).node;
        self.literal(side).is_some_and(|addr| self.tunnel(node, addr, Some(side.0)) == Some(side.0))
    }

    /// Whether tunnels that carry the encrypted packets of a side bring them to an address; `None`: no
    /// tunnel carries them. `above` are the sides that are carried by this one.
    fn carried(&self, side: Link, addr: IpAddr, above: &mut Vec<Link>) -> Option<bool> {
        let (own, remote) = side;
        let here = self.topology.interface(own).node;
        let far = self.topology.interface(remote).node;
        let mut out = self.tunnel(here, addr, Some(own))?;
        if out == own {
            let name = |node: NodeId| {
                let index = self.topology.node(node).site?;
                let name = self.inventory.sites[index].underlay.name.as_ref();
                name.map(|name| name.value.clone())
            };
            return Some(name(here).is_some() && name(here) == name(far));
        }
        let addresses = self.topology.interface(out).addresses.iter();
        let mut addresses = addresses.map(|own| own.value.addr());
        let source = addresses.find(|own| own.is_ipv4() == addr.is_ipv4())?;
        above.push(side);
        let mut seen = vec![here];
        loop {
            let Some(peer) = self.peer(out, addr) else { return Some(false) };
            let next = peer.remote;
            let sides = [(out, next), (next, out)];
            let endless = |side: &Link| above.contains(side) || self.fails(*side, above);
            let silent =
                |(a, b): &Link| self.told(*a, *b).is_none_or(|peer| peer.endpoint.is_none());
            if sides.iter().any(endless) || sides.iter().all(silent) {
                return Some(false);
            }
            let node = self.topology.interface(next).node;
            let back = self.peer(next, source).map(|back| back.remote);
            if seen.contains(&node) || back != Some(out) {
                return Some(false);
            }
            seen.push(node);
            let there = self.topology.node(node);
            let holds = |id: &InterfaceId| {
                self.topology.interface(*id).addresses.iter().any(|own| own.value.addr() == addr)
            };
            if there.interfaces.iter().any(holds) {
                return Some(node == far);
            }
            if !there.forwards.of(Family::of_addr(&addr)) {
                return Some(false);
            }
            let Some(id) = self.tunnel(node, addr, None) else {
                let lan = matches!(self.way(node, addr, None), Some((_, None)));
                let beside = there.site.is_some() && there.site == self.topology.node(far).site;
                return Some(lan || beside || (there.exit.value && self.internet(addr)));
            };
            out = id;
        }
    }

    /// Whether the packets of a carrying side are lost themselves.
    fn fails(&self, side: Link, above: &[Link]) -> bool {
        let node = self.topology.interface(side.0).node;
        self.topology.node(node).is_ours(self.inventory)
            && self
                .literal(side)
                .is_some_and(|addr| self.carried(side, addr, &mut above.to_vec()) == Some(false))
    }
}
