//! The ends of a link: what each is told of the other, and what it does to be reached.

use std::sync::Arc;

use super::{AllowedIps, Because, Derived, InterfaceId, NodeKind, Topology};
use crate::inventory::{
    Declared, HostInterface, Inventory, OverrideSettings, Place, PskMode, Setting,
};
use crate::model::{Endpoint, HostName, Keepalive, Location};

/// One end of a link as the inventory describes it.
pub(super) struct End<'a> {
    name: &'a HostName,
    site: Option<usize>,
    /// Where it says that it is behind a NAT.
    nat: Option<Place>,
    managed: bool,
    endpoint: Option<Arc<Derived<Endpoint>>>,
    local_endpoint: Option<Arc<Derived<Endpoint>>>,
    /// What the file says about its keepalive, which may be "off".
    keepalive: Option<Derived<Option<Keepalive>>>,
    /// Where the public key that it brought is written.
    own_key: Option<Location>,
    /// What an unmanaged peer says about its preshared keys.
    psk: Option<&'a Declared<PskMode>>,
    interface: Option<&'a HostInterface>,
}

impl<'a> End<'a> {
    pub(super) fn of(inventory: &'a Inventory, topology: &'a Topology, id: InterfaceId) -> Self {
        let interface = topology.interface(id);
        match topology.node(interface.node).kind {
            NodeKind::Host(index) => {
                let host = &inventory.hosts[index];
                let own = host.membership(interface.network);
                let told = |endpoint: &Declared<Endpoint>, because: fn(Place) -> Because| {
                    Arc::new(Derived::new(endpoint.value.clone(), because(endpoint.place())))
                };
                let endpoint = own.and_then(|own| own.settings.endpoint.as_ref());
                let local = own.and_then(|own| own.settings.local_endpoint.as_ref());
                let nat = host.settings.nat.declared().filter(|nat| nat.value);
                Self {
                    name: &host.name.value,
                    site: host.site,
                    nat: nat.map(Declared::place),
                    managed: true,
                    endpoint: endpoint.map(|one| told(one, Because::PeerEndpoint)),
                    local_endpoint: local.map(|one| told(one, Because::PeerLocalEndpoint)),
                    keepalive: own
                        .and_then(|own| own.settings.keepalive.as_ref())
                        .map(Derived::written),
                    own_key: None,
                    psk: None,
                    interface: own,
                }
            }
            NodeKind::Unmanaged(index) => {
                let peer = &inventory.peers[index];
                let endpoint = peer.settings.endpoint.as_ref().map(|endpoint| {
                    let because = Because::PeerEndpoint(endpoint.place());
                    Arc::new(Derived::new(endpoint.value.clone(), because))
                });
                let keepalive = peer.settings.keepalive.as_ref().map(Derived::written);
                Self {
                    name: &peer.name.value,
                    site: None,
                    nat: None,
                    managed: false,
                    endpoint,
                    local_endpoint: None,
                    keepalive,
                    own_key: peer.settings.public_key.as_ref().map(|key| key.at),
                    psk: peer.settings.psk.declared(),
                    interface: None,
                }
            }
        }
    }

    /// Whether two ends are at one site.
    fn is_near(&self, other: &End<'a>) -> bool {
        self.site.is_some() && self.site == other.site
    }

    /// Where this end finds `other`, overrides aside.
    fn endpoint_of<'o>(&self, other: &'o End<'a>) -> Option<&'o Arc<Derived<Endpoint>>> {
        let local = other.local_endpoint.as_ref().filter(|_| self.is_near(other));
        local.or(other.endpoint.as_ref())
    }

    /// A value that this end writes under `peers:` for `other` alone.
    fn override_for<T>(
        &self,
        other: &End<'a>,
        of: impl Fn(&'a OverrideSettings) -> Option<&'a Declared<T>>,
    ) -> Option<&'a Declared<T>> {
        of(&self.interface?.override_of(other.name)?.settings)
    }

    /// Where this end finds `other`.
    pub(super) fn endpoint_told(&self, other: &End<'a>) -> Option<Arc<Derived<Endpoint>>> {
        let own = self.override_for(other, |own| own.endpoint.as_ref());
        let own = own.map(|endpoint| {
            let because = Because::Override(endpoint.at);
            Arc::new(Derived::new(endpoint.value.clone(), because))
        });
        own.or_else(|| self.endpoint_of(other).cloned())
    }

    /// The list of `other`: what follows from the links, unless this end writes another one.
    pub(super) fn allowed_ips_of(
        &self,
        other: &End<'a>,
        derived: AllowedIps,
    ) -> Derived<AllowedIps> {
        let own = self.interface.and_then(|own| own.override_of(other.name));
        match own.and_then(|own| own.settings.allowed_ips.as_ref().map(|list| (list, own.peer.at)))
        {
            Some((list, at)) => {
                let list = list.iter().map(|net| net.value.trunc()).collect();
                Derived::new(list, Because::Override(at))
            }
            None => Derived::new(derived, Because::Derived),
        }
    }

    /// Keepalive towards `other`, whose endpoint this end knows or not: the side that cannot be found keeps the
    /// session open; phones are spared it unless the file asks.
    pub(super) fn keepalive_to(&self, other: &End<'a>, found: bool) -> Derived<Option<Keepalive>> {
        if let Some(own) = self.override_for(other, |own| own.keepalive.as_ref()) {
            return Derived::new(own.value, Because::Override(own.at));
        }
        if let Some(declared) = self.keepalive {
            return declared;
        }
        if !found {
            return Derived::new(None, Because::NoEndpoint);
        }
        let seen_here = self.is_near(other) && self.local_endpoint.is_some();
        let because = match self.nat {
            Some(nat) => Some(Because::Nat(nat)),
            None => other.endpoint_of(self).is_none().then_some(Because::Unknown),
        };
        match because.filter(|_| self.managed && !seen_here) {
            Some(because) => Derived::new(Some(Keepalive::DEFAULT), because),
            None => Derived::default_of(None),
        }
    }

    /// Whether the two ends have a preshared key: what either says of the other, what an unmanaged peer
    /// says, then the network. Unless that is said, the vault derives none for a partner that brought its
    /// own public key.
    pub(super) fn psk_with(&self, other: &End<'a>, mode: &Setting<PskMode>) -> Derived<bool> {
        let pair = [(self, other), (other, self)].into_iter();
        let pair = pair.filter_map(|(end, far)| {
            let own = end.interface?.override_of(far.name)?;
            own.settings.psk.declared()
        });
        // Both ends have to come to the same: where they disagree, the pair has a key.
        if let Some(own) = pair.max_by_key(|own| own.value == PskMode::Pairwise) {
            return Derived::new(own.value == PskMode::Pairwise, Because::Override(own.at));
        }
        if let Some(own) = self.psk.or(other.psk) {
            return Derived::new(own.value == PskMode::Pairwise, Because::Written(own.place()));
        }
        let Some(declared) = mode.declared() else { return Derived::default_of(false) };
        let wanted = declared.value == PskMode::Pairwise;
        match self.own_key.or(other.own_key).filter(|_| wanted) {
            Some(at) => Derived::new(false, Because::OwnKey(at)),
            None => Derived::new(wanted, Because::Written(declared.place())),
        }
    }
}
