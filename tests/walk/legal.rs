//! Shapes that are legal: the proof of every flow finds nothing wrong with them.

use std::net::IpAddr;
use std::path::PathBuf;

use wgfleet::check;
use wgfleet::inventory;
use wgfleet::topology;

/// A legal inventory: what it is, its text, and how many implied flows may fail (phones that sleep,
/// routes of the operator's own).
const LEGAL: &[(&str, &str, u64)] = &[
    (
        "nested prefixes across peers",
        "networks: { n: { prefixes: 10.9.0.0/24 } }
hosts:
  wide: { address: 10.9.0.1, endpoint: \"192.0.2.1:1\", subnets: 10.50.0.0/16 }
  narrow: { address: 10.9.0.2, endpoint: \"192.0.2.2:1\" }
  other: { address: 10.9.0.3, nat: true, subnets: 10.60.0.0/24 }
",
        0,
    ),
    (
        "a full tunnel beside an office prefix",
        "networks: { n: { prefixes: 10.9.0.0/24, links: { hub: office } } }
sites:
  office:
    subnets: 192.168.5.0/24
    hosts: { office-gw: { address: 10.9.0.1, endpoint: \"192.0.2.1:1\", gateway: true } }
hosts:
  exit-1: { address: 10.9.0.2, endpoint: \"192.0.2.2:1\", exit: true }
  laptop: { address: 10.9.0.3, nat: true, full_tunnel: exit-1 }
",
        0,
    ),
    (
        "an own LAN inside a wider prefix of a peer",
        "networks: { n: { prefixes: 10.9.0.0/24 } }
hosts: { head: { address: 10.9.0.1, endpoint: \"192.0.2.1:1\", subnets: 10.0.0.0/13 } }
sites:
  branch:
    subnets: 10.3.3.0/24
    hosts: { gw: { address: 10.9.0.2, nat: true, gateway: true } }
",
        // Machines of the wide LAN take the branch for their own LAN.
        2,
    ),
    (
        "routes of the operator's own",
        "networks: { n: { prefixes: 10.9.0.0/24, table: off } }
hosts:
  a: { address: 10.9.0.1, endpoint: \"192.0.2.1:1\", subnets: 10.50.0.0/24 }
  b: { address: 10.9.0.2, nat: true, subnets: 10.60.0.0/24 }
",
        6,
    ),
    (
        "spokes behind NAT that the hub has no endpoint for",
        "networks: { n: { prefixes: [10.9.0.0/24, \"fd09::/64\"], links: { hub: hub } } }
hosts:
  hub: { address: [10.9.0.1, \"fd09::1\"], endpoint: \"192.0.2.1:1\" }
  s1: { address: [10.9.0.2, \"fd09::2\"], nat: true }
  s2: { address: [10.9.0.3, \"fd09::3\"], nat: true }
",
        0,
    ),
    (
        "both ends behind NAT, one with a forwarded port",
        "networks: { n: { prefixes: 10.9.0.0/24 } }
hosts:
  a: { address: 10.9.0.1, nat: true, endpoint: \"192.0.2.1:1\" }
  b: { address: 10.9.0.2, nat: true }
",
        0,
    ),
    (
        "both behind one NAT, found on their LAN",
        "networks: { n: { prefixes: 10.9.0.0/24 } }
sites:
  home:
    hosts:
      a: { address: 10.9.0.1, nat: true, local_endpoint: \"192.168.1.2:1\" }
      b: { address: 10.9.0.2, nat: true, local_endpoint: \"192.168.1.3:1\" }
",
        0,
    ),
    (
        "adjacent prefixes",
        "networks: { n: { prefixes: 10.9.0.0/24 } }
hosts:
  a: { address: 10.9.0.1, endpoint: \"192.0.2.1:1\", subnets: 10.50.0.0/25 }
  b: { address: 10.9.0.2, endpoint: \"192.0.2.2:1\", subnets: 10.50.0.128/25 }
",
        0,
    ),
    (
        "an override that gives more",
        "networks: { n: { prefixes: 10.9.0.0/24 } }
hosts:
  a:
    address: 10.9.0.1
    endpoint: \"192.0.2.1:1\"
    peers: { b: { allowed_ips: [10.9.0.2, 10.60.0.0/24, 172.20.0.0/16] } }
  b: { address: 10.9.0.2, nat: true, subnets: 10.60.0.0/24 }
",
        0,
    ),
    (
        "unmanaged far sides: a partner's router and a phone",
        "networks: { n: { prefixes: 10.9.0.0/24, links: [] } }
hosts: { gw: { address: 10.9.0.1, endpoint: \"192.0.2.1:1\", subnets: 10.50.0.0/24, transit: true } }
peers:
  partner:
    via: gw
    address: 10.9.0.8
    public_key: hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=
    endpoint: \"203.0.113.9:51820\"
    subnets: 10.70.0.0/24
  phone: { via: gw, address: 10.9.0.9 }
",
        // Whatever begins at somebody else and ends at the phone, which sleeps.
        4,
    ),
    (
        "point-to-point prefixes",
        "networks:
  p: { prefixes: 10.8.0.0/31, links: [[a, b]] }
  q: { prefixes: \"fd08::/127\", links: [[b, c]] }
hosts:
  a: { networks: { p: { address: 10.8.0.0, endpoint: \"192.0.2.1:1\" } } }
  b:
    networks:
      p: { address: 10.8.0.1 }
      q: { address: \"fd08::\", endpoint: \"192.0.2.2:2\" }
  c: { nat: true, networks: { q: { address: \"fd08::1\" } } }
",
        0,
    ),
    (
        "a single address behind a host",
        "networks: { n: { prefixes: 10.9.0.0/24 } }
hosts:
  a: { address: 10.9.0.1, endpoint: \"192.0.2.1:1\", subnets: [10.50.0.7/32, \"fd50::7/128\"] }
  b: { address: 10.9.0.2, nat: true, subnets: 10.60.0.0/31 }
",
        0,
    ),
    (
        "IPv6 inside, IPv4 outside, and the other way round",
        "networks: { n: { prefixes: [10.9.0.0/24, \"fd09::/64\"] } }
hosts:
  a: { address: [10.9.0.1, \"fd09::1\"], endpoint: \"192.0.2.1:1\", subnets: \"fd50::/64\" }
  b: { address: [10.9.0.2, \"fd09::2\"], endpoint: \"[2001:db8::2]:1\", subnets: 10.60.0.0/24 }
",
        0,
    ),
    (
        "two hubs, gateways behind both",
        "networks: { n: { prefixes: 10.9.0.0/24, links: { hub: [h1, h2] } } }
hosts:
  h1: { address: 10.9.0.1, endpoint: \"192.0.2.1:1\" }
  h2: { address: 10.9.0.2, endpoint: \"192.0.2.2:1\" }
  s1: { address: 10.9.0.3, nat: true, subnets: 10.50.0.0/24 }
  s2: { address: 10.9.0.4, nat: true, subnets: 10.60.0.0/24 }
",
        0,
    ),
];

#[test]
fn legal_shapes_raise_no_alarm() {
    for (name, text, failing) in LEGAL {
        let text = format!("fleet: f\n{text}");
        let parsed = inventory::parse(PathBuf::from("fleet.yaml"), text.clone());
        let inventory =
            parsed.inventory.unwrap_or_else(|| panic!("{name}: {:#?}", parsed.findings));
        let topology = topology::build(&inventory, &|_: &_, _: &_| -> Vec<IpAddr> { Vec::new() });
        let found = check::check(&inventory, &topology);
        let walked: Vec<_> = found
            .iter()
            .filter(|finding| matches!(finding.code.number(), 350..=399 | 450..=499))
            .collect();
        assert!(walked.is_empty(), "{name}: {walked:#?}");
        let pairs = check::pairs(&inventory, &topology);
        let broken = pairs.iter().filter(|pair| pair.wanted && pair.cause.is_some());
        let broken: Vec<_> = broken.collect();
        assert_eq!(broken.len() as u64, *failing, "{name}: {broken:#?}");
    }
}
