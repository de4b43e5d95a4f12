//! The files below src/, and what their text names.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A file of the source.
pub(crate) struct Source {
    /// Path below src/.
    pub(crate) path: String,
    /// First part of it: the layer.
    pub(crate) layer: String,
    /// What is in it.
    pub(crate) text: String,
    /// The text without comments.
    pub(crate) code: String,
}

impl Source {
    /// The code without the tests at its end.
    pub(crate) fn shipped(&self) -> &str {
        self.code.split("#[cfg(test)]\nmod ").next().unwrap_or_default()
    }
}

/// All files below src/, in order of the alphabet.
pub(crate) fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    walk(&root, &mut paths);
    paths.sort();
    assert!(paths.len() > 50, "the source is under {}", root.display());
    let source = |path: &PathBuf| {
        let text = fs::read_to_string(path).expect("the source can be read");
        let path = path.strip_prefix(&root).expect("it is below src").display().to_string();
        let layer = path.split(['/', '.']).next().unwrap_or_default().to_owned();
        let code = without_comments(&text);
        Source { path, layer, text, code }
    };
    paths.iter().map(source).collect()
}

fn walk(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            walk(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

/// Takes whole-line comments out; a link in documentation is no import.
fn without_comments(text: &str) -> String {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.flat_map(|line| [line, "\n"]).collect()
}

/// What follows each `word::` that is not the tail of a longer path or name.
pub(crate) fn after<'a>(code: &'a str, word: &str) -> Vec<&'a str> {
    let path = format!("{word}::");
    code.match_indices(&path)
        .filter(|(at, _)| {
            let before = code[..*at].chars().next_back().unwrap_or(' ');
            !before.is_alphanumeric() && !matches!(before, '_' | ':' | '.' | '"')
        })
        .map(|(at, found)| &code[at + found.len()..])
        .collect()
}

/// The modules of this crate that the code names through `crate::`.
pub(crate) fn imports(code: &str) -> BTreeSet<String> {
    let name = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let mut found = BTreeSet::new();
    for rest in after(code, "crate") {
        let Some(group) = rest.strip_prefix('{') else {
            found.insert(name(rest));
            continue;
        };
        let mut depth = 0;
        let mut item = String::new();
        for c in group.chars() {
            match c {
                '}' if depth == 0 => break,
                ',' if depth == 0 => drop(found.insert(name(&std::mem::take(&mut item)))),
                _ => {
                    depth += i32::from(c == '{') - i32::from(c == '}');
                    item.push(c);
                }
            }
        }
        found.insert(name(&item));
    }
    found.remove("");
    found
}

#[test]
fn imports_are_read_from_every_form() {
    let code = "use crate::plan::{Plan, x};\nuse crate::{check, report::{a, b}};\n\
                let x = crate::sys::read(); pub(crate) fn f() {} not_crate::model::X; std::plan::P";
    let found: Vec<String> = imports(code).into_iter().collect();
    assert_eq!(found, ["check", "plan", "report", "sys"]);
}
