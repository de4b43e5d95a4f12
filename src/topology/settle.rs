//! What follows from the peers of all interfaces: MTUs, forwarding, exits and masquerading.

use ipnet::IpNet;

use super::{Because, Derived, Interface, InterfaceId, Node, NodeId, NodeKind, Topology};
use crate::inventory::Inventory;
use crate::model::{Family, Location, Mtu};

/// Bytes that `WireGuard` adds to a packet over IPv6: 40 + 8 + 32.
const OVERHEAD: u16 = 80;
/// Bytes of an underlay that says nothing else.
const ETHERNET: u16 = 1500;

/// The interface that an end sends everything through, and where that is written.
pub(super) fn exit_of(
    inventory: &Inventory,
    topology: &Topology,
    id: InterfaceId,
) -> Option<(InterfaceId, Location)> {
    let interface = topology.interface(id);
    let (name, at) = if let Some((_, own)) = topology.membership(inventory, interface) {
        own.full_tunnel_via.as_ref().map(|via| (&via.value, via.at))?
    } else {
        let peer = topology.node(interface.node).unmanaged(inventory)?;
        let via = peer.via.first().filter(|_| peer.settings.full_tunnel.get())?;
        (&via.value, via.at)
    };
    Some((topology.member(topology.find(name)?, interface.network)?, at))
}

/// The underlay of a node: what it carries, and where that is written.
fn underlay(inventory: &Inventory, node: &Node) -> (u16, Option<Location>) {
    let mtu = node.site.and_then(|site| inventory.sites[site].underlay.mtu.as_ref());
    mtu.map_or((ETHERNET, None), |mtu| (mtu.value.get(), Some(mtu.at)))
}

/// An interface's packets must fit the underlays of both ends of each of its links.
pub(super) fn mtus(topology: &mut Topology, inventory: &Inventory) {
    let derived = |interface: &Interface| {
        let own = underlay(inventory, topology.node(interface.node));
        let remotes = interface.peers.iter().map(|peer| underlay(inventory, topology.remote(peer)));
        let least = remotes.fold(own, |least, next| if next.0 < least.0 { next } else { least });
        let (bytes, because) = match least {
            (bytes, Some(at)) if bytes < ETHERNET => (bytes, Because::Underlay(at)),
            _ => (ETHERNET, Because::Ethernet),
        };
        let mtu = Mtu::new(u32::from(bytes.saturating_sub(OVERHEAD))).unwrap_or(Mtu::DEFAULT);
        Derived::new(mtu, because)
    };
    let mtus: Vec<Derived<Mtu>> = topology
        .interfaces
        .iter()
        .map(|interface| match interface.mtu.because {
            Because::Written(_) => interface.mtu,
            _ => derived(interface),
        })
        .collect();
    for (interface, mtu) in topology.interfaces.iter_mut().zip(mtus) {
        interface.mtu = mtu;
    }
}

/// Gateways, hubs and exits forward; exits and hosts that ask for it masquerade.
pub(super) fn forwarding(topology: &mut Topology, inventory: &Inventory) {
    let exits: Vec<(NodeId, Location)> = (0..)
        .map(InterfaceId)
        .take(topology.interfaces.len())
        .filter_map(|id| exit_of(inventory, topology, id))
        .map(|(id, at)| (topology.interface(id).node, at))
        .collect();
    for (exit, at) in exits {
        let exit = &mut topology.nodes[exit.0 as usize].exit;
        if !exit.value {
            *exit = Derived::new(true, Because::FullTunnel(at));
        }
    }
    for index in 0..topology.nodes.len() {
        let NodeKind::Host(host) = topology.nodes[index].kind else { continue };
        let interfaces = topology.nodes[index].interfaces.clone();
        let mut families: Vec<Family> = Vec::new();
        for id in &interfaces {
            families.extend(topology.families(*id));
        }
        let node = &mut topology.nodes[index];
        for family in [Family::V4, Family::V6] {
            let routed = node.subnets.iter().find(|lan| Family::of(&lan.value) == family);
            if let Some(lan) = routed {
                node.forwards.turn_on(family, Because::Routes(lan.at));
            }
            if node.exit.value && families.contains(&family) {
                node.forwards.turn_on(family, node.exit.because);
            }
        }
        let asked = Derived::from(&inventory.hosts[host].settings.masquerade);
        // An exit masquerades unless the file says that somebody else does.
        let written = asked.because != Because::Default;
        let masks = if node.exit.value && !written { node.exit } else { asked };
        if !masks.value && written {
            topology.nodes[index].masquerade = Derived::new(Vec::new(), masks.because);
        }
        if masks.value {
            let sources = tunnel_sources(topology, inventory, &interfaces);
            topology.nodes[index].masquerade = Derived::new(sources, masks.because);
        }
    }
}

/// Where packets that come out of these tunnels are from: tunnel addresses, and LANs behind peers.
fn tunnel_sources(
    topology: &Topology,
    inventory: &Inventory,
    interfaces: &[InterfaceId],
) -> Vec<IpNet> {
    let mut sources: Vec<IpNet> = Vec::new();
    for interface in interfaces.iter().map(|id| topology.interface(*id)) {
        let prefixes = &inventory.networks[interface.network].prefixes;
        sources.extend(prefixes.iter().map(|prefix| prefix.value.trunc()));
        let behind = interface.peers.iter().flat_map(|peer| peer.allowed_ips.iter());
        sources.extend(behind.filter(|net| net.prefix_len() > 0).copied());
    }
    IpNet::aggregate(&sources)
}
