//! Addresses, the prefixes of networks, and LANs: read out of addresses and `AllowedIPs`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::fabric::Fabric;
use crate::model::{Family, covers, host_net};

/// A prefix that nobody tells is no longer than this: there is room for others.
const ROOM_V4: u8 = 24;
const ROOM_V6: u8 = 64;

/// What addresses mean.
#[derive(Debug, Default)]
pub(super) struct Lans {
    /// Tunnel addresses of each end.
    pub(super) addresses: Vec<Vec<IpAddr>>,
    /// Ends whose addresses nobody told.
    pub(super) unknown: BTreeSet<usize>,
    /// The prefixes of each network.
    pub(super) prefixes: Vec<Vec<IpNet>>,
    /// The LANs behind each end.
    pub(super) subnets: Vec<BTreeSet<IpNet>>,
    /// The end that an end sends everything through.
    pub(super) full_tunnels: BTreeMap<usize, usize>,
}

impl Lans {
    pub(super) fn of(fabric: &Fabric<'_>) -> Self {
        let count = fabric.ends.len();
        let mut lans = Self {
            addresses: vec![Vec::new(); count],
            subnets: vec![BTreeSet::new(); count],
            ..Self::default()
        };
        for end in 0..count {
            let own = fabric.interface(end).and_then(|one| one.addresses.as_ref());
            if let Some(own) = own {
                lans.addresses[end] = one_of_each_family(own.iter().map(IpNet::addr));
            }
        }
        lans.prefixes =
            (0..fabric.networks).map(|network| Self::prefixes_of(fabric, network)).collect();
        for end in 0..count {
            if lans.addresses[end].is_empty() {
                lans.infer_address(fabric, end);
            }
        }
        for end in 0..count {
            lans.infer_subnets(fabric, end);
        }
        lans
    }

    /// The prefixes of a network, from the addresses of its members; where these are single addresses,
    /// from what their peers lead to.
    fn prefixes_of(fabric: &Fabric<'_>, network: usize) -> Vec<IpNet> {
        let members: Vec<usize> = fabric.members(network).collect();
        let mut prefixes = Vec::new();
        for family in [Family::V4, Family::V6] {
            let is_of = |net: &IpNet| Family::of(net) == family;
            let own = members.iter().filter_map(|end| fabric.interface(*end)?.addresses.as_ref());
            let own: Vec<IpNet> = own.flatten().copied().filter(is_of).collect();
            let named = members.iter().flat_map(|end| fabric.told_of(*end).collect::<Vec<_>>());
            let named: Vec<IpNet> = named
                .flat_map(|(_, peer)| peer.allowed_ips.iter().copied())
                .filter(is_of)
                .collect();
            let single = |net: &&IpNet| net.prefix_len() == net.max_prefix_len();
            let mut addresses: Vec<IpAddr> = own.iter().map(IpNet::addr).collect();
            if addresses.is_empty() {
                addresses.extend(named.iter().filter(single).map(IpNet::addr));
            }
            if addresses.is_empty() {
                continue;
            }
            let holds = |net: &IpNet| addresses.iter().all(|addr| net.contains(addr));
            let of_links = own.iter().filter(|net| !single(net)).map(IpNet::trunc);
            let mut votes: BTreeMap<IpNet, usize> = BTreeMap::new();
            for net in of_links {
                *votes.entry(net).or_default() += 1;
            }
            let elected =
                votes.iter().max_by_key(|(net, count)| (holds(net), **count)).map(|(net, _)| *net);
            let led = named.iter().filter(|net| !single(net) && net.prefix_len() > 7 && holds(net));
            let led = led.max_by_key(|net| net.prefix_len()).copied();
            let around = smallest(&addresses, family);
            prefixes.push(match elected {
                Some(net) if holds(&net) => net,
                Some(_) => around,
                None => led.unwrap_or(around),
            });
        }
        prefixes
    }

    fn infer_address(&mut self, fabric: &Fabric<'_>, end: usize) {
        let prefixes = &self.prefixes[fabric.ends[end].network];
        let told = fabric.told_of(end).flat_map(|(_, peer)| peer.allowed_ips.iter());
        let single = told.filter(|net| net.prefix_len() == net.max_prefix_len());
        let within = single.filter(|net| prefixes.iter().any(|prefix| covers(prefix, net)));
        self.addresses[end] = one_of_each_family(within.map(IpNet::addr));
        if self.addresses[end].is_empty() {
            self.unknown.insert(end);
        }
    }

    /// The end that has an address in a network.
    fn holder(&self, fabric: &Fabric<'_>, network: usize, net: &IpNet) -> Option<usize> {
        fabric
            .members(network)
            .find(|end| self.addresses[*end].iter().any(|addr| host_net(*addr) == *net))
    }

    fn infer_subnets(&mut self, fabric: &Fabric<'_>, end: usize) {
        let network = fabric.ends[end].network;
        let mut subnets = BTreeSet::new();
        let mut everything = Vec::new();
        for (from, peer) in fabric.told_of(end) {
            for net in &peer.allowed_ips {
                if net.prefix_len() == 0 {
                    everything.push(from);
                    continue;
                }
                let of_network = self.prefixes[network]
                    .iter()
                    .any(|prefix| covers(net, prefix) || covers(prefix, net));
                let further = fabric.ends[end].linked.iter().any(|next| {
                    let told = fabric.told(end, *next).filter(|_| *next != from);
                    told.is_some_and(|told| {
                        told.allowed_ips
                            .iter()
                            .any(|behind| behind.prefix_len() > 0 && covers(net, behind))
                    })
                });
                // Halves of everything are a full tunnel by another name.
                if !of_network
                    && !further
                    && net.prefix_len() > 1
                    && self.holder(fabric, network, net).is_none()
                {
                    subnets.insert(*net);
                }
            }
        }
        self.subnets[end] = subnets;
        for from in everything {
            self.full_tunnels.entry(from).or_insert(end);
        }
    }
}

fn one_of_each_family(addresses: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let mut all: Vec<IpAddr> = Vec::new();
    for addr in addresses {
        if all.iter().all(|known| known.is_ipv4() != addr.is_ipv4()) {
            all.push(addr);
        }
    }
    all.sort_by_key(IpAddr::is_ipv6);
    all
}

/// The smallest prefix that holds all addresses, and has room for more.
fn smallest(addresses: &[IpAddr], family: Family) -> IpNet {
    let bits: Vec<u128> = addresses
        .iter()
        .map(|addr| match addr {
            IpAddr::V4(addr) => u128::from(u32::from(*addr)) << 96,
            IpAddr::V6(addr) => u128::from(*addr),
        })
        .collect();
    let first = bits.first().copied().unwrap_or_default();
    let common = bits.iter().map(|bits| (bits ^ first).leading_zeros()).min().unwrap_or_default();
    let common = u8::try_from(common).unwrap_or(128);
    match family {
        Family::V4 => {
            let addr = std::net::Ipv4Addr::from(u32::try_from(first >> 96).unwrap_or_default());
            IpNet::V4(Ipv4Net::new_assert(addr, common.min(ROOM_V4)).trunc())
        }
        Family::V6 => IpNet::V6(Ipv6Net::new_assert(first.into(), common.min(ROOM_V6)).trunc()),
    }
}
