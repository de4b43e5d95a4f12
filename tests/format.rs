//! The file format as others see it: examples, JSON Schema and documentation agree with the code.

use std::fs;
use std::path::{Path, PathBuf};

use wgfleet::cli::load::load;
use wgfleet::finding;
use wgfleet::inventory::keys::SECTIONS;
use wgfleet::inventory::schema;
use wgfleet::report::findings;

fn root() -> PathBuf {
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
        let inventory = loaded.inventory.expect("an inventory");
        for host in &inventory.hosts {
            for interface in &host.interfaces {
                let network = &inventory.networks[interface.network];
                let addresses = loaded.lock.address(&network.name.value, &host.name.value);
                assert_eq!(addresses.len(), network.prefixes.len(), "{}", host.name.value);
            }
        }
        assert!(!finding::any_error(&loaded.findings));
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
fn the_documentation_has_every_key() {
    let text = fs::read_to_string(root().join("docs/file-format.md")).expect("the page is there");
    for section in SECTIONS {
        let heading = format!("<a id=\"{}\"></a>", section.id);
        let (_, rest) = text.split_once(&heading).unwrap_or_else(|| panic!("{heading}"));
        let part = rest.split("<a id=").next().unwrap_or_default();
        for key in section.all() {
            let row = format!("| `{}` |", key.name);
            let line = part.lines().find(|line| line.starts_with(&row));
            let line = line.unwrap_or_else(|| panic!("{}: {row}", section.id));
            assert!(line.contains(key.doc), "{}: {line}\nwants: {}", section.id, key.doc);
        }
    }
}

#[test]
fn the_design_example_is_read_whole() {
    let path: &Path = &root().join("tests/findings/design.yaml");
    let text = fs::read_to_string(path).expect("the case can be read");
    let parsed = wgfleet::inventory::parse(PathBuf::from("fleet.yaml"), text);
    let inventory = parsed.inventory.expect("no findings");
    insta::assert_debug_snapshot!((
        &inventory.networks,
        &inventory.sites,
        &inventory.hosts,
        &inventory.peers,
        &inventory.expects
    ));
}
