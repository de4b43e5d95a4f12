//! Who the selectors of a rule stand for: nodes, and classes of addresses.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use super::tables::Tables;
use super::walk::{Place, Start};
use crate::inventory::{Index, Inventory, Selector, Site};
use crate::model::Family;
use crate::topology::{NodeId, NodeKind, Topology};

/// One end of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Member {
    /// A node, by whichever of its tunnel addresses.
    Node(NodeId),
    /// One tunnel address of a node.
    Address(NodeId, IpAddr),
    /// A class of addresses on a LAN; the first node that delivers to it, where there is any.
    Lan {
        /// An address of the class.
        addr: IpAddr,
        /// Index of the site that the LAN is at.
        site: Option<usize>,
        /// The node that the LAN is behind where it is of no site.
        node: Option<NodeId>,
    },
    /// A class of addresses of the Internet.
    Internet(IpAddr),
    /// An address that nothing in the fleet has.
    Nowhere(IpAddr),
}

impl Member {
    /// The node that it is, or has the address of.
    #[must_use]
    pub(super) fn node(&self) -> Option<NodeId> {
        match self {
            Self::Node(node) | Self::Address(node, _) => Some(*node),
            Self::Lan { .. } | Self::Internet(_) | Self::Nowhere(_) => None,
        }
    }

    /// Its addresses of a family.
    #[must_use]
    pub(super) fn addresses(&self, topology: &Topology, family: Family) -> Vec<IpAddr> {
        let addresses = match self {
            Self::Node(node) => {
                let interfaces = topology.node(*node).interfaces.iter();
                interfaces.flat_map(|id| topology.tunnel_addresses(*id)).collect()
            }
            Self::Address(_, addr)
            | Self::Lan { addr, .. }
            | Self::Internet(addr)
            | Self::Nowhere(addr) => vec![*addr],
        };
        addresses.into_iter().filter(|addr| Family::of_addr(addr) == family).collect()
    }

    /// Where its packets enter the fleet.
    #[must_use]
    pub(super) fn starts(&self, tables: &Tables<'_>) -> Vec<Start> {
        match self {
            Self::Node(node) | Self::Address(node, _) => vec![Start::Node(*node)],
            Self::Lan { addr, .. } => tables
                .gateways(*addr)
                .iter()
                .filter(|node| self.is_at(tables.topology(), **node))
                .map(|node| Start::Through(*node))
                .collect(),
            // Nothing of the Internet begins a flow into a tunnel; replies are another matter.
            Self::Internet(_) | Self::Nowhere(_) => Vec::new(),
        }
    }

    /// Whether a packet to it that ended at `place` is at the right one.
    #[must_use]
    pub(super) fn takes(&self, topology: &Topology, place: Place) -> bool {
        match (self, place) {
            (Self::Node(node) | Self::Address(node, _), Place::Node(at)) => *node == at,
            (Self::Lan { .. }, Place::Lan(at) | Place::OwnLan(at)) => self.is_at(topology, at),
            (Self::Internet(_), Place::Internet(_)) => true,
            _ => false,
        }
    }

    /// Whether a LAN is at the place of a node.
    fn is_at(&self, topology: &Topology, at: NodeId) -> bool {
        match self {
            Self::Lan { node: Some(node), .. } if *node == at => true,
            Self::Lan { site, .. } => site.is_some() && *site == topology.node(at).site,
            _ => false,
        }
    }

    /// Whether two ends are at one place, so that no tunnel is between them.
    #[must_use]
    pub(super) fn together(&self, other: &Self, topology: &Topology) -> bool {
        match (self, other) {
            (Self::Lan { site: a, node: one, .. }, Self::Lan { site: b, node: two, .. }) => {
                (a.is_some() && a == b) || (one.is_some() && one == two)
            }
            (Self::Lan { .. }, end) | (end, Self::Lan { .. }) => {
                let lan = if matches!(self, Self::Lan { .. }) { self } else { other };
                end.node().is_some_and(|node| lan.is_at(topology, node))
            }
            (Self::Internet(_), Self::Internet(_)) => true,
            (a, b) => a.node().is_some() && a.node() == b.node(),
        }
    }
}

/// Everything that a selector stands for, in order.
#[must_use]
pub(super) fn expand(
    inventory: &Inventory,
    index: &Index<'_>,
    tables: &Tables<'_>,
    selector: &Selector,
) -> Vec<Member> {
    let topology = tables.topology();
    let mut members: Vec<Member> = match selector {
        // Hosts come first among the nodes, in the order of the inventory.
        Selector::Host(name) => match (index.host(name), index.peer(name)) {
            (Some(host), _) => vec![Member::Node(host_node(host))],
            (None, Some(peer)) => unmanaged(inventory, tables, peer),
            (None, None) => Vec::new(),
        },
        Selector::Group(_) => nodes(index.select(selector)),
        Selector::Site(name) => {
            let mut members = nodes(index.select(selector));
            if let Some(site) = index.site(name) {
                for subnet in &inventory.sites[site].subnets {
                    let classes = tables.classes(subnet.value);
                    members.extend(classes.into_iter().map(|class| Member::Lan {
                        addr: class.addr,
                        site: Some(site),
                        node: None,
                    }));
                }
            }
            members
        }
        Selector::Network(name) => index.network(name).map_or_else(Vec::new, |network| {
            let members = topology.interfaces.iter().filter(|own| own.network == network);
            members
                .flat_map(|own| {
                    own.addresses.iter().map(|addr| Member::Address(own.node, addr.value.addr()))
                })
                .collect()
        }),
        Selector::Net(net) => literal(inventory, tables, *net),
        Selector::Internet => [Family::V4, Family::V6]
            .into_iter()
            .flat_map(|family| tables.classes(everything(family)))
            .filter(|class| tables.is_internet(class.addr))
            .map(|class| Member::Internet(class.addr))
            .collect(),
    };
    let mut seen = BTreeSet::new();
    members.retain(|member| seen.insert(*member));
    members
}

fn everything(family: Family) -> IpNet {
    match family {
        Family::V4 => IpNet::V4(ipnet::Ipv4Net::default()),
        Family::V6 => IpNet::V6(ipnet::Ipv6Net::default()),
    }
}

fn host_node(index: usize) -> NodeId {
    NodeId(u32::try_from(index).unwrap_or(u32::MAX))
}

fn nodes(hosts: &[usize]) -> Vec<Member> {
    hosts.iter().map(|host| Member::Node(host_node(*host))).collect()
}

/// A peer and what is behind it: nothing else names that.
fn unmanaged(inventory: &Inventory, tables: &Tables<'_>, peer: usize) -> Vec<Member> {
    let node = host_node(inventory.hosts.len() + peer);
    let lans = &tables.topology().node(node).subnets;
    let classes = lans.iter().flat_map(|lan| tables.classes(lan.value));
    let lan = |class: super::tables::Class| Member::Lan {
        addr: class.addr,
        site: None,
        node: Some(node),
    };
    std::iter::once(Member::Node(node)).chain(classes.map(lan)).collect()
}

/// The addresses of a prefix that something has; where nothing has any, the first one.
fn literal(inventory: &Inventory, tables: &Tables<'_>, net: IpNet) -> Vec<Member> {
    let topology = tables.topology();
    let mut members = Vec::new();
    let mut first = None;
    for class in tables.classes(net) {
        let addr = class.addr;
        let holders = tables.holders(addr);
        let gateways = tables.gateways(addr);
        if !holders.is_empty() {
            let nodes = holders.iter().map(|id| topology.interface(*id).node);
            members.extend(nodes.map(|node| Member::Address(node, addr)));
        } else if !gateways.is_empty() {
            members.extend(gateways.iter().map(|id| {
                let node = topology.node(*id);
                // A subnet of its own is behind the host; the site's is behind all its gateways.
                let site = node.site.filter(|_| matches!(node.kind, NodeKind::Host(_)));
                Member::Lan { addr, site, node: site.is_none().then_some(*id) }
            }));
        } else if let Some(site) = site_of(inventory, addr) {
            // A LAN that nobody routes.
            members.push(Member::Lan { addr, site: Some(site), node: None });
        } else if tables.is_internet(addr) {
            members.push(Member::Internet(addr));
        } else {
            first.get_or_insert(addr);
        }
    }
    if members.is_empty() {
        members.extend(first.map(Member::Nowhere));
    }
    members
}

/// The site whose LAN an address is on.
fn site_of(inventory: &Inventory, addr: IpAddr) -> Option<usize> {
    let holds = |site: &Site| site.subnets.iter().any(|subnet| subnet.value.contains(&addr));
    inventory.sites.iter().position(holds)
}
