//! One packet through the fleet, hop by hop, and the path of its reply.
//!
//! At each node: its own address, or the kernel's route → interface → the longest match of its
//! `AllowedIPs` → peer → session → the receiver's check of the inner source, which must lead back
//! to the very peer that sent it → forwarding of the family → the next node, or delivery. Reverse
//! path filters and rules that hooks add are not seen.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::entry::entry;
use super::failure::Failure;
use super::session::{SessionStart, Sessions};
use super::tables::{Match, Out, Tables};
use crate::inventory::Inventory;
use crate::model::{Family, covers, host_net};
use crate::topology::{InterfaceId, NodeId, NodeKind, Topology};

/// The inner addresses of a packet, both of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// Where it says that it is from.
    pub source: IpAddr,
    /// Where it is to go.
    pub destination: IpAddr,
}

/// Where a packet enters the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Start {
    /// A node sends it itself.
    Node(NodeId),
    /// It comes to a node from a LAN, or from the Internet as the reply to what it masqueraded.
    Through(NodeId),
}

/// Where a packet ends that is not lost, and which node it reaches last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A tunnel address of the node itself.
    Node(NodeId),
    /// A LAN behind the node.
    Lan(NodeId),
    /// A LAN that the node is on without being a gateway of it.
    OwnLan(NodeId),
    /// The Internet behind the node.
    Internet(NodeId),
}

/// Why a packet is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// No tunnel leads to the destination.
    NoRoute,
    /// The routes of the interface that could lead there are the operator's own.
    RouteElsewhere(InterfaceId),
    /// The interface has no peer for the destination (ENOKEY).
    NoPeer(InterfaceId),
    /// Neither end can begin the session.
    NoSession(InterfaceId),
    /// The endpoint that leads to the session is private to another place.
    PrivateEndpoint(InterfaceId),
    /// Both ends of the session are behind one NAT, and know each other by its outside.
    Hairpin(InterfaceId),
    /// A tunnel takes the encrypted packets, and does not bring them to the endpoint.
    Swallowed(InterfaceId),
    /// The peer does not listen on the port of the endpoint.
    Unheard(InterfaceId),
    /// Only the peer can begin the session, and nothing makes it do so (EDESTADDRREQ).
    Asleep(InterfaceId),
    /// The interface may not come up: another one of its host has its port, its name or its route.
    Down(InterfaceId),
    /// The interface gives an address of the packet to two peers, and which of them has it hangs on their
    /// keys.
    TwoPeers(InterfaceId),
    /// Two members of the network have the address.
    TwoHolders(InterfaceId),
    /// The receiver has the source on another peer of the interface, or on none.
    SourceRefused(InterfaceId),
    /// The node does not forward the family.
    NoForwarding,
    /// The node is no exit to the Internet.
    NoExit,
    /// The packet comes back to a node that it has been at.
    Loop,
    /// It arrives, but the reply is lost outside: nothing masquerades the source.
    NoReturnPath,
    /// A machine on a LAN takes the address for one of its LAN, and asks nobody to route it.
    OnLink,
    /// A machine on a LAN may choose another gateway, whose way does not work.
    OtherGateway,
    /// It ends where it was not to go.
    Elsewhere,
    /// No node has the source.
    NoStart,
    /// What it would have to pass has failed, as was asked: the session with the interface, or the node's own
    /// way to the Internet.
    Failed(Option<InterfaceId>),
}

/// One decision on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The node that decides.
    pub node: NodeId,
    /// The interface that the packet takes or arrives on.
    pub interface: Option<InterfaceId>,
    /// The prefix that decided.
    pub matched: Option<IpNet>,
    /// What happens.
    pub act: Act,
}

/// What a node does with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Sends it to the peer on this interface.
    Send(InterfaceId),
    /// Hands it over.
    Deliver(Place),
    /// Loses it.
    Drop(Cause),
}

/// A packet's whole way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walk {
    /// The packet.
    pub packet: Packet,
    /// Each decision; the last one ends it.
    pub steps: Vec<Step>,
    /// How it ends.
    pub end: Result<Place, Cause>,
    /// Whether it counts on something that the file does not say.
    pub assumed: bool,
}

/// What is taken for granted where the file does not decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// What is not certain does not work: for flows that must exist.
    Fails,
    /// What is not ruled out works: for flows that must not exist.
    Works,
}

/// Walks packets through one fleet.
#[derive(Debug)]
pub struct Walker<'t> {
    inventory: &'t Inventory,
    topology: &'t Topology,
    tables: &'t Tables<'t>,
    sessions: Arc<Sessions<'t>>,
    doubt: Doubt,
    failure: Option<Failure>,
}

impl<'t> Walker<'t> {
    /// The fleet that it walks through.
    pub(super) fn fleet(&self) -> (&'t Inventory, &'t Tables<'t>, &Sessions<'t>) {
        (self.inventory, self.tables, &*self.sessions)
    }

    /// A walker over the fleet of `tables`.
    #[must_use]
    pub fn new(inventory: &'t Inventory, tables: &'t Tables<'t>, doubt: Doubt) -> Self {
        let topology = tables.topology();
        let sessions = Arc::new(Sessions::heard(inventory, topology, tables.running()));
        Self { inventory, topology, tables, sessions, doubt, failure: None }
    }

    /// A walker over the same fleet, where one thing has failed.
    #[must_use]
    pub fn without(&self, failure: Failure) -> Self {
        let sessions = Arc::clone(&self.sessions);
        Self { sessions, failure: Some(failure), ..*self }
    }

    /// Whether a node is there.
    pub(super) fn is_there(&self, node: NodeId) -> bool {
        self.failure.is_none_or(|failure| failure.spares(node))
    }

    /// The address that a node's kernel gives to what it sends to `destination`: one of the
    /// interface that the route takes, otherwise any other of the family.
    #[must_use]
    pub fn source(&self, node: NodeId, destination: IpAddr) -> Option<IpAddr> {
        let family = Family::of_addr(&destination);
        let of = |id: InterfaceId| {
            self.topology.tunnel_addresses(id).find(|addr| Family::of_addr(addr) == family)
        };
        let routed = match self.tables.route(node, destination).map(|found| found.to) {
            Some(Out::Tunnel(id)) => of(id),
            _ => None,
        };
        routed.or_else(|| self.topology.node(node).interfaces.iter().find_map(|id| of(*id)))
    }

    /// Follows a packet. `open` are the links that sessions are known to be up on.
    #[must_use]
    pub fn walk(&self, start: Start, packet: Packet, open: &[Step]) -> Walk {
        self.follow(start, packet, open, None)
    }

    /// Follows a packet that an unmanaged peer sends over one of its links: what it routes there is its
    /// owner's affair.
    #[must_use]
    pub(super) fn sent_over(
        &self,
        start: Start,
        packet: Packet,
        link: (InterfaceId, InterfaceId),
    ) -> Walk {
        self.follow(start, packet, &[], Some(link))
    }

    fn follow(
        &self,
        start: Start,
        packet: Packet,
        open: &[Step],
        mut over: Option<(InterfaceId, InterfaceId)>,
    ) -> Walk {
        let mut walk = Walk { packet, steps: Vec::new(), end: Err(Cause::Loop), assumed: false };
        let (mut node, mut forwarded) = match start {
            Start::Node(node) => (node, false),
            Start::Through(node) => (node, true),
        };
        let mut arrived: Option<InterfaceId> = None;
        loop {
            let step = match over.take() {
                Some((own, remote)) => {
                    Step { node, interface: Some(own), matched: None, act: Act::Send(remote) }
                }
                None => self.decide(node, arrived, forwarded, packet, open, &mut walk.assumed),
            };
            // Forwarding depends on the destination alone: a node met twice is met for ever.
            let again = walk.steps.iter().any(|step| step.node == node);
            let step = if again && matches!(step.act, Act::Send(_)) {
                Step { act: Act::Drop(Cause::Loop), ..step }
            } else {
                step
            };
            walk.steps.push(step);
            match step.act {
                Act::Deliver(place) => walk.end = Ok(place),
                Act::Drop(cause) => walk.end = Err(cause),
                Act::Send(remote) => {
                    if let Some((step, cause)) = self.refuses(remote, step.interface, packet.source)
                    {
                        walk.steps.push(step);
                        walk.end = Err(cause);
                        return walk;
                    }
                    node = self.topology.interface(remote).node;
                    (arrived, forwarded) = (Some(remote), true);
                    continue;
                }
            }
            return walk;
        }
    }

    /// The receiver's check of the inner source.
    fn refuses(
        &self,
        receiver: InterfaceId,
        sender: Option<InterfaceId>,
        source: IpAddr,
    ) -> Option<(Step, Cause)> {
        let (certain, node) = (self.doubt == Doubt::Fails, self.topology.interface(receiver).node);
        // What an unmanaged peer accepts is its owner's affair.
        if !certain && !self.managed(node) {
            return None;
        }
        let found = self.tables.peer(receiver, source);
        let accepts = sender.is_some() && found.map(|found| found.to) == sender;
        let cause = if certain && self.tables.is_down(receiver) {
            Cause::Down(receiver)
        } else if certain && self.tables.is_contested(receiver, source) {
            Cause::TwoPeers(receiver)
        } else if accepts {
            return None;
        } else {
            Cause::SourceRefused(receiver)
        };
        let step = Step {
            node,
            interface: Some(receiver),
            matched: found.map(|found| found.net),
            act: Act::Drop(cause),
        };
        Some((step, cause))
    }

    fn decide(
        &self,
        node: NodeId,
        arrived: Option<InterfaceId>,
        forwarded: bool,
        packet: Packet,
        open: &[Step],
        assumed: &mut bool,
    ) -> Step {
        let step = self.choose(node, arrived, forwarded, packet, assumed);
        match (step.act, step.interface) {
            (Act::Send(remote), Some(id)) => Step { act: self.session(id, remote, open), ..step },
            _ => step,
        }
    }

    /// What a node does with a packet by its own tables, whether or not there is a session.
    pub(super) fn choose(
        &self,
        node: NodeId,
        arrived: Option<InterfaceId>,
        forwarded: bool,
        packet: Packet,
        assumed: &mut bool,
    ) -> Step {
        let to = packet.destination;
        let step = |interface, matched, act| Step { node, interface, matched, act };
        let own = self.tables.holders(to).iter().copied();
        if let Some(id) = own.into_iter().find(|id| self.topology.interface(*id).node == node) {
            let shared = self.doubt == Doubt::Fails && self.tables.is_shared(to);
            let act = if shared {
                Act::Drop(Cause::TwoHolders(id))
            } else {
                Act::Deliver(Place::Node(node))
            };
            return step(Some(arrived.unwrap_or(id)), None, act);
        }
        let forwards = !forwarded || self.forwards(node, to, arrived.is_some());
        match self.tables.route(node, to) {
            Some(Match { net, to: Out::Lan }) => {
                // What lies behind an unmanaged peer is its owner's affair: taken to work.
                let forwards = forwards || !self.managed(node);
                let act = if forwards {
                    Act::Deliver(Place::Lan(node))
                } else {
                    Act::Drop(Cause::NoForwarding)
                };
                step(arrived, Some(net), act)
            }
            Some(Match { net, to: Out::Tunnel(id) }) if !forwards => {
                step(Some(id), Some(net), Act::Drop(Cause::NoForwarding))
            }
            Some(Match { net, to: Out::Tunnel(id) }) => self.send(node, id, net, to),
            None => self.outside(node, arrived, forwards, packet, assumed),
        }
    }

    /// Nothing in the main table leads there.
    fn outside(
        &self,
        node: NodeId,
        arrived: Option<InterfaceId>,
        forwards: bool,
        packet: Packet,
        assumed: &mut bool,
    ) -> Step {
        let to = packet.destination;
        let here = self.topology.node(node);
        let step = |matched, act| Step { node, interface: arrived, matched, act };
        let site = here.site.map(|site| &self.inventory.sites[site]);
        let lan = site.and_then(|site| {
            site.subnets.iter().map(|net| net.value.trunc()).find(|net| net.contains(&to))
        });
        if lan.is_some() && arrived.is_none() {
            return step(lan, Act::Deliver(Place::OwnLan(node)));
        }
        if arrived.is_some() && here.exit.value && self.tables.is_internet(to) {
            let cut = |failure: Failure| !failure.leaves_internet(self.topology, node);
            let act = if self.failure.is_some_and(cut) {
                Act::Drop(Cause::Failed(None))
            } else if forwards {
                Act::Deliver(Place::Internet(node))
            } else {
                Act::Drop(Cause::NoForwarding)
            };
            return step(None, act);
        }
        if let Some(Match { net, to: id }) = self.tables.route_elsewhere(node, to) {
            if self.doubt == Doubt::Fails {
                let act = Act::Drop(Cause::RouteElsewhere(id));
                return Step { interface: Some(id), ..step(Some(net), act) };
            }
            *assumed = true;
            if !forwards {
                return step(Some(net), Act::Drop(Cause::NoForwarding));
            }
            return self.send(node, id, net, to);
        }
        let exit = arrived.is_some() && self.tables.is_internet(to);
        step(None, Act::Drop(if exit { Cause::NoExit } else { Cause::NoRoute }))
    }

    /// Into a tunnel: to the peer with the longest match over its `AllowedIPs`.
    fn send(&self, node: NodeId, id: InterfaceId, net: IpNet, to: IpAddr) -> Step {
        let step = |matched, act| Step { node, interface: Some(id), matched: Some(matched), act };
        let Some(found) = self.tables.peer(id, to) else {
            return step(net, Act::Drop(Cause::NoPeer(id)));
        };
        if self.doubt == Doubt::Fails {
            if self.tables.is_down(id) {
                return step(found.net, Act::Drop(Cause::Down(id)));
            }
            if self.tables.is_contested(id, to) {
                return step(found.net, Act::Drop(Cause::TwoPeers(id)));
            }
        }
        step(found.net, Act::Send(found.to))
    }

    /// What becomes of what an interface sends to a peer: the session with it decides.
    fn session(&self, id: InterfaceId, remote: InterfaceId, open: &[Step]) -> Act {
        if self.failure.is_some_and(|failure| self.is_cut(failure, id, remote)) {
            return Act::Drop(Cause::Failed(Some(remote)));
        }
        match entry(self.topology, id, remote).map(|peer| self.sessions.of(id, peer)) {
            Some(SessionStart::Ready) => Act::Send(remote),
            // A private net may join two places, a NAT turn packets around, the other end begin it from
            // elsewhere.
            Some(
                SessionStart::Asleep
                | SessionStart::Private
                | SessionStart::Hairpin
                | SessionStart::Swallowed
                | SessionStart::Unheard,
            ) if self.doubt == Doubt::Works => Act::Send(remote),
            Some(SessionStart::Asleep) => {
                // The packet that this one answers came over the link.
                let up = open.iter().any(|step| {
                    step.interface == Some(remote) && step.act == Act::Send(id)
                        || step.interface == Some(id) && step.act == Act::Send(remote)
                });
                if up { Act::Send(remote) } else { Act::Drop(Cause::Asleep(remote)) }
            }
            Some(SessionStart::Private) => Act::Drop(Cause::PrivateEndpoint(remote)),
            Some(SessionStart::Hairpin) => Act::Drop(Cause::Hairpin(remote)),
            Some(SessionStart::Swallowed) => Act::Drop(Cause::Swallowed(remote)),
            Some(SessionStart::Unheard) => Act::Drop(Cause::Unheard(remote)),
            Some(SessionStart::Never) | None => Act::Drop(Cause::NoSession(remote)),
        }
    }

    /// Whether a failure takes a session, or one of those that carry its encrypted packets.
    fn is_cut(&self, failure: Failure, id: InterfaceId, remote: InterfaceId) -> bool {
        let cuts = |a, b| failure.cuts(self.inventory, self.topology, a, b);
        let carried = |a, b| {
            let carriers = self.sessions.carriers_of((a, b));
            carriers.into_iter().any(|(a, b)| cuts(a, b))
        };
        cuts(id, remote) || carried(id, remote) || carried(remote, id)
    }

    fn managed(&self, node: NodeId) -> bool {
        matches!(self.topology.node(node).kind, NodeKind::Host(_))
    }

    /// Whether a node passes the family on; an unmanaged one between its LAN and its tunnel.
    fn forwards(&self, node: NodeId, to: IpAddr, from_tunnel: bool) -> bool {
        let family = self.topology.node(node).forwards.of(Family::of_addr(&to));
        family || (!self.managed(node) && !from_tunnel)
    }

    /// Where the reply of a delivered packet begins: at one of these. Empty where nothing brings
    /// it back.
    #[must_use]
    pub fn replies(&self, place: Place, packet: Packet) -> Vec<Start> {
        match place {
            Place::Node(node) | Place::OwnLan(node) => vec![Start::Node(node)],
            Place::Internet(node) => {
                let masked = self.masquerades(node, packet);
                // Of public addresses the Internet knows the way itself.
                let public = masked || self.tables.is_public(packet.source);
                let public = public && self.is_there(node);
                public.then_some(Start::Through(node)).into_iter().collect()
            }
            Place::Lan(node) if self.masquerades(node, packet) => vec![Start::Through(node)],
            Place::Lan(node) => {
                let site = self.topology.node(node).site;
                let beside = |other: &NodeId| {
                    *other == node || (site.is_some() && self.topology.node(*other).site == site)
                };
                let gateways = self.tables.gateways(packet.destination).iter().copied();
                let sent = |node: &NodeId| !self.on_link(*node, packet.destination, packet.source);
                let gateways = gateways.filter(|node| self.is_there(*node));
                gateways.filter(beside).filter(sent).map(Start::Through).collect()
            }
        }
    }

    /// Whether a machine on a LAN takes an address for one of its own LAN, so that it asks nobody
    /// to route what it sends there.
    #[must_use]
    pub fn on_link(&self, gateway: NodeId, machine: IpAddr, other: IpAddr) -> bool {
        let subnets = self.topology.node(gateway).subnets.iter();
        let mut own = subnets.filter(|net| net.value.contains(&machine));
        own.any(|net| net.value.contains(&other))
    }

    /// Whether a packet leaves the tunnels with the node's own address.
    pub(super) fn masquerades(&self, node: NodeId, packet: Packet) -> bool {
        let here = self.topology.node(node);
        let NodeKind::Host(host) = here.kind else { return false };
        let kept = !self.inventory.hosts[host].settings.masquerade.get()
            && here.subnets.iter().any(|net| net.value.contains(&packet.destination));
        let source = host_net(packet.source);
        !kept && here.masquerade.iter().any(|net| covers(net, &source))
    }
}
