//! Every rule with an inventory that breaks it and one that does not, and every shape that is legal.
//!
//! `tests/rules/fails/CODE.yaml` and `passes/CODE.yaml` are a pair; `legal/` has none. A
//! comment `# vault: HOST KEY` stands for a public key that the vault holds. 01 is the file itself:
//! its failing inventories are in `tests/findings/`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use wgfleet::finding::{self, Code, Finding, Severity};
use wgfleet::inventory::{self, Lock, allocate};
use wgfleet::model::{HostName, NetworkName, PublicKey, SourceMap};
use wgfleet::report::findings;
use wgfleet::{check, topology};

/// Codes that no inventory alone shows, and why.
const ELSEWHERE: &[(u16, &str)] = &[
    (108, "includes are read from a folder: tests/format.rs"),
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

/// What `check` says about an inventory.
fn found(text: &str) -> (Vec<Finding>, SourceMap) {
    let parsed = inventory::parse(PathBuf::from("fleet.yaml"), text.to_owned());
    let mut found = parsed.findings;
    if let Some(inventory) = &parsed.inventory {
        let (lock, more) = allocate(inventory, &Lock::default());
        found.extend(more);
        let addresses =
            |network: &NetworkName, name: &HostName| lock.address(network, name).to_vec();
        found.extend(check::check(inventory, &topology::build(inventory, &addresses)));
        let keys: Vec<(HostName, PublicKey)> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# vault: ")?.split_once(' '))
            .map(|(name, key)| (name.parse().expect("a name"), key.parse().expect("a key")))
            .collect();
        found.extend(check::against_vault(inventory, keys.iter().map(|(name, key)| (name, *key))));
        finding::sort(&mut found);
    }
    (found, parsed.sources)
}

fn shown((found, sources): &(Vec<Finding>, SourceMap)) -> String {
    let mut text = findings::human(found, sources, false);
    text.push_str(&findings::summary(found));
    text.push('\n');
    text
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
            format!("{}\n== the passing inventory ==\n{}", shown(&bad), shown(&good))
        );
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
        // A single hub is worth a note, and nothing more.
        if found.0.iter().any(|found| found.code != Code::SinglePoint) {
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
