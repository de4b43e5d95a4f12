//! From topology and public keys to desired state.

use std::collections::BTreeMap;
use std::sync::Arc;

use ipnet::IpNet;

use super::{DesiredHost, DesiredInterface, DesiredPeer, DesiredState, HookLines, Masquerade};
use crate::inventory::{Inventory, UnmanagedPeer};
use crate::model::{Backend, Become, HostName, PublicKey, SshTarget};
use crate::topology::{Forwarding, Interface, InterfaceId, Node, NodeKind, Topology};

/// Looks up public keys, and the epoch that preshared keys are in.
pub trait PublicKeys {
    /// The key that a host or peer uses.
    fn of(&self, name: &HostName) -> Option<PublicKey>;
    /// The epoch of preshared keys between the two; `None`: the vault has no PSK material.
    fn psk_epoch(&self) -> Option<u32>;
}

/// Builds the desired state. Peers and hosts whose public key nobody knows are left out and
/// returned, in order of the file.
#[must_use]
pub fn build(
    inventory: &Inventory,
    topology: &Topology,
    keys: &dyn PublicKeys,
) -> (DesiredState, Vec<HostName>) {
    let known = known_keys(inventory, topology, keys);
    let missing = topology
        .nodes
        .iter()
        .zip(&known)
        .filter(|(_, key)| key.is_none())
        .map(|(node, _)| node.name.clone())
        .collect();
    let names: BTreeMap<PublicKey, HostName> = topology
        .nodes
        .iter()
        .zip(&known)
        .filter_map(|(node, key)| key.map(|key| (key, node.name.clone())))
        .collect();
    let builder = Builder { inventory, topology, known: &known, epoch: keys.psk_epoch() };
    let mut state = DesiredState {
        fleet: inventory.fleet.value.clone(),
        hosts: Vec::new(),
        issued: Vec::new(),
        names: Arc::new(names),
    };
    for (node, key) in topology.nodes.iter().zip(&known) {
        let Some(key) = key else { continue };
        match node.kind {
            NodeKind::Host(index) => state.hosts.push(builder.host(node, index, *key)),
            NodeKind::Unmanaged(index) if inventory.peers[index].settings.public_key.is_none() => {
                state.issued.push(builder.issued(node, &inventory.peers[index], *key));
            }
            NodeKind::Unmanaged(_) => {}
        }
    }
    (state, missing)
}

/// What one unmanaged peer is to have, also where it brought a key of its own; `None` where no peer has
/// this name.
///
/// # Errors
/// Those whose public key nobody knows: itself, or hosts that it is linked to.
pub fn issue(
    inventory: &Inventory,
    topology: &Topology,
    keys: &dyn PublicKeys,
    name: &HostName,
) -> Option<Result<DesiredHost, Vec<HostName>>> {
    let node = topology.node(topology.find(name)?);
    let peer = node.unmanaged(inventory)?;
    let known = known_keys(inventory, topology, keys);
    let key_of = |id: InterfaceId| known[topology.interface(id).node.0 as usize];
    let remotes = || {
        let interfaces = node.interfaces.iter().map(|id| topology.interface(*id));
        interfaces.flat_map(|own| &own.peers).map(|peer| peer.remote)
    };
    let missing =
        remotes().chain(node.interfaces.iter().copied()).filter(|id| key_of(*id).is_none());
    let mut missing: Vec<HostName> =
        missing.map(|id| topology.node(topology.interface(id).node).name.clone()).collect();
    missing.sort();
    missing.dedup();
    match node.interfaces.first().and_then(|id| key_of(*id)).filter(|_| missing.is_empty()) {
        Some(key) => {
            let builder = Builder { inventory, topology, known: &known, epoch: keys.psk_epoch() };
            Some(Ok(builder.issued(node, peer, key)))
        }
        None => Some(Err(missing)),
    }
}

/// The public key of each node, in order of the topology.
fn known_keys(
    inventory: &Inventory,
    topology: &Topology,
    keys: &dyn PublicKeys,
) -> Vec<Option<PublicKey>> {
    let key_of = |node: &Node| match node.kind {
        NodeKind::Unmanaged(index) => {
            let declared = inventory.peers[index].settings.public_key.as_ref();
            declared.map(|key| key.value).or_else(|| keys.of(&node.name))
        }
        NodeKind::Host(_) => keys.of(&node.name),
    };
    topology.nodes.iter().map(key_of).collect()
}

struct Builder<'a> {
    inventory: &'a Inventory,
    topology: &'a Topology,
    known: &'a [Option<PublicKey>],
    epoch: Option<u32>,
}

impl Builder<'_> {
    fn host(&self, node: &Node, index: usize, key: PublicKey) -> DesiredHost {
        let host = &self.inventory.hosts[index];
        let interface = |id: &InterfaceId| {
            let interface = self.topology.interface(*id);
            let own = host.membership(interface.network);
            let hooks = own.map(|own| HookLines::from(&own.settings)).unwrap_or_default();
            self.interface(interface, key, hooks)
        };
        // A LAN behind an exit has a return path through its gateway; a host that masquerades
        // says that it does not.
        let except: Vec<IpNet> = if host.settings.masquerade.get() {
            Vec::new()
        } else {
            node.subnets.iter().map(|subnet| subnet.value.trunc()).collect()
        };
        let masquerade = node
            .masquerade
            .iter()
            .map(|source| Masquerade {
                source: *source,
                except: except
                    .iter()
                    .filter(|net| matches!(net, IpNet::V4(_)) == matches!(source, IpNet::V4(_)))
                    .copied()
                    .collect(),
            })
            .collect();
        DesiredHost {
            name: node.name.clone(),
            ssh: host.ssh.value.clone(),
            r#become: host.settings.r#become.get(),
            backend: host.settings.backend.get(),
            forwarding: node.forwards.families(),
            masquerade,
            interfaces: node.interfaces.iter().map(interface).collect(),
        }
    }

    fn issued(&self, node: &Node, peer: &UnmanagedPeer, key: PublicKey) -> DesiredHost {
        let interface = |id: &InterfaceId| {
            self.interface(self.topology.interface(*id), key, HookLines::default())
        };
        DesiredHost {
            name: node.name.clone(),
            ssh: alias(&peer.name.value),
            r#become: Become::None,
            backend: Backend::Auto,
            forwarding: Forwarding::default(),
            masquerade: Vec::new(),
            interfaces: node.interfaces.iter().map(interface).collect(),
        }
    }

    fn interface(
        &self,
        interface: &Interface,
        public_key: PublicKey,
        hooks: HookLines,
    ) -> DesiredInterface {
        let peers = interface
            .peers
            .iter()
            .filter_map(|peer| {
                let remote = self.topology.interface(peer.remote);
                let key = self.known[remote.node.0 as usize]?;
                let desired = DesiredPeer {
                    name: self.topology.node(remote.node).name.clone(),
                    endpoint: peer.address().cloned(),
                    allowed_ips: peer.allowed_ips.whole(),
                    keepalive: peer.keepalive(),
                    psk_epoch: self.epoch.filter(|_| peer.settings.psk.value),
                };
                Some((key, desired))
            })
            .collect();
        DesiredInterface {
            name: interface.name.value.clone(),
            network: self.inventory.networks[interface.network].name.value.clone(),
            public_key,
            addresses: interface.addresses.iter().map(|address| address.value).collect(),
            listen_port: interface.listen_port.value,
            mtu: interface.mtu.value,
            table: interface.table.value,
            fwmark: interface.fwmark.value,
            dns: interface.dns.value.clone(),
            hooks,
            peers,
        }
    }
}

/// A host name is always an ssh(1) alias.
fn alias(name: &HostName) -> SshTarget {
    name.as_str().parse().unwrap_or_else(|_| unreachable!("a host name is an ssh alias"))
}
