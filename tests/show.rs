//! `wgfleet show`: a saved plan, and what is none.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const KEY: &str = "AGE-SECRET-KEY-1YX9K024AMDLZGXR3JTLUNTQDLS0XK8RHZPQ5UQ0JLQY4WQ2DV4SSGZ0QXH";

fn show(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wgfleet"));
    command.arg("show").args(arguments).current_dir(folder).env_remove("WGFLEET_IDENTITY");
    command.output().expect("the binary runs")
}

/// docs/json.md.
fn page() -> String {
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/json.md");
    fs::read_to_string(page).expect("the page is there")
}

/// The first block of a language on the page.
fn block(language: &str) -> String {
    let page = page();
    let block = page.split(&format!("```{language}\n")).nth(1).expect("a block");
    block.split("```").next().expect("its end").to_owned()
}

/// The plan that the page shows.
fn example() -> String {
    block("json")
}

/// The names of all fields of a value.
fn fields(value: &serde_json::Value, names: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(map) => {
            for (name, value) in map {
                names.insert(name.clone());
                fields(value, names);
            }
        }
        serde_json::Value::Array(values) => values.iter().for_each(|value| fields(value, names)),
        _ => {}
    }
}

#[test]
fn a_saved_plan_is_shown_without_inventory_and_key() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("fleet.plan"), example()).expect("it can be written");
    let shown = show(folder.path(), &["fleet.plan"]);
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert_eq!(shown.status.code(), Some(0), "{text}");
    assert_eq!(text, block("text"));
    let json = show(folder.path(), &["--format", "json", "fleet.plan"]);
    let said: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    let saved: serde_json::Value = serde_json::from_str(&example()).expect("JSON");
    assert_eq!(said, saved);
    let mut names = BTreeSet::new();
    fields(&saved, &mut names);
    let (_, words) =
        page().split_once("## Values").map(|(a, b)| (a.to_owned(), b.to_owned())).expect("words");
    let missing: Vec<&String> =
        names.iter().filter(|name| !words.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "docs/json.md does not say what these are: {missing:?}");
}

#[test]
fn what_is_no_plan_is_refused_and_never_quoted() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let deep = format!("{{\"version\": 2, \"hosts\": {}", "[".repeat(200_000));
    let far = example().replace("\"peers\": [0]", "\"peers\": [4294967295]");
    let more = example().replacen("\"version\": 2,", &format!("\"version\": 2, \"{KEY}\": 1,"), 1);
    let files: [(&str, &str, i32); 8] = [
        ("key", KEY, 64),
        ("empty", "", 64),
        ("half", &example()[..900], 64),
        ("deep", &deep, 64),
        ("far", &far, 64),
        ("more", &more, 64),
        ("old", "{\"version\": 1, \"fleet\": \"f\", \"hosts\": []}", 6),
        ("new", "{\"version\": 3, \"fleet\": \"f\", \"hosts\": []}", 6),
    ];
    for (name, text, code) in files {
        fs::write(at(name), text).expect("it can be written");
        let shown = show(folder.path(), &[name]);
        let said = String::from_utf8_lossy(&shown.stderr).into_owned();
        assert_eq!(shown.status.code(), Some(code), "{name}: {said}");
        assert!(shown.stdout.is_empty() && !said.contains("AGE-"), "{name}: {said}");
        assert!(said.len() < 1_000, "{name}: {said}");
    }
    assert_eq!(show(folder.path(), &["nowhere"]).status.code(), Some(1));
    assert_eq!(show(folder.path(), &["."]).status.code(), Some(1));
    assert_eq!(show(folder.path(), &["/dev/zero"]).status.code(), Some(1));
}

#[test]
fn text_of_a_saved_plan_is_escaped() {
    let folder = tempfile::tempdir().expect("a folder");
    let evil = "x\\u001b[2J\\u202e\\n::error::y";
    let text = example()
        .replace("logger up", evil)
        .replace("Connection refused", evil)
        .replace("SaveConfig = true", evil)
        .replace("/etc/wireguard/wg0.conf", evil)
        .replace("the vault's", evil)
        .replace("\"notes\": []", &format!("\"notes\": [\"{evil}\"]"));
    fs::write(folder.path().join("fleet.plan"), text).expect("it can be written");
    for arguments in [&["fleet.plan"][..], &["--verbose", "fleet.plan"]] {
        let shown = show(folder.path(), arguments);
        let text = String::from_utf8_lossy(&shown.stdout).into_owned();
        assert_eq!(shown.status.code(), Some(0), "{text}");
        assert!(text.matches("\\u{1b}[2J\\u{202e}").count() >= 6, "{text}");
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
        assert!(!text.lines().any(|line| line.starts_with("::")), "{text}");
    }
}
