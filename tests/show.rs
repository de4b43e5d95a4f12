//! `wgfleet show`: a saved plan, and what is none.

#[path = "support/documents.rs"]
mod documents;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const KEY: &str = "AGE-SECRET-KEY-1YX9K024AMDLZGXR3JTLUNTQDLS0XK8RHZPQ5UQ0JLQY4WQ2DV4SSGZ0QXH";

fn show(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wgfleet"));
    command.env_clear().env("HOME", folder);
    command.arg("show").args(arguments).current_dir(folder);
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
    let said = documents::document(&json.stdout);
    let saved: serde_json::Value = serde_json::from_str(&example()).expect("JSON");
    assert_eq!(said, saved);
    let mut names = BTreeSet::new();
    fields(&saved, &mut names);
    let words = page();
    let missing: Vec<&String> =
        names.iter().filter(|name| !words.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "docs/json.md does not say what these are: {missing:?}");
}

/// A fleet of one host, which is down, with a vault of another name; its saved plan is `fleet.plan`.
fn fleet_with_plan(folder: &Path) {
    let fleet = "fleet: acme\nnetworks:\n  n: { interface: wg0, prefixes: [10.9.0.0/24] }\nhosts:\n  \
                 a: { address: 10.9.0.1, ssh: 'ssh://127.0.0.1:1', endpoint: '192.0.2.1:51820' }\n";
    fs::write(folder.join("fleet.yaml"), fleet).expect("it can be written");
    for (arguments, code) in [
        (&["vault", "init", "--fleet", "acme"][..], 0),
        (&["vault", "keygen"], 0),
        (&["plan", "--connect-timeout", "5", "--out", "fleet.plan"], 4),
        (&["show", "fleet.plan"], 0),
    ] {
        let ran = wgfleet(folder, arguments);
        assert_eq!(ran.status.code(), Some(code), "{ran:?}");
    }
}

fn wgfleet(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wgfleet"));
    command.env_clear().env("HOME", folder).env("PATH", std::env::var_os("PATH").unwrap());
    command.args(arguments).current_dir(folder);
    command.output().expect("the binary runs")
}

/// Somebody can write to the artefact that a reviewer reads, and not open the vault.
#[test]
fn a_plan_that_was_changed_since_it_was_saved_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    fleet_with_plan(folder.path());
    let saved = fs::read_to_string(at("fleet.plan")).expect("it is there");
    let shown = wgfleet(folder.path(), &["show", "fleet.plan"]);
    assert!(String::from_utf8_lossy(&shown.stderr).starts_with("verified: "), "{shown:?}");
    assert!(shown.stdout.starts_with(b"a  could not be read"), "{shown:?}");

    let note = "\"notes\":[{\"text\":\"reviewed: nothing runs as root\"}]";
    let calm = "\"disruption\":\"routes\"";
    let (without, _) = saved.rsplit_once(",\"mac\"").expect("it has a MAC");
    let value: serde_json::Value = serde_json::from_str(&saved).expect("JSON");
    let pretty = serde_json::to_string_pretty(&value).expect("JSON");
    let edits = [
        (saved.replacen("\"notes\":[]", note, 1), "its MAC does not fit"),
        (saved.replacen("\"disruption\":\"none\"", calm, 1), "its MAC does not fit"),
        (saved.replacen("\"orphans\":[", "\"orphans\": [", 1), "its MAC does not fit"),
        (format!("{without}}}\n"), "does not end with the MAC"),
        (pretty, "does not end with the MAC"),
    ];
    for (text, why) in edits {
        assert_ne!(text, saved);
        fs::write(at("edited.plan"), text).expect("it can be written");
        let ran = wgfleet(folder.path(), &["apply", "--yes", "edited.plan"]);
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!(ran.status.code(), Some(64), "{said}");
        assert!(said.contains(why) && said.contains("make a plan anew"), "{said}");
        let shown = wgfleet(folder.path(), &["show", "edited.plan"]);
        let text = String::from_utf8_lossy(&shown.stdout).into_owned();
        if why.starts_with("its MAC") {
            assert_eq!((shown.status.code(), text.as_str()), (Some(64), ""), "{shown:?}");
        } else {
            assert!(text.starts_with("not verified: it has no MAC at its end"), "{text}");
        }
    }

    // Another fleet's, of this vault's name and of another.
    let other = tempfile::tempdir().expect("a folder");
    fleet_with_plan(other.path());
    let foreign = other.path().join("fleet.plan");
    let ran = wgfleet(folder.path(), &["apply", "--yes", foreign.to_str().expect("text")]);
    assert_eq!(ran.status.code(), Some(64), "{ran:?}");
    fs::write(at("other.plan"), saved.replace("\"acme\"", "\"other\"")).expect("it is written");
    let ran = wgfleet(folder.path(), &["apply", "--yes", "other.plan"]);
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert_eq!(ran.status.code(), Some(6), "{said}");
    assert!(said.contains("the plan is of fleet `other`, and this is `acme`"), "{said}");

    // Where it cannot be verified, that is said.
    let elsewhere = tempfile::tempdir().expect("a folder");
    let begins = |arguments: &[&str], words: &str| {
        let shown = wgfleet(elsewhere.path(), arguments);
        let text = String::from_utf8_lossy(&shown.stdout).into_owned();
        assert!(text.starts_with(&format!("not verified: {words}")), "{text}");
        assert_eq!(shown.status.code(), Some(0), "{text}");
    };
    let path = at("fleet.plan");
    let path = path.to_str().expect("text");
    begins(&["show", path], "no identity. Whoever can write to the file");
    let identity = at(".config/wgfleet/identity-acme.txt");
    let identity = ["--identity", identity.to_str().expect("text")];
    begins(&["show", identity[0], identity[1], path], "the vault ./vault cannot be read");
    let shown = wgfleet(elsewhere.path(), &["show", "--format", "json", path]);
    assert!(String::from_utf8_lossy(&shown.stderr).starts_with("not verified: no identity"));
    assert_eq!(wgfleet(folder.path(), &["show", path]).status.code(), Some(0));

    // One without secrets has none.
    let plan = ["plan", "--connect-timeout", "5", "--out", "bare.plan"];
    fs::rename(at(".config"), at("away")).expect("it is there");
    assert_eq!(wgfleet(folder.path(), &plan).status.code(), Some(4));
    fs::rename(at("away"), at(".config")).expect("it is there");
    let text = fs::read_to_string(at("bare.plan")).expect("it is there");
    assert!(!text.contains("\"mac\""), "{text}");
    let shown = wgfleet(folder.path(), &["show", "bare.plan"]);
    assert!(
        shown.stdout.starts_with(b"not verified: it was made without an identity"),
        "{shown:?}"
    );
    let ran = wgfleet(folder.path(), &["apply", "--yes", "bare.plan"]);
    assert_eq!(ran.status.code(), Some(64), "{ran:?}");
}

#[test]
fn what_is_no_plan_is_refused_and_never_quoted() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let deep = format!("{{\"version\": 5, \"hosts\": {}", "[".repeat(200_000));
    let far = example().replace("\"peers\": [0]", "\"peers\": [4294967295]");
    let more = example().replacen("\"version\": 5,", &format!("\"version\": 5, \"{KEY}\": 1,"), 1);
    let files: [(&str, &str, i32); 8] = [
        ("key", KEY, 64),
        ("empty", "", 64),
        ("half", &example()[..900], 64),
        ("deep", &deep, 64),
        ("far", &far, 64),
        ("more", &more, 64),
        ("old", "{\"version\": 1, \"fleet\": \"f\", \"hosts\": []}", 6),
        ("new", "{\"version\": 6, \"fleet\": \"f\", \"hosts\": []}", 6),
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
        .replace("\"to\": \"vault\"", &format!("\"to\": \"{evil}\""))
        .replace("\"notes\": []", &format!("\"notes\": [{{\"text\": \"{evil}\"}}]"));
    fs::write(folder.path().join("fleet.plan"), text).expect("it can be written");
    for arguments in [&["fleet.plan"][..], &["--verbose", "fleet.plan"]] {
        let shown = show(folder.path(), arguments);
        let text = String::from_utf8_lossy(&shown.stdout).into_owned();
        assert_eq!(shown.status.code(), Some(0), "{text}");
        assert!(text.matches("\\u{1b}[2J\\u{202e}").count() >= 5, "{text}");
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
        assert!(!text.lines().any(|line| line.starts_with("::")), "{text}");
    }
    // No path of a host has what is not seen, so no plan that wgfleet made has.
    let text = example().replace("/etc/wireguard/wg0.conf", &format!("/{evil}"));
    fs::write(folder.path().join("fleet.plan"), text).expect("it can be written");
    let refused = show(folder.path(), &["fleet.plan"]);
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(64), "{text}");
    assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
    assert!(!text.lines().any(|line| line.starts_with("::")), "{text}");
}
