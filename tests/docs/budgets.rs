//! CONTRIBUTING.md says how long each test program may take; `make test` prints what it took.

use std::collections::BTreeSet;
use std::fs;

use crate::root;

#[test]
fn every_test_program_has_a_budget() {
    let page = fs::read_to_string(root().join("CONTRIBUTING.md")).expect("the page is there");
    let rows = page.split("<!-- budgets").nth(1).and_then(|rest| rest.split("<!-- end").next());
    let rows = rows.expect("a table of budgets").lines().filter(|line| line.starts_with("| `"));
    let mut named = BTreeSet::new();
    for row in rows {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let seconds = cells[2].parse::<u32>();
        assert!(seconds.is_ok_and(|seconds| seconds > 0), "{row}: seconds, as a number");
        named.insert(cells[1].trim_matches('`').to_owned());
    }
    let mut programs = BTreeSet::from(["lib".to_owned()]);
    for entry in fs::read_dir(root().join("tests")).expect("there are tests") {
        let path = entry.expect("it can be read").path();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let alone = path.extension().is_some_and(|extension| extension == "rs");
        // The one in an emulated machine is no part of `make test`.
        if (alone || path.join("main.rs").exists()) && name != "kernel" {
            programs.insert(name);
        }
    }
    assert_eq!(named, programs, "each program of tests/ has its row in CONTRIBUTING.md");
}
