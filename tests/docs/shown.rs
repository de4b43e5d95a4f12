//! What README.md shows of commands that touch no host is what they print.

use std::fs;

use crate::{blocks, root, wgfleet};

/// The file of the example.
const OSLO: &str = "fleet: acme
networks:
  net: { interface: wg0, prefixes: 10.10.0.0/24, links: { hub: hub } }
hosts:
  hub: { address: 10.10.0.1, endpoint: 203.0.113.1:51820 }
  oslo:
    address: 10.10.0.2
    nat: true
    peers:
      hub: { allowed_ips: 10.10.0.1/32 }
  rome: { address: 10.10.0.3, nat: true }
";

#[test]
fn why_prints_what_the_readme_shows() {
    let readme = fs::read_to_string(root().join("README.md")).expect("README.md is there");
    let command = "$ wgfleet why rome oslo\n";
    let shown = blocks(&readme, "console").into_iter().find_map(|text| text.strip_prefix(command));
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("fleet.yaml"), OSLO).expect("it can be written");
    let file = folder.path().to_string_lossy().into_owned();
    let output = wgfleet(&["--file", &file, "why", "rome", "oslo"]);
    let said = String::from_utf8_lossy(&output.stdout).replace(&format!("{file}/"), "/");
    assert_eq!(shown, Some(said.as_str()), "README.md on the left");
}
