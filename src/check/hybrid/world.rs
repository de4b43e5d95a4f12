//! Two states of one fleet side by side, with hosts and interfaces matched by name.

use std::collections::{HashMap, HashSet};

use super::changing::{Changing, Contact, Role};
use crate::check::tables::Tables;
use crate::check::walk::Walker;
use crate::inventory::Inventory;
use crate::model::HostName;
use crate::topology::{InterfaceId, NodeId, NodeKind, Topology};

/// Before a host's change, or after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::check) enum Side {
    Old = 0,
    New = 1,
}

/// Both sides.
pub(super) const SIDES: [Side; 2] = [Side::Old, Side::New];

/// Index into [`World::hosts`].
pub(super) type Host = usize;

/// Index into [`World::tunnels`].
pub(super) type TunnelIndex = usize;

/// A node of either state.
#[derive(Debug)]
pub(super) struct Known<'a> {
    pub(super) name: &'a HostName,
    pub(super) role: Role,
    /// Its id in each state that has it.
    pub(super) ids: [Option<NodeId>; 2],
    /// Whether it is the same before and afterwards.
    pub(super) same: bool,
}

/// An interface of either state.
#[derive(Debug)]
pub(super) struct Tunnel {
    pub(super) host: Host,
    /// Its id in each state that has it.
    pub(super) ids: [Option<InterfaceId>; 2],
    /// Whether its key changes.
    pub(super) key: bool,
    /// Hosts that it is to know by another key.
    pub(super) keys: HashSet<Host>,
    /// Hosts with which it is to have another preshared key.
    pub(super) psks: HashSet<Host>,
    /// Whether anything was said of its keys.
    pub(super) told: bool,
}

/// Both states of a fleet.
#[derive(Debug)]
pub(super) struct World<'a> {
    pub(super) hosts: Vec<Known<'a>>,
    pub(super) tunnels: Vec<Tunnel>,
    walkers: [&'a Walker<'a>; 2],
    host_of: [Vec<Host>; 2],
    tunnel_of: [Vec<TunnelIndex>; 2],
}

impl<'a> World<'a> {
    pub(super) fn new(walkers: [&'a Walker<'a>; 2], changing: &Changing) -> Self {
        let mut world = Self {
            hosts: Vec::new(),
            tunnels: Vec::new(),
            walkers,
            host_of: [Vec::new(), Vec::new()],
            tunnel_of: [Vec::new(), Vec::new()],
        };
        let mut hosts: HashMap<&'a HostName, Host> = HashMap::new();
        let mut tunnels: HashMap<(Host, &'a str, usize), TunnelIndex> = HashMap::new();
        for side in SIDES {
            let (inventory, topology) = world.state(side);
            for (id, node) in (0..).map(NodeId).zip(&topology.nodes) {
                let host = *hosts.entry(&node.name).or_insert_with(|| {
                    let role = match node.kind {
                        NodeKind::Unmanaged(_) => Role::Foreign,
                        NodeKind::Host(_) => {
                            changing.roles.get(&node.name).copied().unwrap_or(Role::Stays)
                        }
                    };
                    world.hosts.push(Known { name: &node.name, role, ids: [None; 2], same: false });
                    world.hosts.len() - 1
                });
                world.hosts[host].ids[side as usize] = Some(id);
                world.host_of[side as usize].push(host);
            }
            let mut seen: HashMap<(Host, &'a str), usize> = HashMap::new();
            for (id, own) in (0..).map(InterfaceId).zip(&topology.interfaces) {
                let host = world.host_of[side as usize][own.node.0 as usize];
                let network = inventory.networks[own.network].name.value.as_str();
                let nth = seen.entry((host, network)).or_default();
                let index = *tunnels.entry((host, network, *nth)).or_insert_with(|| {
                    world.tunnels.push(Tunnel::of(host));
                    world.tunnels.len() - 1
                });
                *nth += 1;
                world.tunnels[index].ids[side as usize] = Some(id);
                world.tunnel_of[side as usize].push(index);
                let name = (node_name(topology, own.node).clone(), own.name.value.clone());
                if let Some(contact) = changing.contacts.get(&name) {
                    world.tunnels[index].take(contact);
                }
            }
        }
        // Names of peers become hosts once all of them are known.
        let mut contacts: Vec<(TunnelIndex, &Contact)> = Vec::new();
        for side in SIDES {
            let topology = world.state(side).1;
            for (own, index) in topology.interfaces.iter().zip(&world.tunnel_of[side as usize]) {
                let name = (node_name(topology, own.node).clone(), own.name.value.clone());
                contacts.extend(changing.contacts.get(&name).map(|contact| (*index, contact)));
            }
        }
        for (index, contact) in contacts {
            let known = |name: &HostName| hosts.get(name).copied();
            world.tunnels[index].keys.extend(contact.keys.iter().filter_map(known));
            world.tunnels[index].psks.extend(contact.psks.iter().filter_map(known));
        }
        world
    }

    pub(super) fn walker(&self, side: Side) -> &'a Walker<'a> {
        self.walkers[side as usize]
    }

    pub(super) fn tables(&self, side: Side) -> &'a Tables<'a> {
        self.walker(side).fleet().1
    }

    pub(super) fn state(&self, side: Side) -> (&'a Inventory, &'a Topology) {
        let (inventory, tables, _) = self.walker(side).fleet();
        (inventory, tables.topology())
    }

    /// The host of a node.
    pub(super) fn host(&self, side: Side, node: NodeId) -> Host {
        self.host_of[side as usize][node.0 as usize]
    }

    /// The tunnel of an interface.
    pub(super) fn tunnel(&self, side: Side, interface: InterfaceId) -> TunnelIndex {
        self.tunnel_of[side as usize][interface.0 as usize]
    }

    /// The site of a host in one state.
    pub(super) fn site(&self, side: Side, host: Host) -> Option<&'a str> {
        let (inventory, topology) = self.state(side);
        let index = topology.node(self.hosts[host].ids[side as usize]?).site?;
        Some(inventory.sites[index].name.value.as_str())
    }
}

fn node_name(topology: &Topology, node: NodeId) -> &HostName {
    &topology.node(node).name
}

impl Tunnel {
    fn of(host: Host) -> Self {
        Self {
            host,
            ids: [None; 2],
            key: false,
            keys: HashSet::new(),
            psks: HashSet::new(),
            told: false,
        }
    }

    fn take(&mut self, contact: &Contact) {
        self.key |= contact.key;
        self.told = true;
    }

    /// Whether nothing of it changes that no walk sees.
    pub(super) fn is_plain(&self) -> bool {
        !self.key && self.keys.is_empty() && self.psks.is_empty()
    }
}
