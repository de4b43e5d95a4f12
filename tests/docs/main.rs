//! What the documentation shows is what the program does, and what the repository promises of itself.

mod budgets;
mod extending;
mod picture;
mod shown;
mod workflows;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn wgfleet(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wgfleet"));
    command.args(arguments).env_remove("WGFLEET_IDENTITY").output().expect("the binary runs")
}

/// The pages, with their paths below the repository.
fn pages() -> Vec<(PathBuf, String)> {
    let mut paths: Vec<PathBuf> = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"]
        .map(PathBuf::from)
        .into_iter()
        .chain(
            fs::read_dir(root().join("docs"))
                .expect("the pages are there")
                .map(|entry| Path::new("docs").join(entry.expect("it can be read").file_name()))
                .filter(|path| path.extension().is_some_and(|extension| extension == "md")),
        )
        .collect();
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(root().join(&path)).expect("the page can be read");
        (path, text)
    };
    paths.into_iter().map(read).collect()
}

/// The fenced blocks of a language.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    page.split(fence.as_str()).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn every_inventory_that_is_shown_is_without_findings() {
    let mut shown = 0;
    for (path, page) in pages() {
        for text in blocks(&page, "yaml").into_iter().filter(|text| text.starts_with("fleet:")) {
            let folder = tempfile::tempdir().expect("a folder");
            let file = folder.path().join("fleet.yaml");
            fs::write(&file, text).expect("it can be written");
            let checked = wgfleet(&["check", "--file", &file.to_string_lossy()]);
            let said = String::from_utf8_lossy(&checked.stdout).into_owned();
            assert!(checked.status.success(), "{}:\n{said}", path.display());
            // A note is none that a reader would have to act on.
            let calm = !said.contains("error[") && !said.contains("warning[");
            assert!(calm, "{}:\n{said}", path.display());
            shown += 1;
        }
    }
    assert!(shown >= 2, "README.md and docs/getting-started.md show one each");
}

#[test]
fn every_link_within_the_repository_leads_somewhere() {
    let mut broken = Vec::new();
    for (path, page) in pages() {
        for rest in page.split("](").skip(1) {
            let target = rest.split([')', '#']).next().unwrap_or_default();
            let outside = target.is_empty() || target.contains("://");
            let folder = path.parent().unwrap_or(Path::new(""));
            if !outside && !root().join(folder).join(target).exists() {
                broken.push(format!("{}: {target}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_readme_lists_every_command() {
    let help = wgfleet(&["--help"]);
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    let commands: BTreeSet<&str> = help
        .lines()
        .skip_while(|line| !line.starts_with("Commands:"))
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert!(commands.len() >= 12, "{help}");
    let readme = fs::read_to_string(root().join("README.md")).expect("README.md is there");
    let rows = readme
        .lines()
        .skip_while(|line| !line.starts_with("## Commands"))
        .filter(|line| line.starts_with("| `"))
        .filter_map(|line| line.split('|').nth(1));
    let listed: BTreeSet<&str> = rows
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .filter_map(|name| name.trim_start_matches("wgfleet ").split_whitespace().next())
        .collect();
    assert_eq!(listed, commands);
}

/// A page that names a command or an option which is not there sends its reader astray.
#[test]
fn commands_that_are_shown_exist() {
    let help = |words: &[&str]| {
        let mut words = words.to_vec();
        words.push("--help");
        let output = wgfleet(&words);
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let mut wrong = Vec::new();
    for (path, page) in pages() {
        let typed = blocks(&page, "sh").into_iter().flat_map(str::lines);
        let consoles = blocks(&page, "console").into_iter().flat_map(str::lines);
        for line in typed.chain(consoles.filter_map(|line| line.strip_prefix("$ "))) {
            let line = line.split(" #").next().unwrap_or_default();
            for call in line.split("wgfleet ").skip(1) {
                let call = call.split(['|', ')', '>', ';', '&']).next().unwrap_or_default();
                let call = call.split(" -- ").next().unwrap_or_default();
                let words: Vec<&str> = call.split_whitespace().collect();
                let Some(name) = words.first().filter(|word| !word.starts_with('-')) else {
                    continue;
                };
                let inner = words.get(1).filter(|_| matches!(*name, "lab" | "peer" | "vault"));
                let command: Vec<&str> = std::iter::once(*name).chain(inner.copied()).collect();
                let (known, text) = help(&command);
                let options = words.iter().filter(|word| word.starts_with("--"));
                let missing = options.filter(|option| !text.contains(**option));
                let missing: Vec<&&str> = missing.collect();
                if !known || !missing.is_empty() {
                    wrong.push(format!("{}: wgfleet {call} {missing:?}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
