//! The operations that the compiler writes are those that the host's script reads, and each that
//! changes something is one that the script's `snapshot()` saves something for.

use std::collections::BTreeSet;

use wgfleet::plan::{Op, Saved};

const SCRIPT: &str = wgfleet::remote::HOST_SCRIPT;

/// The body of a function of the script.
fn body(name: &str) -> &'static str {
    let head = format!("\n{name}() {{");
    let (_, rest) = SCRIPT.split_once(&head).unwrap_or_else(|| panic!("no function {name}"));
    rest.split_once("\n}").expect("it ends").0
}

/// The patterns of the branches of a `case` whose lines have so many tabs before them.
fn branches(body: &str, tabs: usize) -> BTreeSet<&str> {
    let indent = "\t".repeat(tabs);
    let lines = body.lines().filter_map(|line| line.strip_prefix(indent.as_str()));
    let patterns = lines.filter_map(|line| {
        let (pattern, _) = line.split_once(')')?;
        let plain = |c: char| c.is_ascii_lowercase() || "-| ".contains(c);
        pattern.starts_with(|c: char| c.is_ascii_lowercase()).then_some(())?;
        pattern.chars().all(plain).then_some(pattern)
    });
    patterns.flat_map(|pattern| pattern.split('|').map(str::trim)).collect()
}

fn labels(which: impl Fn(Saved) -> bool) -> BTreeSet<&'static str> {
    Op::ALL.iter().filter(|(_, saved)| which(*saved)).map(|(label, _)| *label).collect()
}

#[test]
fn the_script_knows_every_operation_and_no_other() {
    let all = labels(|_| true);
    assert_eq!(all.len(), Op::ALL.len(), "two operations have one label");
    assert_eq!(branches(body("op"), 1), all);
}

#[test]
fn the_script_saves_what_an_operation_names() {
    assert_eq!(branches(body("snapshot"), 2), labels(|saved| saved == Saved::Itself));
}

#[test]
fn no_other_part_of_the_script_has_a_label_of_its_own() {
    let mut seen = BTreeSet::new();
    for name in ["began", "began_unit", "sync_names"] {
        for text in body(name).split("$1 ").skip(1) {
            let words = match (text.strip_prefix("== \""), text.strip_prefix("~ /^(")) {
                (Some(rest), _) => rest.split('"').next(),
                (_, Some(rest)) => rest.split(')').next(),
                _ => None,
            };
            seen.extend(words.expect("a comparison with labels").split('|'));
        }
    }
    for text in SCRIPT.split("grep -Eq '^(").skip(1) {
        seen.extend(text.split(')').next().expect("a list").split('|'));
    }
    let all = labels(|_| true);
    assert!(seen.len() > 8 && seen.is_subset(&all), "{:?}", seen.difference(&all));
}
