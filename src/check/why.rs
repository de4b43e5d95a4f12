//! Why one flow works, or at which hop and for what cause it does not.

use std::collections::BTreeSet;

use serde::Serialize;

use super::broken;
use super::first::{First, first};
use super::fix::{self, Fix};
use super::flows::Member;
use super::tables::Tables;
use super::trace;
use super::walk::{Cause, Step};
use crate::finding::{Hop, Witness};
use crate::inventory::{Inventory, Selector};
use crate::model::HostName;
use crate::topology::{Addresses, NodeKind, Topology};

/// How a flow ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FlowOutcome {
    /// Every flow between the two works, there and back.
    Reachable,
    /// At least one does not.
    Broken,
    /// Both are at one place: no tunnel is between them.
    SamePlace,
    /// One of them stands for no address, or they share no family.
    NoFlow,
}

/// The answer to `wgfleet why`.
#[derive(Debug, Clone, Serialize)]
pub struct Why {
    /// How it ends.
    pub outcome: FlowOutcome,
    /// Flows between the two: one for each pair of ends and family.
    pub flows: u64,
    /// How many of them work.
    pub reachable: u64,
    /// The first flow that fails, or the first one, in words.
    pub flow: Option<String>,
    /// Its packet.
    pub packet: Option<Witness>,
    /// What each hop does with the packet.
    pub trace: Vec<Hop>,
    /// What each hop does with the reply; where it is the reply that fails, up to there.
    pub reply: Vec<Hop>,
    /// Why it fails, as a lower-case fragment.
    pub cause: Option<String>,
    /// Unmanaged peers whose configuration it counts on.
    pub assumed: Vec<HostName>,
    /// A change to the file that makes all of the flows work.
    pub fix: Option<Fix>,
}

/// Explains the flows from one selector to another. `addresses` gives allocated addresses, for the
/// proof of a fix.
#[must_use]
pub fn why(
    inventory: &Inventory,
    topology: &Topology,
    addresses: &dyn Addresses,
    from: &Selector,
    to: &Selector,
) -> Why {
    let tables = Tables::new(inventory, topology);
    let First { flows, reachable, together, trip, broken } = first(inventory, &tables, from, to);
    let mut why = Why {
        outcome: FlowOutcome::NoFlow,
        flows,
        reachable,
        flow: None,
        packet: None,
        trace: Vec::new(),
        reply: Vec::new(),
        cause: None,
        assumed: Vec::new(),
        fix: None,
    };
    let named = |from: &Member, to: &Member| {
        format!("from {} to {}", broken::name(topology, from), broken::name(topology, to))
    };
    let mut steps: Vec<Step> = Vec::new();
    if let Some(broken) = broken {
        why.outcome = FlowOutcome::Broken;
        why.flow = Some(named(&broken.from, &broken.to));
        (why.trace, why.reply) = trace::there_and_back(topology, &broken);
        why.packet = Some(witness(&broken.out));
        steps.extend(&broken.out.steps);
        let lost = broken.back.as_ref().unwrap_or(&broken.out);
        why.cause = broken.cause.map(|cause| match (lost.steps.last(), cause) {
            (Some(step), _) => {
                let name = &topology.node(step.node).name;
                format!("`{name}` {}", trace::why(topology, step.node, cause))
            }
            (None, Cause::NoStart) => "no node sends it into a tunnel".to_owned(),
            (None, Cause::OnLink) => {
                "machines of the LAN take the address for one of theirs".to_owned()
            }
            (None, _) => "it is lost before the first hop".to_owned(),
        });
        why.fix = fix::find(inventory, topology, addresses, (from, to), &broken);
    } else if let Some((from, to, trip)) = trip {
        why.outcome = FlowOutcome::Reachable;
        why.flow = Some(named(&from, &to));
        (why.trace, why.reply) = trace::whole(topology, &trip);
        why.packet = Some(witness(&trip.out));
        steps.extend(trip.out.steps.iter().chain(&trip.back.steps));
    } else if together {
        why.outcome = FlowOutcome::SamePlace;
    }
    let unmanaged = steps.iter().map(|step| topology.node(step.node)).filter(|node| {
        matches!(node.kind, NodeKind::Unmanaged(peer) if inventory.peers[peer].public_key.is_some())
    });
    let assumed: BTreeSet<HostName> = unmanaged.map(|node| node.name.clone()).collect();
    why.assumed = assumed.into_iter().collect();
    why
}

fn witness(walk: &super::walk::Walk) -> Witness {
    Witness { source: walk.packet.source, destination: walk.packet.destination }
}
