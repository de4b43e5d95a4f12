//! One network as single packets see it, and plain search over its links.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

use ipnet::IpNet;
use wgfleet::inventory::{Inventory, Site};
use wgfleet::topology::{AllowedIps, InterfaceId, Topology};

pub(crate) fn holds(net: &IpNet, addr: IpAddr) -> bool {
    net.contains(&addr)
}

/// One network of a topology as a packet sees it.
pub(crate) struct Fabric<'a> {
    pub(crate) topology: &'a Topology,
    pub(crate) members: Vec<InterfaceId>,
    /// The LANs of each site.
    lans: Vec<Vec<IpNet>>,
}

impl<'a> Fabric<'a> {
    pub(crate) fn new(inventory: &Inventory, topology: &'a Topology, network: usize) -> Self {
        let ids = (0..).map(InterfaceId).take(topology.interfaces.len());
        let members = ids.filter(|id| topology.interface(*id).network == network).collect();
        let of = |site: &Site| site.subnets.iter().map(|net| net.value.trunc()).collect();
        Self { topology, members, lans: inventory.sites.iter().map(of).collect() }
    }

    /// Whether a member sits on a LAN of its site that an address is in: it sends there by itself.
    pub(crate) fn is_beside(&self, id: InterfaceId, addr: IpAddr) -> bool {
        let site = self.topology.node(self.topology.interface(id).node).site;
        site.is_some_and(|site| self.lans[site].iter().any(|net| holds(net, addr)))
    }

    pub(crate) fn name(&self, id: InterfaceId) -> &str {
        self.topology.node(self.topology.interface(id).node).name.as_str()
    }

    pub(crate) fn find(&self, name: &str) -> InterfaceId {
        *self.members.iter().find(|id| self.name(**id) == name).expect("a member")
    }

    pub(crate) fn own(&self, id: InterfaceId) -> Vec<IpNet> {
        let interface = self.topology.interface(id);
        let tunnel = interface.addresses.iter().map(|a| IpNet::from(a.value.addr()));
        let node = self.topology.node(interface.node);
        tunnel.chain(node.subnets.iter().map(|net| net.value.trunc())).collect()
    }

    /// The only member that an address belongs to, by longest match; `None` for a tie or nobody.
    pub(crate) fn owner(&self, addr: IpAddr) -> Option<InterfaceId> {
        let mut best: Vec<(u8, InterfaceId)> = Vec::new();
        for id in &self.members {
            let own = self.own(*id).into_iter().filter(|net| holds(net, addr));
            best.extend(own.map(|net| net.prefix_len()).max().map(|length| (length, *id)));
        }
        let most = best.iter().map(|(length, _)| *length).max()?;
        let mut longest = best.iter().filter(|(length, _)| *length == most);
        let first = longest.next().map(|(_, id)| *id);
        if longest.next().is_some() { None } else { first }
    }

    /// Longest match over the `AllowedIPs` of an interface; the last peer wins a tie.
    pub(crate) fn lookup(&self, id: InterfaceId, addr: IpAddr) -> Option<InterfaceId> {
        let mut best: Option<(u8, InterfaceId)> = None;
        for peer in &self.topology.interface(id).peers {
            for net in peer.allowed_ips.iter().filter(|net| holds(net, addr)) {
                if best.is_none_or(|(length, _)| net.prefix_len() >= length) {
                    best = Some((net.prefix_len(), peer.remote));
                }
            }
        }
        best.map(|(_, remote)| remote)
    }

    /// Whether several peers of an interface have the longest prefix of an address. Then the one that
    /// is set last gets it, which in a file depends on the keys: no law says where packets go, and
    /// the checker refuses the file (WG0301).
    pub(crate) fn disputed(&self, id: InterfaceId, addr: IpAddr) -> bool {
        let longest = |nets: &AllowedIps| {
            nets.iter().filter(|net| holds(net, addr)).map(IpNet::prefix_len).max()
        };
        let peers = self.topology.interface(id).peers.iter();
        let mut lengths: Vec<u8> = peers.filter_map(|peer| longest(&peer.allowed_ips)).collect();
        lengths.sort_unstable_by_key(|length| std::cmp::Reverse(*length));
        lengths.len() > 1 && lengths[0] == lengths[1]
    }

    /// Addresses worth asking about: first and last of every prefix.
    pub(crate) fn probes(&self, id: InterfaceId) -> Vec<IpAddr> {
        self.own(id).iter().flat_map(|net| [net.addr(), net.broadcast()]).collect()
    }

    /// Follows a packet; every receiver must accept its source.
    pub(crate) fn follow(
        &self,
        from: InterfaceId,
        source: IpAddr,
        target: IpAddr,
    ) -> Result<Vec<InterfaceId>, String> {
        let mut way = vec![from];
        let mut at = from;
        while !self.own(at).iter().any(|net| holds(net, target)) || self.owner(target) != Some(at) {
            let next = self
                .lookup(at, target)
                .ok_or_else(|| format!("{} has no peer for {target}", self.name(at)))?;
            let back = self.lookup(next, source);
            if back != Some(at) {
                return Err(format!(
                    "{} drops {source} from {}: it belongs to {:?}",
                    self.name(next),
                    self.name(at),
                    back.map(|id| self.name(id).to_owned())
                ));
            }
            if way.contains(&next) {
                return Err(format!("a loop at {}", self.name(next)));
            }
            way.push(next);
            at = next;
        }
        Ok(way)
    }
}

/// Names that can be reached over hosts that pass traffic on, by plain search.
pub(crate) fn reachable(
    links: &BTreeSet<(String, String)>,
    transit: &BTreeSet<String>,
    from: &str,
) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::from([(from.to_owned(), 0)]);
    let mut queue = VecDeque::from([from.to_owned()]);
    while let Some(at) = queue.pop_front() {
        if at != from && !transit.contains(&at) {
            continue;
        }
        for (_, next) in links.iter().filter(|(a, _)| *a == at) {
            if !found.contains_key(next) {
                found.insert(next.clone(), found[&at] + 1);
                queue.push_back(next.clone());
            }
        }
    }
    found.remove(from);
    found
}
