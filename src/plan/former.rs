//! What a file does not have any more, from those who still know it: hosts, networks, LANs.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::seen::{Seen, is_of};
use crate::inventory::{
    Declared, Host, HostInterface, HostSettings, InterfaceSettings, Inventory, Network, Presence,
    Setting,
};
use crate::model::{Family, HostName, InterfaceName, Located, Mtu, NetworkName, RouteTable};
use crate::observed::ObservedInterface;
use crate::topology::{
    Because, Derived, Forwards, Interface, InterfaceId, Node, NodeId, NodeKind, Topology, mix,
};

/// A state to which nodes and interfaces are added; [`mix`] puts the indices in order afterwards.
struct Adding {
    inventory: Inventory,
    topology: Topology,
    nodes: HashMap<HostName, NodeId>,
}

/// `base` with the interfaces, networks and hosts that run and that it does not have.
pub(super) fn with_former(
    base: (&Inventory, &Topology),
    seen: &Seen<'_, '_>,
) -> (Inventory, Topology) {
    let nodes = (0..).map(NodeId).zip(&base.1.nodes);
    let nodes = nodes.map(|(id, node)| (node.name.clone(), id)).collect();
    let mut adding = Adding { inventory: base.0.clone(), topology: base.1.clone(), nodes };
    let mut changed = false;
    for node in (0..).map(NodeId).take(base.1.nodes.len()) {
        let (_, others) = seen.interfaces(base.0, base.1, node);
        for (name, live) in others {
            changed |= adding.membership(node, name, live);
        }
    }
    let there: HashSet<&HostName> = base.1.nodes.iter().map(|node| &node.name).collect();
    // After all memberships: a peer that one of them knows may be a member by another.
    for node in (0..).map(NodeId).take(base.1.nodes.len()) {
        let (known, _) = seen.interfaces(&adding.inventory, &adding.topology, node);
        for (id, live) in known {
            let network = adding.topology.interface(id).network;
            for (key, peer) in &live.peers {
                let Some(name) = seen.names.get(key) else { continue };
                if !there.contains(name) {
                    adding.host(name, network, live, &peer.allowed_ips);
                    changed = true;
                }
            }
        }
    }
    let Adding { inventory, topology, .. } = adding;
    if changed {
        mix((&inventory, &topology), (&inventory, &topology), |_| false)
    } else {
        (inventory, topology)
    }
}

impl Adding {
    /// A host has an interface in a network that the file does not make it a member of.
    fn membership(&mut self, node: NodeId, name: &InterfaceName, live: &ObservedInterface) -> bool {
        let NodeKind::Host(host) = self.topology.node(node).kind else { return false };
        let network = self.inventory.networks.iter().position(|network| is_of(live, network));
        let Some(network) = network.or_else(|| self.network(name, live)) else { return false };
        if self.topology.member(node, network).is_some() {
            return false;
        }
        self.interface(node, host, network, name.clone(), Vec::new());
        true
    }

    /// A network that the file does not have: that of an interface.
    fn network(&mut self, name: &InterfaceName, live: &ObservedInterface) -> Option<usize> {
        let at = self.inventory.fleet.at;
        let known = |name: &str| {
            self.inventory.networks.iter().any(|network| network.name.value.as_str() == name)
        };
        let text: String = name.as_str().chars().filter(char::is_ascii_alphanumeric).collect();
        let text = std::iter::once(text.to_lowercase())
            .chain((2..100).map(|number| format!("{}-{number}", text.to_lowercase())))
            .find(|text| !known(text))?;
        let prefixes: Vec<Located<IpNet>> =
            live.addresses.iter().map(|net| Located::new(net.trunc(), at)).collect();
        self.inventory.networks.push(Network {
            name: Located::new(text.parse::<NetworkName>().ok()?, at),
            interface: Located::new(name.clone(), at),
            prefixes,
            links: Vec::new(),
            psk: Setting::default(),
            mtu: None,
        });
        Some(self.inventory.networks.len() - 1)
    }

    fn interface(
        &mut self,
        node: NodeId,
        host: usize,
        network: usize,
        name: InterfaceName,
        addresses: Vec<Derived<IpNet>>,
    ) {
        let at = self.inventory.fleet.at;
        self.inventory.hosts[host].interfaces.push(HostInterface {
            network,
            at,
            settings: InterfaceSettings {
                interface: Some(Declared::own(name.clone(), at)),
                ..InterfaceSettings::default()
            },
            full_tunnel_via: None,
            peers: Vec::new(),
        });
        let id = InterfaceId(u32::try_from(self.topology.interfaces.len()).unwrap_or(u32::MAX));
        self.topology.interfaces.push(Interface {
            node,
            network,
            name: Derived::seen(name),
            at,
            addresses,
            listen_port: Derived::seen(None),
            mtu: Derived::seen(Mtu::DEFAULT),
            table: Derived::seen(RouteTable::Auto),
            fwmark: Derived::seen(None),
            dns: Derived::seen(Vec::new()),
            peers: Vec::new(),
        });
        self.topology.nodes[node.0 as usize].interfaces.push(id);
    }

    /// A host that the file does not have, as one that knows it does: addresses are what it gets
    /// of the network's prefixes.
    fn host(
        &mut self,
        name: &HostName,
        network: usize,
        live: &ObservedInterface,
        allowed_ips: &BTreeSet<IpNet>,
    ) {
        let at = self.inventory.fleet.at;
        let id = *self.nodes.entry(name.clone()).or_insert_with(|| {
            let id = NodeId(u32::try_from(self.topology.nodes.len()).unwrap_or(u32::MAX));
            self.inventory.hosts.push(former_host(name, at));
            self.topology.nodes.push(Node {
                name: name.clone(),
                kind: NodeKind::Host(self.inventory.hosts.len() - 1),
                site: None,
                at,
                subnets: Vec::new(),
                nat: Derived::seen(false),
                // Whoever went may have been a hub or a gateway.
                forwards: Forwards::seen(true, true),
                masquerade: Derived::seen(Vec::new()),
                exit: Derived::seen(false),
                interfaces: Vec::new(),
            });
            id
        });
        let NodeKind::Host(host) = self.topology.node(id).kind else { return };
        if self.topology.member(id, network).is_none() {
            let interface = self.inventory.networks[network].interface.value.clone();
            self.interface(id, host, network, interface, Vec::new());
        }
        let Some(own) = self.topology.member(id, network) else { return };
        let taken = |addr: IpAddr| {
            let mut nodes = self.topology.interfaces.iter().filter(|own| own.node != id);
            nodes.any(|own| own.addresses.iter().any(|net| net.value.addr() == addr))
        };
        let mut found = Vec::new();
        for net in allowed_ips.iter().filter(|net| net.prefix_len() == net.max_prefix_len()) {
            let mut prefixes = live.addresses.iter().map(IpNet::trunc);
            let Some(prefix) = prefixes.find(|prefix| prefix.contains(&net.addr())) else {
                continue;
            };
            let addr = IpNet::new(net.addr(), prefix.prefix_len());
            found.extend(addr.ok().filter(|_| !taken(net.addr())));
        }
        let addresses = &mut self.topology.interfaces[own.0 as usize].addresses;
        for addr in found {
            // One of each family: another host's, reached through it, may be among them.
            let of = |known: &Derived<IpNet>| Family::of(&known.value) == Family::of(&addr);
            if !addresses.iter().any(of) {
                addresses.push(Derived::new(addr, Because::Pinned(at)));
            }
        }
    }
}

fn former_host(name: &HostName, at: crate::model::Location) -> Host {
    let ssh = name.as_str().parse().unwrap_or_else(|_| unreachable!("a host name is an ssh alias"));
    Host {
        name: Located::new(name.clone(), at),
        site: None,
        groups: Vec::new(),
        ssh: Located::new(ssh, at),
        presence: Presence::default(),
        settings: HostSettings::default(),
        subnets: Vec::new(),
        interfaces: Vec::new(),
    }
}
