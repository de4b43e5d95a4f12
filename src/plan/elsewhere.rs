//! What a host feels of changes to others: its traffic goes to them, or through them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use super::{Disruption, Elsewhere, Felt, HostPlan, HostState, PeerRef};
use crate::model::{Family, HostName, InterfaceName};
use crate::topology::{InterfaceId, NodeId, Topology};

/// Hosts that a packet may pass before it is given up.
const MOST_HOPS: usize = 16;

/// Tells each host what it feels of the changes to others, beyond what its own do to the same
/// traffic; also one that has nothing to change. `runs` is the fleet as it runs before.
pub(super) fn spread(hosts: &mut [HostPlan], runs: &Topology) {
    let felt: BTreeMap<HostName, Felt> = hosts
        .iter()
        .filter(|host| host.can_apply() && host.feels.worst() > Disruption::None)
        .map(|host| (host.host.clone(), host.feels.clone()))
        .collect();
    let ends: HashMap<NodeId, Ends<'_>> = felt
        .iter()
        .filter_map(|(name, felt)| Some((runs.find(name)?, Ends::new(felt, runs))))
        .collect();
    let Some(worst) = ends.values().filter_map(Ends::worst).max() else { return };
    let disturbed = disturbed(runs, &ends);
    let paths = Paths { runs, ends, disturbed, worst, known: RefCell::default() };
    for host in hosts {
        if host.state == HostState::Ready {
            host.feels.elsewhere = runs.find(&host.host).and_then(|node| paths.elsewhere(node));
            host.disruption = host.feels.worst();
        }
    }
}

/// What the changes to a host do to its ends of sessions.
struct Ends<'a> {
    routes: bool,
    renewals: BTreeSet<&'a InterfaceName>,
    restarts: BTreeSet<&'a InterfaceName>,
    handshakes: BTreeSet<NodeId>,
    gone: BTreeSet<NodeId>,
}

impl<'a> Ends<'a> {
    fn new(felt: &'a Felt, runs: &Topology) -> Self {
        let nodes = |peers: &[PeerRef]| {
            peers.iter().filter_map(|peer| runs.find(peer.name.as_ref()?)).collect()
        };
        Self {
            routes: felt.routes,
            renewals: felt.renewals.iter().collect(),
            restarts: felt.restarts.iter().chain(&felt.removals).collect(),
            handshakes: nodes(&felt.handshakes),
            gone: nodes(&felt.ends),
        }
    }

    /// The worst that any of them feels.
    fn worst(&self) -> Option<Disruption> {
        worst([
            (self.routes, Disruption::Routes),
            (!self.renewals.is_empty() || !self.handshakes.is_empty(), Disruption::Handshake),
            (!self.gone.is_empty(), Disruption::Session),
            (!self.restarts.is_empty(), Disruption::Restart),
        ])
    }

    /// What the session of an interface with a node feels.
    fn of(&self, interface: &InterfaceName, other: NodeId) -> Option<Disruption> {
        let renews = self.renewals.contains(interface) || self.handshakes.contains(&other);
        worst([
            (self.routes, Disruption::Routes),
            (renews, Disruption::Handshake),
            (self.gone.contains(&other), Disruption::Session),
            (self.restarts.contains(interface), Disruption::Restart),
        ])
    }
}

fn worst(all: [(bool, Disruption); 4]) -> Option<Disruption> {
    all.into_iter().filter(|(is, _)| *is).map(|(_, how)| how).max()
}

/// Every node whose sessions change, with one of its tunnel addresses.
fn disturbed(runs: &Topology, ends: &HashMap<NodeId, Ends<'_>>) -> Vec<(NodeId, IpAddr)> {
    let peers = ends.values().flat_map(|ends| ends.handshakes.iter().chain(&ends.gone));
    let mut nodes: BTreeSet<NodeId> = ends.keys().chain(peers).copied().collect();
    for (node, ends) in ends.iter().filter(|(_, ends)| !ends.renewals.is_empty()) {
        let own = runs.node(*node).interfaces.iter().map(|id| runs.interface(*id));
        let own = own.filter(|own| ends.renewals.contains(&own.name.value));
        let peers = own.flat_map(|own| &own.peers);
        nodes.extend(peers.map(|peer| runs.interface(peer.remote).node));
    }
    let address = |node: NodeId| {
        let own = runs.node(node).interfaces.iter();
        let mut addresses = own.flat_map(|id| &runs.interface(*id).addresses);
        Some((node, addresses.next()?.value.addr()))
    };
    nodes.into_iter().filter_map(address).collect()
}

/// A session: the interface at this end, and that at the other.
type PeerPair = (InterfaceId, InterfaceId);

/// Peers of a host from which on the sessions that it sends packets into are kept: each of a thousand
/// spokes asks their hub for all the others.
const MANY: usize = 16;

struct Paths<'a> {
    runs: &'a Topology,
    ends: HashMap<NodeId, Ends<'a>>,
    disturbed: Vec<(NodeId, IpAddr)>,
    /// The worst that any session feels.
    worst: Disruption,
    /// Sessions that hosts with many peers send packets for an address into.
    known: RefCell<HashMap<(NodeId, IpAddr), Option<PeerPair>>>,
}

impl Paths<'_> {
    fn elsewhere(&self, node: NodeId) -> Option<Elsewhere> {
        let mut found: Vec<(Disruption, NodeId)> = Vec::new();
        let mut near = BTreeSet::new();
        for session in self.sessions(node) {
            let there = self.node(session.1);
            near.insert(there);
            let (here, other) = (self.end(session), self.end((session.1, session.0)));
            found.extend(
                other.filter(|other| here.is_none_or(|here| *other > here)).zip(Some(there)),
            );
        }
        // Those that it only reaches through others.
        let far =
            self.disturbed.iter().filter(|(other, _)| *other != node && !near.contains(other));
        found.extend(far.filter_map(|(_, addr)| self.on_the_way(node, *addr)));
        let how = found.iter().map(|(how, _)| *how).max()?;
        let hosts: BTreeSet<NodeId> =
            found.iter().filter(|(worst, _)| *worst == how).map(|(_, node)| *node).collect();
        let such_as = self.runs.node(*hosts.first()?).name.clone();
        Some(Elsewhere { how, hosts: hosts.len() as u64, such_as })
    }

    fn node(&self, id: InterfaceId) -> NodeId {
        self.runs.interface(id).node
    }

    fn sessions(&self, node: NodeId) -> impl Iterator<Item = PeerPair> {
        let own = self.runs.node(node).interfaces.iter();
        own.flat_map(|id| self.runs.interface(*id).peers.iter().map(|peer| (*id, peer.remote)))
    }

    /// The worst that a session on the way to an address feels, where that is more than what the
    /// changes of the sender itself do to the first one; of several the first.
    fn on_the_way(&self, from: NodeId, addr: IpAddr) -> Option<(Disruption, NodeId)> {
        let mut here = from;
        let mut found: Option<(Disruption, NodeId)> = None;
        let mut least = None;
        for _ in 0..MOST_HOPS {
            let Some(session) = self.next(here, addr) else { break };
            let there = self.node(session.1);
            let (near, far) = (self.end(session), self.end((session.1, session.0)));
            let how = if here == from { far } else { near.max(far) };
            if here == from {
                least = near;
            }
            if let Some(how) = how.filter(|how| Some(*how) > least) {
                found = Some((how, there));
                least = Some(how);
            }
            if least == Some(self.worst) {
                break;
            }
            let node = self.runs.node(there);
            let forwards = node.forwards.of(Family::of_addr(&addr));
            if !forwards || there == from {
                break;
            }
            here = there;
        }
        found
    }

    /// The session that a node sends packets for an address into.
    fn next(&self, node: NodeId, addr: IpAddr) -> Option<PeerPair> {
        let own = self.runs.node(node).interfaces.iter();
        let many = own.map(|id| self.runs.interface(*id).peers.len()).sum::<usize>() > MANY;
        if many && let Some(known) = self.known.borrow().get(&(node, addr)) {
            return *known;
        }
        let own = self.runs.node(node).interfaces.iter();
        let peers =
            own.flat_map(|id| self.runs.interface(*id).peers.iter().map(|peer| (*id, peer)));
        let matching = peers.filter_map(|(own, peer)| {
            let nets = peer.allowed_ips.iter().filter(|net| net.contains(&addr));
            Some((nets.map(ipnet::IpNet::prefix_len).max()?, own, peer.remote))
        });
        let session = matching.max_by_key(|(length, ..)| *length).map(|(_, own, peer)| (own, peer));
        if many {
            self.known.borrow_mut().insert((node, addr), session);
        }
        session
    }

    /// What a session feels of the changes at its first end.
    fn end(&self, (own, other): PeerPair) -> Option<Disruption> {
        let interface = &self.runs.interface(own).name;
        self.ends.get(&self.node(own))?.of(interface, self.node(other))
    }
}

#[cfg(test)]
#[path = "elsewhere_tests.rs"]
mod tests;
