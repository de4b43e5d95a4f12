//! The file format as others see it: examples, JSON Schema and documentation agree with the code.

mod keys;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use wgfleet::finding::{Code, Severity};
use wgfleet::fleet::load::load;
use wgfleet::inventory::{LinkShape, LockFile, PskMode, allocate, schema};
use wgfleet::model::{HostName, NetworkName};
use wgfleet::report::findings;
use wgfleet::{check, topology};

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_example_is_without_findings() {
    let mut examples: Vec<PathBuf> = fs::read_dir(root().join("examples"))
        .expect("the examples are there")
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.is_dir())
        .collect();
    examples.sort();
    assert!(examples.len() >= 5, "an example for each shape in common use");
    for example in examples {
        let loaded = load(&example).expect("the example can be read");
        let shown = findings::human(&loaded.findings, &loaded.sources, false);
        assert!(loaded.findings.is_empty(), "{shown}");
        assert!(!loaded.lock_changed, "run: wgfleet check --file {}", example.display());
        let inventory = loaded.inventory.expect("an inventory");
        for host in &inventory.hosts {
            for interface in &host.interfaces {
                let network = &inventory.networks[interface.network];
                let addresses = loaded.lock.address(&network.name.value, &host.name.value);
                assert_eq!(addresses.len(), network.prefixes.len(), "{}", host.name.value);
            }
        }
        let addresses =
            |network: &NetworkName, name: &HostName| loaded.lock.address(network, name).to_vec();
        let found = check::check(&inventory, &topology::build(&inventory, &addresses));
        let shown = findings::human(&found, &loaded.sources, false);
        // A note, such as that a star has one hub, says that nothing is wrong.
        assert!(found.iter().all(|found| found.severity == Severity::Info), "{shown}");
    }
}

#[test]
fn the_documentation_has_every_code() {
    let text = fs::read_to_string(root().join("docs/findings.md")).expect("the page is there");
    for code in Code::ALL {
        let (severity, summary) = (code.severity(), code.summary());
        let row = format!("| [{code}](findings/{code}.md) | {severity:?} | {summary} |");
        let row = row.to_lowercase();
        assert!(text.to_lowercase().contains(&row), "{row}");
    }
}

/// To write it anew: `cargo run -- schema > schemas/fleet.schema.json`.
#[test]
fn the_schema_in_the_repository_is_current() {
    let path = root().join("schemas/fleet.schema.json");
    let held = fs::read_to_string(&path).unwrap_or_default();
    assert!(held == schema::text(), "run: cargo run -- schema > schemas/fleet.schema.json");
}

#[test]
fn the_design_example_is_read_whole() {
    let path: &Path = &root().join("tests/findings/design.yaml");
    let text = fs::read_to_string(path).expect("the case can be read");
    let parsed = wgfleet::inventory::parse(PathBuf::from("fleet.yaml"), text);
    let inventory = parsed.inventory.expect("no findings");
    assert_eq!(inventory.networks[0].psk.get(), PskMode::Pairwise);
    assert!(matches!(inventory.networks[0].links[..], [LinkShape::Mesh { members: None, .. }]));
    assert_eq!(inventory.sites[0].underlay.mtu.as_ref().map(|mtu| mtu.value.get()), Some(1492));
    let [paris, branch] = &inventory.hosts[..] else { panic!("two hosts") };
    assert_eq!(paris.interfaces[0].addresses()[0].value.to_string(), "10.10.0.1");
    assert!(paris.settings.gateway.get() && !paris.settings.nat.get());
    assert!(branch.settings.gateway.get() && branch.settings.nat.get());
    assert_eq!(branch.site, Some(1));
    assert_eq!(branch.ssh.value.host(), "b7");
    let alice = &inventory.peers[0];
    assert!(alice.settings.full_tunnel.get() && alice.via[0].value == paris.name.value);
    let rules: Vec<bool> = inventory.expects.iter().map(|rule| rule.allow).collect();
    assert_eq!(rules, [true, false]);
}

/// A fleet of 10,000 hosts in one file: each has what its own lines say, the last one too.
#[test]
fn ten_thousand_hosts_are_read() {
    let mut text = String::from(
        "fleet: big\nnetworks:\n  n: {prefixes: [10.0.0.0/16, 'fd00::/64'], links: {hub: h-0}}\n\
         groups:\n  branch: {nat: true, post_up: 'true'}\nsites:\n",
    );
    for i in 0..10_000 {
        let (a, b) = (i / 256, i % 256);
        writeln!(
            text,
            "  s-{i}:\n    subnets: [172.{}.{}.{}/28]\n    hosts:\n      h-{i}:\n        \
             ssh: root@h-{i}.example.com\n        endpoint: 198.18.{a}.{b}:51820\n        \
             groups: [branch]\n        gateway: true",
            16 + i / 4096,
            (i / 16) % 256,
            (i % 16) * 16,
        )
        .expect("a string takes everything");
    }
    let parsed = wgfleet::inventory::parse(PathBuf::from("fleet.yaml"), text);
    assert!(parsed.findings.is_empty(), "{:?}", &parsed.findings[..1]);
    let inventory = parsed.inventory.expect("no findings");
    let (lock, findings) = allocate(&inventory, &LockFile::default());
    assert!(findings.is_empty());
    let last = &inventory.hosts[9_999].name.value;
    assert_eq!(lock.address(&inventory.networks[0].name.value, last).len(), 2);
}

/// A full mesh of 1,000 hosts is half a million sessions, and no rule finds fault with one.
#[test]
fn a_mesh_of_a_thousand_hosts_is_checked() {
    let mut text = String::from("fleet: m\nnetworks: {n: {prefixes: [10.0.0.0/16]}}\nhosts:\n");
    for i in 0..1000 {
        writeln!(
            text,
            "  h-{i}: {{endpoint: 'h-{i}.example.com:51820', subnets: 172.16.{}.{}/30}}",
            i / 64,
            i % 64 * 4
        )
        .expect("a string takes everything");
    }
    let parsed = wgfleet::inventory::parse(PathBuf::from("fleet.yaml"), text);
    let inventory = parsed.inventory.unwrap_or_else(|| panic!("{:?}", &parsed.findings[..1]));
    let (lock, _) = allocate(&inventory, &LockFile::default());
    let addresses = |network: &NetworkName, name: &HostName| lock.address(network, name).to_vec();
    let topology = topology::build(&inventory, &addresses);
    let peers = topology.interfaces.iter().map(|interface| interface.peers.len());
    assert_eq!(peers.sum::<usize>(), 1_000 * 999);
    for rule in check::RULES {
        assert!((rule.check)(&inventory, &topology).is_empty(), "{}", rule.name);
    }
}
