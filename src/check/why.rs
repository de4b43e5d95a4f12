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
use crate::finding::{FlowEnd, Hop, Reason, Witness};
use crate::inventory::{Inventory, Selector};
use crate::model::{Document, HostName, Kind, Version};
use crate::topology::{Addresses, NodeKind, Topology};

/// How a flow ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Outcome"))]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Why {
    /// `why`.
    pub kind: Kind<Self>,
    /// Its version.
    pub version: Version<Self>,
    /// How it ends.
    pub outcome: FlowOutcome,
    /// Flows between the two: one for each pair of ends and family.
    pub flows: u64,
    /// How many of them work.
    pub reachable: u64,
    /// Where the first flow that fails begins, or the first one.
    pub from: Option<FlowEnd>,
    /// Where it ends.
    pub to: Option<FlowEnd>,
    /// Its packet.
    pub packet: Option<Witness>,
    /// What each hop does with the packet.
    pub trace: Vec<Hop>,
    /// What each hop does with the reply; where it is the reply that fails, up to there.
    pub reply: Vec<Hop>,
    /// Why it fails.
    pub reason: Option<Reason>,
    /// Unmanaged peers whose configuration it counts on.
    pub assumed: Vec<HostName>,
    /// A change to the file that makes all of the flows work.
    pub fix: Option<Fix>,
}

impl Document for Why {
    const KIND: &'static str = "why";
    const VERSION: u32 = 1;
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
        kind: Kind::default(),
        version: Version::default(),
        outcome: FlowOutcome::NoFlow,
        flows,
        reachable,
        from: None,
        to: None,
        packet: None,
        trace: Vec::new(),
        reply: Vec::new(),
        reason: None,
        assumed: Vec::new(),
        fix: None,
    };
    let end = |member: &Member| Some(broken::name(topology, member));
    let mut steps: Vec<Step> = Vec::new();
    if let Some(broken) = broken {
        why.outcome = FlowOutcome::Broken;
        (why.from, why.to) = (end(&broken.from), end(&broken.to));
        (why.trace, why.reply) = trace::there_and_back(topology, &broken);
        why.packet = Some(witness(&broken.out));
        steps.extend(&broken.out.steps);
        let lost = broken.back.as_ref().unwrap_or(&broken.out);
        why.reason = broken.cause.map(|cause| match lost.steps.last() {
            Some(step) => trace::reason(topology, step.node, cause),
            None => Reason {
                cause: trace::loss(cause),
                host: None,
                text: match cause {
                    Cause::NoStart => "no node sends it into a tunnel",
                    Cause::OnLink => "machines of the LAN take the address for one of theirs",
                    _ => "it is lost before the first hop",
                }
                .to_owned(),
            },
        });
        why.fix = fix::find(inventory, topology, addresses, (from, to), &broken);
    } else if let Some((from, to, trip)) = trip {
        why.outcome = FlowOutcome::Reachable;
        (why.from, why.to) = (end(&from), end(&to));
        (why.trace, why.reply) = trace::whole(topology, &trip);
        why.packet = Some(witness(&trip.out));
        steps.extend(trip.out.steps.iter().chain(&trip.back.steps));
    } else if together {
        why.outcome = FlowOutcome::SamePlace;
    }
    let unmanaged = steps.iter().map(|step| topology.node(step.node)).filter(|node| {
        matches!(node.kind, NodeKind::Unmanaged(peer) if inventory.peers[peer].settings.public_key.is_some())
    });
    let assumed: BTreeSet<HostName> = unmanaged.map(|node| node.name.clone()).collect();
    why.assumed = assumed.into_iter().collect();
    why
}

fn witness(walk: &super::walk::Walk) -> Witness {
    Witness { source: walk.packet.source, destination: walk.packet.destination }
}
