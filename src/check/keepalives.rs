//! Keepalives: on the side whose NAT would forget the session.

use super::entry::entry;
use super::folded::Folded;
use super::session::{SessionStart, Sessions};
use crate::finding::{Code, Finding, Severity};
use crate::inventory::Inventory;
use crate::model::Location;
use crate::topology::{Interface, InterfaceId, NodeKind, Peer, Topology};

/// An end that only begins sessions itself and does not hold them open: nobody reaches it, or
/// what lies behind it, until it has something to send.
pub(super) fn sleepers(inventory: &Inventory, topology: &Topology) -> Vec<Finding> {
    let mut findings: Folded<Location> = Folded::new();
    let sessions = Sessions::new(inventory, topology);
    for (id, interface) in (0..).map(InterfaceId).zip(&topology.interfaces) {
        for peer in interface.peers.iter().filter(|peer| peer.endpoint.is_none()) {
            let far = topology.remote(peer);
            // A phone that serves nothing is left to sleep.
            if matches!(far.kind, NodeKind::Unmanaged(_)) && far.subnets.is_empty() {
                continue;
            }
            if sessions.of(id, peer) != SessionStart::Asleep {
                continue;
            }
            let at = off(topology, id, peer).unwrap_or(far.at);
            findings.add(at, || finding(topology, interface, peer, at));
        }
    }
    findings.into_findings()
}

/// Where the file turns the keepalive of the far end off.
fn off(topology: &Topology, id: InterfaceId, peer: &Peer) -> Option<Location> {
    entry(topology, peer.remote, id)?.settings.keepalive.because.declared()
}

fn finding(topology: &Topology, interface: &Interface, peer: &Peer, at: Location) -> Finding {
    let (node, far) = (topology.node(interface.node), topology.remote(peer));
    if peer.keepalive().is_some() {
        let place = peer.settings.keepalive.because.declared().unwrap_or(interface.at);
        let title = format!(
            "`{}` keeps the session with `{}` alive, and has no NAT to keep open",
            node.name, far.name
        );
        return Finding::new(Code::KeepaliveWrongSide, title, place)
            .label("this side is reached anyway")
            .also(at, format!("`{}` is behind NAT and sends none", far.name))
            .help(format!(
                "a NAT forgets what nobody inside has used, and `{0}` has no endpoint to begin \
                 with: give `{0}` the `keepalive: 25`",
                far.name
            ));
    }
    let title = match far.subnets.first() {
        Some(lan) => format!(
            "neither `{}` nor {} behind it can be reached until it speaks itself",
            far.name, lan.value
        ),
        None => format!("`{}` cannot be reached until it speaks itself", far.name),
    };
    let mut finding = Finding::new(Code::NoKeepalive, title, at)
        .label("no keepalive")
        .also(node.at, format!("has no endpoint of `{}`", far.name))
        .help(format!(
            "give `{0}` `keepalive: 25`, below the 30 s after which NATs forget; or an `endpoint:` \
             where a port is forwarded to it",
            far.name
        ));
    if far.subnets.is_empty() && !far.forwards.any() {
        // Written on purpose, and only the host itself sleeps.
        finding.severity = Severity::Info;
    }
    finding
}
