//! Which routes an interface needs, and what `ip` says of those that are there.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::{covers, parse_net};
use crate::tunnel::DeviceSnapshot;

/// The prefixes of all peers, the longest first, each once.
pub(super) fn prefixes(device: &DeviceSnapshot) -> Vec<IpNet> {
    let all: BTreeSet<IpNet> =
        device.peers.iter().flat_map(|peer| peer.allowed_ips.iter().copied()).collect();
    let mut all: Vec<IpNet> = all.into_iter().collect();
    all.sort_by_key(|net| std::cmp::Reverse(net.prefix_len()));
    all
}

/// The prefixes of `ip route show`.
pub(super) fn shown(listed: &str) -> Vec<IpNet> {
    let first = listed.lines().filter_map(|line| line.split_whitespace().next());
    first.filter_map(|word| parse_net(word).ok()).collect()
}

/// Whether one of the routes leads there already: of the same length or shorter.
pub(super) fn is_matched(net: &IpNet, routes: &[IpNet]) -> bool {
    routes.iter().any(|route| covers(route, net))
}

/// The word that follows another, as in `mtu 1420`.
pub(super) fn word_after<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    let mut words = text.split_whitespace();
    words.by_ref().find(|word| *word == key)?;
    words.next()
}

/// The interfaces, or else the MTUs, on the way to what `ip route get` was asked for.
pub(super) fn ways(listed: &str) -> (BTreeSet<&str>, Option<u32>) {
    let mut devices = BTreeSet::new();
    let mut most = None;
    for line in listed.lines() {
        match word_after(line, "mtu").and_then(|word| word.parse::<u32>().ok()) {
            Some(mtu) => most = most.max(Some(mtu)),
            None => devices.extend(word_after(line, "dev")),
        }
    }
    (devices, most)
}

/// The MTU of one of these interfaces that is largest, from what `ip -o link show` printed.
pub(super) fn largest_mtu(links: &str, devices: &BTreeSet<&str>) -> Option<u32> {
    let of_line = |line: &str| {
        let name = line.split_whitespace().nth(1)?.trim_end_matches(':');
        let name = name.split('@').next()?;
        devices.contains(name).then(|| word_after(line, "mtu")?.parse().ok()).flatten()
    };
    links.lines().filter_map(of_line).max()
}

/// The peers' outer addresses.
pub(super) fn endpoints(device: &DeviceSnapshot) -> BTreeSet<IpAddr> {
    device.peers.iter().filter_map(|peer| peer.endpoint.map(|endpoint| endpoint.ip())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_ip_are_understood() {
        let listed = "default via 192.0.2.1 dev eth0\n10.9.0.0/24 proto kernel scope link\n10.1.2.3 scope link\n";
        let nets: Vec<IpNet> =
            ["10.9.0.0/24", "10.1.2.3/32"].map(|net| net.parse().unwrap()).into();
        assert_eq!(shown(listed), nets);
        assert!(is_matched(&"10.9.0.7/32".parse().unwrap(), &nets));
        assert!(!is_matched(&"10.0.0.0/8".parse().unwrap(), &nets));
        let (devices, mtu) = ways(
            "192.0.2.9 dev eth0 src 192.0.2.1 uid 0 \\    cache\n192.0.2.8 dev ppp0 \\    cache mtu 1400\n",
        );
        assert_eq!((devices.iter().copied().collect::<Vec<_>>(), mtu), (vec!["eth0"], Some(1400)));
        let links =
            "2: eth0@if3: <BROADCAST,UP> mtu 1500 qdisc noop\n3: lo: <LOOPBACK> mtu 65536 qdisc\n";
        assert_eq!(largest_mtu(links, &devices), Some(1500));
    }
}
