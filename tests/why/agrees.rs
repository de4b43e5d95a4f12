//! Each cause twice: where it is, `check` has it, `why` does not call the flow reached and a rule of
//! `expect` fails; where it is not, all three are content.

use super::{folder, wgfleet};

struct Case {
    code: &'static str,
    text: &'static str,
    /// What is to be replaced for a fleet that works.
    instead: (&'static str, &'static str),
    flow: (&'static str, &'static str),
}

const CASES: &[Case] = &[
    Case {
        code: "WG0304",
        text: "networks: { n: { prefixes: 10.1.0.0/24, links: { hub: hub } } }
hosts:
  hub: { address: 10.1.0.1, endpoint: \"198.51.100.9:51820\" }
  spoke: { nat: true, peers: { hub: { allowed_ips: [10.1.0.0/24, 198.51.100.0/28] } } }
",
        instead: ("198.51.100.0/28", "198.51.100.16/28"),
        flow: ("spoke", "hub"),
    },
    Case {
        // Every address in two halves, and a name for an endpoint.
        code: "WG0304",
        text: "networks: { n: { prefixes: 10.1.0.0/24 } }
hosts:
  exit: { endpoint: \"exit.example.com:51820\", exit: true }
  desk: { nat: true, peers: { exit: { allowed_ips: [0.0.0.0/1, 128.0.0.0/1, \"::/1\", \"8000::/1\"] } } }
",
        instead: ("[0.0.0.0/1, 128.0.0.0/1, \"::/1\", \"8000::/1\"]", "[0.0.0.0/0, \"::/0\"]"),
        flow: ("desk", "exit"),
    },
    Case {
        // A /0 that is a plain route takes the tunnel's own packets.
        code: "WG0304",
        text: "networks: { n: { prefixes: [10.1.0.0/24, \"fd01::/64\"] } }
hosts:
  exit: { endpoint: \"198.51.100.9:51820\", exit: true }
  desk: { nat: true, full_tunnel: exit, table: main }
",
        instead: (", table: main", ""),
        flow: ("desk", "exit"),
    },
    Case {
        // Each of two full tunnels takes the other one's packets.
        code: "WG0304",
        text: "networks:
  n: { prefixes: [10.1.0.0/24, \"fd01::/64\"], links: [[desk, one]] }
  m: { prefixes: [10.2.0.0/24, \"fd02::/64\"], links: [[desk, two]], mtu: 1300 }
hosts:
  one: { networks: n, endpoint: \"198.51.100.1:51820\" }
  two: { networks: m, endpoint: \"198.51.100.2:51820\" }
  desk: { nat: true, networks: { n: { full_tunnel: one }, m: { full_tunnel: two } } }
",
        instead: ("m: { full_tunnel: two }", "m: {}"),
        flow: ("desk", "one"),
    },
    Case {
        // The other tunnel takes the packets to a host that has no way on.
        code: "WG0304",
        text: "networks:
  n: { prefixes: 10.1.0.0/24, links: [[desk, gate]] }
  m: { prefixes: 10.2.0.0/24, links: [[desk, inner]], mtu: 1300 }
sites:
  dc:
    subnets: 172.23.7.0/24
    hosts:
      gate: { networks: n, endpoint: \"198.51.100.1:51820\" }
      inner: { networks: m, endpoint: \"172.23.7.9:51820\" }
hosts:
  desk: { nat: true, networks: [n, m], peers: { gate: { allowed_ips: [10.1.0.0/24, 172.23.7.0/24] } } }
",
        instead: ("gate: { networks: n,", "gate: { networks: n, gateway: true,"),
        flow: ("desk", "inner"),
    },
    Case {
        // An address that only another host's tunnel leads to.
        code: "WG0404",
        text: "networks:
  n: { prefixes: 10.1.0.0/24, links: [[other, gate]] }
  m: { prefixes: 10.2.0.0/24, links: [[desk, inner]], mtu: 1300 }
sites:
  dc:
    subnets: 172.23.7.0/24
    hosts:
      gate: { networks: n, endpoint: \"198.51.100.1:51820\", gateway: true }
      inner: { networks: m, endpoint: \"172.23.7.9:51820\" }
hosts:
  other: { nat: true, networks: n }
  desk: { nat: true, networks: m }
",
        instead: ("172.23.7.9:51820", "198.51.100.9:51820"),
        flow: ("desk", "inner"),
    },
    Case {
        code: "WG0408",
        text: "networks: { n: { prefixes: 10.1.0.0/24 } }
hosts:
  hub: {}
  spoke: { nat: true, peers: { hub: { endpoint: \"hub.example.com:51820\" } } }
",
        instead: ("hub: {}", "hub: { listen_port: 51820 }"),
        flow: ("spoke", "hub"),
    },
    Case {
        code: "WG0409",
        text: "networks: { n: { prefixes: 10.1.0.0/24 } }
sites:
  home:
    hosts:
      nas: { nat: true, local_endpoint: \"192.168.7.2:51820\", listen_port: 51899 }
      desk: { nat: true, local_endpoint: \"192.168.7.3:51820\" }
",
        instead: (", listen_port: 51899", ""),
        flow: ("desk", "nas"),
    },
    Case {
        code: "WG0406",
        text: "networks: { n: { prefixes: 10.1.0.0/24 } }
hosts:
  hub: { endpoint: \"hub.example.com:51820\" }
  branch: { nat: true, keepalive: 900, subnets: 172.23.8.0/24 }
",
        instead: ("keepalive: 900", "keepalive: 60"),
        flow: ("hub", "branch"),
    },
    Case {
        // Which of the two has the LAN hangs on their keys.
        code: "WG0301",
        text: "networks: { n: { prefixes: 10.1.0.0/24, links: { hub: hub } } }
hosts:
  hub:
    address: 10.1.0.1
    endpoint: \"hub.example.com:51820\"
    peers: { a: { allowed_ips: [10.1.0.2, 172.23.8.0/24] }, b: { allowed_ips: [10.1.0.3, 172.23.8.0/24] } }
  a: { address: 10.1.0.2, nat: true, subnets: 172.23.8.0/24 }
  b: { address: 10.1.0.3, nat: true }
",
        instead: ("[10.1.0.3, 172.23.8.0/24]", "[10.1.0.3]"),
        flow: ("hub", "172.23.8.0/24"),
    },
    Case {
        // The LAN may choose the gateway that the other end does not expect it behind.
        code: "WG0310",
        text: "networks: { n: { prefixes: 10.1.0.0/24, links: [[desk, one], [desk, two]] } }
sites:
  office:
    subnets: 172.23.8.0/24
    hosts:
      one: { address: 10.1.0.2, endpoint: \"198.51.100.1:51820\", gateway: true }
      two: { address: 10.1.0.3, endpoint: \"198.51.100.2:51820\", gateway: true }
hosts:
  desk: { nat: true, peers: { two: { allowed_ips: 10.1.0.3 } } }
",
        instead: ("\"198.51.100.2:51820\", gateway: true", "\"198.51.100.2:51820\""),
        flow: ("desk", "172.23.8.0/24"),
    },
    Case {
        code: "WG0309",
        text: "networks: { n: { prefixes: [10.1.0.0/24, \"fd01::/64\"] } }
hosts:
  exit: { endpoint: \"exit.example.com:51820\", exit: true, masquerade: false }
  desk: { nat: true, full_tunnel: exit }
",
        instead: (", masquerade: false", ""),
        flow: ("desk", "internet"),
    },
    Case {
        // Two interfaces of one host route one LAN.
        code: "WG0305",
        text: "networks:
  n: { prefixes: 10.1.0.0/24, links: [[desk, one]] }
  m: { prefixes: 10.2.0.0/24, links: [[desk, two]] }
sites:
  office:
    subnets: 172.23.8.0/24
    hosts:
      one: { networks: n, endpoint: \"198.51.100.1:51820\", gateway: true, masquerade: true }
      two: { networks: m, endpoint: \"198.51.100.2:51820\" }
hosts:
  desk: { nat: true, networks: [n, m], peers: { two: { allowed_ips: [10.2.0.0/24, 172.23.8.0/24] } } }
",
        instead: (", 172.23.8.0/24] } } }", "] } } }"),
        flow: ("desk", "one"),
    },
];

#[test]
fn check_why_and_rules_say_the_same() {
    let mut wrong = Vec::new();
    for case in CASES {
        let (bad, good) = case.instead;
        assert!(case.text.contains(bad), "{}: {bad}", case.code);
        let (from, to) = case.flow;
        for broken in [true, false] {
            let text = if broken { case.text.to_owned() } else { case.text.replace(bad, good) };
            let text = format!("fleet: f\n{text}");
            let plain = folder(&text);
            let checked = wgfleet(plain.path(), &["check"]);
            let said = String::from_utf8_lossy(&checked.stdout).into_owned();
            let why = wgfleet(plain.path(), &["why", from, to]).status.code();
            let rule =
                folder(&format!("{text}expect: [{{ allow: {{ from: {from}, to: {to} }} }}]\n"));
            let ruled = wgfleet(rule.path(), &["check"]);
            let ruled = (ruled.status.code(), String::from_utf8_lossy(&ruled.stdout).into_owned());
            let fine = if broken {
                said.contains(case.code)
                    && why == Some(3)
                    && ruled.0 == Some(3)
                    && ruled.1.contains("error[WG0601]")
            } else {
                !said.contains(case.code) && why == Some(0) && ruled.0 == Some(0)
            };
            if !fine {
                wrong.push(format!("{} {broken}: why {why:?}\n{said}{}", case.code, ruled.1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What an unmanaged peer sends and accepts is its owner's to write.
#[test]
fn a_rule_about_an_unmanaged_peer_does_not_hang_on_its_configuration() {
    let text = |exit: &str| {
        format!(
            "fleet: f
networks:
  own: {{ prefixes: 10.1.0.0/24, links: {{ hub: gate }} }}
  guests: {{ prefixes: 10.2.0.0/24, links: {{ hub: gate }} }}
hosts:
  gate:
    networks: {{ own: {{ endpoint: \"gate.example.com:51820\" }}, guests: {{ endpoint: \"gate.example.com:51821\" }} }}
    {exit}
  desk: {{ networks: own, nat: true }}
peers:
  guest: {{ network: guests, via: gate, public_key: \"hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=\" }}
expect: [{{ deny: {{ from: guest, to: internet }} }}, {{ deny: {{ from: desk, to: guest }} }}]
"
        )
    };
    let code = |text: &str| {
        let folder = folder(text);
        let checked = wgfleet(folder.path(), &["check"]);
        (checked.status.code(), String::from_utf8_lossy(&checked.stdout).into_owned())
    };
    let (exit, said) = code(&text("exit: true"));
    assert!(exit == Some(3) && said.contains("`guest` reaches the Internet"), "{said}");
    let (exit, said) = code(&text(""));
    assert_eq!(exit, Some(0), "{said}");
}

/// A circle for addresses that nobody has uses up the link too.
#[test]
fn circles_for_unwanted_packets_are_told() {
    let text = |list: &str| {
        format!(
            "fleet: f
networks: {{ n: {{ prefixes: 10.1.0.0/24 }} }}
hosts:
  a: {{ address: 10.1.0.1, endpoint: \"192.0.2.1:51820\", subnets: 172.24.1.0/24, peers: {{ b: {{ allowed_ips: [10.1.0.2, 172.24.0.0/16] }} }} }}
  b: {{ address: 10.1.0.2, endpoint: \"192.0.2.2:51820\", subnets: 172.24.2.0/24, peers: {{ a: {{ allowed_ips: [10.1.0.1, {list}] }} }} }}
"
        )
    };
    for (list, circle) in [("172.24.0.0/16", true), ("172.24.1.0/24", false)] {
        let folder = folder(&text(list));
        let checked = wgfleet(folder.path(), &["check"]);
        let said = String::from_utf8_lossy(&checked.stdout).into_owned();
        assert_eq!(said.contains("warning[WG0353]"), circle, "{said}");
        assert_eq!(checked.status.code(), Some(0), "{said}");
    }
}

/// The LAN that a host is on is on the wire, whoever is its gateway; DNS servers that it inherits do not hold
/// itself.
#[test]
fn a_host_gets_neither_its_own_lan_nor_itself_through_a_tunnel() {
    let text = "fleet: f
defaults: { dns: [10.1.0.1, 10.1.0.2] }
networks: { n: { prefixes: 10.1.0.0/24, links: { hub: hub } } }
sites:
  home:
    subnets: 172.23.4.0/24
    hosts:
      gw: { address: 10.1.0.2, nat: true, gateway: true }
      nas: { address: 10.1.0.3, nat: true }
hosts:
  hub: { address: 10.1.0.1, endpoint: \"hub.example.com:51820\" }
  desk: { address: 10.1.0.4, nat: true }
";
    let folder = folder(text);
    let said = |host: &str| {
        let output = wgfleet(folder.path(), &["explain", host]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(said("desk").contains("172.23.4.0/24"), "{}", said("desk"));
    let nas = said("nas");
    assert!(!nas.contains("172.23.4.0/24") && nas.contains("10.1.0.2"), "{nas}");
    let dns = |host: &str| said(host).lines().find(|line| line.contains("dns")).map(str::to_owned);
    let dns = dns("hub").unwrap_or_default();
    assert!(dns.contains("10.1.0.2") && !dns.contains("10.1.0.1"), "{dns}");
    let checked = wgfleet(folder.path(), &["check"]);
    let found = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(!found.contains("warning") && checked.status.code() == Some(0), "{found}");
}
