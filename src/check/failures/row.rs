//! One failure and what it takes, as the document has it.

use super::classes::Kind;
use super::effect::Effect;
use super::listed::{Failing, Role, Without};
use crate::check::failure::Failure;
use crate::inventory::Inventory;
use crate::topology::{Because, InterfaceId, Node, NodeKind, Topology};

/// Kinds of lost flows that one failure lists.
const LISTED: usize = 100;

/// What is lost with the first of a kind of failures.
pub(super) fn row(
    inventory: &Inventory,
    topology: &Topology,
    kind: &Kind,
    effect: Effect,
    all: u64,
) -> Without {
    let name = |id: InterfaceId| topology.node(topology.interface(id).node).name.clone();
    let failing = match kind.first {
        Failure::Node(node) => {
            let here = topology.node(node);
            let role = match here.kind {
                NodeKind::Unmanaged(_) => Role::Peer,
                NodeKind::Host(_) if kind.transit || is_hub(here) => Role::Hub,
                NodeKind::Host(_) if here.exit.value => Role::Exit,
                NodeKind::Host(_) if !here.subnets.is_empty() => Role::Gateway,
                NodeKind::Host(_) => Role::Host,
            };
            Failing::Host { host: here.name.clone(), role }
        }
        Failure::Link(a, b) => {
            let network = &inventory.networks[topology.interface(a).network].name.value;
            Failing::Link { a: name(a), b: name(b), network: network.to_string() }
        }
        Failure::Uplink(site) => {
            Failing::Uplink { site: inventory.sites[site].name.value.to_string() }
        }
    };
    let Effect { ends, lost, mut flows } = effect;
    flows.sort_by_key(|flow| std::cmp::Reverse(flow.flows));
    let more = flows.len().saturating_sub(LISTED);
    flows.truncate(LISTED);
    let hosts = kind.nodes.iter().map(|node| topology.node(*node).name.clone()).collect();
    Without {
        failing,
        count: kind.count,
        hosts,
        ends,
        lost,
        survive: all.saturating_sub(ends + lost),
        flows,
        more,
    }
}

/// Whether links make a hub of a host, though perhaps nobody's way goes through it.
fn is_hub(node: &Node) -> bool {
    [node.forwards.v4.because, node.forwards.v6.because]
        .iter()
        .any(|because| matches!(because, Because::Hub(_)))
}
