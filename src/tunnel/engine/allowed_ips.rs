//! Which peer a prefix belongs to: longest match wins, and a prefix has one owner.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use prefix_trie::PrefixMap;

/// A routing table from prefixes to owners.
#[derive(Debug, Clone)]
pub struct AllowedIps<T> {
    v4: PrefixMap<Ipv4Net, T>,
    v6: PrefixMap<Ipv6Net, T>,
}

impl<T> Default for AllowedIps<T> {
    fn default() -> Self {
        Self { v4: PrefixMap::new(), v6: PrefixMap::new() }
    }
}

impl<T> AllowedIps<T> {
    /// Gives a prefix to an owner; returns the one that had it.
    pub fn insert(&mut self, net: IpNet, owner: T) -> Option<T> {
        match net {
            IpNet::V4(net) => self.v4.insert(net.trunc(), owner),
            IpNet::V6(net) => self.v6.insert(net.trunc(), owner),
        }
    }

    /// Takes a prefix away; returns the one that had it.
    pub fn remove(&mut self, net: IpNet) -> Option<T> {
        match net {
            IpNet::V4(net) => self.v4.remove(&net.trunc()),
            IpNet::V6(net) => self.v6.remove(&net.trunc()),
        }
    }

    /// The owner of the longest prefix that holds an address.
    #[must_use]
    pub fn find(&self, address: IpAddr) -> Option<&T> {
        match address {
            IpAddr::V4(address) => self.v4.get_lpm(&address.into()).map(|(_, owner)| owner),
            IpAddr::V6(address) => self.v6.get_lpm(&address.into()).map(|(_, owner)| owner),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::covers;

    /// Few bits, so that prefixes nest and collide.
    fn net() -> impl Strategy<Value = IpNet> {
        let v4 = (0_u32..=0xff, 22_u8..=32).prop_map(|(host, length)| {
            IpNet::new(IpAddr::from((10 << 24 | host).to_be_bytes()), length)
        });
        let v6 = (0_u128..=0xff, 118_u8..=128).prop_map(|(host, length)| {
            IpNet::new(IpAddr::from((0xfd00_u128 << 112 | host).to_be_bytes()), length)
        });
        prop_oneof![v4, v6].prop_map(|net| net.expect("the length fits").trunc())
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_list_that_is_searched(
            steps in proptest::collection::vec((net(), proptest::option::of(0_u8..4)), 0..60),
            probes in proptest::collection::vec(net(), 1..20),
        ) {
            let mut table = AllowedIps::default();
            let mut list: Vec<(IpNet, u8)> = Vec::new();
            for (net, owner) in steps {
                list.retain(|(other, _)| *other != net);
                if let Some(owner) = owner {
                    table.insert(net, owner);
                    list.push((net, owner));
                } else {
                    table.remove(net);
                }
            }
            for probe in probes {
                let address = IpNet::from(probe.addr());
                let want = list.iter().filter(|(net, _)| covers(net, &address));
                let want = want.max_by_key(|(net, _)| net.prefix_len()).map(|(_, owner)| owner);
                prop_assert_eq!(table.find(probe.addr()), want);
            }
        }
    }
}
