//! Gives every member of every network its tunnel addresses, and never another one later.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::finding::{Code, Finding};
use crate::model::{Family, HostName, Located, Location};

use super::{Declared, Inventory, LockFile, Network};

/// A host or unmanaged peer of one network.
struct Member<'i> {
    name: &'i HostName,
    at: Location,
    explicit: &'i [Declared<IpAddr>],
}

/// The lock that the inventory asks for, given the one that is there.
///
/// Declared addresses win. A pinned address stays while its network's prefix holds it. What is
/// missing gets the lowest free address, hosts in order of their names, so that the order of the
/// file says nothing. Pins of hosts that no longer exist stay; a prefix without a free address
/// takes the lowest of them.
#[must_use]
pub fn allocate(inventory: &Inventory, lock: &LockFile) -> (LockFile, Vec<Finding>) {
    let mut members: Vec<Vec<Member<'_>>> = inventory.networks.iter().map(|_| Vec::new()).collect();
    for host in &inventory.hosts {
        for interface in &host.interfaces {
            members[interface.network].push(Member {
                name: &host.name.value,
                at: host.name.at,
                explicit: interface.addresses(),
            });
        }
    }
    for peer in &inventory.peers {
        members[peer.network].push(Member {
            name: &peer.name.value,
            at: peer.name.at,
            explicit: peer.addresses(),
        });
    }
    let mut next = lock.clone();
    let mut findings = Vec::new();
    for (network, mut members) in inventory.networks.iter().zip(members) {
        members.sort_by(|a, b| a.name.cmp(b.name));
        let mut pins: BTreeMap<HostName, Vec<IpAddr>> = BTreeMap::new();
        for prefix in &network.prefixes {
            pin(network, prefix, &members, lock, &mut pins, &mut findings);
        }
        for member in &members {
            // A declared address of a family without a prefix is kept too; the checker judges it.
            for address in member.explicit {
                let family = Family::of_addr(&address.value);
                if network.prefixes.iter().all(|prefix| Family::of(&prefix.value) != family) {
                    pins.entry(member.name.clone()).or_default().push(address.value);
                }
            }
        }
        for addresses in pins.values_mut() {
            addresses.sort_unstable();
        }
        next.set(&network.name.value, pins);
    }
    (next, findings)
}

/// One family of one network.
fn pin(
    network: &Network,
    prefix: &Located<IpNet>,
    members: &[Member<'_>],
    lock: &LockFile,
    pins: &mut BTreeMap<HostName, Vec<IpAddr>>,
    findings: &mut Vec<Finding>,
) {
    let family = Family::of(&prefix.value);
    let same = |addr: &IpAddr| Family::of_addr(addr) == family;
    let name = &network.name.value;
    let mut taken: HashSet<u128> = HashSet::new();
    let mut declared: HashMap<u128, &Declared<IpAddr>> = HashMap::new();
    for member in members {
        for address in member.explicit.iter().filter(|address| same(&address.value)) {
            taken.insert(number(address.value));
            // Two hosts that declare one address are the checker's to report.
            declared.entry(number(address.value)).or_insert(address);
            pins.entry(member.name.clone()).or_default().push(address.value);
        }
    }
    let present: HashSet<&HostName> = members.iter().map(|member| member.name).collect();
    let waiting: Vec<&Member<'_>> = members
        .iter()
        .filter(|member| !member.explicit.iter().any(|address| same(&address.value)))
        .collect();
    // Pins of members first: nobody may take them.
    let mut missing: Vec<&Member<'_>> = Vec::new();
    for member in waiting {
        let pinned = lock
            .address(name, member.name)
            .iter()
            .copied()
            .find(|addr| same(addr) && usable(&prefix.value, *addr));
        let Some(pinned) = pinned else {
            missing.push(member);
            continue;
        };
        if let Some(declared) = declared.get(&number(pinned)) {
            findings.push(
                Finding::new(
                    Code::DuplicateAddress,
                    format!("{pinned} is already pinned to `{}`", member.name),
                    declared.at,
                )
                .label("declared here")
                .also(member.at, "this one has it in fleet.lock")
                .help(format!(
                    "declare another address here, or give `{}` one of its own with `address:`",
                    member.name
                )),
            );
        }
        taken.insert(number(pinned));
        pins.entry(member.name.clone()).or_default().push(pinned);
    }
    // Then those of hosts that are gone, for the day that they come back.
    let mut gone: Vec<(IpAddr, &HostName)> = lock
        .pins(name)
        .filter(|(host, _)| !present.contains(host))
        .flat_map(|(host, addresses)| addresses.iter().map(move |addr| (*addr, host)))
        .filter(|(addr, _)| same(addr) && usable(&prefix.value, *addr))
        .filter(|(addr, _)| taken.insert(number(*addr)))
        .collect();
    gone.sort_unstable_by(|a, b| b.cmp(a));
    let mut free = Free::new(&prefix.value);
    let mut without: Vec<&Member<'_>> = Vec::new();
    for member in missing {
        let address = free.next(&taken).or_else(|| gone.pop().map(|(addr, _)| addr));
        match address {
            Some(address) => {
                taken.insert(number(address));
                pins.entry(member.name.clone()).or_default().push(address);
            }
            None => without.push(member),
        }
    }
    for (address, host) in gone {
        pins.entry(host.clone()).or_default().push(address);
    }
    if let Some(first) = without.first() {
        let mut finding = Finding::new(
            Code::PrefixExhausted,
            format!("{} has no address left for `{}`", prefix.value, first.name),
            prefix.at,
        )
        .label(format!("{} members, {} without an address", members.len(), without.len()))
        .also(first.at, "needs one")
        .help("make the network larger with a shorter prefix: addresses that are allocated do not change");
        finding.count = u32::try_from(without.len()).unwrap_or(u32::MAX);
        findings.push(finding);
    }
}

/// Whether a host of a prefix can have this address: within it, and neither IPv4's network or
/// broadcast address (RFC 3021 lifts that for /31) nor IPv6's subnet-router anycast address
/// (RFC 4291, section 2.6.1; RFC 6164 lifts that for /127).
#[must_use]
pub fn usable(prefix: &IpNet, address: IpAddr) -> bool {
    match (prefix, address) {
        (IpNet::V4(net), IpAddr::V4(addr)) => {
            net.contains(&addr)
                && (net.prefix_len() >= 31 || (addr != net.network() && addr != net.broadcast()))
        }
        (IpNet::V6(net), IpAddr::V6(addr)) => {
            net.contains(&addr) && (net.prefix_len() >= 127 || addr != net.network())
        }
        _ => false,
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(addr) => u128::from(addr.to_bits()),
        IpAddr::V6(addr) => addr.to_bits(),
    }
}

/// The addresses of a prefix that a host can have, from the lowest.
struct Free {
    family: Family,
    next: u128,
    last: u128,
    done: bool,
}

impl Free {
    fn new(prefix: &IpNet) -> Self {
        let (first, last) = (number(prefix.network()), number(prefix.broadcast()));
        let edges = u128::from(!usable(prefix, prefix.network()));
        let end = u128::from(!usable(prefix, prefix.broadcast()));
        Self { family: Family::of(prefix), next: first + edges, last: last - end, done: false }
    }

    /// The lowest one that is not taken; each address is looked at once.
    fn next(&mut self, taken: &HashSet<u128>) -> Option<IpAddr> {
        while !self.done && self.next <= self.last {
            let current = self.next;
            match self.next.checked_add(1) {
                Some(next) => self.next = next,
                None => self.done = true,
            }
            if !taken.contains(&current) {
                return match self.family {
                    Family::V4 => {
                        u32::try_from(current).ok().map(|b| Ipv4Addr::from_bits(b).into())
                    }
                    Family::V6 => Some(Ipv6Addr::from_bits(current).into()),
                };
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Write as _;
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::*;
    use crate::inventory::parse;

    /// A fleet of these hosts; some declare an address.
    fn fleet(prefixes: &str, hosts: &[(String, Option<String>)]) -> Inventory {
        let mut text =
            format!("fleet: f\nnetworks:\n  n: {{prefixes: [{prefixes}]}}\nhosts:\n  zz: {{}}\n");
        for (name, address) in hosts {
            let address = address.as_ref().map(|a| format!("address: {a}")).unwrap_or_default();
            writeln!(text, "  {name}: {{{address}}}").unwrap();
        }
        let parsed = parse(PathBuf::from("f.yaml"), text);
        parsed.inventory.unwrap_or_else(|| panic!("{:?}", parsed.findings))
    }

    fn of(lock: &LockFile, host: &str) -> Vec<IpAddr> {
        lock.address(&"n".parse().unwrap(), &host.parse().unwrap()).to_vec()
    }

    fn names() -> impl Strategy<Value = BTreeSet<String>> {
        prop::collection::btree_set("[a-y][a-z0-9]{0,3}", 0..40)
    }

    proptest! {
        #[test]
        fn a_fleet_that_grows_and_shrinks_never_renumbers_anybody(
            steps in prop::collection::vec(names(), 1..5), shuffle: u64,
        ) {
            let mut lock = LockFile::default();
            let mut known: HashMap<String, Vec<IpAddr>> = HashMap::new();
            for step in steps {
                let mut hosts: Vec<_> = step.into_iter().map(|name| (name, None)).collect();
                let (sorted, findings) = allocate(&fleet("10.0.0.0/22, fd00::/64", &hosts), &lock);
                prop_assert!(findings.is_empty());
                hosts.sort_by_key(|(name, _)| name.bytes().fold(shuffle, |h, b| {
                    (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
                }));
                let (shuffled, _) = allocate(&fleet("10.0.0.0/22, fd00::/64", &hosts), &lock);
                prop_assert_eq!(sorted.to_text(), shuffled.to_text());
                prop_assert_eq!(&LockFile::parse(&sorted.to_text()).unwrap(), &sorted);
                let mut seen = HashSet::new();
                for (name, _) in &hosts {
                    let addresses = of(&sorted, name);
                    prop_assert_eq!(addresses.len(), 2);
                    prop_assert!(addresses[0].is_ipv4());
                    prop_assert!(addresses.iter().all(|address| seen.insert(*address)));
                    let before = known.entry(name.clone()).or_insert_with(|| addresses.clone());
                    prop_assert_eq!(&*before, &addresses);
                }
                let (again, _) = allocate(&fleet("10.0.0.0/22, fd00::/64", &hosts), &sorted);
                prop_assert_eq!(&again, &sorted);
                lock = sorted;
            }
        }

        #[test]
        fn declared_and_unusable_addresses_are_never_allocated(
            names in names(), declared in 1_u8..64, length in 26_u8..=29,
        ) {
            let prefix: IpNet = format!("10.0.0.0/{length}").parse().unwrap();
            let declared = IpAddr::from([10, 0, 0, declared]);
            prop_assume!(usable(&prefix, declared));
            let hosts: Vec<_> = names.into_iter().enumerate()
                .map(|(i, name)| (name, (i == 0).then(|| declared.to_string()))).collect();
            let (lock, findings) = allocate(&fleet(&prefix.to_string(), &hosts), &LockFile::default());
            let mut seen = HashSet::new();
            let mut without = 0;
            for name in hosts.iter().map(|(name, _)| name.as_str()).chain(["zz"]) {
                match of(&lock, name)[..] {
                    [address] => {
                        prop_assert!(usable(&prefix, address) && seen.insert(address));
                    }
                    _ => without += 1,
                }
            }
            prop_assert_eq!(without > 0, !findings.is_empty());
            let room = (1_usize << (32 - length)) - 2;
            prop_assert_eq!(without, (hosts.len() + 1).saturating_sub(room));
        }
    }

    #[test]
    fn a_full_prefix_takes_the_pins_of_hosts_that_are_gone() {
        let hosts = |names: &[&str]| -> Vec<_> {
            names.iter().map(|name| ((*name).to_owned(), None)).collect()
        };
        let (lock, _) = allocate(&fleet("10.0.0.0/30", &hosts(&["a"])), &LockFile::default());
        assert_eq!(of(&lock, "a"), ["10.0.0.1".parse::<IpAddr>().unwrap()]);
        let (lock, findings) = allocate(&fleet("10.0.0.0/30", &hosts(&["b"])), &lock);
        assert_eq!(of(&lock, "b"), ["10.0.0.1".parse::<IpAddr>().unwrap()]);
        assert!(findings.is_empty() && of(&lock, "a").is_empty());
        let (_, findings) = allocate(&fleet("10.0.0.0/30", &hosts(&["b", "c"])), &lock);
        assert_eq!(findings[0].title, "10.0.0.0/30 has no address left for `c`");
    }

    #[test]
    fn a_declared_address_that_another_host_has_is_a_finding() {
        let (lock, _) = allocate(&fleet("10.0.0.0/24", &[]), &LockFile::default());
        let hosts = [("a".to_owned(), Some("10.0.0.1".to_owned()))];
        let (_, findings) = allocate(&fleet("10.0.0.0/24", &hosts), &lock);
        assert_eq!(findings[0].title, "10.0.0.1 is already pinned to `zz`");
    }
}
