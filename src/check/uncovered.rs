//! An address of a prefix that none of the prefixes within it has.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::{Family, covers};

/// The address as a number, and back.
fn number(addr: IpAddr) -> u128 {
    match addr {
        IpAddr::V4(addr) => u128::from(u32::from(addr)),
        IpAddr::V6(addr) => u128::from(addr),
    }
}

fn address(family: Family, number: u128) -> Option<IpAddr> {
    match family {
        Family::V4 => u32::try_from(number).ok().map(|number| IpAddr::V4(number.into())),
        Family::V6 => Some(IpAddr::V6(number.into())),
    }
}

/// The smallest address of `net` that none of `inner` holds, one that a host can have where there
/// is any; `inner` is in order, and begins with what `net` holds.
pub(super) fn uncovered(net: &IpNet, inner: &[IpNet]) -> Option<IpAddr> {
    let family = Family::of(net);
    let (low, high) = (number(net.network()), number(net.broadcast()));
    // Neither the network's own address nor, in IPv4, one that looks like it.
    let plain = |at: u128| {
        let looks = family == Family::V6 || at & 0xff != 0;
        net.prefix_len() + 1 >= net.max_prefix_len() || (at != low && at != high && looks)
    };
    let mut spare: Option<u128> = None;
    let mut at = low;
    let mut inner = inner.iter().take_while(|other| covers(net, other));
    loop {
        let taken = inner.next();
        let end = taken.map_or(high.saturating_add(1), |other| number(other.network()));
        // The gap from `at` up to `end`: its first address, or the one after the network's.
        for candidate in [at, at.saturating_add(1)] {
            if candidate < end && candidate <= high {
                if plain(candidate) {
                    return address(family, candidate);
                }
                spare.get_or_insert(candidate);
            }
        }
        let Some(other) = taken else { break };
        let past = number(other.broadcast());
        if past >= high {
            break;
        }
        at = at.max(past + 1);
    }
    spare.and_then(|at| address(family, at))
}
