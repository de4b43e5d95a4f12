//! Hosts that the links of their network forget.

use crate::finding::{Code, Finding};
use crate::inventory::Inventory;
use crate::topology::{Interface, NodeKind, Topology};

/// How many hosts of a network are named.
const NAMED: usize = 3;

/// Hosts of a network with links of which none leads to them.
pub(super) fn hosts(inventory: &Inventory, topology: &Topology) -> Vec<Finding> {
    let mut members: Vec<Vec<&Interface>> = vec![Vec::new(); inventory.networks.len()];
    for interface in &topology.interfaces {
        members[interface.network].push(interface);
    }
    let networks = inventory.networks.iter().zip(members);
    networks
        .filter_map(|(network, members)| {
            // A mesh of one grows; without links, a host waits for its phones.
            if members.len() < 2 || network.links.is_empty() {
                return None;
            }
            let forgotten: Vec<(&Interface, String)> = members
                .into_iter()
                .filter(|interface| interface.peers.is_empty())
                .map(|interface| (interface, topology.node(interface.node)))
                .filter(|(_, node)| matches!(node.kind, NodeKind::Host(_)))
                .map(|(interface, node)| (interface, format!("`{}`", node.name)))
                .collect();
            let (first, others) = forgotten.split_first()?;
            let mut names: Vec<&str> =
                forgotten.iter().take(NAMED).map(|(_, name)| name.as_str()).collect();
            let more = format!("{} more", forgotten.len() - names.len());
            if forgotten.len() > names.len() {
                names.push(&more);
            }
            let names = match names.split_last() {
                Some((last, [])) => format!("{last} has"),
                Some((last, names)) => format!("{} and {last} have", names.join(", ")),
                None => return None,
            };
            let name = &network.name;
            let title = format!("{names} no peer in network `{}`", name.value);
            let finding = Finding::new(Code::Unlinked, title, first.0.at)
                .label("no link leads here")
                .also(name.at, "its links name others only");
            let finding = others
                .iter()
                .take(NAMED - 1)
                .fold(finding, |finding, (other, _)| finding.also(other.at, "nor here"));
            let help = if others.is_empty() {
                "it to a link, or take it"
            } else {
                "them to links, or take them"
            };
            Some(finding.help(format!("add {help} out of the network")))
        })
        .collect()
}
