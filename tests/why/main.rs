//! `wgfleet why` and `check --reachability`: traces, causes, and patches that fix.

mod agrees;
#[path = "../support/documents.rs"]
mod documents;
mod failures;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use documents::document;
use serde_json::Value;

fn wgfleet(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wgfleet"));
    command.current_dir(folder).args(arguments).output().expect("the binary runs")
}

fn folder(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("fleet.yaml"), text).expect("it can be written");
    folder
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn why(folder: &Path, from: &str, to: &str) -> (i32, Value) {
    let output = wgfleet(folder, &["why", "--format", "json", from, to]);
    (output.status.code().expect("it ends"), document(&output.stdout))
}

/// Two offices and a branch behind NAT, meshed; `gw-c` overrides what it expects from `gw-a`.
const OVERRIDE: &str = "\
fleet: f
networks:
  n: { prefixes: 10.9.0.0/24, links: mesh }
sites:
  a:
    subnets: 192.168.1.0/24
    hosts:
      gw-a: { address: 10.9.0.1, endpoint: \"192.0.2.1:51820\", gateway: true }
  c:
    subnets: [192.168.3.0/24]
    hosts:
      gw-c:
        address: 10.9.0.3
        nat: true
        gateway: true
        peers:
          gw-a: { allowed_ips: [10.9.0.1/32] }
";

/// Each inventory with a flow that does not work, and what its cause says.
const BROKEN: &[(&str, &str, &str, &str)] = &[
    (OVERRIDE, "a", "c", "source is not in the AllowedIPs"),
    (OVERRIDE, "192.168.3.20", "192.168.1.20", "has no tunnel that leads there"),
    (
        // Neither of two NATed spokes can begin, and nobody passes anything on.
        "fleet: f
networks: { n: { prefixes: 10.9.0.0/24, links: mesh } }
hosts:
  hub: { address: 10.9.0.1, endpoint: \"192.0.2.1:51820\" }
  s1: { address: 10.9.0.2, nat: true }
  s2: { address: 10.9.0.3, nat: true }
",
        "s1",
        "s2",
        "neither can begin it",
    ),
    (
        // Linked to one that is no hub.
        "fleet: f
networks:
  n:
    prefixes: 10.9.0.0/24
    links:
      - [x, y]
      - [y, z]
hosts:
  x: { address: 10.9.0.1, endpoint: \"192.0.2.1:51820\" }
  y: { address: 10.9.0.2, endpoint: \"192.0.2.2:51820\" }
  z: { address: 10.9.0.3, nat: true }
",
        "x",
        "z",
        "",
    ),
    (
        // Nobody routes the LAN.
        "fleet: f
networks: { n: { prefixes: 10.9.0.0/24 } }
sites:
  a: { subnets: 192.168.1.0/24, hosts: { gw-a: { address: 10.9.0.1, endpoint: \"192.0.2.1:51820\" } } }
hosts:
  b: { address: 10.9.0.2, nat: true }
",
        "b",
        "a",
        "has no tunnel that leads there",
    ),
    (
        // The hub waits for a spoke that never speaks first.
        "fleet: f
networks: { n: { prefixes: 10.9.0.0/24, links: { hub: hub } } }
hosts:
  hub: { address: 10.9.0.1, endpoint: \"192.0.2.1:51820\" }
  s1: { address: 10.9.0.2, nat: true, keepalive: off }
",
        "hub",
        "s1",
        "nothing makes `s1` begin it",
    ),
    (
        // A phone is spared the keepalive.
        "fleet: f
networks: { n: { prefixes: 10.9.0.0/24, links: [] } }
hosts:
  hub: { address: 10.9.0.1, endpoint: \"192.0.2.1:51820\" }
peers:
  phone: { via: hub, address: 10.9.0.7 }
",
        "hub",
        "phone",
        "nothing makes `phone` begin it",
    ),
    (
        // The same by an address of the LAN.
        "fleet: f
networks: { n: { prefixes: 10.9.0.0/24 } }
sites:
  a: { subnets: 172.23.1.0/24, hosts: { gw-a: { address: 10.9.0.1, endpoint: \"192.0.2.1:51820\" } } }
hosts:
  b: { address: 10.9.0.2, nat: true }
",
        "b",
        "172.23.1.20",
        "has no tunnel that leads there",
    ),
    // Everything through an exit: the one that there is, also where the network is named.
    (EXITS, "s1", "internet", "has no tunnel that leads there"),
    (EXITS, "two", "internet", "has no tunnel that leads there"),
    (EXITS, "a", "internet", "has no tunnel that leads there"),
    (EXITS, "phone", "internet", "has no tunnel that leads there"),
    (
        // Each of a group.
        "fleet: f
groups: { road: { nat: true } }
networks: { n: { prefixes: [10.9.0.0/24, \"fd09::/64\"], links: { hub: hub } } }
hosts:
  hub: { address: 10.9.0.1, endpoint: \"192.0.2.1:51820\", exit: true }
  r1: { groups: road, address: 10.9.0.2 }
  r2: { groups: road, address: 10.9.0.3 }
",
        "road",
        "internet",
        "has no tunnel that leads there",
    ),
    (
        // No exit yet.
        "fleet: f
networks: { n: { prefixes: [10.9.0.0/24, \"fd09::/64\"] } }
hosts:
  x: { address: 10.9.0.1, endpoint: \"192.0.2.1:51820\" }
  y: { address: 10.9.0.2, nat: true }
",
        "y",
        "1.1.1.1",
        "has no tunnel that leads there",
    ),
];

/// A hub that is an exit, and who does not use it yet.
const EXITS: &str = "\
fleet: f
networks:
  n: { prefixes: [10.9.0.0/24, \"fd09::/64\"], links: { hub: hub } }
  m: { prefixes: [10.8.0.0/24, \"fd08::/64\"], interface: wg1, mtu: 1360 }
sites:
  a: { subnets: 172.23.1.0/24, hosts: { g: { networks: n, nat: true, gateway: true } } }
hosts:
  hub: { networks: n, address: 10.9.0.1, endpoint: \"192.0.2.1:51820\", exit: true }
  s1: { networks: n, address: 10.9.0.2, nat: true }
  two: { networks: { m: { full_tunnel: off }, n: { full_tunnel: off } }, nat: true }
  other: { networks: m, endpoint: \"192.0.2.2:51820\" }
peers:
  phone: { network: n, via: hub, address: 10.9.0.7 }
";

#[test]
fn a_flow_that_fails_has_a_cause_and_a_patch_that_fixes_it() {
    for (text, from, to, cause) in BROKEN {
        let folder = folder(text);
        let (code, answer) = why(folder.path(), from, to);
        assert_eq!((code, &answer["outcome"]), (3, &"broken".into()), "{text}\n{answer:#}");
        let said = answer["reason"]["text"].as_str().unwrap_or_default();
        assert!(said.contains(cause), "{cause}: {answer:#}");
        let patch = answer["fix"]["patch"].as_str().unwrap_or_else(|| panic!("{text}\n{answer:#}"));
        let file = folder.path().join("fix.patch");
        fs::write(&file, patch).expect("it can be written");
        let mut git = Command::new("git");
        let applied = git.args(["apply", "fix.patch"]).current_dir(folder.path()).output();
        let applied = applied.expect("git is there");
        assert!(applied.status.success(), "{applied:?}\n{patch}");
        let (code, answer) = why(folder.path(), from, to);
        assert_eq!((code, &answer["outcome"]), (0, &"reachable".into()), "{patch}\n{answer:#}");
    }
}

/// Lists with comments of their own, written over several lines, in a file that another one includes.
const COMMENTED: &str = "\
# who is where
hosts:
  gw-a:
    # the office
    address: 10.9.0.1
    endpoint: \"192.0.2.1:51820\" # static
    subnets: [192.168.1.0/24]
  gw-c:
    address: 10.9.0.3 # behind a router
    nat: true
    peers:
      gw-a:
        allowed_ips:
          - 10.9.0.1/32 # itself
          # its printers come later
    keepalive: 25 # short
";

#[test]
fn a_patch_keeps_comments_and_is_made_for_the_folder_of_the_file() {
    let folder =
        folder("fleet: f\ninclude: sites/*.yaml\nnetworks: { n: { prefixes: 10.9.0.0/24 } }\n");
    let sites = folder.path().join("sites");
    fs::create_dir(&sites).expect("a folder");
    fs::write(sites.join("a.yaml"), COMMENTED).expect("it can be written");
    let elsewhere = folder.path().parent().expect("a folder above");
    let file = folder.path().join("fleet.yaml");
    let file = file.to_str().expect("a path");
    let output =
        wgfleet(elsewhere, &["why", "-f", file, "--format", "json", "gw-c", "192.168.1.20"]);
    let answer: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    let text = answer["fix"]["text"].as_str().unwrap_or_else(|| panic!("{answer:#}"));
    assert_eq!(text, "add 192.168.1.0/24 to the AllowedIPs of `gw-a` on `gw-c`");
    let patch = answer["fix"]["patch"].as_str().expect("a patch");
    assert!(patch.starts_with("--- a/sites/a.yaml\n+++ b/sites/a.yaml\n"), "{patch}");
    fs::write(folder.path().join("fix.patch"), patch).expect("it can be written");
    let mut git = Command::new("git");
    let applied = git.args(["apply", "fix.patch"]).current_dir(folder.path()).output();
    assert!(applied.expect("git is there").status.success(), "{patch}");
    let after = fs::read_to_string(sites.join("a.yaml")).expect("it can be read");
    let added = "          - 10.9.0.1/32 # itself\n          - 192.168.1.0/24\n";
    assert_eq!(after, COMMENTED.replace("          - 10.9.0.1/32 # itself\n", added));
}

#[test]
fn a_patch_names_no_folder_above() {
    let folder = folder(OVERRIDE);
    let below = folder.path().join("below");
    fs::create_dir(&below).expect("a folder");
    let output = wgfleet(&below, &["why", "-f", "..", "--format", "json", "a", "c"]);
    let answer: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    let patch = answer["fix"]["patch"].as_str().expect("a patch");
    assert!(patch.starts_with("--- a/fleet.yaml\n+++ b/fleet.yaml\n"), "{patch}");
}

#[test]
fn the_trace_is_shown_hop_by_hop() {
    let folder = folder(OVERRIDE);
    insta::assert_snapshot!(stdout(&wgfleet(
        folder.path(),
        &["why", "192.168.1.20", "192.168.3.20"]
    )));
}

#[test]
fn a_flow_that_works_is_shown_with_its_reply() {
    let folder = folder(OVERRIDE);
    let output = wgfleet(folder.path(), &["why", "gw-c", "gw-a"]);
    assert!(output.status.success());
    insta::assert_snapshot!(stdout(&output));
}

#[test]
fn the_matrix_says_who_reaches_whom_and_what_is_broken() {
    let folder = folder(OVERRIDE);
    let output = wgfleet(folder.path(), &["check", "--reachability"]);
    assert!(output.status.success(), "an override is a warning: {output:?}");
    insta::assert_snapshot!(stdout(&output));
    let output = wgfleet(folder.path(), &["check", "--reachability", "--format", "json"]);
    let json = document(&output.stdout);
    let cells = json["cells"].as_array().expect("cells");
    let sum =
        |key: &str| cells.iter().map(|cell| cell[key].as_u64().expect("a number")).sum::<u64>();
    for key in ["flows", "reachable", "wanted", "broken"] {
        assert_eq!(json[key].as_u64(), Some(sum(key)), "{key}");
    }
    assert_eq!(json["faults"].as_array().map(Vec::len), Some(4), "{json:#}");
}

#[test]
fn one_cause_is_one_finding() {
    let folder = folder(OVERRIDE);
    insta::assert_snapshot!(stdout(&wgfleet(folder.path(), &["check"])).replace('\u{1b}', "^"));
}

#[test]
fn what_nobody_is_called_is_a_usage_error() {
    let folder = folder(OVERRIDE);
    let output = wgfleet(folder.path(), &["why", "gw-a", "gw-x"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&output.stderr).contains("nothing in the fleet is called"));
    let output = wgfleet(folder.path(), &["why", "gw-a", "192.168.1.9"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).contains("are at one place"));
}
