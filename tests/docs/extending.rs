//! Each step of docs/extending.md names a file, and names that stand in it.

use std::fs;
use std::path::Path;

use crate::root;

/// The text of a file, or of all files below a folder, with their names.
pub(crate) fn text(path: &Path) -> String {
    if path.is_file() {
        return String::from_utf8_lossy(&fs::read(path).expect("a file")).into_owned();
    }
    let entries = fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    let named = paths.iter().map(|path| format!("{}\n{}", path.display(), text(path)));
    named.collect()
}

/// The steps of the page: their lines from the number on, as one text.
fn steps(page: &str) -> Vec<String> {
    let mut steps: Vec<String> = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        let number = line.split_once(". ").is_some_and(|(number, _)| number.parse::<u8>().is_ok());
        if number {
            steps.push(line.to_owned());
        } else if inside && line.starts_with("   ") {
            steps.last_mut().expect("a step").push_str(line);
        }
        inside = number || (inside && line.starts_with("   "));
    }
    steps
}

#[test]
fn every_step_names_what_is_there() {
    let page = fs::read_to_string(root().join("docs/extending.md")).expect("the page is there");
    let headings = page.lines().filter(|line| line.starts_with("## ")).count();
    assert_eq!(headings, 9, "{page}");
    let steps = steps(&page);
    assert!(steps.len() > 4 * headings, "{} steps", steps.len());
    let mut wrong = Vec::new();
    for step in &steps {
        let mut words = step.split('`').skip(1).step_by(2);
        let file = root().join(words.next().expect("a step begins with a file"));
        if !file.exists() {
            wrong.push(format!("{} is not there: {step}", file.display()));
            continue;
        }
        let text = text(&file);
        for word in words {
            // Another file, a command, or a name that stands in the step's own.
            let known =
                root().join(word).exists() || word.starts_with("make ") || text.contains(word);
            if !known {
                wrong.push(format!("{} has no `{word}`: {step}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whoever configures interfaces has a file, and a row in each of the two lists.
#[test]
fn every_manager_has_its_rows() {
    let folder = root().join("src/plan/manager");
    let read = |file: &str| fs::read_to_string(folder.join(file)).expect("the file is there");
    let (modules, choice) = (read("mod.rs"), read("choice.rs"));
    let (_, rows) = choice.split_once("const MANAGERS: &[&dyn Manager] = &[").expect("the list");
    let rows = rows.split(']').next().unwrap_or_default();
    let mut managers = 0;
    for entry in fs::read_dir(&folder).expect("a folder") {
        let name = entry.expect("an entry").file_name().into_string().expect("a name");
        let code = read(&name);
        let Some((_, rest)) = code.split_once("impl Manager for ") else { continue };
        let kind = rest.split_whitespace().next().unwrap_or_default();
        let stem = name.trim_end_matches(".rs");
        assert!(modules.contains(&format!("\nmod {stem};\n")), "mod.rs has no row of {stem}");
        let words: Vec<&str> = rows.split(|c: char| !c.is_ascii_alphanumeric()).collect();
        assert!(words.contains(&kind), "MANAGERS has no row of {kind}");
        managers += 1;
    }
    assert_eq!(managers, rows.matches('&').count(), "a row without a file: {rows}");
}
