//! Gives every member of every network its tunnel addresses, and never another one later.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::finding::{Code, Finding};
use crate::model::{Family, HostName, Located, Location};

use super::{Declared, Inventory, LockFile, Network, Who};

/// A host or unmanaged peer of one network.
struct Member<'i> {
    name: &'i HostName,
    at: Location,
    explicit: &'i [Declared<IpAddr>],
    /// Whether it is an unmanaged peer.
    peer: bool,
}

/// The lock that the inventory asks for, given the one that is there.
///
/// Declared addresses win. A pinned address stays while its network's prefix holds it. What is
/// missing gets the lowest free address, hosts in the order of the file and then unmanaged peers, the same
/// number within the prefixes of both families where it is free. Pins of hosts that no longer exist stay; a
/// prefix without a free address takes the lowest of them.
#[must_use]
pub fn allocate(inventory: &Inventory, lock: &LockFile) -> (LockFile, Vec<Finding>) {
    let lock = &lock.renamed(&inventory.moved);
    let mut members: Vec<Vec<Member<'_>>> = inventory.networks.iter().map(|_| Vec::new()).collect();
    // Who does not count keeps its addresses for the day that it does.
    let away = inventory.absent.iter().filter_map(|one| match &one.who {
        Who::Host(host) => Some(&**host),
        Who::Peer(_) => None,
    });
    for host in inventory.hosts.iter().chain(away) {
        for interface in &host.interfaces {
            members[interface.network].push(Member {
                name: &host.name.value,
                at: host.name.at,
                explicit: interface.addresses(),
                peer: false,
            });
        }
    }
    let away = inventory.absent.iter().filter_map(|one| match &one.who {
        Who::Peer(peer) => Some(&**peer),
        Who::Host(_) => None,
    });
    for peer in inventory.peers.iter().chain(away) {
        members[peer.network].push(Member {
            name: &peer.name.value,
            at: peer.name.at,
            explicit: peer.addresses(),
            peer: true,
        });
    }
    let mut next = lock.clone();
    let mut findings = Vec::new();
    for (network, mut members) in inventory.networks.iter().zip(members) {
        // Those of the file and of its includes stand in the order in which they were read.
        members.sort_by_key(|member| (member.peer, member.at));
        let mut pins: BTreeMap<HostName, Vec<IpAddr>> = BTreeMap::new();
        let mut pools: Vec<Pool<'_>> = network
            .prefixes
            .iter()
            .map(|prefix| Pool::new(network, prefix, &members, lock, &mut pins, &mut findings))
            .collect();
        hand_out(&members, &mut pools, &mut pins);
        for pool in pools {
            pool.finish(&members, &mut pins, &mut findings);
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

/// Gives every member what it lacks.
fn hand_out(
    members: &[Member<'_>],
    pools: &mut [Pool<'_>],
    pins: &mut BTreeMap<HostName, Vec<IpAddr>>,
) {
    // Numbers below this one are taken in one family or another.
    let mut next: u128 = 0;
    for (index, member) in members.iter().enumerate() {
        let lacking: Vec<usize> =
            (0..pools.len()).filter(|pool| pools[*pool].missing.contains(&index)).collect();
        if lacking.is_empty() {
            continue;
        }
        // What the member has in the other family says which number it is.
        let known = pins.get(member.name).and_then(|has| {
            let mut numbers =
                pools.iter().filter_map(|pool| has.iter().find_map(|addr| pool.number_of(*addr)));
            numbers.next()
        });
        let common = known.or_else(|| {
            while !lacking.iter().all(|pool| pools[*pool].is_free(next)) {
                next = next.checked_add(1)?;
                if lacking.iter().any(|pool| next > pools[*pool].most()) {
                    return None;
                }
            }
            Some(next)
        });
        for pool in lacking {
            if let Some(address) = pools[pool].take(common) {
                pins.entry(member.name.clone()).or_default().push(address);
            } else {
                pools[pool].without.push(index);
            }
        }
    }
}

/// One family of one network: what is taken of its prefix.
struct Pool<'i> {
    prefix: &'i Located<IpNet>,
    taken: HashSet<u128>,
    /// Members without an address, by their index.
    missing: HashSet<usize>,
    /// Pins of hosts that are gone, the lowest last.
    gone: Vec<(IpAddr, HostName)>,
    free: Free,
    /// Members that got none.
    without: Vec<usize>,
}

impl<'i> Pool<'i> {
    /// What is declared and pinned.
    fn new(
        network: &'i Network,
        prefix: &'i Located<IpNet>,
        members: &[Member<'_>],
        lock: &LockFile,
        pins: &mut BTreeMap<HostName, Vec<IpAddr>>,
        findings: &mut Vec<Finding>,
    ) -> Self {
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
        // Pins of members first: nobody may take them.
        let mut missing = HashSet::new();
        for (index, member) in members.iter().enumerate() {
            if member.explicit.iter().any(|address| same(&address.value)) {
                continue;
            }
            let pinned = lock
                .address(name, member.name)
                .iter()
                .copied()
                .find(|addr| same(addr) && usable(&prefix.value, *addr));
            let Some(pinned) = pinned else {
                missing.insert(index);
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
        let mut gone: Vec<(IpAddr, HostName)> = lock
            .pins(name)
            .filter(|(host, _)| !present.contains(host))
            .flat_map(|(host, addresses)| addresses.iter().map(move |addr| (*addr, host.clone())))
            .filter(|(addr, _)| same(addr) && usable(&prefix.value, *addr))
            .filter(|(addr, _)| taken.insert(number(*addr)))
            .collect();
        gone.sort_unstable_by(|a, b| b.cmp(a));
        let free = Free::new(&prefix.value);
        Self { prefix, taken, missing, gone, free, without: Vec::new() }
    }

    /// Which number an address has within the prefix.
    fn number_of(&self, addr: IpAddr) -> Option<u128> {
        let holds = self.prefix.value.contains(&addr);
        holds.then(|| number(addr) - number(self.prefix.value.network()))
    }

    /// The largest number.
    fn most(&self) -> u128 {
        number(self.prefix.value.broadcast()) - number(self.prefix.value.network())
    }

    /// The address of a number, where a host can have it and nobody does.
    fn is_free(&self, number: u128) -> bool {
        self.at(number).is_some()
    }

    fn at(&self, of: u128) -> Option<IpAddr> {
        let number = number(self.prefix.value.network()).checked_add(of)?;
        let addr = address(Family::of(&self.prefix.value), number)?;
        let free = usable(&self.prefix.value, addr) && !self.taken.contains(&number);
        free.then_some(addr)
    }

    /// The address of a number where it is free; else the lowest that is, or one of a host that is gone.
    fn take(&mut self, wanted: Option<u128>) -> Option<IpAddr> {
        let addr = wanted
            .and_then(|wanted| self.at(wanted))
            .or_else(|| self.free.next(&self.taken))
            .or_else(|| self.gone.pop().map(|(addr, _)| addr))?;
        self.taken.insert(number(addr));
        Some(addr)
    }

    /// Keeps the pins of hosts that are gone, and tells of members without an address.
    fn finish(
        self,
        members: &[Member<'_>],
        pins: &mut BTreeMap<HostName, Vec<IpAddr>>,
        findings: &mut Vec<Finding>,
    ) {
        for (address, host) in self.gone {
            pins.entry(host).or_default().push(address);
        }
        let Some(first) = self.without.first().map(|index| &members[*index]) else { return };
        let mut finding = Finding::new(
            Code::PrefixExhausted,
            format!("{} has no address left for `{}`", self.prefix.value, first.name),
            self.prefix.at,
        )
        .label(format!("{} members, {} without an address", members.len(), self.without.len()))
        .also(first.at, "needs one")
        .help("make the network larger with a shorter prefix: addresses that are allocated do not change");
        finding.count = u32::try_from(self.without.len()).unwrap_or(u32::MAX);
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

fn address(family: Family, number: u128) -> Option<IpAddr> {
    match family {
        Family::V4 => u32::try_from(number).ok().map(|bits| Ipv4Addr::from_bits(bits).into()),
        Family::V6 => Some(Ipv6Addr::from_bits(number).into()),
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
                return address(self.family, current);
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
                // Whatever is pinned stays, in whichever order the file has it then.
                let (shuffled, _) = allocate(&fleet("10.0.0.0/22, fd00::/64", &hosts), &sorted);
                prop_assert_eq!(sorted.to_text(), shuffled.to_text());
                prop_assert_eq!(&LockFile::parse(&sorted.to_text()).unwrap(), &sorted);
                let mut seen = HashSet::new();
                for (name, _) in &hosts {
                    let addresses = of(&sorted, name);
                    prop_assert_eq!(addresses.len(), 2);
                    prop_assert!(addresses[0].is_ipv4());
                    prop_assert!(addresses.iter().all(|address| seen.insert(*address)));
                    // One number in both families.
                    let low = number(addresses[0]) - number("10.0.0.0".parse().unwrap());
                    prop_assert_eq!(low, number(addresses[1]) - number("fd00::".parse().unwrap()));
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
    fn hosts_come_in_the_order_of_the_file_and_before_peers() {
        let text = "fleet: f
networks: { n: { prefixes: [10.0.0.0/24, \"fd00::/64\"] } }
peers: { aa-phone: { via: gate } }
hosts:
  gate: {}
  mid: { address: 10.0.0.9 }
  attic: {}
";
        let parsed = parse(PathBuf::from("f.yaml"), text.to_owned());
        let (lock, findings) = allocate(&parsed.inventory.unwrap(), &LockFile::default());
        assert!(findings.is_empty());
        for (name, v4, v6) in [
            ("gate", "10.0.0.1", "fd00::1"),
            ("mid", "10.0.0.9", "fd00::9"),
            ("attic", "10.0.0.2", "fd00::2"),
            ("aa-phone", "10.0.0.3", "fd00::3"),
        ] {
            let both: [IpAddr; 2] = [v4.parse().unwrap(), v6.parse().unwrap()];
            assert_eq!(of(&lock, name), both, "{name}");
        }
    }

    #[test]
    fn a_host_with_another_name_keeps_its_address() {
        let fleet = |names: &str, moved: &str| {
            let text = format!(
                "fleet: f\nnetworks: {{ n: {{ prefixes: 10.0.0.0/24 }} }}\nmoved: {moved}\nhosts: {names}\n"
            );
            parse(PathBuf::from("f.yaml"), text)
        };
        let first = fleet("{ x: {}, old: {} }", "{}").inventory.unwrap();
        let (lock, _) = allocate(&first, &LockFile::default());
        for moved in ["{ old: new }", "{ old: mid, mid: new }", "{ old: new, other: x }"] {
            let after = fleet("{ x: {}, new: {}, more: {} }", moved).inventory.unwrap();
            let (next, findings) = allocate(&after, &lock);
            assert!(findings.is_empty(), "{findings:?}");
            assert_eq!(of(&next, "new"), of(&lock, "old"), "{moved}");
            assert!(of(&next, "old").is_empty());
            assert_eq!(allocate(&after, &next).0, next);
        }
        for (moved, title) in [
            ("{ x: new }", "`x` has got another name, and is still there"),
            ("{ old: mew }", "no host or peer is named `mew`"),
            (
                "{ old: new, older: new }",
                "`new` was `old` and `older`: two hosts do not become one",
            ),
            ("{ old: b, b: old }", "no host or peer is named `b`"),
        ] {
            let findings = fleet("{ x: {}, new: {} }", moved).findings;
            assert!(findings.iter().any(|finding| finding.title == title), "{moved}: {findings:?}");
        }
    }

    #[test]
    fn a_full_prefix_takes_the_pins_of_hosts_that_are_gone() {
        let hosts = |names: &[&str]| -> Vec<_> {
            names.iter().map(|name| ((*name).to_owned(), None)).collect()
        };
        let (lock, _) = allocate(&fleet("10.0.0.0/30", &hosts(&["a"])), &LockFile::default());
        assert_eq!(of(&lock, "a"), ["10.0.0.2".parse::<IpAddr>().unwrap()]);
        let (lock, findings) = allocate(&fleet("10.0.0.0/30", &hosts(&["b"])), &lock);
        assert_eq!(of(&lock, "b"), ["10.0.0.2".parse::<IpAddr>().unwrap()]);
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
