//! Differences of small fleets, told in full.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;

use super::*;

fn inventory(spokes: u64) -> Inventory {
    let mut text = "fleet: f\nnetworks: { n: { prefixes: 10.0.0.0/16, links: { hub: h } } }\n\
                    hosts:\n"
        .to_owned();
    let _ = writeln!(text, "  h: {{ endpoint: \"h.example.com:5\", address: 10.0.0.1 }}");
    for index in 1..=spokes {
        let _ = writeln!(
            text,
            "  s{index}: {{ address: 10.0.1.{index}, nat: true, \
             subnets: 172.23.{index}.0/24 }}"
        );
    }
    let parsed = crate::inventory::parse(PathBuf::from("fleet.yaml"), text);
    parsed.inventory.expect("the file is valid")
}

#[test]
fn few_places_are_told_one_by_one_and_many_by_one_of_them() {
    let none = |_: &_, _: &_| -> Vec<IpAddr> { Vec::new() };
    for spokes in [2_u64, 5, 30] {
        let fleet = inventory(spokes);
        let wanted = crate::topology::build(&fleet, &none);
        let mut runs = wanted.clone();
        runs.nodes[0].forwards.v4.value = false;
        let moved = difference(State::new(&fleet, &runs), State::new(&fleet, &wanted));
        assert_eq!(moved.lost, []);
        // Between two spokes: address to address, address to LAN, LAN to address, LAN to LAN.
        let pairs = spokes * (spokes - 1);
        let told: u64 = moved.gained.iter().map(|moved| moved.flows).sum();
        assert_eq!(told, 4 * pairs, "{moved:?}");
        let rows: Vec<u64> = moved.gained.iter().map(|moved| moved.pairs).collect();
        let each = vec![1; usize::try_from(pairs).unwrap()];
        assert_eq!(rows, if spokes == 30 { vec![pairs] } else { each });
        let ends: Vec<_> = moved.gained.iter().map(|one| (&one.from, &one.to)).collect();
        assert!(ends.iter().all(|(from, to)| from != to), "{ends:?}");
    }
}
