//! `AllowedIPs`, derived: what each neighbour of an interface leads to.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::paths::Paths;
use super::{AllowedIps, InterfaceId, Topology};
use crate::inventory::{Inventory, Network};
use crate::model::{Family, covers, host_net};

/// Members of a network up to which debug builds derive every list from its own table, too.
const COMPARED: usize = 64;

/// The list for each neighbour of one interface.
pub(super) type Lists = BTreeMap<InterfaceId, AllowedIps>;

/// The lists that the ends of a class have in common, by the exit and the families of an end.
type Common = BTreeMap<(Option<InterfaceId>, BTreeSet<Family>), Lists>;

/// A prefix and the neighbour that leads to it.
type Entry = (IpNet, InterfaceId);

/// Derives the lists of one network.
pub(super) struct Derivation<'a> {
    topology: &'a Topology,
    network: &'a Network,
    paths: &'a Paths,
    /// For each site, the LANs that its own members deliver to, and nobody elsewhere: its hosts are on them.
    wires: BTreeMap<usize, BTreeSet<IpNet>>,
    /// What each member delivers to itself: its tunnel addresses and its subnets, sorted.
    own: BTreeMap<InterfaceId, AllowedIps>,
    /// Prefixes that several members deliver: two gateways of one site.
    shared: BTreeSet<IpNet>,
    /// Members by how they are reached and reach others: all of a class have the same neighbours
    /// and pass nothing on, or it is one alone that does.
    classes: Vec<Vec<InterfaceId>>,
}

impl<'a> Derivation<'a> {
    pub(super) fn new(
        topology: &'a Topology,
        inventory: &'a Inventory,
        network: &'a Network,
        paths: &'a Paths,
        members: &[InterfaceId],
    ) -> Self {
        let own: BTreeMap<_, _> =
            members.iter().map(|id| (*id, own_prefixes(topology, *id))).collect();
        let mut seen = BTreeSet::new();
        let shared = own.values().flat_map(|nets| nets.iter().copied());
        let shared = shared.filter(|net| !seen.insert(*net)).collect();
        let mut classes: BTreeMap<(Option<InterfaceId>, &[InterfaceId]), Vec<InterfaceId>> =
            BTreeMap::new();
        for id in members {
            let alone = paths.is_transit(*id).then_some(*id);
            classes.entry((alone, paths.neighbours(*id))).or_default().push(*id);
        }
        let classes = classes.into_values().collect();
        let wires = wires(topology, inventory, members);
        Self { topology, network, paths, wires, own, shared, classes }
    }

    /// The lists of every member; `exit` names the neighbour that gets everything beside.
    pub(super) fn all(
        &self,
        exit: impl Fn(InterfaceId) -> Option<InterfaceId>,
    ) -> Vec<(InterfaceId, Lists)> {
        let mut all = Vec::with_capacity(self.own.len());
        for class in &self.classes {
            let Some(first) = class.first() else { continue };
            let table =
                if self.paths.any_transit() { Some(self.table(*first, &exit)) } else { None };
            let mut last = Lists::new();
            let mut common = Common::new();
            let alone = class.len() == 1;
            for id in class {
                let everything = exit(*id);
                let mine = &self.own[id];
                let plain = everything.is_none()
                    && mine.iter().all(|net| !self.shared.contains(net))
                    && self.wire(*id).is_none();
                let lists = match &table {
                    // Nothing lies behind a neighbour: its list is what it delivers itself.
                    None if plain => self
                        .paths
                        .neighbours(*id)
                        .iter()
                        .map(|near| (*near, self.own[near].clone()))
                        .collect(),
                    None => self.lists(*id, &self.table(*id, &exit), everything, &last),
                    Some(table) if alone => self.lists(*id, table, everything, &last),
                    Some(table) => match self.but_own(*id, table, everything, &mut common) {
                        Some(lists) => {
                            debug_assert!(
                                self.own.len() > COMPARED
                                    || lists == self.lists(*id, table, everything, &last),
                                "what is shared is what the end's own table gives"
                            );
                            lists
                        }
                        None => self.lists(*id, table, everything, &last),
                    },
                };
                if !alone {
                    last.clone_from(&lists);
                }
                all.push((*id, lists));
            }
        }
        all
    }

    /// What every prefix of the network leads through, for each of the class of `from`, sorted.
    /// Their own prefixes are among it, since the others of the class need them.
    fn table(
        &self,
        from: InterfaceId,
        exit: impl Fn(InterfaceId) -> Option<InterfaceId>,
    ) -> Vec<Entry> {
        let mut table: Vec<Entry> = Vec::new();
        let mut behind: BTreeMap<InterfaceId, usize> = BTreeMap::new();
        for class in &self.classes {
            // Of the class itself another one shows the way.
            let Some(to) = class.iter().find(|id| **id != from) else { continue };
            let Some(next) = self.paths.next_hop(from, *to) else { continue };
            let direct = self.paths.neighbours(from).binary_search(to).is_ok();
            if !direct {
                *behind.entry(next).or_default() += class.len();
            }
            for id in class {
                let next = if direct { *id } else { next };
                table.extend(self.own[id].iter().map(|net| (*net, next)));
            }
        }
        // An end that reaches others through a hub names the whole network instead of each of
        // them; between hubs, or towards one that has an exit for all it does not know, that would
        // send unknown addresses in circles.
        let name = |id: InterfaceId| &self.topology.node(self.topology.interface(id).node).name;
        let most = behind.iter().filter(|(id, _)| exit(**id).is_none());
        let most = most.max_by_key(|(id, many)| (**many, Reverse(name(**id))));
        if let Some((next, _)) = most.filter(|_| !self.paths.is_transit(from)) {
            let prefixes = self.network.prefixes.iter();
            table.extend(prefixes.map(|prefix| (prefix.value.trunc(), *next)));
        }
        table.sort_unstable();
        table.dedup();
        table
    }

    /// The LANs that a host is on: it sends there by the wire, and through no peer.
    fn wire(&self, id: InterfaceId) -> Option<&BTreeSet<IpNet>> {
        let site = self.topology.node(self.topology.interface(id).node).site?;
        self.wires.get(&site)
    }

    /// The lists of one of a class: what all of it have in common, without what is its own. `None` where its
    /// own table might say something else.
    fn but_own(
        &self,
        from: InterfaceId,
        table: &[Entry],
        exit: Option<InterfaceId>,
        common: &mut Common,
    ) -> Option<Lists> {
        let own = self.own[&from].iter();
        let mut out: Vec<IpNet> =
            own.chain(self.wire(from).into_iter().flatten()).copied().collect();
        out.sort_unstable();
        out.dedup();
        // It is one entry, and the next one does not lie within it.
        let plain = |net: &IpNet| {
            let first = table.partition_point(|(other, _)| other < net);
            let mut entries = table[first..].iter().map(|(other, _)| other).peekable();
            let there = entries.next_if_eq(&net).is_some();
            !self.shared.contains(net)
                && entries.next().is_none_or(|next| !there || !covers(net, next))
        };
        if !out.iter().all(plain) {
            return None;
        }
        out.retain(|net| table.binary_search_by(|(other, _)| other.cmp(net)).is_ok());
        let key = (exit, self.families(from));
        let lists = common.entry(key).or_insert_with_key(|(exit, families)| {
            let mut entries = everything(*exit, families);
            entries.extend_from_slice(table);
            entries.sort_unstable();
            self.split(from, &entries, &Lists::new())
        });
        lists.iter().map(|(next, list)| Some((*next, list.but(&out)?))).collect()
    }

    fn families(&self, of: InterfaceId) -> BTreeSet<Family> {
        self.topology.tunnel_addresses(of).map(|addr| Family::of_addr(&addr)).collect()
    }

    /// The lists of one end from its own table. A list that equals one of `last` shares its memory.
    fn lists(
        &self,
        from: InterfaceId,
        table: &[Entry],
        exit: Option<InterfaceId>,
        last: &Lists,
    ) -> Lists {
        // What the end delivers to itself is never another's: two gateways of one site. Two members
        // with one tunnel address are for the checker to tell; here each keeps its own.
        let tunnel = |id: InterfaceId, net: &IpNet| {
            self.topology.tunnel_addresses(id).any(|addr| host_net(addr) == *net)
        };
        let mine = &self.own[&from];
        let wire = self.wire(from);
        let near = |net: &IpNet| wire.is_some_and(|wire| wire.contains(net));
        let others = table
            .iter()
            .filter(|(net, next)| !mine.contains(net) || tunnel(*next, net))
            .filter(|(net, next)| !near(net) || tunnel(*next, net));
        let mut entries = everything(exit, &self.families(from));
        entries.extend(others.copied());
        entries.sort_unstable();
        self.split(from, &entries, last)
    }

    /// Splits a table in order by neighbour.
    fn split(&self, from: InterfaceId, entries: &[Entry], last: &Lists) -> Lists {
        let mut lists: BTreeMap<InterfaceId, Vec<IpNet>> =
            self.paths.neighbours(from).iter().map(|id| (*id, Vec::new())).collect();
        for (net, next) in without_covered(entries) {
            lists.entry(next).or_default().push(net);
        }
        lists
            .into_iter()
            .map(|(next, mut nets)| {
                nets.sort_unstable();
                let known = [last.get(&next), self.own.get(&next)].into_iter().flatten();
                let same =
                    |known: &&AllowedIps| known.len() == nets.len() && known.iter().eq(nets.iter());
                let known = known.into_iter().find(same).cloned();
                (next, known.unwrap_or_else(|| nets.into()))
            })
            .collect()
    }
}

/// Everything through an exit.
fn everything(exit: Option<InterfaceId>, families: &BTreeSet<Family>) -> Vec<Entry> {
    let all = exit.into_iter();
    all.flat_map(|exit| families.iter().map(move |family| (everything_of(*family), exit))).collect()
}

/// `0.0.0.0/0` or `::/0`.
pub(super) fn everything_of(family: Family) -> IpNet {
    match family {
        Family::V4 => IpNet::V4(ipnet::Ipv4Net::default()),
        Family::V6 => IpNet::V6(ipnet::Ipv6Net::default()),
    }
}

/// The LANs of each site that its own members deliver to, and no member elsewhere.
fn wires(
    topology: &Topology,
    inventory: &Inventory,
    members: &[InterfaceId],
) -> BTreeMap<usize, BTreeSet<IpNet>> {
    let mut places: BTreeMap<IpNet, BTreeSet<Option<usize>>> = BTreeMap::new();
    for node in members.iter().map(|id| topology.node(topology.interface(*id).node)) {
        for lan in &node.subnets {
            places.entry(lan.value.trunc()).or_default().insert(node.site);
        }
    }
    let mut wires: BTreeMap<usize, BTreeSet<IpNet>> = BTreeMap::new();
    for (net, at) in places {
        let mut at = at.into_iter();
        if let (Some(Some(site)), None) = (at.next(), at.next())
            && inventory.sites[site].subnets.iter().any(|lan| covers(&lan.value.trunc(), &net))
        {
            wires.entry(site).or_default().insert(net);
        }
    }
    wires
}

fn own_prefixes(topology: &Topology, id: InterfaceId) -> AllowedIps {
    let node = topology.node(topology.interface(id).node);
    let addresses = topology.tunnel_addresses(id).map(host_net);
    let nets: BTreeSet<IpNet> =
        addresses.chain(node.subnets.iter().map(|subnet| subnet.value.trunc())).collect();
    nets.into_iter().collect()
}

/// Leaves out what changes nothing: a prefix whose closest wider one leads to the same neighbour.
/// Where several lead to one prefix, all of them stay. Entries must be sorted: the order of
/// [`IpNet`] puts a prefix before all that it holds.
fn without_covered(entries: &[Entry]) -> Vec<Entry> {
    let mut kept = Vec::with_capacity(entries.len());
    let mut around: Vec<(IpNet, Option<InterfaceId>)> = Vec::new();
    for same in entries.chunk_by(|a, b| a.0 == b.0) {
        let (net, neighbour) = same[0];
        while around.last().is_some_and(|(wider, _)| !covers(wider, &net)) {
            around.pop();
        }
        let only = (same.len() == 1).then_some(neighbour);
        if only.is_none() || around.last().is_none_or(|(_, way)| *way != only) {
            kept.extend_from_slice(same);
            around.push((net, only));
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn longest(entries: &[Entry], net: &IpNet) -> Option<InterfaceId> {
        let covering = entries.iter().filter(|(wider, _)| covers(wider, net));
        covering.max_by_key(|(wider, _)| wider.prefix_len()).map(|(_, next)| *next)
    }

    proptest! {
        #[test]
        fn leaving_out_changes_no_longest_match(
            raw in proptest::collection::btree_map((0_u8..4, 0_u8..=12), 0_u32..3, 0..20),
            asked in proptest::collection::vec(any::<u16>(), 20),
        ) {
            let net = |bits: u16, len: u8| {
                IpNet::V4(ipnet::Ipv4Net::new((u32::from(bits) << 16).into(), len).unwrap().trunc())
            };
            let nets: BTreeMap<IpNet, InterfaceId> = raw
                .iter()
                .map(|((bits, len), next)| (net(u16::from(*bits) << 5, *len), InterfaceId(*next)))
                .collect();
            let all: Vec<Entry> = nets.into_iter().collect();
            let kept: Vec<Entry> = without_covered(&all);
            for bits in asked.into_iter().chain((0..8).map(|high| high << 4)) {
                let asked = net(bits, 32);
                prop_assert_eq!(longest(&kept, &asked), longest(&all, &asked));
            }
            for index in 0..kept.len() {
                let mut less = kept.clone();
                let (net, next) = less.remove(index);
                prop_assert_ne!(longest(&less, &net), Some(next));
            }
        }
    }
}
