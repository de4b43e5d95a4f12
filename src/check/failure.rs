//! One thing of a fleet that fails, and what it takes with it.

use crate::inventory::Inventory;
use crate::topology::{InterfaceId, NodeId, Topology};

/// What fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Failure {
    /// A host or an unmanaged peer: it neither sends, answers nor forwards.
    Node(NodeId),
    /// The session between two interfaces: both ends are there, and do not hear one another.
    Link(InterfaceId, InterfaceId),
    /// The uplink of a site, an index into the inventory's sites: nothing of it reaches another place, unless a
    /// private net with a name joins the two.
    Uplink(usize),
}

impl Failure {
    /// Whether the session between two interfaces is lost.
    #[must_use]
    pub fn cuts(
        self,
        inventory: &Inventory,
        topology: &Topology,
        a: InterfaceId,
        b: InterfaceId,
    ) -> bool {
        let node = |id: InterfaceId| topology.interface(id).node;
        match self {
            Self::Node(lost) => node(a) == lost || node(b) == lost,
            Self::Link(one, other) => (one, other) == (a, b) || (one, other) == (b, a),
            Self::Uplink(site) => {
                let site_of = |id: InterfaceId| topology.node(node(id)).site;
                let underlay = |id: InterfaceId| {
                    let site = &inventory.sites[site_of(id)?];
                    site.underlay.name.as_ref().map(|name| &name.value)
                };
                let joined = underlay(a).is_some() && underlay(a) == underlay(b);
                (site_of(a) == Some(site)) != (site_of(b) == Some(site)) && !joined
            }
        }
    }

    /// Whether a node is there.
    #[must_use]
    pub fn spares(self, node: NodeId) -> bool {
        self != Self::Node(node)
    }

    /// Whether a node still reaches the Internet itself.
    #[must_use]
    pub fn leaves_internet(self, topology: &Topology, node: NodeId) -> bool {
        match self {
            Self::Node(lost) => lost != node,
            Self::Link(..) => true,
            Self::Uplink(site) => topology.node(node).site != Some(site),
        }
    }
}
