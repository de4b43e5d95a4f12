//! Which endpoints can be reached from where, as far as the file says.

use std::net::IpAddr;

use super::carriers::Carriers;
use super::entry::{entry, literal};
use crate::inventory::{Inventory, Site};
use crate::model::{Endpoint, is_private};
use crate::topology::{Because, Derived, InterfaceId, Node, NodeKind, Peer, Topology};

/// Whether an address is no place that a packet could be sent to.
fn nowhere(addr: IpAddr) -> bool {
    let broadcast = matches!(addr, IpAddr::V4(addr) if addr.is_broadcast());
    addr.is_loopback() || addr.is_unspecified() || addr.is_multicast() || broadcast
}

/// A node with the inventory that it is of.
type At<'a> = (&'a Inventory, &'a Node);

fn site((inventory, node): At<'_>) -> Option<&Site> {
    node.site.map(|site| &inventory.sites[site])
}

/// Whether two nodes are at one site.
fn at_one_site(a: At<'_>, b: At<'_>) -> bool {
    site(a).zip(site(b)).is_some_and(|(a, b)| a.name.value == b.name.value)
}

/// Whether two nodes may be on one private net: one site, one named underlay, or no word on it.
fn together(a: At<'_>, b: At<'_>) -> bool {
    match (site(a), site(b)) {
        (Some(one), Some(other)) => {
            let named = one.underlay.name.as_ref().zip(other.underlay.name.as_ref());
            at_one_site(a, b) || named.is_some_and(|(one, other)| one.value == other.value)
        }
        (None, None) => true,
        _ => false,
    }
}

/// What becomes of a packet to an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// There is no endpoint to send to.
    Untold,
    /// It arrives, or nothing speaks against it.
    Arrives,
    /// The address is of a private net that the sender is not on.
    Private,
    /// The address is no place at all.
    Nowhere,
    /// It would have to turn around at the NAT that both ends are behind.
    Turns,
    /// A tunnel takes it, and does not bring it there.
    Swallowed,
    /// The host at the address listens on another port, or on none that is fixed.
    Unheard,
}

/// What is between the hosts of a fleet.
#[derive(Debug)]
pub(super) struct Underlay<'t> {
    inventory: &'t Inventory,
    topology: &'t Topology,
    /// What runs: an endpoint that a peer was heard from is reached, whatever the file says.
    heard: Option<&'t Topology>,
    carriers: Carriers<'t>,
}

impl<'t> Underlay<'t> {
    pub(super) fn new(
        inventory: &'t Inventory,
        topology: &'t Topology,
        heard: Option<&'t Topology>,
    ) -> Self {
        Self { inventory, topology, heard, carriers: Carriers::new(inventory, topology) }
    }

    /// What becomes of what an interface sends to the endpoint that it has of a peer.
    pub(super) fn reach(&self, from: InterfaceId, peer: &Peer) -> Reach {
        self.reach_in(from, peer, (self, peer.remote))
    }

    /// The same where the other end is an interface of a fleet in another state.
    pub(super) fn reach_in(
        &self,
        from: InterfaceId,
        peer: &Peer,
        far: (&Underlay<'_>, InterfaceId),
    ) -> Reach {
        let Some(endpoint) = &peer.endpoint else { return Reach::Untold };
        let node = self.node(from);
        let side = (from, peer.remote);
        let reach = match literal(peer) {
            Some(addr) if nowhere(addr) => Reach::Nowhere,
            _ if self.carriers.loses(side) => Reach::Swallowed,
            Some(addr) if is_private(addr) && !self.carriers.brings(side) => {
                let remote = (far.0.inventory, far.0.node(far.1));
                let near = together((self.inventory, node), remote);
                if near { Reach::Arrives } else { Reach::Private }
            }
            _ if node.nat.value && self.outside(node, endpoint, far) => Reach::Turns,
            _ => Reach::Arrives,
        };
        let heard = reach != Reach::Arrives || far.0.listens(far.1, endpoint);
        let reach = if heard { reach } else { Reach::Unheard };
        // Whoever brought its own key is told by others where we are.
        let known = || node.is_ours(self.inventory) && !self.heard(from, peer, far);
        if reach == Reach::Arrives || known() { reach } else { Reach::Arrives }
    }

    /// The carriers of encrypted packets.
    pub(super) fn carriers(&self) -> &Carriers<'t> {
        &self.carriers
    }

    fn node(&self, interface: InterfaceId) -> &'t Node {
        self.topology.node(self.topology.interface(interface).node)
    }

    /// Whether a peer at the same site is looked for at the outside of the NAT that it is behind.
    pub(super) fn outside(
        &self,
        node: &Node,
        endpoint: &Endpoint,
        (far, remote): (&Underlay<'_>, InterfaceId),
    ) -> bool {
        let there = far.node(remote);
        if !there.nat.value || !at_one_site((self.inventory, node), (far.inventory, there)) {
            return false;
        }
        let remote = far.topology.interface(remote);
        let own = far.topology.membership(far.inventory, remote).map(|(_, own)| own);
        let own = own.filter(|own| own.settings.local_endpoint.is_none());
        own.and_then(|own| own.settings.endpoint.as_ref())
            .is_some_and(|outer| outer.value == *endpoint)
    }

    /// Whether the host of an interface listens on the port of an endpoint: behind a NAT another one may be
    /// forwarded to it, but for the address that it has on its LAN.
    fn listens(&self, remote: InterfaceId, endpoint: &Derived<Endpoint>) -> bool {
        let far = self.node(remote);
        if let NodeKind::Unmanaged(_) = far.kind {
            return true;
        }
        let local = matches!(endpoint.because, Because::PeerLocalEndpoint(_));
        let own = &self.topology.interface(remote).listen_port;
        match own.value {
            Some(own) => own == endpoint.port || (far.nat.value && !local),
            // Of what runs, the port may not have been seen.
            None => own.because == Because::Seen,
        }
    }

    /// Whether packets came from the endpoint, and the other end still listens where it did.
    fn heard(&self, from: InterfaceId, peer: &Peer, far: (&Underlay<'_>, InterfaceId)) -> bool {
        let known = self.heard.and_then(|heard| entry(heard, from, peer.remote));
        let port = |underlay: &Underlay<'_>, id| underlay.topology.interface(id).listen_port.value;
        // A port that the file leaves to the kernel stays as it is.
        let (was, is) = (port(self, peer.remote), port(far.0, far.1));
        known.is_some_and(|known| known.heard && known.address() == peer.address())
            && (was.is_none() || is.is_none() || was == is)
    }
}
