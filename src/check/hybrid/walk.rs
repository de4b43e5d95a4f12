//! A packet through a fleet of which some hosts have changed.
//!
//! It goes as [`crate::check::walk`] says, with each host's own tables on the side that the host is on.
//! A host is decided only where its two sides do not do the same with the packet.

use std::net::IpAddr;

use super::changing::Clashing;
use super::links::Link;
use super::picks::{Lazy, Picks};
use super::world::{Host, Side, TunnelIndex, World};
use crate::check::walk::{Act, Cause, Packet, Place};

/// Where a packet enters the fleet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Begin {
    pub(super) host: Host,
    /// Whether it comes to the host from a LAN or the Internet.
    pub(super) through: bool,
}

/// What a packet ended at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrived {
    Node,
    Lan,
    OwnLan,
    Internet,
}

/// A packet's whole way.
#[derive(Debug, Clone)]
pub(super) struct Way {
    /// What it ended at, and at which host.
    pub(super) end: Result<(Arrived, Host), Clashing>,
    /// Whether the first host took it in: a gateway that does not is none that its LAN would choose.
    pub(super) taken_in: bool,
    /// Each link that it went over.
    links: Vec<(TunnelIndex, TunnelIndex)>,
    /// Each host that it met, and the one that it did not get to.
    pub(super) trail: Vec<Host>,
}

/// What one host does with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Local {
    Deliver(Arrived),
    Send {
        own: TunnelIndex,
        to: TunnelIndex,
    },
    /// It is lost; and whether the host would not even take it in from a LAN.
    Lost {
        why: Clashing,
        at_once: bool,
    },
}

fn clashing(cause: Cause) -> Clashing {
    match cause {
        Cause::NoRoute
        | Cause::RouteElsewhere(_)
        | Cause::NoPeer(_)
        | Cause::TwoPeers(_)
        | Cause::Down(_) => Clashing::Route,
        Cause::NoSession(_)
        | Cause::PrivateEndpoint(_)
        | Cause::Hairpin(_)
        | Cause::Asleep(_)
        | Cause::Failed(_) => Clashing::Session,
        Cause::Swallowed(_) => Clashing::Carrier,
        Cause::Unheard(_) => Clashing::Port,
        Cause::SourceRefused(_) => Clashing::AllowedIps,
        Cause::NoForwarding | Cause::NoExit | Cause::NoReturnPath => Clashing::Forwarding,
        Cause::Loop => Clashing::Loop,
        Cause::OtherGateway => Clashing::Gateway,
        Cause::OnLink | Cause::Elsewhere | Cause::NoStart | Cause::TwoHolders(_) => {
            Clashing::Address
        }
    }
}

impl World<'_> {
    fn local(
        &self,
        side: Side,
        host: Host,
        arrived: Option<TunnelIndex>,
        forwarded: bool,
        packet: Packet,
    ) -> Local {
        let Some(node) = self.hosts[host].ids[side as usize] else {
            return Local::Lost { why: Clashing::Route, at_once: true };
        };
        let on = match arrived {
            None => None,
            Some(tunnel) => match self.tunnels[tunnel].ids[side as usize] {
                None => return Local::Lost { why: Clashing::Route, at_once: true },
                on => on,
            },
        };
        let step = self.walker(side).choose(node, on, forwarded, packet, &mut false);
        match (step.act, step.interface) {
            (Act::Deliver(Place::Node(_)), _) => Local::Deliver(Arrived::Node),
            (Act::Deliver(Place::Lan(_)), _) => Local::Deliver(Arrived::Lan),
            (Act::Deliver(Place::OwnLan(_)), _) => Local::Deliver(Arrived::OwnLan),
            (Act::Deliver(Place::Internet(_)), _) => Local::Deliver(Arrived::Internet),
            (Act::Send(to), Some(own)) => {
                Local::Send { own: self.tunnel(side, own), to: self.tunnel(side, to) }
            }
            (Act::Send(_), None) => Local::Lost { why: Clashing::Route, at_once: true },
            (Act::Drop(cause), _) => {
                let at_once = matches!(
                    cause,
                    Cause::NoRoute
                        | Cause::NoPeer(_)
                        | Cause::RouteElsewhere(_)
                        | Cause::NoForwarding
                );
                Local::Lost { why: clashing(cause), at_once }
            }
        }
    }

    /// Follows a packet. `before` is the way of the packet that it answers.
    pub(super) fn walk(
        &self,
        picks: &Picks,
        start: Begin,
        packet: Packet,
        before: Option<&Way>,
    ) -> Lazy<Way> {
        let (links, trail) = (Vec::new(), Vec::new());
        let mut way = Way { end: Err(Clashing::Loop), taken_in: true, links, trail };
        let (mut host, mut forwarded, mut arrived) = (start.host, start.through, None);
        loop {
            let local = picks
                .each(self, host, |side| self.local(side, host, arrived, forwarded, packet))?;
            let again = way.trail.contains(&host);
            way.trail.push(host);
            let (own, to) = match local {
                Local::Deliver(what) => {
                    way.end = Ok((what, host));
                    return Ok(way);
                }
                Local::Lost { why, at_once } => {
                    way.end = Err(why);
                    way.taken_in = way.trail.len() > 1 || !at_once;
                    return Ok(way);
                }
                Local::Send { .. } if again => return Ok(way),
                Local::Send { own, to } => (own, to),
            };
            let far = self.tunnels[to].host;
            let link = self.crossed(picks, own, to)?;
            let open = |link: &(TunnelIndex, TunnelIndex)| *link == (own, to) || *link == (to, own);
            let closed = match link {
                Link::Open => None,
                Link::Asleep if before.is_some_and(|way| way.links.iter().any(open)) => None,
                Link::Asleep => Some(Clashing::Session),
                Link::Closed(why) => Some(why),
            };
            let refused = closed.is_none() && !self.accepts(picks, to, own, packet.source)?;
            if let Some(why) = closed.or(refused.then_some(Clashing::AllowedIps)) {
                way.trail.push(far);
                way.end = Err(why);
                return Ok(way);
            }
            way.links.push((own, to));
            (host, forwarded, arrived) = (far, true, Some(to));
        }
    }

    /// What becomes of what one tunnel sends to another.
    fn crossed(&self, picks: &Picks, own: TunnelIndex, to: TunnelIndex) -> Lazy<Link> {
        let (host, far) = (self.tunnels[own].host, self.tunnels[to].host);
        let link = picks.both(self, (host, far), |near, far| self.link((own, near), (to, far)))?;
        if let Link::Closed(_) = link {
            return Ok(link);
        }
        let carried = picks.both(self, (host, far), |near, far| {
            let mut carriers: Vec<(Host, Side)> = Vec::new();
            carriers.extend(self.carriers((own, near), to).into_iter().map(|host| (host, near)));
            carriers.extend(self.carriers((to, far), own).into_iter().map(|host| (host, far)));
            carriers
        })?;
        // What a tunnel of hosts on both sides does with encrypted packets is not looked at.
        for (carrier, wanted) in carried {
            if !self.hosts[carrier].same && !picks.each(self, carrier, |side| side == wanted)? {
                return Ok(Link::Closed(Clashing::Carrier));
            }
        }
        Ok(link)
    }

    /// Whether the receiver has the source on the very peer that sent it.
    fn accepts(
        &self,
        picks: &Picks,
        receiver: TunnelIndex,
        sender: TunnelIndex,
        source: IpAddr,
    ) -> Lazy<bool> {
        picks.each(self, self.tunnels[receiver].host, |side| {
            let own = self.tunnels[receiver].ids[side as usize];
            let found = own.and_then(|own| self.tables(side).peer(own, source));
            let certain = own.is_some_and(|own| {
                let tables = self.tables(side);
                !tables.is_down(own) && !tables.is_contested(own, source)
            });
            certain && found.is_some_and(|found| self.tunnel(side, found.to) == sender)
        })
    }
}
