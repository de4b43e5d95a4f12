//! What a host feels of changes to others: its traffic goes to them, or through them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Disruption, Felt, HostPlan, PeerRef};
use crate::model::HostName;
use crate::topology::{InterfaceId, NodeId, Topology};

/// Hosts that a packet may pass before it is given up.
const MOST_HOPS: usize = 16;

/// What a host feels of changes to others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Elsewhere {
    /// The worst of it.
    pub how: Disruption,
    /// How many hosts its traffic feels that with or behind.
    pub hosts: u64,
    /// The first of them, in order of the file.
    pub such_as: HostName,
}

/// Tells each host whose own changes disrupt nothing what it feels of those to others. `runs` is the
/// fleet as it runs before.
pub(super) fn spread(hosts: &mut [HostPlan], runs: &Topology) {
    let felt: BTreeMap<HostName, Felt> = hosts
        .iter()
        .filter(|host| host.can_apply() && host.feels.worst() > Disruption::None)
        .map(|host| (host.host.clone(), host.feels.clone()))
        .collect();
    if felt.is_empty() {
        return;
    }
    let paths = Paths { runs, felt: &felt, disturbed: disturbed(runs, &felt) };
    for host in hosts {
        if host.can_apply() && host.feels.worst() == Disruption::None {
            host.feels.elsewhere = runs.find(&host.host).and_then(|node| paths.elsewhere(node));
            host.disruption = host.feels.worst();
        }
    }
}

/// Every node whose sessions change, with one of its tunnel addresses.
fn disturbed(runs: &Topology, felt: &BTreeMap<HostName, Felt>) -> Vec<(NodeId, IpAddr)> {
    let peers = felt.values().flat_map(|felt| felt.handshakes.iter().chain(&felt.ends));
    let names: BTreeSet<&HostName> =
        felt.keys().chain(peers.filter_map(|peer| peer.name.as_ref())).collect();
    let nodes = names.into_iter().filter_map(|name| runs.find(name));
    let address = |node: NodeId| {
        let own = runs.node(node).interfaces.iter();
        let mut addresses = own.flat_map(|id| &runs.interface(*id).addresses);
        Some((node, addresses.next()?.value.addr()))
    };
    nodes.filter_map(address).collect()
}

struct Paths<'a> {
    runs: &'a Topology,
    felt: &'a BTreeMap<HostName, Felt>,
    disturbed: Vec<(NodeId, IpAddr)>,
}

impl Paths<'_> {
    fn elsewhere(&self, node: NodeId) -> Option<Elsewhere> {
        let mut found: Vec<(Disruption, NodeId)> = self.neighbours(node).collect();
        if found.is_empty() {
            // Those that it only reaches through others.
            let far = self.disturbed.iter().filter(|(other, _)| *other != node);
            found.extend(far.filter_map(|(_, addr)| self.on_the_way(node, *addr)));
        }
        let how = found.iter().map(|(how, _)| *how).max()?;
        let hosts: BTreeSet<NodeId> =
            found.iter().filter(|(worst, _)| *worst == how).map(|(_, node)| *node).collect();
        let such_as = self.runs.node(*hosts.first()?).name.clone();
        Some(Elsewhere { how, hosts: hosts.len() as u64, such_as })
    }

    /// Sessions of a node that change at their other end.
    fn neighbours(&self, node: NodeId) -> impl Iterator<Item = (Disruption, NodeId)> {
        let own = self.runs.node(node).interfaces.iter();
        let sessions =
            own.flat_map(|id| self.runs.interface(*id).peers.iter().map(|peer| (*id, peer.remote)));
        sessions.filter_map(|(own, remote)| {
            Some((self.session(own, remote)?, self.runs.interface(remote).node))
        })
    }

    /// What the first session on the way to an address feels, of those that feel something.
    fn on_the_way(&self, from: NodeId, addr: IpAddr) -> Option<(Disruption, NodeId)> {
        let mut here = from;
        for _ in 0..MOST_HOPS {
            let (own, remote) = self.next(here, addr)?;
            let there = self.runs.interface(remote).node;
            if let Some(how) = self.session(own, remote) {
                return Some((how, there));
            }
            let node = self.runs.node(there);
            let forwards = if addr.is_ipv4() { node.forwards.v4 } else { node.forwards.v6 };
            if !forwards || there == from {
                return None;
            }
            here = there;
        }
        None
    }

    /// The session that a node sends packets for an address into.
    fn next(&self, node: NodeId, addr: IpAddr) -> Option<(InterfaceId, InterfaceId)> {
        let own = self.runs.node(node).interfaces.iter();
        let peers =
            own.flat_map(|id| self.runs.interface(*id).peers.iter().map(|peer| (*id, peer)));
        let matching = peers.filter_map(|(own, peer)| {
            let nets = peer.allowed_ips.iter().filter(|net| net.contains(&addr));
            Some((nets.map(ipnet::IpNet::prefix_len).max()?, own, peer.remote))
        });
        matching.max_by_key(|(length, ..)| *length).map(|(_, own, remote)| (own, remote))
    }

    /// What a session feels of the changes at its two ends.
    fn session(&self, a: InterfaceId, b: InterfaceId) -> Option<Disruption> {
        [(a, b), (b, a)].into_iter().filter_map(|(own, other)| self.end(own, other)).max()
    }

    fn end(&self, own: InterfaceId, other: InterfaceId) -> Option<Disruption> {
        let name = |id: InterfaceId| &self.runs.node(self.runs.interface(id).node).name;
        let felt = self.felt.get(name(own))?;
        let interface = &self.runs.interface(own).name;
        let of =
            |peers: &[PeerRef]| peers.iter().any(|peer| peer.name.as_ref() == Some(name(other)));
        let all = [
            (felt.routes, Disruption::Routes),
            (felt.renewals.contains(interface) || of(&felt.handshakes), Disruption::Handshake),
            (of(&felt.ends), Disruption::Session),
            (
                felt.restarts.contains(interface) || felt.removals.contains(interface),
                Disruption::Restart,
            ),
        ];
        all.into_iter().filter(|(is, _)| *is).map(|(_, how)| how).max()
    }
}

#[cfg(test)]
#[path = "elsewhere_tests.rs"]
mod tests;
