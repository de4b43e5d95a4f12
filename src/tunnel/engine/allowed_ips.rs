//! Which peer a prefix belongs to: longest match wins, and a prefix has one owner.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::net::IpAddr;
use std::ops::BitAnd;

use ipnet::IpNet;

/// A routing table from prefixes to owners.
///
/// One hash table for each length of prefix that occurs, the longest first: a fleet has two or
/// three lengths in each family, so that a look-up is two or three probes, however many peers there
/// are. It never is more than 33 for IPv4 and 129 for IPv6.
#[derive(Debug, Clone)]
pub struct AllowedIps<T> {
    v4: Family<u32, T>,
    v6: Family<u128, T>,
}

impl<T> Default for AllowedIps<T> {
    fn default() -> Self {
        Self { v4: Family(Vec::new()), v6: Family(Vec::new()) }
    }
}

impl<T> AllowedIps<T> {
    /// Gives a prefix to an owner; returns the one that had it.
    pub fn insert(&mut self, net: IpNet, owner: T) -> Option<T> {
        match net {
            IpNet::V4(net) => {
                self.v4.insert(net.network().to_bits(), net.netmask().to_bits(), owner)
            }
            IpNet::V6(net) => {
                self.v6.insert(net.network().to_bits(), net.netmask().to_bits(), owner)
            }
        }
    }

    /// Takes a prefix away; returns the one that had it.
    pub fn remove(&mut self, net: IpNet) -> Option<T> {
        match net {
            IpNet::V4(net) => self.v4.remove(net.network().to_bits(), net.netmask().to_bits()),
            IpNet::V6(net) => self.v6.remove(net.network().to_bits(), net.netmask().to_bits()),
        }
    }

    /// The owner of the longest prefix that holds an address.
    #[must_use]
    pub fn find(&self, address: IpAddr) -> Option<&T> {
        match address {
            IpAddr::V4(address) => self.v4.find(address.to_bits()),
            IpAddr::V6(address) => self.v6.find(address.to_bits()),
        }
    }
}

/// The prefixes of one length.
#[derive(Debug, Clone)]
struct Length<A, T> {
    mask: A,
    owners: HashMap<A, T, BuildHasherDefault<Mix>>,
}

/// The lengths that occur, the longest first: the longer a prefix, the larger its mask.
#[derive(Debug, Clone)]
struct Family<A, T>(Vec<Length<A, T>>);

impl<A: Copy + Ord + Hash + BitAnd<Output = A>, T> Family<A, T> {
    fn place(&self, mask: A) -> Result<usize, usize> {
        self.0.binary_search_by(|length| mask.cmp(&length.mask))
    }

    fn insert(&mut self, network: A, mask: A, owner: T) -> Option<T> {
        let place = self.place(mask).unwrap_or_else(|place| {
            self.0.insert(place, Length { mask, owners: HashMap::default() });
            place
        });
        self.0[place].owners.insert(network, owner)
    }

    fn remove(&mut self, network: A, mask: A) -> Option<T> {
        let place = self.place(mask).ok()?;
        let owners = &mut self.0[place].owners;
        let owner = owners.remove(&network);
        if owners.is_empty() {
            self.0.remove(place);
        } else if owners.len() < owners.capacity() / 8 {
            owners.shrink_to_fit();
        }
        owner
    }

    fn find(&self, address: A) -> Option<&T> {
        self.0.iter().find_map(|length| length.owners.get(&(address & length.mask)))
    }
}

/// A hash of a few nanoseconds. The keys are the operator's prefixes, which nobody chooses in order
/// to make them collide.
#[derive(Debug, Default)]
struct Mix(u64);

impl Hasher for Mix {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(u64::from(word));
    }

    /// The two halves of a product by the golden ratio: each bit of the word reaches every bit.
    fn write_u64(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * 0x9e37_79b9_7f4a_7c15;
        #[expect(clippy::cast_possible_truncation, reason = "the halves of it")]
        let halves = (product as u64, (product >> 64) as u64);
        self.0 = halves.0 ^ halves.1;
    }

    fn write_u128(&mut self, word: u128) {
        #[expect(clippy::cast_possible_truncation, reason = "the halves of it")]
        let halves = (word as u64, (word >> 64) as u64);
        self.write_u64(halves.0);
        self.write_u64(halves.1);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::covers;

    /// Few bits, so that prefixes nest and collide.
    fn net() -> impl Strategy<Value = IpNet> {
        let v4 = (0_u32..=0xff, prop_oneof![0_u8..=32, 22_u8..=32]).prop_map(|(host, length)| {
            IpNet::new(IpAddr::from((10 << 24 | host).to_be_bytes()), length)
        });
        let v6 =
            (0_u128..=0xff, prop_oneof![0_u8..=128, 118_u8..=128]).prop_map(|(host, length)| {
                IpNet::new(IpAddr::from((0xfd00_u128 << 112 | host).to_be_bytes()), length)
            });
        prop_oneof![v4, v6].prop_map(|net| net.expect("the length fits").trunc())
    }

    #[test]
    fn a_length_that_is_gone_costs_nothing() {
        let mut table = AllowedIps::default();
        let net = |text: &str| text.parse::<IpNet>().expect("a prefix");
        for text in ["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "::/0", "fd00::/8"] {
            assert_eq!(table.insert(net(text), text), None);
        }
        assert_eq!(table.insert(net("10.0.0.0/8"), "again"), Some("10.0.0.0/8"));
        assert_eq!(table.find("10.1.2.3".parse().expect("an address")), Some(&"10.1.0.0/16"));
        assert_eq!(table.remove(net("10.1.0.0/16")), Some("10.1.0.0/16"));
        assert_eq!(table.remove(net("10.1.0.0/16")), None);
        assert_eq!(table.find("10.1.2.3".parse().expect("an address")), Some(&"again"));
        assert_eq!((table.v4.0.len(), table.v6.0.len()), (2, 2));
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
