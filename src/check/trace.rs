//! Walks in words: hops for people.

use super::flow::{Broken, Trip};
use super::walk::{Act, Cause, Place, Step, Walk};
use crate::finding::{Hop, HopAction, Loss, Reason};
use crate::topology::{InterfaceId, NodeId, Topology};

/// The hops of a flow: the packet's, then those of the reply that is lost.
pub(super) fn hops(topology: &Topology, broken: &Broken) -> Vec<Hop> {
    let mut hops: Vec<Hop> = walked(topology, &broken.out, Way::There).collect();
    if let Some(back) = &broken.back {
        if let Some(cause @ (Cause::NoReturnPath | Cause::OnLink)) = broken.cause {
            hops.extend(back.steps.last().map(|step| Hop {
                host: topology.node(step.node).name.clone(),
                interface: None,
                matched: None,
                reply: true,
                action: HopAction::Drop,
                to: None,
                cause: Some(loss(cause)),
                text: format!("{REPLY}{}", why(topology, step.node, cause)),
            }));
        } else {
            hops.extend(walked(topology, back, Way::LostReply));
        }
    }
    if broken.cause == Some(Cause::Elsewhere)
        && let Some(last) = hops.last_mut()
    {
        last.cause = Some(Loss::Misdelivered);
        last.text.push_str(", which is not where it was to go");
    }
    hops
}

/// The hops of a flow that fails: the packet's, and the reply's where there is one.
pub(super) fn there_and_back(topology: &Topology, broken: &Broken) -> (Vec<Hop>, Vec<Hop>) {
    let mut there = hops(topology, broken);
    let reply = there.split_off(broken.out.steps.len().min(there.len()));
    (there, reply)
}

/// The hops of a flow that works, there and back.
pub(super) fn whole(topology: &Topology, trip: &Trip) -> (Vec<Hop>, Vec<Hop>) {
    let there = walked(topology, &trip.out, Way::There);
    (there.collect(), walked(topology, &trip.back, Way::Reply).collect())
}

/// Which packet a walk is of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    There,
    /// A reply that has a list of its own.
    Reply,
    /// A reply whose hops stand behind those of the packet: each says so.
    LostReply,
}

/// How the text of a hop begins that is a lost reply's.
const REPLY: &str = "the reply: ";

fn walked<'a>(topology: &'a Topology, walk: &'a Walk, way: Way) -> impl Iterator<Item = Hop> + 'a {
    walk.steps.iter().map(move |step| Hop {
        host: topology.node(step.node).name.clone(),
        interface: step.interface.map(|id| topology.interface(id).name.value.clone()),
        matched: step.matched,
        reply: way != Way::There,
        action: match step.act {
            Act::Send(_) => HopAction::Send,
            Act::Deliver(Place::Node(_)) => HopAction::Deliver,
            Act::Deliver(Place::Lan(_) | Place::OwnLan(_)) => HopAction::DeliverToLan,
            Act::Deliver(Place::Internet(_)) => HopAction::DeliverToInternet,
            Act::Drop(_) => HopAction::Drop,
        },
        to: match step.act {
            Act::Send(to) => Some(topology.node(topology.interface(to).node).name.clone()),
            Act::Deliver(_) | Act::Drop(_) => None,
        },
        cause: match step.act {
            Act::Drop(cause) => Some(loss(cause)),
            Act::Send(_) | Act::Deliver(_) => None,
        },
        text: format!("{}{}", if way == Way::LostReply { REPLY } else { "" }, text(topology, step)),
    })
}

/// A cause as data.
pub(super) const fn loss(cause: Cause) -> Loss {
    match cause {
        Cause::NoRoute => Loss::NoRoute,
        Cause::RouteElsewhere(_) => Loss::ForeignRoutes,
        Cause::NoPeer(_) | Cause::TwoPeers(_) | Cause::TwoHolders(_) => Loss::NoPeer,
        Cause::NoSession(_) | Cause::Swallowed(_) | Cause::Unheard(_) | Cause::Down(_) => {
            Loss::NoSession
        }
        Cause::PrivateEndpoint(_) => Loss::PrivateEndpoint,
        Cause::Hairpin(_) => Loss::Hairpin,
        Cause::Asleep(_) => Loss::WaitsForPeer,
        Cause::SourceRefused(_) => Loss::SourceRefused,
        Cause::NoForwarding => Loss::NotForwarded,
        Cause::NoExit => Loss::NoExit,
        Cause::Loop => Loss::RoutingLoop,
        Cause::NoReturnPath | Cause::OtherGateway => Loss::NotMasqueraded,
        Cause::OnLink => Loss::OnLink,
        Cause::Elsewhere => Loss::Misdelivered,
        Cause::NoStart => Loss::NoSender,
        Cause::Failed(_) => Loss::Failed,
    }
}

/// Why a node loses a packet.
pub(super) fn reason(topology: &Topology, node: NodeId, cause: Cause) -> Reason {
    let name = &topology.node(node).name;
    let text = format!("`{name}` {}", why(topology, node, cause));
    Reason { cause: loss(cause), host: Some(name.clone()), text }
}

fn text(topology: &Topology, step: &Step) -> String {
    match step.act {
        Act::Send(remote) => format!("sends it to `{}`", peer(topology, remote)),
        Act::Deliver(Place::Node(_)) => "takes it: the address is its own".to_owned(),
        Act::Deliver(Place::Lan(_) | Place::OwnLan(_)) => "delivers it to its LAN".to_owned(),
        Act::Deliver(Place::Internet(_)) => "sends it on to the Internet".to_owned(),
        Act::Drop(cause) => why(topology, step.node, cause),
    }
}

pub(super) fn peer(topology: &Topology, id: InterfaceId) -> &str {
    topology.node(topology.interface(id).node).name.as_str()
}

/// What a node does with the packet that it loses.
pub(super) fn why(topology: &Topology, node: NodeId, cause: Cause) -> String {
    let interface = |id: InterfaceId| topology.interface(id).name.as_str();
    match cause {
        Cause::NoRoute => "has no tunnel that leads there".to_owned(),
        Cause::RouteElsewhere(id) => {
            format!("routes of {} are not wgfleet's: `table` says so", interface(id))
        }
        Cause::NoPeer(id) => format!("no peer of {} has the address", interface(id)),
        Cause::NoSession(id) => {
            format!("cannot have a session with `{}`: neither can begin it", peer(topology, id))
        }
        Cause::PrivateEndpoint(id) => format!(
            "cannot have a session with `{}`: the endpoint is private to another place",
            peer(topology, id)
        ),
        Cause::Hairpin(id) => format!(
            "cannot have a session with `{}`: both are behind one NAT and meet at its outside",
            peer(topology, id)
        ),
        Cause::Swallowed(id) => format!(
            "cannot have a session with `{}`: a tunnel takes the encrypted packets, and does not \
             bring them to the endpoint",
            peer(topology, id)
        ),
        Cause::Unheard(id) => format!(
            "cannot have a session with `{}`, which does not listen on the port of the endpoint",
            peer(topology, id)
        ),
        Cause::Down(id) => format!(
            "cannot use {}: another interface has its port, its name or one of its routes",
            interface(id)
        ),
        Cause::TwoPeers(id) => {
            format!("has the address for two peers of {}: it belongs to one of them", interface(id))
        }
        Cause::TwoHolders(_) => "shares the address with another host".to_owned(),
        Cause::OtherGateway => {
            "may be the gateway that the LAN chooses, and its way is not the one that the other end \
             expects"
                .to_owned()
        }
        Cause::Asleep(id) => {
            format!(
                "cannot begin the session, and nothing makes `{}` begin it: it sends no keepalive \
                 that keeps a NAT open",
                peer(topology, id)
            )
        }
        Cause::SourceRefused(_) => {
            "drops it: the source is not in the AllowedIPs of the peer that sent it".to_owned()
        }
        Cause::NoForwarding => {
            "drops it: it does not forward packets of this address family".to_owned()
        }
        Cause::NoExit => "drops it: it is no exit to the Internet".to_owned(),
        Cause::Loop => {
            format!("routing loop: the packet is back at `{}`", topology.node(node).name)
        }
        Cause::NoReturnPath => "nothing leads back: the source is not masqueraded".to_owned(),
        Cause::OnLink => {
            "delivers it to a LAN whose machines treat the other address as local".to_owned()
        }
        Cause::Elsewhere => "delivers it, but not where it was to go".to_owned(),
        Cause::NoStart => "no node sends it into a tunnel".to_owned(),
        Cause::Failed(Some(id)) => {
            format!("has no session with `{}` while that has failed", peer(topology, id))
        }
        Cause::Failed(None) => "has no way to the Internet while its uplink has failed".to_owned(),
    }
}
