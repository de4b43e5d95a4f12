//! Everything that is printed as JSON without a host is what its schema says: the binary, over every
//! inventory of this repository, whether it is in order or not.

mod commands;
#[path = "../support/documents.rs"]
mod documents;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use documents::document;
use serde_json::Value;

fn wgfleet(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wgfleet"));
    command.args(arguments).current_dir(folder).env_remove("WGFLEET_IDENTITY");
    command.env("XDG_STATE_HOME", concat!(env!("CARGO_TARGET_TMPDIR"), "/state"));
    command.output().expect("the binary runs")
}

/// Every fleet file of the repository: examples, and those that tests hold.
fn inventories() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = ["examples", "inventories", "tests/rules", "tests/findings"]
        .iter()
        .map(|folder| root.join(folder))
        .collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "yaml") {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(found.len() > 100, "{}", found.len());
    found
}

/// Two names of hosts or peers of a matrix.
fn ends(reach: &Value) -> Option<(&str, &str)> {
    let nodes = reach["nodes"].as_array()?;
    Some((nodes.first()?["name"].as_str()?, nodes.last()?["name"].as_str()?))
}

#[test]
fn what_is_said_of_an_inventory_is_what_the_schemas_say() {
    let (mut broken, mut unread, mut proved) = (0, 0, 0);
    // A folder without a lock file, and which none is written into.
    let empty = tempfile::tempdir().expect("a folder");
    let lock = empty.path().join("fleet.lock");
    for path in inventories() {
        let path = path.to_str().expect("a name");
        let run = |words: &[&str]| {
            let given = ["--file", path, "--lock", lock.to_str().expect("a name")];
            let output = wgfleet(empty.path(), &[words, &given].concat());
            let _ = fs::remove_file(&lock);
            output
        };
        let found = document(&run(&["check", "--format", "json"]).stdout);
        assert_eq!(found["kind"], "findings");
        broken += usize::from(found["errors"].as_u64() > Some(0));
        let reach = run(&["check", "--reachability", "--format", "json"]);
        let reach = document(&reach.stdout);
        if reach["kind"] == "findings" {
            // There is no fleet, so this says why.
            assert_eq!(reach, found);
            unread += 1;
            continue;
        }
        let failures = document(&run(&["check", "--failures", "--format", "json"]).stdout);
        assert_eq!(failures["kind"], "failures", "{path}");
        let Some((from, to)) = ends(&reach) else { continue };
        for (from, to) in [(from, to), (to, from), (from, "internet"), (from, "203.0.113.9")] {
            let output = run(&["why", "--format", "json", from, to]);
            assert_eq!(document(&output.stdout)["kind"], "why", "{path}: {output:?}");
            proved += 1;
        }
        // What is wrong is told as JSON on stderr, too: here before the vault is missed.
        let output = run(&["status", "--format", "json"]);
        let lines = output.stderr.split(|byte| *byte == b'\n');
        for line in lines.filter(|line| line.starts_with(b"{")) {
            let kind = document(line)["kind"].clone();
            assert!(kind == "findings" || kind == "event", "{path}: {output:?}");
        }
    }
    assert!(broken > 40 && unread > 5 && proved > 200, "{broken} {unread} {proved}");
}

#[test]
fn schemas_are_printed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    let mut printed = 0;
    for entry in fs::read_dir(&folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
        let kind = name.strip_suffix(".schema.json").expect("schemas/ has schemas only");
        let output = wgfleet(&folder, &["schema", kind]);
        assert_eq!(output.stdout, fs::read(&path).expect("it is there"), "{kind}");
        printed += 1;
    }
    let unnamed = wgfleet(&folder, &["schema"]);
    assert_eq!(unnamed.stdout, fs::read(folder.join("fleet.schema.json")).expect("it is there"));
    assert!(printed > 3);
    assert_eq!(wgfleet(&folder, &["schema", "nothing"]).status.code(), Some(64));
}
