//! `wgfleet explain`: what it prints, and that it is what is rendered.

#[path = "support/documents.rs"]
mod documents;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use documents::document;

fn wgfleet(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wgfleet"));
    command.current_dir(folder).args(arguments).output().expect("the binary runs")
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn said(folder: &Path, arguments: &[&str]) -> String {
    let output = wgfleet(folder, arguments);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// Every shape of a fleet, told as people read it.
#[test]
fn every_setting_of_the_examples_is_explained() {
    for (file, name) in [
        ("examples/site-to-site", "branch-gw"),
        ("examples/hub-and-spoke", "lyon-gw"),
        ("examples/host-to-host", "db-primary"),
        ("examples/road-warriors", "work-laptop"),
        ("examples/road-warriors", "alice-phone"),
        ("examples/two-zones-one-gateway", "gate"),
        ("inventories/demo.yaml", "frankfurt-gw"),
    ] {
        let shown = said(&root(), &["explain", "--file", file, name]);
        insta::assert_snapshot!(name, shown);
    }
}

/// A file in which everything is decided somewhere else.
const LEVELS: &str = "\
fleet: f
defaults: { keepalive: 20, become: sudo }
groups:
  branch: { nat: true, post_up: [logger up] }
networks:
  n: { prefixes: [10.9.0.0/24], mtu: 1380, psk: pairwise, links: { hub: hub } }
sites:
  paris:
    subnets: [192.168.1.0/24]
    underlay: { mtu: 1492 }
    defaults: { dns: [10.9.0.1] }
    hosts:
      hub: { address: 10.9.0.1, endpoint: 'hub.example.com:51820', gateway: true }
hosts:
  b1:
    groups: [branch]
    subnets: [172.16.1.0/24]
    pre_up: 'echo AGE-SECRET-KEY-1YX9K024AMDLZGXR3JT552MQRMNRYPP3AYJLAAK5NVW07H0F948QS2VECEM'
    peers:
      hub: { keepalive: 15 }
  b2: { groups: [branch], table: 99, full_tunnel: hub }
peers:
  phone: { via: hub }
";

fn levels() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("fleet.yaml"), LEVELS).expect("it can be written");
    folder
}

#[test]
fn each_reason_has_its_place() {
    let folder = levels();
    for host in ["hub", "b1", "b2", "phone"] {
        insta::assert_snapshot!(format!("levels-{host}"), said(folder.path(), &["explain", host]));
    }
    let one = said(folder.path(), &["explain", "b2", "hub"]);
    insta::assert_snapshot!("levels-b2-hub", one);
    assert!(!folder.path().join("fleet.lock").exists(), "nothing is pinned");
}

#[test]
fn programs_get_values_and_no_secret() {
    let folder = levels();
    let text = said(folder.path(), &["explain", "--format", "json", "b1"]);
    assert!(!text.contains("AGE-SECRET-KEY"), "{text}");
    assert_eq!(document(text.as_bytes())["kind"], "explain");
    insta::assert_snapshot!(text);
}

#[test]
fn names_that_are_not_there_are_told() {
    let folder = levels();
    for (words, told) in [
        (&["hubb"][..], "did you mean `hub`?"),
        (&["b1", "hbu"], "did you mean `hub`?"),
        (&["b1", "b2"], "no link joins `b1` and `b2`"),
    ] {
        let output = wgfleet(folder.path(), &[&["explain"], words].concat());
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(64), "{error}");
        assert!(error.contains(told), "{error}");
    }
}
