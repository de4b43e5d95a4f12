//! The prefixes by which the nodes of a fleet tell addresses apart.

use std::collections::HashSet;

use ipnet::IpNet;

use crate::inventory::Inventory;
use crate::model::host_net;
use crate::topology::Topology;

/// The prefixes at which something of a fleet is: LANs and networks.
pub(super) fn places(inventory: &Inventory, topology: &Topology) -> Vec<IpNet> {
    let networks = inventory.networks.iter().flat_map(|network| &network.prefixes);
    let sites = inventory.sites.iter().flat_map(|site| &site.subnets);
    let own = topology.nodes.iter().flat_map(|node| &node.subnets);
    networks.chain(sites).chain(own).map(|net| net.value.trunc()).collect()
}

/// Every prefix by which some node of a fleet tells addresses apart.
#[must_use]
pub(super) fn boundaries(inventory: &Inventory, topology: &Topology) -> Vec<IpNet> {
    let mut nets = places(inventory, topology);
    nets.extend(topology.nodes.iter().flat_map(|node| node.masquerade.iter()));
    // Lists are shared between interfaces; each is looked at once.
    let mut lists: HashSet<(*const IpNet, usize)> = HashSet::new();
    for interface in &topology.interfaces {
        for addr in &interface.addresses {
            nets.extend([addr.value.trunc(), host_net(addr.value.addr())]);
        }
        for peer in &interface.peers {
            let (at, base) = peer.allowed_ips.base();
            if lists.insert((at, base.len())) {
                nets.extend(base.iter().map(IpNet::trunc));
            }
        }
    }
    nets.sort_unstable();
    nets.dedup();
    nets
}
