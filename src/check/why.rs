//! Why one flow works, or at which hop and for what cause it does not.

use std::collections::BTreeSet;

use serde::Serialize;

use super::broken;
use super::flow::{Broken, Flow, Trip};
use super::flows::{self, Member};
use super::mend::{self, Mend};
use super::tables::Tables;
use super::trace;
use super::walk::{Cause, Doubt, Step, Walker};
use crate::finding::{Hop, Witness};
use crate::inventory::{Inventory, Selector};
use crate::model::{Family, HostName};
use crate::topology::{Addresses, NodeKind, Topology};

/// How a flow ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
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
    pub outcome: Outcome,
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
    pub mend: Option<Mend>,
}

/// What the flows between two selectors come to.
#[derive(Debug, Default)]
pub(super) struct First {
    pub(super) flows: u64,
    pub(super) reachable: u64,
    /// Whether ends were left out because they are at one place.
    pub(super) together: bool,
    pub(super) trip: Option<(Member, Member, Trip)>,
    pub(super) broken: Option<Box<Broken>>,
}

/// Proves the flows between two selectors; keeps the first that works and the first that does not.
pub(super) fn first(
    inventory: &Inventory,
    tables: &Tables<'_>,
    from: &Selector,
    to: &Selector,
) -> First {
    let topology = tables.topology();
    let index = inventory.index();
    let walker = Walker::new(inventory, tables, Doubt::Fails);
    let targets = flows::expand(inventory, &index, tables, to);
    let mut first = First::default();
    for from in &flows::expand(inventory, &index, tables, from) {
        for to in &targets {
            if from.together(to, topology) {
                first.together = true;
                continue;
            }
            for family in [Family::V4, Family::V6] {
                let flow = Flow { topology, tables, walker: &walker, from, to, family };
                let Some(result) = flow.prove() else { continue };
                first.flows += 1;
                match result {
                    Ok(trip) => {
                        first.reachable += 1;
                        first.trip.get_or_insert((*from, *to, trip));
                    }
                    Err(broken) => drop(first.broken.get_or_insert(broken)),
                }
            }
        }
    }
    first
}

/// Explains the flows from one selector to another. `addresses` gives allocated addresses, for the
/// proof of a mend.
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
        outcome: Outcome::NoFlow,
        flows,
        reachable,
        flow: None,
        packet: None,
        trace: Vec::new(),
        reply: Vec::new(),
        cause: None,
        assumed: Vec::new(),
        mend: None,
    };
    let named = |from: &Member, to: &Member| {
        format!("from {} to {}", broken::name(topology, from), broken::name(topology, to))
    };
    let mut steps: Vec<Step> = Vec::new();
    if let Some(broken) = broken {
        why.outcome = Outcome::Broken;
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
        why.mend = mend::find(inventory, topology, addresses, (from, to), &broken);
    } else if let Some((from, to, trip)) = trip {
        why.outcome = Outcome::Reachable;
        why.flow = Some(named(&from, &to));
        (why.trace, why.reply) = trace::whole(topology, &trip);
        why.packet = Some(witness(&trip.out));
        steps.extend(trip.out.steps.iter().chain(&trip.back.steps));
    } else if together {
        why.outcome = Outcome::SamePlace;
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
