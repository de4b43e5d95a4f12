//! Every rule with an inventory that breaks it and one that does not, and every shape that is legal.
//!
//! `tests/rules/fails/CODE.yaml` and `passes/CODE.yaml` are a pair; `legal/` has none. A
//! comment `# vault: HOST KEY` stands for a public key that the vault holds. 01 is the file itself:
//! its failing inventories are in `tests/findings/`.

mod checked;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use checked::{found, shown};
use wgfleet::finding::{Code, Finding, Severity};

/// Codes that no inventory alone shows, and why.
const ELSEWHERE: &[(u16, &str)] = &[
    (108, "includes are read from a folder: tests/format"),
    (111, "the lock file lies beside the inventory: src/inventory/lock.rs"),
];

fn folder(name: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rules").join(name);
    let mut cases: Vec<(String, String)> = fs::read_dir(folder)
        .expect("the cases are there")
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .map(|path| {
            let name = path.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_owned();
            (name, fs::read_to_string(&path).expect("the case can be read"))
        })
        .collect();
    cases.sort();
    cases
}

#[test]
fn every_rule_fires_where_it_should_and_is_silent_where_not() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("rules/snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let _scope = settings.bind_to_scope();
    let (fails, passes) = (folder("fails"), folder("passes"));
    let names = |cases: &[(String, String)]| -> BTreeSet<String> {
        cases.iter().map(|(name, _)| name.clone()).collect()
    };
    assert_eq!(names(&fails), names(&passes), "failing and passing inventories come in pairs");
    let mut wrong = Vec::new();
    for ((name, bad), (_, good)) in fails.iter().zip(&passes) {
        let (bad, good) = (found(bad), found(good));
        let has = |found: &[Finding]| found.iter().any(|found| found.code.to_string() == *name);
        if !has(&bad.0) {
            wrong.push(format!("{name} is not found:\n{}", shown(&bad)));
        }
        if has(&good.0) || good.0.iter().any(|found| found.severity > Severity::Info) {
            wrong.push(format!("a false alarm beside {name}:\n{}", shown(&good)));
        }
        insta::assert_snapshot!(
            name.clone(),
            format!("{}\n\n== the passing inventory ==\n{}\n", shown(&bad), shown(&good))
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A code with its severity, an inventory that has it, and what is to be replaced for one that has
/// none above a note.
const FINER: &[(Code, Severity, &str, (&str, &str))] = &[
    (
        // Two interfaces behind a NAT share one forwarded port.
        Code::PortClash,
        Severity::Error,
        "fleet: f
networks: { n: { prefixes: 10.1.0.0/24 }, m: { prefixes: 10.2.0.0/24 } }
hosts:
  h:
    nat: true
    networks:
      n: { endpoint: \"192.0.2.1:40000\", listen_port: 51820 }
      m: { endpoint: \"192.0.2.1:40000\", listen_port: 51821 }
  k: { nat: true, networks: [n, m] }
",
        ("40000\", listen_port: 51821", "40001\", listen_port: 51821"),
    ),
    (
        // The side that begins is told an IPv6 address: nothing goes over IPv4.
        Code::MtuTooLarge,
        Severity::Warning,
        "fleet: f
networks: { n: { prefixes: 10.1.0.0/24, mtu: 1440 } }
hosts:
  a: { endpoint: \"[2001:db8::1]:51820\" }
  b: { nat: true }
",
        ("[2001:db8::1]", "192.0.2.1"),
    ),
    (
        // IPv4 is narrow, IPv6 is not.
        Code::UnwantedTransit,
        Severity::Warning,
        "fleet: f
networks:
  n: { prefixes: [10.1.0.0/24, \"fd01::/64\"], links: { hub: gate } }
  m: { prefixes: [10.2.0.0/24, \"fd02::/64\"], links: { hub: gate } }
hosts:
  gate: { networks: { n: { endpoint: \"g.example.com:51820\" }, m: { endpoint: \"g.example.com:51821\" } } }
  a: { networks: n, nat: true, table: \"off\", peers: { gate: { allowed_ips: [10.1.0.0/24, \"::/0\"] } } }
  b: { networks: m, nat: true, table: \"off\", peers: { gate: { allowed_ips: [10.2.0.0/24, \"::/0\"] } } }
",
        ("10.2.0.0/24, \"::/0\"", "10.2.0.0/24, \"fd02::/64\""),
    ),
    (
        // The first that sends everything is in both networks itself.
        Code::UnwantedTransit,
        Severity::Warning,
        "fleet: f
networks:
  n: { prefixes: 10.1.0.0/24, links: { hub: gate } }
  m: { prefixes: 10.2.0.0/24, links: { hub: gate } }
hosts:
  gate: { networks: { n: { endpoint: \"g.example.com:51820\" }, m: { endpoint: \"g.example.com:51821\" } } }
  a:
    networks: { n: { table: \"off\" }, m: { table: \"off\" } }
    nat: true
    peers: { gate: { allowed_ips: 0.0.0.0/0 } }
  b: { networks: m, nat: true, table: \"off\", peers: { gate: { allowed_ips: 0.0.0.0/0 } } }
",
        ("{ gate: { allowed_ips: 0.0.0.0/0 } }", "{}"),
    ),
    (
        // Nothing has the address that a rule is to keep out: it would hold for ever.
        Code::ExpectFails,
        Severity::Warning,
        "fleet: f
networks: { n: { prefixes: 10.1.0.0/24 } }
hosts:
  a: { endpoint: \"192.0.2.1:51820\" }
  b: { nat: true, subnets: 172.23.1.0/24 }
expect: [{ deny: { from: 172.23.7.0/24, to: a } }]
",
        ("[{ deny: { from: 172.23.7.0/24, to: a } }]", "[{ allow: { from: 172.23.1.0/24, to: a } }]"),
    ),
    (
        // Two networks meet on a host that has neither LAN.
        Code::LanOverlapsNetwork,
        Severity::Error,
        "fleet: f
networks: { n: { prefixes: 10.1.0.0/24 }, m: { prefixes: 172.23.1.0/24 } }
hosts:
  a: { networks: n, endpoint: \"192.0.2.1:51820\", subnets: 172.23.1.0/25 }
  b: { networks: [n, m], nat: true }
  c: { networks: m, endpoint: \"192.0.2.3:51820\" }
",
        ("b: { networks: [n, m]", "b: { networks: n"),
    ),
    (
        // An override of a host that nothing links would be ignored.
        Code::Conflict,
        Severity::Warning,
        "fleet: f
networks: { n: { prefixes: 10.1.0.0/24, links: [[a, b]] } }
hosts:
  a: { address: 10.1.0.1, endpoint: \"192.0.2.1:51820\" }
  b: { nat: true }
  c: { nat: true, peers: { a: { allowed_ips: 10.1.0.1 } } }
",
        ("[[a, b]]", "[[a, b], [a, c]]"),
    ),
    (
        // Addresses that no router forwards.
        Code::UnusableAddress,
        Severity::Error,
        "fleet: f
networks: { n: { prefixes: 10.1.0.0/24 } }
hosts:
  a: { endpoint: \"192.0.2.1:51820\", subnets: 169.254.7.0/24 }
  b: { nat: true }
",
        ("169.254.7.0/24", "172.23.7.0/24"),
    ),
    (
        // No host can have an address of the network.
        Code::UnusableAddress,
        Severity::Error,
        "fleet: f
networks: { n: { prefixes: 224.1.0.0/24 } }
hosts:
  a: { endpoint: \"192.0.2.1:51820\" }
  b: { nat: true }
",
        ("224.1.0.0/24", "10.1.0.0/24"),
    ),
    (
        Code::InterfaceClash,
        Severity::Error,
        "fleet: f
networks: { n: { prefixes: 10.1.0.0/24, interface: eth0 } }
hosts:
  a: { endpoint: \"192.0.2.1:51820\" }
  b: { nat: true }
",
        ("interface: eth0", "interface: ether0"),
    ),
    (
        // A hub passes traffic on, whatever else is written.
        Code::Conflict,
        Severity::Error,
        "fleet: f
networks: { n: { prefixes: 10.1.0.0/24, links: { hub: hub } } }
hosts:
  hub: { endpoint: \"192.0.2.1:51820\", transit: false }
  a: { nat: true }
",
        (", transit: false", ""),
    ),
    (
        // A full tunnel makes an exit.
        Code::Conflict,
        Severity::Error,
        "fleet: f
networks: { n: { prefixes: [10.1.0.0/24, \"fd01::/64\"] } }
hosts:
  hub: { endpoint: \"192.0.2.1:51820\", exit: false }
  a: { nat: true, full_tunnel: hub }
",
        (", exit: false", ""),
    ),
    (
        // One device in two networks has one key on two interfaces, in one network on one.
        Code::DuplicateKey,
        Severity::Error,
        "fleet: f
networks:
  n: { prefixes: 10.1.0.0/24 }
  m: { prefixes: 10.2.0.0/24 }
hosts:
  a: { networks: { n: { endpoint: \"192.0.2.1:51820\" }, m: { endpoint: \"192.0.2.1:51821\" } } }
peers:
  one: { network: n, via: a, public_key: hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo= }
  two: { network: n, via: a, public_key: hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo= }
",
        ("two: { network: n", "two: { network: m"),
    ),
    (
        // A host is no DNS server of its own that it would have to reach.
        Code::DnsUnreachable,
        Severity::Warning,
        "fleet: f
networks: { n: { prefixes: 10.1.0.0/24 } }
hosts:
  a: { address: 10.1.0.1, endpoint: \"192.0.2.1:51820\", dns: 10.1.0.1 }
  b: { address: 10.1.0.2, nat: true }
",
        ("dns: 10.1.0.1", "dns: 10.1.0.2"),
    ),
    (
        // Neither is a phone that sleeps.
        Code::DnsUnreachable,
        Severity::Warning,
        "fleet: f
networks: { n: { prefixes: 10.1.0.0/24 } }
hosts:
  a: { address: 10.1.0.1, endpoint: \"192.0.2.1:51820\", dns: 10.1.0.9 }
  b: { address: 10.1.0.2, nat: true }
peers: { phone: { via: a, address: 10.1.0.9 } }
",
        ("dns: 10.1.0.9", "dns: 10.1.0.2"),
    ),
];

#[test]
fn finer_cases_are_told_apart() {
    let mut wrong = Vec::new();
    for (code, severity, text, (bad, good)) in FINER {
        assert!(text.contains(bad), "{bad}");
        let all = found(text);
        if !all.0.iter().any(|found| found.code == *code && found.severity == *severity) {
            wrong.push(format!("{code} is not found:\n{}", shown(&all)));
        }
        let all = found(&text.replace(bad, good));
        if all.0.iter().any(|found| found.severity > Severity::Info) {
            wrong.push(format!("a false alarm beside {code}:\n{}", shown(&all)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_legal_has_no_finding() {
    let cases = folder("legal");
    assert!(cases.len() >= 12);
    let mut wrong = Vec::new();
    for (name, text) in cases {
        let found = found(&text);
        // A single hub is worth a note, and so is what is left out.
        let noted = |found: &Finding| {
            matches!(found.code, Code::SinglePoint | Code::LeftOut)
                && found.severity == Severity::Info
        };
        if !found.0.iter().all(noted) {
            wrong.push(format!("{name}:\n{}", shown(&found)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_code_has_its_inventories() {
    let pairs: BTreeSet<String> = folder("fails").into_iter().map(|(name, _)| name).collect();
    let of_files: BTreeSet<String> =
        fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/findings/snapshots"))
            .expect("the snapshots are there")
            .filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok())
            .flat_map(|text| {
                let codes = text.split("error[").chain(text.split("warning[")).skip(1);
                codes.filter_map(|rest| rest.get(..6).map(str::to_owned)).collect::<Vec<_>>()
            })
            .collect();
    let mut missing = Vec::new();
    for code in Code::ALL {
        let number = code.number();
        let name = code.to_string();
        let there = pairs.contains(&name) || (number < 200 && of_files.contains(&name));
        if !there && !ELSEWHERE.iter().any(|(other, _)| *other == number) {
            missing.push(name);
        }
    }
    assert_eq!(
        missing,
        Vec::<String>::new(),
        "add tests/rules/fails/CODE.yaml and passes/CODE.yaml"
    );
}
