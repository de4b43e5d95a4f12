//! Every kind of finding, rendered whole: one file under `tests/findings/` for each snapshot.

use std::fs;
use std::path::{Path, PathBuf};

use wgfleet::inventory::{self, Lock, allocate};
use wgfleet::model::{HostName, NetworkName};
use wgfleet::report::findings;
use wgfleet::{check, finding, topology};

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/findings");
    let mut cases: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the cases are there")
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    cases.sort();
    cases
}

#[test]
fn every_case_says_what_to_write() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("findings/snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let _scope = settings.bind_to_scope();
    for case in cases() {
        let name = case.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_owned();
        let text = fs::read_to_string(&case).expect("the case can be read");
        let parsed = inventory::parse(PathBuf::from("fleet.yaml"), text);
        let mut found = parsed.findings;
        if let Some(inventory) = &parsed.inventory {
            let (lock, more) = allocate(inventory, &Lock::default());
            found.extend(more);
            let addresses =
                |network: &NetworkName, name: &HostName| lock.address(network, name).to_vec();
            found.extend(check::check(inventory, &topology::build(inventory, &addresses)));
            finding::sort(&mut found);
        }
        let mut shown = findings::human(&found, &parsed.sources, false);
        shown.push_str(&findings::summary(&found));
        insta::assert_snapshot!(name, shown);
    }
}

/// No form of output shows a key that somebody pasted into the file.
#[test]
fn a_pasted_secret_is_never_shown() {
    let text = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/findings/refused.yaml"),
    )
    .expect("the case can be read");
    for text in [text.clone(), format!("{text}  broken: [\n"), text.replace('\n', "\r\n")] {
        let parsed = inventory::parse(PathBuf::from("fleet.yaml"), text);
        let json = findings::json(&parsed.findings, &parsed.sources);
        let json = serde_json::to_string(&json).expect("findings serialise");
        let human = findings::human(&parsed.findings, &parsed.sources, true);
        let debug = format!("{:?}", parsed.findings);
        for shown in [json, human, debug] {
            assert!(!shown.contains("dwdtCnMYpX"), "{shown}");
        }
    }
}
