//! A flow through a fleet of which some hosts have changed: a packet there, and its reply back.

use std::net::IpAddr;

use super::changing::Clashing;
use super::picks::{Lazy, Picks};
use super::walk::{Arrived, Begin};
use super::world::{Host, SIDES, Side, World};
use crate::check::walk::Packet;

/// Where a LAN is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LanPlace<'a> {
    Site(&'a str),
    Host(Host),
}

/// An end of a flow.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stop<'a> {
    /// An address of a host, on each side that has it.
    Address { host: Host, addrs: [Option<IpAddr>; 2] },
    /// An address on a LAN, and where it is on each side.
    Lan { addr: IpAddr, places: [Option<LanPlace<'a>>; 2] },
    /// An address of the Internet.
    Internet(IpAddr),
}

/// One flow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flow<'a> {
    pub(super) from: Stop<'a>,
    pub(super) to: Stop<'a>,
    /// Whether the kernel chooses which address the host sends from.
    pub(super) chosen: bool,
}

/// Why a flow does not work, and the hosts that its packets met.
#[derive(Debug, Clone)]
pub(super) struct Lost {
    pub(super) why: Clashing,
    pub(super) trail: Vec<Host>,
}

impl<'a> World<'a> {
    /// Whether a flow works, once all that it depends on is decided.
    pub(super) fn works(&self, picks: &Picks, flow: &Flow<'a>) -> Lazy<Result<(), Lost>> {
        let nowhere = |host: Option<Host>| {
            Ok(Err(Lost { why: Clashing::Address, trail: host.into_iter().collect() }))
        };
        let destination = match flow.to {
            Stop::Address { host, addrs } => {
                match picks.each(self, host, |side| addrs[side as usize])? {
                    Some(addr) => addr,
                    None => return nowhere(Some(host)),
                }
            }
            Stop::Lan { addr, .. } | Stop::Internet(addr) => addr,
        };
        let (mut works, mut stray, mut lost) = (false, None, None::<Lost>);
        for start in self.starts(picks, &flow.from)? {
            let source = match flow.from {
                Stop::Address { host, addrs } => {
                    let source = picks.each(self, host, |side| {
                        let own = addrs[side as usize];
                        let node = self.hosts[host].ids[side as usize].filter(|_| flow.chosen);
                        node.and_then(|node| self.walker(side).source(node, destination)).or(own)
                    })?;
                    match source {
                        Some(source) => source,
                        None => return nowhere(Some(host)),
                    }
                }
                Stop::Lan { addr, .. } | Stop::Internet(addr) => addr,
            };
            if matches!(flow.from, Stop::Lan { .. })
                && self.on_link(picks, start.host, source, destination)?
            {
                continue;
            }
            match self.trip(picks, flow, start, Packet { source, destination })? {
                Ok(()) => works = true,
                Err((other, out_lost)) => {
                    if stray.is_none() && out_lost {
                        stray = Some(other.clone());
                    }
                    if lost.as_ref().is_none_or(|known| known.trail.len() < other.trail.len()) {
                        lost = Some(other);
                    }
                }
            }
        }
        Ok(match (works, stray, lost) {
            (true, None, _) => Ok(()),
            // The LAN's machine may choose that gateway.
            (true, Some(stray), _) => Err(Lost { why: Clashing::Gateway, ..stray }),
            (false, _, Some(lost)) => Err(lost),
            (false, _, None) => return nowhere(None),
        })
    }

    /// A packet there, and its reply back; where that fails, whether the first host took the packet in.
    fn trip(
        &self,
        picks: &Picks,
        flow: &Flow<'a>,
        start: Begin,
        packet: Packet,
    ) -> Lazy<Result<(), (Lost, bool)>> {
        let out = self.walk(picks, start, packet, None)?;
        let fails = |why: Clashing, trail: Vec<Host>| Ok(Err((Lost { why, trail }, out.taken_in)));
        let (what, host) = match out.end {
            Err(why) => return fails(why, out.trail.clone()),
            Ok(end) => end,
        };
        if !self.takes(picks, &flow.to, what, host)? {
            return fails(Clashing::Address, out.trail.clone());
        }
        let reply = Packet { source: packet.destination, destination: packet.source };
        let (mut comes, mut stray, mut lost) = (false, None, None::<(Clashing, Vec<Host>)>);
        for start in self.replies(picks, what, host, packet)? {
            let back = self.walk(picks, start, reply, Some(&out))?;
            let why = match back.end {
                Ok((what, host)) if self.takes(picks, &flow.from, what, host)? => {
                    comes = true;
                    continue;
                }
                Ok(_) => Clashing::Address,
                Err(why) => why,
            };
            let trail: Vec<Host> = out.trail.iter().copied().chain(back.trail).collect();
            if stray.is_none() && back.taken_in {
                stray = Some(trail.clone());
            }
            lost.get_or_insert((why, trail));
        }
        match (comes, stray, lost) {
            (true, None, _) => Ok(Ok(())),
            (true, Some(trail), _) => fails(Clashing::Gateway, trail),
            (false, _, Some((why, trail))) => fails(why, trail),
            (false, _, None) => fails(Clashing::Forwarding, out.trail.clone()),
        }
    }

    /// Where packets of an end enter the fleet.
    fn starts(&self, picks: &Picks, from: &Stop<'a>) -> Lazy<Vec<Begin>> {
        match from {
            Stop::Address { host, .. } => Ok(vec![Begin { host: *host, through: false }]),
            Stop::Internet(_) => Ok(Vec::new()),
            Stop::Lan { addr, .. } => {
                let mut starts = Vec::new();
                for host in self.gateways(picks, *addr)? {
                    if self.is_at(picks, from, host)? {
                        starts.push(Begin { host, through: true });
                    }
                }
                Ok(starts)
            }
        }
    }

    /// The hosts that deliver to an address as a LAN: those of the longest prefix.
    fn gateways(&self, picks: &Picks, addr: IpAddr) -> Lazy<Vec<Host>> {
        let known = SIDES.map(|side| -> Vec<(Host, u8)> {
            let lans = self.tables(side).lans(addr);
            lans.into_iter().map(|(node, length)| (self.host(side, node), length)).collect()
        });
        let mut hosts: Vec<Host> = known.iter().flatten().map(|(host, _)| *host).collect();
        hosts.sort_unstable();
        hosts.dedup();
        let mut found = Vec::new();
        for host in hosts {
            let length = picks.each(self, host, |side| {
                let lans = known[side as usize].iter();
                lans.clone().find(|(known, _)| *known == host).map(|(_, length)| *length)
            })?;
            found.extend(length.map(|length| (host, length)));
        }
        let longest = found.iter().map(|(_, length)| *length).max();
        found.retain(|(_, length)| Some(*length) == longest);
        Ok(found.into_iter().map(|(host, _)| host).collect())
    }

    /// Whether a LAN is at the place of a host.
    fn is_at(&self, picks: &Picks, lan: &Stop<'a>, host: Host) -> Lazy<bool> {
        let Stop::Lan { places, .. } = lan else { return Ok(false) };
        picks.each(self, host, |side| match places[side as usize] {
            Some(LanPlace::Site(site)) => self.site(side, host) == Some(site),
            Some(LanPlace::Host(at)) => at == host,
            None => false,
        })
    }

    fn takes(&self, picks: &Picks, to: &Stop<'a>, what: Arrived, at: Host) -> Lazy<bool> {
        match (to, what) {
            (Stop::Address { host, .. }, Arrived::Node) => Ok(*host == at),
            (Stop::Lan { .. }, Arrived::Lan | Arrived::OwnLan) => self.is_at(picks, to, at),
            (Stop::Internet(_), Arrived::Internet) => Ok(true),
            _ => Ok(false),
        }
    }

    /// Whether a machine on a LAN takes an address for one of its own LAN.
    fn on_link(&self, picks: &Picks, host: Host, machine: IpAddr, other: IpAddr) -> Lazy<bool> {
        picks.each(self, host, |side| {
            let node = self.hosts[host].ids[side as usize];
            node.is_some_and(|node| self.walker(side).on_link(node, machine, other))
        })
    }

    /// Where the reply to a packet begins: at one of these.
    fn replies(
        &self,
        picks: &Picks,
        what: Arrived,
        host: Host,
        packet: Packet,
    ) -> Lazy<Vec<Begin>> {
        if matches!(what, Arrived::Node | Arrived::OwnLan) {
            return Ok(vec![Begin { host, through: false }]);
        }
        let masked = picks.each(self, host, |side| {
            let node = self.hosts[host].ids[side as usize];
            node.is_some_and(|node| self.walker(side).masquerades(node, packet))
        })?;
        if masked {
            return Ok(vec![Begin { host, through: true }]);
        }
        if what == Arrived::Internet {
            // Of public addresses the Internet knows the way itself.
            let public = self.tables(Side::New).is_public(packet.source);
            return Ok(public.then_some(Begin { host, through: true }).into_iter().collect());
        }
        let site = picks.each(self, host, |side| self.site(side, host))?;
        let mut starts = Vec::new();
        for other in self.gateways(picks, packet.destination)? {
            let theirs = picks.each(self, other, |side| self.site(side, other))?;
            let beside = other == host || (site.is_some() && theirs == site);
            if beside && !self.on_link(picks, other, packet.destination, packet.source)? {
                starts.push(Begin { host: other, through: true });
            }
        }
        Ok(starts)
    }
}
