//! What brings a prefix into the `AllowedIPs` of a peer.

use std::collections::HashMap;

use ipnet::IpNet;

use super::settle::exit_of;
use super::{Because, Interface, InterfaceId, Topology};
use crate::inventory::Inventory;
use crate::model::{covers, host_net};

/// Why `interface` gives a prefix to the peer that `remote` is (an interface of the same network), as
/// far as the file says it of these two: an entry of an override, otherwise the LAN or the address of
/// `remote`, or a prefix of the network. [`Because::Derived`] where it is somebody's behind it.
#[must_use]
pub fn origin(
    inventory: &Inventory,
    topology: &Topology,
    interface: &Interface,
    remote: &Interface,
    net: &IpNet,
) -> Because {
    let node = topology.node(remote.node);
    let own = topology.membership(inventory, interface);
    let own = own.and_then(|(_, own)| own.override_of(&node.name));
    if let Some((list, at)) =
        own.and_then(|own| own.settings.allowed_ips.as_ref().map(|list| (list, own.peer.at)))
    {
        let entry = list.iter().find(|entry| entry.value.trunc() == *net);
        return Because::Override(entry.map_or(at, |entry| entry.at));
    }
    let prefixes = &inventory.networks[remote.network].prefixes;
    let prefix = prefixes.iter().find(|prefix| covers(net, &prefix.value));
    brought(topology, remote, net)
        .or_else(|| {
            let prefix = prefix.filter(|_| net.prefix_len() > 0)?;
            Some(Because::Network(prefix.at))
        })
        .unwrap_or(Because::Derived)
}

/// The LAN or the address of a member that a prefix is.
fn brought(topology: &Topology, member: &Interface, net: &IpNet) -> Option<Because> {
    let (of, node) = (member.node, topology.node(member.node));
    let lan = node.subnets.iter().find(|lan| lan.value.trunc() == *net);
    let addr = member.addresses.iter().find(|addr| host_net(addr.value.addr()) == *net);
    lan.map(|lan| Because::Subnet { of, at: lan.at })
        .or_else(|| addr.map(|addr| Because::Address { of, at: addr.at_or(node.at) }))
}

/// What brings each prefix of one network: also that of members that are behind a peer.
#[derive(Debug)]
pub struct Origins<'t> {
    inventory: &'t Inventory,
    topology: &'t Topology,
    members: HashMap<IpNet, InterfaceId>,
}

impl<'t> Origins<'t> {
    /// Of all members of a network.
    #[must_use]
    pub fn new(inventory: &'t Inventory, topology: &'t Topology, network: usize) -> Self {
        let mut members = HashMap::new();
        let all = (0..).map(InterfaceId).zip(&topology.interfaces);
        for (id, interface) in all.filter(|(_, interface)| interface.network == network) {
            let lans = topology.node(interface.node).subnets.iter();
            let lans = lans.map(|lan| lan.value.trunc());
            for net in topology.tunnel_addresses(id).map(host_net).chain(lans) {
                members.entry(net).or_insert(id);
            }
        }
        Self { inventory, topology, members }
    }

    /// Why an interface of the network gives a prefix to its peer `remote`.
    #[must_use]
    pub fn of(&self, from: InterfaceId, remote: InterfaceId, net: &IpNet) -> Because {
        let (own, far) = (self.topology.interface(from), self.topology.interface(remote));
        let because = origin(self.inventory, self.topology, own, far, net);
        if because != Because::Derived {
            return because;
        }
        let everything = (net.prefix_len() == 0)
            .then(|| exit_of(self.inventory, self.topology, from))
            .flatten()
            .filter(|(exit, _)| *exit == remote);
        if let Some((_, at)) = everything {
            return Because::FullTunnel(at);
        }
        let behind = self.members.get(net).map(|member| self.topology.interface(*member));
        behind.and_then(|member| brought(self.topology, member, net)).unwrap_or(because)
    }
}
