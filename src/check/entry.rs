//! Entries for peers: which is for whom, where it sends to, and what all of them lead to.

use std::collections::HashSet;
use std::net::IpAddr;

use ipnet::IpNet;
use prefix_trie::joint::JointPrefixSet;

use crate::model::EndpointHost;
use crate::topology::{InterfaceId, Peer, Topology};

/// The entry that interface `of` has for the peer `remote`.
#[must_use]
pub fn entry(topology: &Topology, of: InterfaceId, remote: InterfaceId) -> Option<&Peer> {
    let peers = &topology.interface(of).peers;
    let (first, last) = (peers.first()?.remote, peers.last()?.remote);
    if remote < first || last < remote {
        return None;
    }
    // Ids of a network lie close together: in a mesh the place is known to within one, and a
    // search over so many lists would miss the cache at each step.
    let span = u64::from(last.0 - first.0).max(1);
    let place = u64::from(remote.0 - first.0) * (peers.len() as u64 - 1) / span;
    let near = usize::try_from(place).unwrap_or_default();
    let around = [Some(near), near.checked_add(1), near.checked_sub(1)];
    let mut around = around.into_iter().flatten().filter_map(|index| peers.get(index));
    around.find(|peer| peer.remote == remote).or_else(|| {
        peers.binary_search_by_key(&remote, |peer| peer.remote).ok().map(|index| &peers[index])
    })
}

/// The literal address that a peer entry sends to.
pub(super) fn literal(peer: &Peer) -> Option<IpAddr> {
    match peer.endpoint.as_ref()?.host {
        EndpointHost::Addr(addr) => Some(addr),
        EndpointHost::Name(_) => None,
    }
}

/// Every prefix that some interface has or gives to a peer, but /0.
pub(super) fn prefixes(topology: &Topology) -> JointPrefixSet<IpNet> {
    let mut inner = JointPrefixSet::new();
    let mut seen: HashSet<(*const IpNet, usize)> = HashSet::new();
    for interface in &topology.interfaces {
        for addr in &interface.addresses {
            inner.insert(addr.value.trunc());
        }
        for peer in &interface.peers {
            let (at, base) = peer.allowed_ips.base();
            if seen.insert((at, base.len())) {
                for net in base.iter().filter(|net| net.prefix_len() > 0) {
                    inner.insert(net.trunc());
                }
            }
        }
    }
    inner
}
