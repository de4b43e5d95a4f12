//! Every kind of finding, rendered whole: one file under `tests/findings/` for each snapshot.

mod checked;

use std::fs;
use std::path::{Path, PathBuf};

use checked::{found, shown};
use wgfleet::finding::{Code, Finding, Severity};
use wgfleet::inventory;
use wgfleet::report::document::Findings;
use wgfleet::report::{explain, findings};

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
        insta::assert_snapshot!(name, shown(&found(&text)));
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
        let json = Findings::new(&parsed.findings, &parsed.sources);
        let json = serde_json::to_string(&json).expect("findings serialise");
        let human = findings::human(&parsed.findings, &parsed.sources, true);
        let debug = format!("{:?}", parsed.findings);
        for shown in [json, human, debug] {
            assert!(!shown.contains("dwdtCnMYpX"), "{shown}");
        }
    }
}

/// What the page of a code begins its excuse with where its example is no whole inventory.
const FRAGMENT: &str = "The example is a fragment: ";

/// The example of each page shows what the page is about, and its fix is one.
#[test]
fn every_page_has_an_example_that_does_it_and_one_that_does_not() {
    let mut wrong = Vec::new();
    for code in Code::ALL {
        let page = explain::page(*code);
        let (behaviour, fix) = page.split_once("**What to do.**").expect("it says what to do");
        let inventories = |text: &'static str| -> Vec<&'static str> {
            let blocks = text.split("```yaml\n").skip(1);
            blocks.map(|block| block.split("```").next().unwrap_or_default()).collect()
        };
        let examples = inventories(behaviour);
        if behaviour.contains(FRAGMENT) {
            continue;
        }
        if examples.len() != 1 {
            wrong.push(format!("{code} has {} examples", examples.len()));
        }
        for example in examples {
            let found = found(example);
            if !found.0.iter().any(|found| found.code == *code) {
                wrong
                    .push(format!("the example of {code} does something else:\n{}", shown(&found)));
            }
        }
        for fix in inventories(fix) {
            let found = found(fix);
            let bad = |found: &Finding| found.code == *code || found.severity > Severity::Info;
            if found.0.iter().any(bad) {
                wrong.push(format!("the fix of {code} is none:\n{}", shown(&found)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
