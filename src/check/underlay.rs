//! Which endpoints can be reached from where, as far as the file says.

use std::net::IpAddr;

use super::carriers::Carriers;
use super::entry::{entry, literal};
use crate::inventory::Inventory;
use crate::model::{Endpoint, Port, is_private};
use crate::topology::{Because, InterfaceId, Node, NodeKind, Peer, Topology};

/// Whether an address is no place that a packet could be sent to.
fn nowhere(addr: IpAddr) -> bool {
    let broadcast = matches!(addr, IpAddr::V4(addr) if addr.is_broadcast());
    addr.is_loopback() || addr.is_unspecified() || addr.is_multicast() || broadcast
}

/// Whether two nodes may be on one private net: one site, one named underlay, or no word on it.
fn together(inventory: &Inventory, a: &Node, b: &Node) -> bool {
    let underlay =
        |site: usize| inventory.sites[site].underlay.name.as_ref().map(|name| &name.value);
    match (a.site, b.site) {
        (Some(a), Some(b)) => a == b || (underlay(a).is_some() && underlay(a) == underlay(b)),
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
        let Some(endpoint) = &peer.endpoint else { return Reach::Untold };
        let topology = self.topology;
        let (node, far) = (topology.node(topology.interface(from).node), topology.remote(peer));
        let side = (from, peer.remote);
        let reach = match literal(peer) {
            Some(addr) if nowhere(addr) => Reach::Nowhere,
            _ if self.carriers.loses(side) => Reach::Swallowed,
            Some(addr) if is_private(addr) && !self.carriers.brings(side) => {
                let near = together(self.inventory, node, far);
                if near { Reach::Arrives } else { Reach::Private }
            }
            _ if node.nat.value && self.outside(node, far, peer, endpoint) => Reach::Turns,
            _ => Reach::Arrives,
        };
        let heard = reach != Reach::Arrives || self.listens(peer, endpoint.port);
        let reach = if heard { reach } else { Reach::Unheard };
        // Whoever brought its own key is told by others where we are.
        let known = || node.is_ours(self.inventory) && !self.heard(from, peer);
        if reach == Reach::Arrives || known() { reach } else { Reach::Arrives }
    }

    /// Whether a peer at the same site is looked for at the outside of the NAT that it is behind.
    pub(super) fn outside(
        &self,
        node: &Node,
        far: &Node,
        peer: &Peer,
        endpoint: &Endpoint,
    ) -> bool {
        if node.site.is_none() || node.site != far.site || !far.nat.value {
            return false;
        }
        let remote = self.topology.interface(peer.remote);
        let own = self.topology.membership(self.inventory, remote).map(|(_, own)| own);
        let own = own.filter(|own| own.settings.local_endpoint.is_none());
        own.and_then(|own| own.settings.endpoint.as_ref())
            .is_some_and(|outer| outer.value == *endpoint)
    }

    /// Whether the host that a peer is listens on a port: behind a NAT another one may be forwarded to it,
    /// but for the address that it has on its LAN.
    fn listens(&self, peer: &Peer, port: Port) -> bool {
        let far = self.topology.remote(peer);
        if let NodeKind::Unmanaged(_) = far.kind {
            return true;
        }
        let because = peer.endpoint.as_ref().map(|endpoint| endpoint.because);
        let local = matches!(because, Some(Because::PeerLocalEndpoint(_)));
        match self.topology.interface(peer.remote).listen_port.value {
            Some(own) => own == port || (far.nat.value && !local),
            None => false,
        }
    }

    /// Whether packets came from the endpoint.
    fn heard(&self, from: InterfaceId, peer: &Peer) -> bool {
        let known = self.heard.and_then(|heard| entry(heard, from, peer.remote));
        known.is_some_and(|known| known.heard && known.address() == peer.address())
    }
}
