//! What traffic feels of the changes to a host, as its header says it.

use super::hosts::{count, number};
use crate::plan::{Disruption, Elsewhere, Felt, PeerRef};

/// Peers that a header names.
const NAMED: usize = 4;

/// What traffic feels, the worst first. `whole`: every peer is named.
pub(super) fn felt(feels: &Felt, whole: bool) -> String {
    let mut words = Vec::new();
    match usize::try_from(feels.flows).unwrap_or(usize::MAX) {
        0 => {}
        // Of several hosts in one header each has as many.
        1 => words.push("1 flow of the host ceases to work".to_owned()),
        flows => words.push(format!("{} flows of the host cease to work", number(flows))),
    }
    let interfaces = feels.restarts.iter();
    words.extend(interfaces.map(|name| format!("{name} restarts: up to 10 s without traffic")));
    words.extend(feels.removals.iter().map(|name| format!("{name} goes, and its sessions end")));
    if !feels.ends.is_empty() {
        words.push(match feels.ends.len() {
            1 => format!("the session with {} ends", peers(&feels.ends, whole)),
            _ => format!("the sessions with {} end", peers(&feels.ends, whole)),
        });
    }
    let renewals = feels.renewals.iter();
    words
        .extend(renewals.map(|name| format!("up to 3 s: new handshakes with all peers of {name}")));
    if !feels.handshakes.is_empty() {
        let handshakes =
            if feels.handshakes.len() == 1 { "new handshake" } else { "new handshakes" };
        words.push(format!("up to 3 s: {handshakes} with {}", peers(&feels.handshakes, whole)));
    }
    if feels.routes {
        words.push("addresses or routes change: packets on their way may be lost".to_owned());
    }
    if let Some(elsewhere) = &feels.elsewhere {
        words.push(of_others(elsewhere));
    }
    if words.is_empty() { "disrupts nothing".to_owned() } else { words.join("; ") }
}

/// What is felt of changes to others.
fn of_others(Elsewhere { how, hosts, such_as }: &Elsewhere) -> String {
    let whom = match usize::try_from(*hosts).unwrap_or(usize::MAX) {
        1 => such_as.to_string(),
        hosts => format!("{such_as} and {} more", number(hosts - 1)),
    };
    match how {
        Disruption::Restart => {
            format!("up to 10 s without traffic to {whom}, for the changes there")
        }
        Disruption::Handshake => {
            format!("up to 3 s without traffic to {whom}, for the changes there")
        }
        _ => format!("packets to {whom} may be lost, for the changes there"),
    }
}

fn peers(peers: &[PeerRef], whole: bool) -> String {
    if peers.len() > NAMED && !whole {
        // Without names many hosts say the same, and are told together.
        return count(peers.len(), "peer", "peers");
    }
    let name = |peer: &PeerRef| match &peer.name {
        Some(name) => name.to_string(),
        None => format!("{}…", &peer.key.to_string()[..8]),
    };
    let mut names: Vec<String> = peers.iter().map(name).collect();
    names.dedup();
    names.join(", ")
}
