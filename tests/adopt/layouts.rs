//! Layouts as they are found in the wild, each with the inventory that an import writes.
//!
//! Files name keys instead of holding them: `{key paris}`, `{pub paris}`, `{psk paris lyon}`.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use wgfleet::adopt::{Adoption, KnownHost, There, adopt, joined, read};
use wgfleet::check;
use wgfleet::desired::{PublicKeys as _, Secrets as _};
use wgfleet::finding::Severity;
use wgfleet::inventory::{LockFile, allocate, parse};
use wgfleet::model::{HostName, NetworkName, PublicKey};
use wgfleet::topology;

use crate::vault::Vault;

const VAULT: Vault = Vault { generation: 0, epoch: 1 };

/// A text with the keys that it names.
fn with_keys(text: &str) -> String {
    let public = |name: &str| -> PublicKey {
        VAULT.of(&name.parse::<HostName>().expect("a name")).expect("a key")
    };
    let mut all = String::new();
    let mut pieces = text.split('{');
    all.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let (named, rest) = piece.split_once('}').expect("it is closed");
        let words: Vec<&str> = named.split(' ').collect();
        match words[..] {
            ["key", name] => {
                let name = name.parse().expect("a name");
                all.push_str(&VAULT.private(&name).expose_base64());
            }
            ["pub", name] => all.push_str(&public(name).to_string()),
            ["psk", a, b] => {
                let Ok(key) = VAULT.preshared_key(&public(a), &public(b), 1);
                all.push_str(&key.expose_base64());
            }
            _ => panic!("{named}"),
        }
        all.push_str(rest);
    }
    all
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
    found.sort();
}

fn import(layout: &str) -> Adoption {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/adopt/layouts").join(layout);
    let mut paths = Vec::new();
    files(&root, &mut paths);
    let (mut hosts, mut remarks) = (Vec::new(), Vec::new());
    for path in paths {
        let text = with_keys(&fs::read_to_string(&path).expect("a file"));
        let path = Path::new("in").join(path.strip_prefix(&root).expect("below"));
        let read = read(&path, Path::new("in"), &text).expect("a form that is known");
        hosts.push(read.host);
        remarks.extend(read.remarks);
    }
    adopt(&layout.parse().expect("a name"), joined(hosts), remarks, &There::default())
        .expect("an inventory")
}

/// What an import shows of a layout: the inventory, the report, and what `check` says.
fn shown(layout: &str) -> String {
    let adoption = import(layout);
    let mut shown = adoption.text();
    for remark in &adoption.remarks {
        let _ = write!(shown, "\n-- {:?}: {}", remark.topic, remark.text);
        if let Some(hint) = &remark.hint {
            let _ = write!(shown, "\n{hint}");
        }
    }
    let parsed = parse(PathBuf::from("fleet.yaml"), adoption.text());
    let inventory = parsed.inventory.expect("an inventory");
    let (lock, _) = allocate(&inventory, &LockFile::default());
    let addresses = |network: &NetworkName, name: &HostName| lock.address(network, name).to_vec();
    let topology = topology::build(&inventory, &addresses);
    for finding in check::check(&inventory, &topology) {
        if finding.severity > Severity::Info {
            let _ =
                write!(shown, "\n== {:?} {}: {}", finding.severity, finding.code, finding.title);
        }
    }
    shown
}

macro_rules! layouts {
    ($($test:ident: $layout:literal,)*) => {
        $(#[test]
        fn $test() {
            insta::assert_snapshot!(shown($layout));
        })*

        #[test]
        fn every_layout_has_a_test() {
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/adopt/layouts");
            let there = fs::read_dir(root).expect("a folder").count();
            assert_eq!(there, [$($layout),*].len());
        }
    };
}

layouts! {
    a_hub_with_phones: "hub-with-phones",
    a_mesh_of_five: "mesh-of-five",
    two_sites: "two-sites",
    an_exit_of_a_provider: "provider-exit",
    a_docker_host: "docker-host",
    a_hub_with_spokes: "spokes",
    two_hubs: "two-hubs",
    a_full_tunnel: "full-tunnel",
    a_hub_that_is_only_live: "live-hub",
    two_interfaces_with_keys_of_their_own: "two-interfaces",
}

/// A second import writes only what is new, in the networks that are there.
#[test]
fn what_is_added_is_only_what_is_new() {
    let hosts = |layout: &str, names: &[&str]| -> Vec<KnownHost> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/adopt/layouts").join(layout);
        let read = |name: &&str| {
            let path = root.join(format!("{name}.conf"));
            let text = with_keys(&fs::read_to_string(&path).expect("a file"));
            read(&path, &root, &text).expect("a form that is known").host
        };
        names.iter().map(read).collect()
    };
    let name = "spokes".parse().expect("a name");
    let first = adopt(&name, hosts("spokes", &["hub", "build"]), Vec::new(), &There::default());
    let first = first.expect("an inventory");
    assert_eq!(first.peers.iter().map(ToString::to_string).collect::<Vec<_>>().len(), 2);
    let there = There { hosts: first.hosts.clone(), peers: first.peers.clone() };
    let all = || hosts("spokes", &["hub", "build", "store", "home"]);
    let again = adopt(&name, hosts("spokes", &["hub", "build"]), Vec::new(), &there);
    assert!(!again.expect("an inventory").has_new());
    let more = adopt(&name, all(), Vec::new(), &there).expect("an inventory");
    assert!(more.has_new());
    insta::assert_snapshot!(more.text());
}
