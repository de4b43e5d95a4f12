//! Links whose ends are on different sides of a change.

use super::changing::{Clashing, Role};
use super::world::{Host, Side, TunnelIndex, World};
use crate::check::entry::entry;
use crate::check::session::SessionStart;
use crate::topology::Peer;

/// What becomes of a packet that one end of a link sends to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Link {
    /// It gets there.
    Open,
    /// It gets there if the other end began the session.
    Asleep,
    /// It does not get there.
    Closed(Clashing),
}

/// An end of a link, on one side.
pub(super) type At = (TunnelIndex, Side);

impl World<'_> {
    /// What becomes of what one end of a link sends to the other.
    pub(super) fn link(&self, near: At, far: At) -> Link {
        let Some((peer, back)) = self.entry(near, far.0).zip(self.entry(far, near.0)) else {
            return Link::Closed(Clashing::Route);
        };
        if !self.keys_fit(near, far) || !self.keys_fit(far, near) {
            return Link::Closed(Clashing::Key);
        }
        if !self.psks_fit(near, far) {
            return Link::Closed(Clashing::PresharedKey);
        }
        let id = |(tunnel, side): At| self.tunnels[tunnel].ids[side as usize];
        let Some((from, remote)) = id(near).zip(id(far)) else {
            return Link::Closed(Clashing::Route);
        };
        let sessions = |side: Side| self.walker(side).fleet().2;
        match sessions(near.1).across((from, peer), sessions(far.1), (remote, back)) {
            SessionStart::Ready => Link::Open,
            SessionStart::Asleep => Link::Asleep,
            SessionStart::Unheard => Link::Closed(Clashing::Port),
            SessionStart::Swallowed => Link::Closed(Clashing::Carrier),
            SessionStart::Never | SessionStart::Private | SessionStart::Hairpin => {
                Link::Closed(Clashing::Session)
            }
        }
    }

    /// The hosts whose tunnels carry the encrypted packets of one side of a link.
    pub(super) fn carriers(&self, (own, side): At, other: TunnelIndex) -> Vec<Host> {
        let id = |tunnel: TunnelIndex| self.tunnels[tunnel].ids[side as usize];
        let Some(link) = id(own).zip(id(other)) else { return Vec::new() };
        let through = self.walker(side).fleet().2.carried_by(link);
        through.into_iter().map(|id| self.tunnels[self.tunnel(side, id)].host).collect()
    }

    /// What one end has for the other.
    pub(super) fn entry(&self, (own, side): At, other: TunnelIndex) -> Option<&Peer> {
        let id = |tunnel: TunnelIndex| self.tunnels[tunnel].ids[side as usize];
        entry(self.state(side).1, id(own)?, id(other)?)
    }

    /// Which of two values an end has; one that does not change and of which nothing is known is taken
    /// to have the old one.
    fn value(&self, (tunnel, side): At, changes: bool) -> Side {
        let own = &self.tunnels[tunnel];
        let stays = self.hosts[own.host].role == Role::Stays && !own.told;
        if changes {
            side
        } else if stays {
            Side::Old
        } else {
            Side::New
        }
    }

    fn fit(&self, one: (At, bool), other: (At, bool)) -> bool {
        (!one.1 && !other.1) || self.value(one.0, one.1) == self.value(other.0, other.1)
    }

    fn of(&self, tunnel: TunnelIndex) -> Host {
        self.tunnels[tunnel].host
    }

    /// Whether `far` knows `near` by the key that it has.
    fn keys_fit(&self, near: At, far: At) -> bool {
        let known = self.tunnels[far.0].keys.contains(&self.of(near.0));
        self.fit((near, self.tunnels[near.0].key), (far, known))
    }

    fn psks_fit(&self, near: At, far: At) -> bool {
        let changes = |own: At, other: At| self.tunnels[own.0].psks.contains(&self.of(other.0));
        self.fit((near, changes(near, far)), (far, changes(far, near)))
    }
}
