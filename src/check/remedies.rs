//! What to write instead, by what keeps a flow from flowing: only keys that the section has, and nothing that
//! is there already.

use super::flow::Broken;
use super::flows::Member;
use super::trace::peer;
use super::walk::{Act, Cause};
use crate::inventory::{Inventory, LinkShape};
use crate::topology::{InterfaceId, Node, NodeId, NodeKind, Topology};

/// What removes the cause, where it has an answer of its own.
pub(super) fn instead(
    inventory: &Inventory,
    topology: &Topology,
    broken: &Broken,
) -> Option<String> {
    let cause = broken.cause?;
    let walk = broken.back.as_ref().unwrap_or(&broken.out);
    let at = walk.steps.last().map(|step| step.node);
    let managed = |node: &Node| matches!(node.kind, NodeKind::Host(_));
    let node_of = |id: InterfaceId| topology.node(topology.interface(id).node);
    Some(match cause {
        Cause::Asleep(id) => format!("give `{}` a `keepalive: 25`", peer(topology, id)),
        Cause::SourceRefused(_) => source_refused(inventory, topology, broken),
        Cause::NoForwarding => not_forwarded(inventory, topology, at?),
        Cause::NoExit => {
            let node = topology.node(at?);
            if managed(node) {
                format!("say `exit: true` on `{}`, which everything is sent to", node.name)
            } else {
                format!(
                    "`{}` is an unmanaged peer, and wgfleet makes no exit of it: send everything \
                     through a host",
                    node.name
                )
            }
        }
        Cause::RouteElsewhere(_) => {
            "the rule can be proven where `table` is auto; with routes of your own, prove it with \
             a packet"
                .to_owned()
        }
        Cause::NoReturnPath => {
            let node = topology.node(at?);
            if node.exit.value {
                format!("say `masquerade: true` on `{}`, where it leaves the tunnels", node.name)
            } else {
                format!(
                    "say `exit: true` or `masquerade: true` on `{}`, where it leaves the tunnels",
                    node.name
                )
            }
        }
        Cause::NoSession(_) => "give one of them an `endpoint:`".to_owned(),
        Cause::Swallowed(id) => {
            let listed = at.is_some_and(|at| overrides(topology, at));
            let or = if listed { ", or take the prefix around it out of `allowed_ips`" } else { "" };
            format!("give `{}` an endpoint that no tunnel leads to{or}", peer(topology, id))
        }
        Cause::Unheard(id) if managed(node_of(id)) => format!(
            "write the port of the endpoint as `listen_port:` of `{}`, or its own port here",
            peer(topology, id)
        ),
        Cause::Unheard(id) => {
            format!("write the port here that `{}` listens on", peer(topology, id))
        }
        Cause::Down(_) => "give each interface of the host a port, a name and prefixes of its own"
            .to_owned(),
        Cause::TwoPeers(_) => {
            "give the prefix to one peer, or a longer one to one of them".to_owned()
        }
        Cause::TwoHolders(_) => "give one of the hosts another address".to_owned(),
        Cause::OtherGateway => {
            "write `masquerade: true` under the gateways, so that replies come back to the one that \
             was asked; or make one of them the gateway of the LAN"
                .to_owned()
        }
        Cause::PrivateEndpoint(id) => {
            let both = at.is_some_and(|at| topology.node(at).site.is_some());
            let sites = if both && node_of(id).site.is_some() {
                ", or name the private net that joins the sites: `underlay: { name: … }` at each"
            } else {
                ""
            };
            format!("write the public address or name of `{}` as its `endpoint:`{sites}", peer(topology, id))
        }
        Cause::Hairpin(_) => {
            "give one of them a `local_endpoint:` with its address on the LAN".to_owned()
        }
        Cause::NoRoute | Cause::NoPeer(_) => no_way(inventory, topology, broken)?,
        Cause::OnLink => {
            "nest no LAN in another one's prefix, unless that one is routed itself".to_owned()
        }
        Cause::Loop | Cause::Elsewhere | Cause::NoStart | Cause::Failed(_) => return None,
    })
}

/// Whether a node writes lists of its own.
fn overrides(topology: &Topology, node: NodeId) -> bool {
    let interfaces = topology.node(node).interfaces.iter();
    let mut peers = interfaces.flat_map(|id| &topology.interface(*id).peers);
    peers.any(|peer| peer.overridden().is_some())
}

/// Whether a node on the way writes lists of its own.
fn overridden(topology: &Topology, broken: &Broken) -> bool {
    let steps = broken.out.steps.iter().chain(broken.back.iter().flat_map(|back| &back.steps));
    let ends = [broken.from, broken.to].into_iter().filter_map(|end| end.node());
    steps.map(|step| step.node).chain(ends).any(|node| overrides(topology, node))
}

/// Whether two ends have a link between them.
fn linked(topology: &Topology, broken: &Broken) -> bool {
    let (Some(from), Some(to)) = (broken.from.node(), broken.to.node()) else { return false };
    let interfaces = topology.node(from).interfaces.iter();
    let mut peers = interfaces.flat_map(|id| &topology.interface(*id).peers);
    peers.any(|peer| topology.interface(peer.remote).node == to)
}

const LISTS: &str = "look at the `allowed_ips` under `peers:` of the hosts on the way: they replace what \
                     would be derived";

fn source_refused(inventory: &Inventory, topology: &Topology, broken: &Broken) -> String {
    if overridden(topology, broken) {
        return LISTS.to_owned();
    }
    if linked(topology, broken) {
        return "let the packets go by the link that both ends have".to_owned();
    }
    let passes = |node: NodeId| match topology.node(node).kind {
        NodeKind::Host(host) => {
            inventory.hosts[host].settings.transit.get() || is_hub(inventory, topology, node)
        }
        NodeKind::Unmanaged(_) => true,
    };
    let mut between =
        broken.out.steps.iter().skip(1).filter(|step| matches!(step.act, Act::Send(_)));
    match between.find(|step| !passes(step.node)) {
        Some(step) => format!(
            "link the two ends directly, or say `transit: true` on `{}`",
            topology.node(step.node).name
        ),
        None => "link the two ends directly".to_owned(),
    }
}

fn is_hub(inventory: &Inventory, topology: &Topology, node: NodeId) -> bool {
    let node = topology.node(node);
    inventory.networks.iter().flat_map(|network| &network.links).any(|shape| match shape {
        LinkShape::Hub { hubs, .. } => hubs.iter().any(|hub| node.is_of(inventory, &hub.value)),
        LinkShape::Mesh { .. } | LinkShape::Pair { .. } => false,
    })
}

fn not_forwarded(inventory: &Inventory, topology: &Topology, at: NodeId) -> String {
    let node = topology.node(at);
    let name = &node.name;
    let NodeKind::Host(host) = node.kind else {
        return format!(
            "`{name}` is an unmanaged peer, which passes nothing on: link the ends by a host"
        );
    };
    if node.forwards.any() {
        return format!(
            "`{name}` forwards the other address family: give it a tunnel address of this one, from a \
             prefix of its network"
        );
    }
    let gateway = node.site.is_some_and(|site| !inventory.sites[site].subnets.is_empty())
        && !inventory.hosts[host].settings.gateway.get();
    let gateway = if gateway { "`gateway: true` or " } else { "" };
    format!("say {gateway}`transit: true` on `{name}`, or make it a hub")
}

fn no_way(inventory: &Inventory, topology: &Topology, broken: &Broken) -> Option<String> {
    let from = broken.from.node();
    if let (Member::Internet(_), Some(from)) = (broken.to, from) {
        let node = topology.node(from);
        return Some(match node.kind {
            NodeKind::Host(_) => format!(
                "the Internet is what a full tunnel reaches: write `full_tunnel: NAME` on `{}`, with \
                 the name of an exit",
                node.name
            ),
            NodeKind::Unmanaged(_) => format!(
                "the Internet is what a full tunnel reaches: write `full_tunnel: true` on `{}`",
                node.name
            ),
        })
        .filter(|_| !full(inventory, node));
    }
    if overridden(topology, broken) {
        return Some(LISTS.to_owned());
    }
    (!linked(topology, broken)).then(|| {
        "tunnels lead to the members of their own network: link the two ends in one".to_owned()
    })
}

/// Whether a node sends everything through a tunnel already.
fn full(inventory: &Inventory, node: &Node) -> bool {
    match node.kind {
        NodeKind::Host(host) => {
            inventory.hosts[host].interfaces.iter().any(|own| own.full_tunnel_via.is_some())
        }
        NodeKind::Unmanaged(peer) => inventory.peers[peer].settings.full_tunnel.get(),
    }
}
