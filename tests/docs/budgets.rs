//! CONTRIBUTING.md says how long each test program may take; `make test` prints what it took.

use std::collections::BTreeSet;
use std::fs;

use crate::root;

#[test]
fn budgets_are_numbers_and_of_programs_that_there_are() {
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
    assert!(named.remove("any other"), "what has no row has a budget, too");
    assert!(named.remove("lib"));
    assert!(named.len() > 5, "{named:?}");
    for name in named {
        let tests = root().join("tests");
        let there = tests.join(format!("{name}.rs")).exists() || tests.join(&name).exists();
        assert!(there, "no test program is called {name}");
    }
}

/// A filter that finds nothing is no error for nextest: the test that it meant would run alone, or
/// beside what it must not.
#[test]
fn what_the_filters_of_nextest_name_is_there() {
    let config = fs::read_to_string(root().join(".config/nextest.toml")).expect("it is there");
    let filters = config.split("test(").skip(1).filter_map(|rest| rest.split(')').next());
    let words = filters.flat_map(|filter| {
        filter.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
    });
    let words: BTreeSet<&str> = words.filter(|word| word.len() > 3).collect();
    assert!(words.len() > 20, "{words:?}");
    let tests = crate::extending::text(&root().join("tests"));
    let missing: Vec<_> = words.into_iter().filter(|word| !tests.contains(word)).collect();
    assert!(missing.is_empty(), "no test has these words of .config/nextest.toml: {missing:?}");
}
