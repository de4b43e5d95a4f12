//! What was seen of hosts, and whose keys are whose.

use std::collections::BTreeMap;

use ipnet::IpNet;

use crate::inventory::{Inventory, Network};
use crate::model::{HostName, InterfaceName, PublicKey};
use crate::observed::{ObservedHost, ObservedInterface};
use crate::topology::{InterfaceId, NodeId, Topology};

/// What was seen of hosts, and whose keys are whose.
pub(super) struct Seen<'a, 'o> {
    /// Who has or had a key.
    pub(super) names: &'a BTreeMap<PublicKey, HostName>,
    /// What each host that was read said.
    pub(super) of: &'a dyn Fn(&HostName) -> Option<&'o ObservedHost>,
}

impl<'o> Seen<'_, 'o> {
    /// The live interface that each interface of a node of a state is, by the interface; and those
    /// of this fleet that the state does not have.
    pub(super) fn interfaces(
        &self,
        inventory: &Inventory,
        topology: &Topology,
        node: NodeId,
    ) -> (
        BTreeMap<InterfaceId, &'o ObservedInterface>,
        Vec<(&'o InterfaceName, &'o ObservedInterface)>,
    ) {
        let here = topology.node(node);
        let (mut known, mut others) = (BTreeMap::new(), Vec::new());
        let Some(seen) = (self.of)(&here.name) else { return (known, others) };
        let named = |name: &InterfaceName| {
            here.interfaces.iter().find(|id| topology.interface(**id).name.value == *name)
        };
        for (name, live) in &seen.interfaces {
            match named(name) {
                Some(id) => drop(known.insert(*id, live)),
                None if self.is_ours(live) => others.push((name, live)),
                None => {}
            }
        }
        // One that has another name in the file has its addresses in the same network.
        others.retain(|(_, live)| {
            let same = |id: &&InterfaceId| {
                let network = &inventory.networks[topology.interface(**id).network];
                !known.contains_key(*id) && is_of(live, network)
            };
            let found = here.interfaces.iter().find(same).copied();
            found.is_none_or(|id| known.insert(id, live).is_some())
        });
        (known, others)
    }

    /// Whether an interface is of this fleet: its key, or that of a peer, is known.
    fn is_ours(&self, live: &ObservedInterface) -> bool {
        let keys = live.public_key.iter().chain(live.peers.keys());
        keys.into_iter().any(|key| self.names.contains_key(key))
    }
}

/// Whether a live interface has an address in a network.
pub(super) fn is_of(live: &ObservedInterface, network: &Network) -> bool {
    let within = |addr: &IpNet| network.prefixes.iter().any(|net| net.value.contains(&addr.addr()));
    live.addresses.iter().any(within)
}
