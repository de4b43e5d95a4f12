//! Classes of addresses beside every single address.

use super::*;
use proptest::prelude::*;

fn net(addr: u8, length: u8) -> IpNet {
    IpNet::V4(ipnet::Ipv4Net::new(u32::from(addr).into(), 24 + length).unwrap().trunc())
}

proptest! {
    /// Over all 256 addresses of a universe: a class is there where an address is, and its
    /// address is in the very prefixes that the class has.
    #[test]
    fn classes_hold_every_address(
        raw in proptest::collection::vec((any::<u8>(), 0_u8..=8), 0..12)
    ) {
        let within = net(0, 0);
        let mut nets: Vec<IpNet> = raw.iter().map(|(addr, length)| net(*addr, *length)).collect();
        nets.push(within);
        nets.sort_unstable();
        nets.dedup();
        let topology = Topology::default();
        let trie = nets.iter().copied().zip(0..).collect();
        let tables = Tables {
            topology: &topology, running: None, trie, entries: chained(&nets), lists: vec![], global_v6: None, private: vec![], down: HashSet::new(),
        };
        let of = |addr: IpAddr| -> Vec<IpNet> {
            nets.iter().filter(|net| net.contains(&addr)).copied().collect()
        };
        let mut wanted: Vec<Vec<IpNet>> =
            (0..=255_u32).map(|addr| of(IpAddr::V4(addr.into()))).collect();
        wanted.sort();
        wanted.dedup();
        let mut found: Vec<Vec<IpNet>> =
            tables.classes(within).iter().map(|class| of(class.addr)).collect();
        found.sort();
        prop_assert_eq!(found, wanted);
    }
}
