//! One flow: a packet there, and its reply back.

use std::net::IpAddr;

use super::flows::Member;
use super::tables::Tables;
use super::walk::{Act, Cause, Packet, Place, Start, Walk, Walker};
use crate::model::Family;
use crate::topology::{InterfaceId, NodeId, NodeKind, Topology};

/// A flow that does not keep its rule.
#[derive(Debug, Clone)]
pub(super) struct Broken {
    /// Where it begins.
    pub(super) from: Member,
    /// Where it was to go.
    pub(super) to: Member,
    /// The packet's way.
    pub(super) out: Walk,
    /// The reply's, where it is what fails.
    pub(super) back: Option<Walk>,
    /// Why an allowed flow fails; `None`: a denied one arrives.
    pub(super) cause: Option<Cause>,
}

/// A flow that works: the packet's way and its reply's.
#[derive(Debug, Clone)]
pub(super) struct Trip {
    /// The packet's way.
    pub(super) out: Walk,
    /// The reply's.
    pub(super) back: Walk,
}

/// One source and one destination in one family.
#[derive(Debug)]
pub(super) struct Flow<'a, 't> {
    /// The fleet.
    pub(super) topology: &'a Topology,
    /// Its tables.
    pub(super) tables: &'a Tables<'a>,
    /// What walks packets through it.
    pub(super) walker: &'a Walker<'t>,
    /// Where it begins.
    pub(super) from: &'a Member,
    /// Where it ends.
    pub(super) to: &'a Member,
    /// The family of its addresses.
    pub(super) family: Family,
}

impl Flow<'_, '_> {
    /// `None` where the two share no family; otherwise whether the flow keeps the rule.
    pub(super) fn keeps(&self, allow: bool) -> Option<Result<(), Box<Broken>>> {
        if allow {
            return self.prove().map(|proof| proof.map(drop));
        }
        let (sources, targets) = self.addresses()?;
        Some(self.deny(&sources, &targets))
    }

    /// `None` where the two share no family; otherwise the ways of a packet and of its reply.
    pub(super) fn prove(&self) -> Option<Result<Trip, Box<Broken>>> {
        let (sources, targets) = self.addresses()?;
        Some(self.allow(&sources, &targets))
    }

    fn addresses(&self) -> Option<(Vec<IpAddr>, Vec<IpAddr>)> {
        let sources = self.from.addresses(self.topology, self.family);
        let targets = self.to.addresses(self.topology, self.family);
        (!sources.is_empty() && !targets.is_empty()).then_some((sources, targets))
    }

    fn broken(&self, out: Walk, back: Option<Walk>, cause: Option<Cause>) -> Box<Broken> {
        Box::new(Broken { from: *self.from, to: *self.to, out, back, cause })
    }

    /// One of the destination's addresses is reached and answers, by whichever gateway a machine of a LAN
    /// chooses; otherwise the failure that came furthest.
    fn allow(&self, sources: &[IpAddr], targets: &[IpAddr]) -> Result<Trip, Box<Broken>> {
        let mut furthest: Option<Box<Broken>> = None;
        let mut works: Option<Trip> = None;
        let mut stray: Option<Box<Broken>> = None;
        for start in self.starts() {
            match self.entering(start, sources, targets) {
                Some(Ok(trip)) => drop(works.get_or_insert(trip)),
                Some(Err(broken)) => {
                    if stray.is_none() && takes_in(&broken.out) {
                        stray = Some(broken.clone());
                    }
                    if furthest.as_ref().is_none_or(|known| order(known) < order(&broken)) {
                        furthest = Some(broken);
                    }
                }
                None => {}
            }
        }
        match (works, stray) {
            (Some(trip), None) => return Ok(trip),
            (Some(_), Some(stray)) => {
                return Err(Box::new(Broken { cause: Some(Cause::OtherGateway), ..*stray }));
            }
            (None, _) => {}
        }
        Err(furthest.unwrap_or_else(|| {
            let packet = Packet { source: sources[0], destination: targets[0] };
            let none = self.starts().is_empty();
            let cause = if none { Cause::NoStart } else { Cause::OnLink };
            let out = Walk { packet, steps: Vec::new(), end: Err(cause), assumed: false };
            self.broken(out, None, Some(cause))
        }))
    }

    /// Where its packets enter the fleet: at what is there.
    fn starts(&self) -> Vec<Start> {
        let mut starts = self.from.starts(self.tables);
        starts.retain(|(Start::Node(node) | Start::Through(node))| self.walker.is_there(*node));
        starts
    }

    /// The sessions that its packets and their replies cross, whichever gateway a LAN chooses, those that carry
    /// the encrypted packets of these, and the nodes by which they leave for the Internet.
    pub(super) fn crossed(&self) -> (Vec<(InterfaceId, InterfaceId)>, Vec<NodeId>) {
        let (mut links, mut exits) = (Vec::new(), Vec::new());
        let Some((sources, targets)) = self.addresses() else { return (links, exits) };
        let mut take = |walk: &Walk| {
            for step in &walk.steps {
                match (step.interface, step.act) {
                    (Some(from), Act::Send(to)) => links.push((from.min(to), from.max(to))),
                    (_, Act::Deliver(Place::Internet(node))) => exits.push(node),
                    _ => {}
                }
            }
        };
        for start in self.starts() {
            for destination in targets.iter().filter(|to| self.sends(start, **to)) {
                let packet = self.packet(&sources, *destination);
                let out = self.walker.walk(start, packet, &[]);
                take(&out);
                let Ok(place) = out.end else { continue };
                let reply = Packet { source: packet.destination, destination: packet.source };
                for start in self.walker.replies(place, packet) {
                    take(&self.walker.walk(start, reply, &out.steps));
                }
            }
        }
        let (.., sessions) = self.walker.fleet();
        let carried = |(a, b): (InterfaceId, InterfaceId)| {
            let carriers = [(a, b), (b, a)].map(|side| sessions.carriers_of(side));
            carriers.into_iter().flatten().map(|(a, b)| (a.min(b), a.max(b))).collect::<Vec<_>>()
        };
        let carriers: Vec<_> = links.iter().flat_map(|link| carried(*link)).collect();
        links.extend(carriers);
        links.sort_unstable();
        links.dedup();
        exits.sort_unstable();
        exits.dedup();
        (links, exits)
    }

    /// The packet to an address: the kernel chooses the source of what a node sends.
    fn packet(&self, sources: &[IpAddr], destination: IpAddr) -> Packet {
        let source = match self.from {
            Member::Node(node) => self.walker.source(*node, destination),
            _ => None,
        };
        Packet { source: source.unwrap_or(sources[0]), destination }
    }

    /// The same from where packets enter the fleet; `None` where none does there.
    fn entering(
        &self,
        start: Start,
        sources: &[IpAddr],
        targets: &[IpAddr],
    ) -> Option<Result<Trip, Box<Broken>>> {
        let mut furthest: Option<Box<Broken>> = None;
        for destination in targets.iter().filter(|to| self.sends(start, **to)) {
            let packet = self.packet(sources, *destination);
            let broken = match self.round(self.walker.walk(start, packet, &[])) {
                Ok(trip) => return Some(Ok(trip)),
                Err(broken) => broken,
            };
            if furthest.as_ref().is_none_or(|known| order(known) < order(&broken)) {
                furthest = Some(broken);
            }
        }
        furthest.map(Err)
    }

    /// Whether a packet gets to where flows of a LAN begin.
    fn sends(&self, start: Start, destination: IpAddr) -> bool {
        match (start, self.from) {
            (Start::Through(gateway), Member::Lan { addr, .. }) => {
                !self.walker.on_link(gateway, *addr, destination)
            }
            _ => true,
        }
    }

    /// Whether a packet arrived, and its reply comes back.
    fn round(&self, out: Walk) -> Result<Trip, Box<Broken>> {
        let place = match out.end {
            Ok(place) if self.to.takes(self.topology, place) => place,
            Ok(_) => return Err(self.broken(out, None, Some(Cause::Elsewhere))),
            Err(cause) => return Err(self.broken(out, None, Some(cause))),
        };
        let Packet { source, destination } = out.packet;
        let reply = Packet { source: destination, destination: source };
        let mut lost: Option<(Walk, Cause)> = None;
        let mut stray: Option<Walk> = None;
        let mut comes: Option<Walk> = None;
        for start in self.walker.replies(place, out.packet) {
            let back = self.walker.walk(start, reply, &out.steps);
            let cause = match back.end {
                Ok(place) if self.from.takes(self.topology, place) => {
                    comes.get_or_insert(back);
                    continue;
                }
                Ok(_) => Cause::Elsewhere,
                Err(cause) => cause,
            };
            if stray.is_none() && takes_in(&back) {
                stray = Some(back.clone());
            }
            lost.get_or_insert((back, cause));
        }
        match (comes, stray) {
            (Some(back), None) => return Ok(Trip { out, back }),
            (Some(_), Some(back)) => {
                return Err(self.broken(out, Some(back), Some(Cause::OtherGateway)));
            }
            (None, _) => {}
        }
        Err(if let Some((back, cause)) = lost {
            self.broken(out, Some(back), Some(cause))
        } else {
            let near = match place {
                Place::Lan(node) => self.walker.on_link(node, destination, source),
                _ => false,
            };
            let cause = if near { Cause::OnLink } else { Cause::NoReturnPath };
            let steps = out.steps.last().copied().into_iter().collect();
            let back = Walk { packet: reply, steps, end: Err(cause), assumed: false };
            self.broken(out, Some(back), Some(cause))
        })
    }

    fn deny(&self, sources: &[IpAddr], targets: &[IpAddr]) -> Result<(), Box<Broken>> {
        for start in self.from.starts(self.tables) {
            for source in sources {
                for destination in targets.iter().filter(|to| self.sends(start, **to)) {
                    let packet = Packet { source: *source, destination: *destination };
                    let mut ways = self.ways(start, packet);
                    let arrives =
                        |out: &Walk| out.end.is_ok_and(|place| self.to.takes(self.topology, place));
                    if let Some(out) = ways.find(arrives) {
                        return Err(self.broken(out, None, None));
                    }
                }
            }
        }
        Ok(())
    }

    /// The ways of a packet that is not to arrive: an unmanaged peer may send it over each of its links,
    /// whatever the file says of its routes.
    fn ways(&self, start: Start, packet: Packet) -> impl Iterator<Item = Walk> {
        let (Start::Node(id) | Start::Through(id)) = start;
        let node = self.topology.node(id);
        let unmanaged = matches!(node.kind, NodeKind::Unmanaged(_));
        let links = node.interfaces.iter().filter(move |_| unmanaged).flat_map(|own| {
            self.topology.interface(*own).peers.iter().map(|peer| (*own, peer.remote))
        });
        let sent = links.map(move |link| self.walker.sent_over(start, packet, link));
        std::iter::once_with(move || self.walker.walk(start, packet, &[])).chain(sent)
    }
}

/// Failures in order: what only sleeps would do, once awake; then what came furthest.
fn order(broken: &Broken) -> (bool, usize) {
    let back = broken.back.as_ref().map_or(0, |back| back.steps.len());
    (matches!(broken.cause, Some(Cause::Asleep(_))), broken.out.steps.len() + back)
}

/// Whether a gateway that a packet comes to from a LAN takes it in: one that has no way for it is none
/// that the LAN would choose.
fn takes_in(walk: &Walk) -> bool {
    let none = matches!(
        walk.end,
        Err(Cause::NoRoute | Cause::NoPeer(_) | Cause::RouteElsewhere(_) | Cause::NoForwarding)
    );
    walk.steps.len() > 1 || !none
}
