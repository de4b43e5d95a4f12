//! Addresses that a lab hands out.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Hands out the addresses of a prefix in order, without those that are spoken for.
#[derive(Debug)]
pub(super) struct Pool {
    net: IpNet,
    next: u128,
}

impl Pool {
    /// A pool that begins `skip` addresses into `net`.
    pub(super) const fn new(net: IpNet, skip: u128) -> Self {
        Self { net, next: skip }
    }

    /// The next address that is not in `taken`, which it joins; `None` once the prefix is used up.
    pub(super) fn take(&mut self, taken: &mut HashSet<IpAddr>) -> Option<IpAddr> {
        loop {
            let addr = nth(&self.net, self.next)?;
            self.next += 1;
            if taken.insert(addr) {
                return Some(addr);
            }
        }
    }
}

/// The address `n` after the network address of `net`, while it is a host's.
///
/// The network and the broadcast address of IPv4, and the subnet-router anycast address of IPv6,
/// are nobody's, but in prefixes of one or two addresses (RFC 3021, RFC 6164).
pub(super) fn nth(net: &IpNet, n: u128) -> Option<IpAddr> {
    let host_bits = u32::from(net.max_prefix_len() - net.prefix_len());
    let size = 1_u128.checked_shl(host_bits).unwrap_or(u128::MAX);
    let last = match net {
        IpNet::V4(_) if host_bits > 1 => size - 1,
        _ => size,
    };
    if n >= last || (n == 0 && host_bits > 1) {
        return None;
    }
    Some(match net {
        IpNet::V4(net) => {
            let offset = u32::try_from(n).ok()?;
            IpAddr::V4(Ipv4Addr::from_bits(net.network().to_bits().checked_add(offset)?))
        }
        IpNet::V6(net) => IpAddr::V6(Ipv6Addr::from_bits(net.network().to_bits().checked_add(n)?)),
    })
}

/// The first host address of `net` at or after `n` that is not in `taken`, which it joins; failing
/// that, the first one from the start.
pub(super) fn take_near(net: &IpNet, n: u128, taken: &mut HashSet<IpAddr>) -> Option<IpAddr> {
    let host_bits = u32::from(net.max_prefix_len() - net.prefix_len());
    let size = 1_u128.checked_shl(host_bits).unwrap_or(u128::MAX).min(1 << 16);
    let order = (n..size).chain(0..n.min(size));
    order.filter_map(|n| nth(net, n)).find(|addr| taken.insert(*addr))
}

/// Whether two prefixes share an address.
pub(super) fn overlap(a: &IpNet, b: &IpNet) -> bool {
    crate::model::covers(a, b) || crate::model::covers(b, a)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    #[test]
    fn small_prefixes_have_the_hosts_that_the_rfcs_say() {
        let all = |text| (0..9).filter_map(|n| nth(&net(text), n)).count();
        assert_eq!(all("192.0.2.0/32"), 1);
        assert_eq!(all("192.0.2.0/31"), 2);
        assert_eq!(all("192.0.2.0/30"), 2);
        assert_eq!(all("192.0.2.0/29"), 6);
        assert_eq!(all("2001:db8::/128"), 1);
        assert_eq!(all("2001:db8::/127"), 2);
        assert_eq!(all("2001:db8::/126"), 3);
        assert_eq!(nth(&net("::/0"), 1), Some("::1".parse().unwrap()));
    }

    #[test]
    fn addresses_that_are_spoken_for_are_passed_over() {
        let mut taken = HashSet::from(["192.0.2.1".parse().unwrap()]);
        let mut pool = Pool::new(net("192.0.2.0/30"), 1);
        assert_eq!(pool.take(&mut taken), Some("192.0.2.2".parse().unwrap()));
        assert_eq!(pool.take(&mut taken), None);
    }

    #[test]
    fn a_wish_beyond_the_prefix_takes_what_is_left() {
        let mut taken = HashSet::new();
        let take = |taken: &mut _, n| take_near(&net("192.0.2.0/29"), n, taken);
        assert_eq!(take(&mut taken, 1), Some("192.0.2.1".parse().unwrap()));
        assert_eq!(take(&mut taken, 100), Some("192.0.2.2".parse().unwrap()));
    }
}
