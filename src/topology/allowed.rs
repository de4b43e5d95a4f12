//! `AllowedIPs`, derived: what each neighbour of an interface leads to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipnet::IpNet;

use super::paths::Paths;
use super::{InterfaceId, Topology};
use crate::inventory::Network;
use crate::model::{Family, covers, host_net};

/// Derives the lists of one network.
pub(super) struct Derivation<'a> {
    topology: &'a Topology,
    network: &'a Network,
    paths: &'a Paths,
    members: &'a [InterfaceId],
    /// What each member delivers to itself: its tunnel addresses and its subnets.
    own: BTreeMap<InterfaceId, Arc<[IpNet]>>,
}

impl<'a> Derivation<'a> {
    pub(super) fn new(
        topology: &'a Topology,
        network: &'a Network,
        paths: &'a Paths,
        members: &'a [InterfaceId],
    ) -> Self {
        let own = members.iter().map(|id| (*id, own_prefixes(topology, *id))).collect();
        Self { topology, network, paths, members, own }
    }

    /// The list for each neighbour of `from`; `exit` gets everything beside.
    pub(super) fn lists(
        &self,
        from: InterfaceId,
        exit: Option<InterfaceId>,
    ) -> BTreeMap<InterfaceId, Arc<[IpNet]>> {
        let neighbours = self.paths.neighbours(from);
        let mut behind: BTreeMap<InterfaceId, Vec<InterfaceId>> = BTreeMap::new();
        if self.paths.any_transit() {
            for to in self.members {
                if let Some(next) = self.paths.next_hop(from, *to)
                    && next != *to
                {
                    behind.entry(next).or_default().push(*to);
                }
            }
        }
        // An end that reaches others through a hub names the whole network instead of each of
        // them; between hubs that would send unknown addresses in circles.
        let default = if self.paths.is_transit(from) {
            None
        } else {
            behind
                .iter()
                .max_by_key(|(id, to)| (to.len(), std::cmp::Reverse(**id)))
                .map(|(id, _)| *id)
        };
        neighbours
            .iter()
            .map(|id| {
                let indirect = behind.get(id).map_or(&[][..], Vec::as_slice);
                (*id, self.list(from, *id, indirect, default == Some(*id), exit == Some(*id)))
            })
            .collect()
    }

    fn list(
        &self,
        from: InterfaceId,
        neighbour: InterfaceId,
        indirect: &[InterfaceId],
        whole_network: bool,
        everything: bool,
    ) -> Arc<[IpNet]> {
        if indirect.is_empty() && !everything {
            return Arc::clone(&self.own[&neighbour]);
        }
        let mut nets: BTreeSet<IpNet> = self.own[&neighbour].iter().copied().collect();
        for to in indirect {
            nets.extend(self.own[to].iter().copied());
        }
        if whole_network {
            nets.extend(self.network.prefixes.iter().map(|prefix| prefix.value.trunc()));
        }
        if everything {
            let families: BTreeSet<Family> =
                self.topology.tunnel_addresses(from).map(|addr| Family::of_addr(&addr)).collect();
            nets.extend(families.into_iter().map(everything_of));
        }
        // What the end delivers to itself is never another's: two gateways of one site.
        let mine = &self.own[&from];
        nets.retain(|net| !mine.contains(net));
        without_covered(nets)
    }
}

/// `0.0.0.0/0` or `::/0`.
pub(super) fn everything_of(family: Family) -> IpNet {
    match family {
        Family::V4 => IpNet::V4(ipnet::Ipv4Net::default()),
        Family::V6 => IpNet::V6(ipnet::Ipv6Net::default()),
    }
}

fn own_prefixes(topology: &Topology, id: InterfaceId) -> Arc<[IpNet]> {
    let node = topology.node(topology.interface(id).node);
    let addresses = topology.tunnel_addresses(id).map(host_net);
    let nets: BTreeSet<IpNet> =
        addresses.chain(node.subnets.iter().map(|subnet| subnet.value.trunc())).collect();
    nets.into_iter().collect()
}

/// Leaves out what a wider prefix of the same list holds already. The order of [`IpNet`] puts a
/// prefix before all that it holds.
fn without_covered(nets: BTreeSet<IpNet>) -> Arc<[IpNet]> {
    let mut kept: Vec<IpNet> = Vec::with_capacity(nets.len());
    for net in nets {
        if !kept.last().is_some_and(|last| covers(last, &net)) {
            kept.push(net);
        }
    }
    kept.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn nothing_covered_is_kept_and_nothing_else_is_lost(
            raw in proptest::collection::vec((any::<u32>(), 0_u8..=32), 0..40)
        ) {
            let nets: BTreeSet<IpNet> = raw.iter()
                .map(|(addr, len)| IpNet::V4(ipnet::Ipv4Net::new((*addr & 0xff00_00ff).into(), *len).unwrap().trunc()))
                .collect();
            let kept = without_covered(nets.clone());
            for net in &nets {
                let others = nets.iter().filter(|other| *other != net);
                let covered = others.clone().any(|other| covers(other, net));
                prop_assert_eq!(kept.contains(net), !covered);
            }
        }
    }
}
