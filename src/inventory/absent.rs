//! Takes hosts and peers out that are written and do not count: disabled ones, and those whose time is over.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::model::{HostName, Located, Location};

use super::{Absence, Absent, Inventory, Presence, Selector, Setting, Who};

impl Absence {
    /// Where it is written.
    #[must_use]
    pub const fn at(&self) -> Location {
        match self {
            Self::Disabled(at) => *at,
            Self::Over(until) => until.at,
        }
    }
}

impl Presence {
    /// Why something does not count at a moment; without one, no time is over.
    fn absence(&self, now: Option<Timestamp>) -> Option<Absence> {
        let disabled = self.enabled.declared().filter(|enabled| !enabled.value);
        let over =
            || self.until.as_ref().filter(|until| now.is_some_and(|now| until.value.is_over(now)));
        disabled
            .map(|disabled| Absence::Disabled(disabled.at))
            .or_else(|| over().cloned().map(Absence::Over))
    }
}

impl Absent {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Located<HostName> {
        match &self.who {
            Who::Host(host) => &host.name,
            Who::Peer(peer) => &peer.name,
        }
    }

    /// Whether it is a managed host.
    #[must_use]
    pub const fn is_host(&self) -> bool {
        matches!(self.who, Who::Host(_))
    }
}

impl Inventory {
    /// Takes out what does not count at a moment: names that lead there lead nowhere afterwards.
    pub(super) fn at(mut self, now: Option<Timestamp>) -> Self {
        for host in std::mem::take(&mut self.hosts) {
            match host.presence.absence(now) {
                Some(why) => self.absent.push(Absent { who: Who::Host(Box::new(host)), why }),
                None => self.hosts.push(host),
            }
        }
        for peer in std::mem::take(&mut self.peers) {
            match peer.presence.absence(now) {
                Some(why) => self.absent.push(Absent { who: Who::Peer(Box::new(peer)), why }),
                None => self.peers.push(peer),
            }
        }
        let gone: BTreeSet<HostName> =
            self.absent.iter().map(|absent| absent.name().value.clone()).collect();
        for own in self.hosts.iter_mut().flat_map(|host| &mut host.interfaces) {
            own.full_tunnel_via.take_if(|via| gone.contains(&via.value));
        }
        for peer in &mut self.peers {
            // A full tunnel goes through the first host that is there.
            peer.via.sort_by_key(|via| gone.contains(&via.value));
            if peer.via.first().is_some_and(|via| gone.contains(&via.value)) {
                peer.settings.full_tunnel = Setting::default();
            }
        }
        self.now = now;
        self
    }

    /// The host or peer of a name that is written and does not count.
    #[must_use]
    pub fn absent(&self, name: &HostName) -> Option<&Absent> {
        self.absent.iter().find(|absent| absent.name().value == *name)
    }

    /// Whether a selector names something that is written and does not count, by its own name or by that of
    /// its site or of a group.
    #[must_use]
    pub fn names_absent(&self, selector: &Selector) -> bool {
        self.absent.iter().any(|absent| match (&absent.who, selector) {
            (_, Selector::Host(name)) => absent.name().value == *name,
            (Who::Host(host), Selector::Site(name)) => {
                host.site.is_some_and(|site| self.sites[site].name.value == *name)
            }
            (Who::Host(host), Selector::Group(name)) => host.groups.contains(name),
            (Who::Host(host), Selector::Network(name)) => {
                host.interfaces.iter().any(|own| self.networks[own.network].name.value == *name)
            }
            (Who::Peer(peer), Selector::Network(name)) => {
                self.networks[peer.network].name.value == *name
            }
            _ => false,
        })
    }
}
