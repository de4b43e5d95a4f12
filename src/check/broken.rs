//! Wanted flows that cannot flow: one finding for each cause.

use std::collections::{BTreeMap, BTreeSet};

use super::entry::entry;
use super::flow::Broken;
use super::flows::Member;
use super::proof::{Proof, Scope};
use super::remedies;
use super::tables::Tables;
use super::trace;
use super::walk::{Act, Cause, Packet, Step, Walk};
use crate::finding::{Code, Finding, FlowEnd, Severity};
use crate::inventory::Inventory;
use crate::model::Location;
use crate::topology::{InterfaceId, NodeId, NodeKind, Topology};

/// Every cause that keeps a wanted flow from flowing and that `others` do not name already.
pub(super) fn flows(
    inventory: &Inventory,
    tables: &Tables<'_>,
    others: &[Finding],
) -> Vec<Finding> {
    let proof = Proof::new(inventory, tables, Scope::Wanted);
    let topology = tables.topology();
    let known = Known::new(others);
    let mut causes: BTreeMap<(Location, Option<Code>), (u64, Packet, &Broken)> = BTreeMap::new();
    for verdict in proof.verdicts.iter().filter(|verdict| verdict.wanted) {
        let Err(broken) = &verdict.result else { continue };
        let Some(code) = broken.cause.and_then(|cause| code(topology, cause)) else { continue };
        if routed_by_hand(tables, broken)
            || known.session(topology, broken)
            || known.explain(inventory, topology, broken)
        {
            continue;
        }
        let (at, overridden) = blame(topology, broken);
        let declared =
            overridden && !matches!(code, Code::Loop | Code::Misdelivered | Code::SplitGateways);
        if known.at.contains(&at) {
            continue;
        }
        let packet = broken.out.packet;
        let key = (at, (!declared).then_some(code));
        let cause = causes.entry(key).or_insert((0, packet, broken));
        cause.0 += verdict.flows;
        let order = |packet: Packet| (packet.source, packet.destination);
        if order(packet) < order(cause.1) {
            (cause.1, cause.2) = (packet, broken);
        }
    }
    causes
        .into_iter()
        .map(|((at, code), (count, _, broken))| {
            finding(inventory, tables, broken, at, code.is_none(), count)
        })
        .collect()
}

/// The code of a cause; none where the file means it so, or does not say.
pub(super) fn code(topology: &Topology, cause: Cause) -> Option<Code> {
    Some(match cause {
        Cause::NoRoute | Cause::NoPeer(_) | Cause::NoReturnPath => Code::NoWay,
        Cause::SourceRefused(_) => Code::SourceRefused,
        Cause::NoForwarding => Code::NotForwarded,
        Cause::Loop => Code::Loop,
        Cause::Elsewhere => Code::Misdelivered,
        Cause::NoExit => Code::DeadEnd,
        Cause::NoSession(_) => Code::NoInitiator,
        Cause::Swallowed(_) => Code::EndpointInTunnel,
        // A host without a fixed port is told where that is expected.
        Cause::Unheard(_) => Code::PortMismatch,
        Cause::Down(_) => Code::PortClash,
        Cause::TwoPeers(_) => Code::DuplicateAllowedIp,
        Cause::TwoHolders(_) => Code::DuplicateAddress,
        Cause::OtherGateway => Code::SplitGateways,
        Cause::PrivateEndpoint(_) => Code::PrivateEndpoint,
        Cause::Hairpin(_) => Code::Hairpin,
        // Phones are spared a keepalive unless the file asks for one.
        Cause::Asleep(id) => match topology.node(topology.interface(id).node).kind {
            NodeKind::Host(_) => Code::NoKeepalive,
            NodeKind::Unmanaged(_) => return None,
        },
        Cause::RouteElsewhere(_) | Cause::NoStart | Cause::OnLink | Cause::Failed(_) => {
            return None;
        }
    })
}

/// Whether a hop could as well have gone through an interface whose routes the operator adds, with
/// metrics or rules that nobody sees here.
pub(super) fn routed_by_hand(tables: &Tables<'_>, broken: &Broken) -> bool {
    let walks = std::iter::once(&broken.out).chain(&broken.back);
    walks.into_iter().any(|walk| {
        walk.steps.iter().filter(|step| matches!(step.act, Act::Send(_))).any(|step| {
            let other = tables.route_elsewhere(step.node, walk.packet.destination);
            other.zip(step.matched).is_some_and(|(other, own)| {
                other.net.prefix_len() >= own.prefix_len() && step.interface != Some(other.to)
            })
        })
    })
}

/// What other rules have found.
struct Known {
    /// Where a finding says that something is to change.
    at: BTreeSet<Location>,
    /// Every place that an error is about.
    errors: BTreeSet<Location>,
    /// What is said of addresses, routes and sessions.
    codes: BTreeSet<Code>,
}

impl Known {
    fn new(others: &[Finding]) -> Self {
        let rules = |finding: &&Finding| (200..600).contains(&finding.code.number());
        let told = others.iter().filter(rules).filter(|f| f.severity >= Severity::Warning);
        let errors = others.iter().filter(rules).filter(|f| f.severity == Severity::Error);
        Self {
            at: told.map(|finding| finding.primary.at).collect(),
            errors: errors
                .flat_map(|f| std::iter::once(&f.primary).chain(&f.others))
                .map(|label| label.at)
                .collect(),
            codes: others
                .iter()
                .map(|f| f.code)
                .filter(|code| (200..500).contains(&code.number()))
                .collect(),
        }
    }

    /// Whether what keeps a session from being is said where it is written: not once more for each
    /// flow that wants it.
    fn session(&self, topology: &Topology, broken: &Broken) -> bool {
        let any = |codes: &[Code]| codes.iter().any(|code| self.codes.contains(code));
        match broken.cause {
            Some(Cause::PrivateEndpoint(_)) => any(&[Code::PrivateEndpoint]),
            Some(Cause::Swallowed(_)) => any(&[Code::EndpointInTunnel]),
            Some(Cause::Unheard(_)) => any(&[Code::NoListenPort, Code::PortMismatch]),
            Some(Cause::Down(_)) => any(&[Code::RouteTwice, Code::PortClash, Code::InterfaceClash]),
            Some(Cause::TwoPeers(_)) => {
                any(&[Code::DuplicateAllowedIp, Code::EqualLans, Code::DuplicateAddress])
            }
            Some(Cause::TwoHolders(_)) => any(&[Code::DuplicateAddress]),
            Some(Cause::NoReturnPath) if matches!(broken.to, Member::Internet(_)) => {
                any(&[Code::DeadEnd])
            }
            Some(Cause::Hairpin(_)) => any(&[Code::Hairpin]),
            Some(Cause::Asleep(to)) => {
                let last = lost(broken).steps.last().and_then(|step| step.interface);
                let told = last.and_then(|from| entry(topology, from, to)?.endpoint.as_ref());
                match told {
                    Some(_) => any(&[
                        Code::PrivateEndpoint,
                        Code::Hairpin,
                        Code::NoListenPort,
                        Code::PortMismatch,
                    ]),
                    None => any(&[Code::NoKeepalive, Code::KeepaliveWrongSide]),
                }
            }
            _ => false,
        }
    }

    /// Whether an error is about something that a flow depends on.
    fn explain(&self, inventory: &Inventory, topology: &Topology, broken: &Broken) -> bool {
        if self.errors.is_empty() {
            return false;
        }
        let nodes = walked(broken).map(|step| step.node).chain(ends(broken));
        let nodes: BTreeSet<NodeId> = nodes.collect();
        // Whole shapes of links are one place: only a session that cannot be is explained by it.
        let session = matches!(broken.cause, Some(Cause::NoSession(_)));
        let links = links(topology, broken)
            .flat_map(|peer| [session.then_some(peer.at()), peer.overridden()]);
        let mut places: Vec<Location> = links.flatten().collect();
        for id in nodes {
            let node = topology.node(id);
            places.extend(node.subnets.iter().map(|subnet| subnet.at));
            for interface in node.interfaces.iter().map(|id| topology.interface(*id)) {
                places.extend(interface.addresses.iter().map(|addr| addr.at_or(interface.at)));
                let prefixes = &inventory.networks[interface.network].prefixes;
                places.extend(prefixes.iter().map(|prefix| prefix.at));
            }
        }
        places.iter().any(|at| self.errors.contains(at))
    }
}

fn walked(broken: &Broken) -> impl Iterator<Item = &Step> {
    broken.out.steps.iter().chain(broken.back.iter().flat_map(|back| &back.steps))
}

fn ends(broken: &Broken) -> impl Iterator<Item = NodeId> {
    [broken.from, broken.to].into_iter().filter_map(|end| end.node())
}

/// The peer entries that a flow used, in both directions.
fn links<'t>(
    topology: &'t Topology,
    broken: &'t Broken,
) -> impl Iterator<Item = &'t crate::topology::Peer> {
    walked(broken).flat_map(|step| {
        let pair = match (step.interface, step.act) {
            (Some(from), Act::Send(to) | Act::Drop(Cause::NoSession(to) | Cause::Asleep(to))) => {
                Some((from, to))
            }
            _ => None,
        };
        let both = pair.map(|(a, b)| [entry(topology, a, b), entry(topology, b, a)]);
        both.into_iter().flatten().flatten()
    })
}

/// The walk that fails.
fn lost(broken: &Broken) -> &Walk {
    broken.back.as_ref().unwrap_or(&broken.out)
}

/// The place that is to change, and whether it is an override: the list of the node that loses the
/// packet, then those that led it there, and at last the node.
pub(super) fn blame(topology: &Topology, broken: &Broken) -> (Location, bool) {
    let walk = lost(broken);
    let Some(last) = walk.steps.last() else {
        let node = ends(broken).next().unwrap_or(NodeId(0));
        return (topology.node(node).at, false);
    };
    let before = walk.steps.iter().rev().nth(1);
    let sender = before.and_then(|step| step.interface);
    let at_fault = match last.act {
        Act::Drop(Cause::SourceRefused(receiver)) => sender
            .and_then(|sender| entry(topology, receiver, sender)?.overridden())
            .or_else(|| attracts(topology, receiver, walk.packet.source)),
        Act::Drop(Cause::NoRoute | Cause::NoPeer(_) | Cause::NoExit) => {
            lacks(topology, last.node, broken, walk.packet)
        }
        _ => None,
    };
    let others = broken.back.iter().map(|_| &broken.out);
    let on_the_way = std::iter::once(walk).chain(others).find_map(|walk| {
        walk.steps.iter().rev().find_map(|step| match (step.interface, step.act) {
            (Some(from), Act::Send(to) | Act::Drop(Cause::NoSession(to) | Cause::Asleep(to))) => {
                entry(topology, from, to)?.overridden()
            }
            _ => None,
        })
    });
    if let Some(at) = at_fault.or(on_the_way) {
        return (at, true);
    }
    // A circle is one cause, wherever packets enter it.
    let circle = walk.steps.iter().skip_while(|step| step.node != last.node);
    let circle = circle.filter(|_| last.act == Act::Drop(Cause::Loop));
    let nodes = circle.map(|step| step.node).chain([last.node]);
    let at = nodes.map(|node| topology.node(node).at).min();
    (at.unwrap_or_else(|| topology.node(last.node).at), false)
}

/// An override of an interface that has an address.
fn attracts(topology: &Topology, id: InterfaceId, addr: std::net::IpAddr) -> Option<Location> {
    let peers = topology.interface(id).peers.iter();
    let declared = peers.filter(|peer| peer.overridden().is_some());
    let mut holding =
        declared.filter(|peer| peer.allowed_ips.iter().any(|net| net.contains(&addr)));
    holding.next()?.overridden()
}

/// An override of a node that may lack an address: that of the peer which has it, then any.
fn lacks(topology: &Topology, node: NodeId, broken: &Broken, packet: Packet) -> Option<Location> {
    let declared = || {
        let interfaces = topology.node(node).interfaces.iter();
        let peers = interfaces.flat_map(|id| &topology.interface(*id).peers);
        peers.filter(|peer| peer.overridden().is_some())
    };
    let at_end = |peer: &&crate::topology::Peer| {
        let remote = topology.interface(peer.remote).node;
        let has =
            topology.node(remote).subnets.iter().any(|net| net.value.contains(&packet.destination));
        has || ends(broken).any(|end| end == remote)
    };
    declared().find(at_end).or_else(|| declared().next())?.overridden()
}

/// How an end is called.
pub(super) fn name(topology: &Topology, member: &Member) -> FlowEnd {
    match member {
        Member::Node(node) | Member::Address(node, _) => {
            FlowEnd::Host { host: topology.node(*node).name.clone() }
        }
        Member::Lan { addr, .. } => FlowEnd::Lan { address: *addr },
        Member::Internet(_) => FlowEnd::Internet,
        Member::Nowhere(addr) => FlowEnd::Address { address: *addr },
    }
}

fn finding(
    inventory: &Inventory,
    tables: &Tables<'_>,
    broken: &Broken,
    at: Location,
    declared: bool,
    count: u64,
) -> Finding {
    let topology = tables.topology();
    let cause = broken.cause.unwrap_or(Cause::NoRoute);
    // What an override leaves out is neither sent nor accepted: one cause, whichever packet shows it.
    let code = code(topology, cause).filter(|_| !declared).unwrap_or(Code::NoWay);
    let (from, to) = (name(topology, &broken.from), name(topology, &broken.to));
    let title = match (&broken.back, cause) {
        (None, _) => format!("{from} does not reach {to}"),
        (Some(_), Cause::NoReturnPath) => format!("no reply comes back from {to} to {from}"),
        (Some(_), _) => format!("the reply from {to} to {from} is lost"),
    };
    let Packet { source, destination } = broken.out.packet;
    let mut finding = Finding::new(code, title, at).witness(source, destination);
    finding.trace = trace::hops(topology, broken);
    finding.count = u32::try_from(count).unwrap_or(u32::MAX);
    if let Some(step) = lost(broken).steps.last() {
        let why = trace::why(topology, step.node, cause);
        let node = topology.node(step.node);
        finding = if declared {
            finding.label("overrides what would be derived").also(node.at, why)
        } else {
            finding.label(why)
        };
    }
    if declared {
        // Meant so, perhaps: a warning, until a rule under `expect` makes it an error.
        finding.severity = Severity::Warning;
        return finding.help(
            "remove the override, or give it what it lacks: `wgfleet why` proposes the change",
        );
    }
    match remedies::instead(inventory, topology, broken) {
        Some(help) => finding.help(help),
        None => finding,
    }
}
