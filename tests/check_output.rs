//! What `check` writes for machines: SARIF, `JUnit`, and the page of a code.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use wgfleet::finding::Code;

fn wgfleet(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wgfleet"));
    command.args(arguments).current_dir(folder).env_remove("WGFLEET_IDENTITY");
    command.env("XDG_STATE_HOME", concat!(env!("CARGO_TARGET_TMPDIR"), "/state"));
    command.output().expect("the binary runs")
}

/// A folder with one of the failing inventories.
fn folder(case: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rules/fails");
    fs::copy(cases.join(case), folder.path().join("fleet.yaml")).expect("it can be copied");
    folder
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

fn subset(value: &Value, known: &[&str]) {
    let unknown: Vec<&str> = keys(value).into_iter().filter(|key| !known.contains(key)).collect();
    assert!(unknown.is_empty(), "SARIF 2.1.0 has no {unknown:?} here: {value}");
}

/// A location as sarif-schema-2.1.0.json has it; the regions are within the file.
fn location(value: &Value, source: &str) {
    subset(value, &["id", "message", "physicalLocation"]);
    let place = &value["physicalLocation"];
    subset(place, &["artifactLocation", "region"]);
    assert_eq!(text(&place["artifactLocation"]["uri"]), "fleet.yaml");
    let region = &place["region"];
    subset(region, &["startLine", "startColumn", "endLine", "endColumn"]);
    let number = |key: &str| usize::try_from(region[key].as_u64().expect(key)).expect("small");
    let (line, column, end) = (number("startLine"), number("startColumn"), number("endColumn"));
    let shown = source.lines().nth(line - 1).expect("the line is there").chars().count();
    assert!(column >= 1 && end >= column && end <= shown + 1, "{region}");
    assert_eq!(number("endLine"), line);
}

#[test]
fn sarif_is_what_the_schema_of_2_1_0_asks_for() {
    for case in ["WG0301.yaml", "WG0304.yaml", "WG0406.yaml", "WG0601.yaml"] {
        let folder = folder(case);
        let source = fs::read_to_string(folder.path().join("fleet.yaml")).expect("it is there");
        let output = wgfleet(folder.path(), &["check", "--format", "sarif"]);
        let log: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
        subset(&log, &["$schema", "version", "runs"]);
        assert_eq!(log["version"], "2.1.0");
        assert!(text(&log["$schema"]).ends_with("sarif-schema-2.1.0.json"));
        let run = &log["runs"][0];
        subset(run, &["tool", "columnKind", "results"]);
        assert_eq!(run["columnKind"], "unicodeCodePoints");
        let driver = &run["tool"]["driver"];
        subset(driver, &["name", "version", "rules"]);
        assert_eq!(driver["name"], "wgfleet");
        let rules = driver["rules"].as_array().expect("a list");
        let ids: BTreeSet<&str> = rules.iter().map(|rule| text(&rule["id"])).collect();
        assert_eq!(ids.len(), rules.len(), "the ids of rules are unique");
        assert_eq!(rules.len(), Code::ALL.len());
        for rule in rules {
            subset(
                rule,
                &[
                    "id",
                    "name",
                    "shortDescription",
                    "fullDescription",
                    "help",
                    "defaultConfiguration",
                    "properties",
                ],
            );
            assert!(!text(&rule["shortDescription"]["text"]).is_empty());
            assert!(text(&rule["help"]["markdown"]).starts_with("# WG"));
            let level = text(&rule["defaultConfiguration"]["level"]);
            assert!(["error", "warning", "note"].contains(&level));
        }
        let results = run["results"].as_array().expect("a list");
        assert!(results.iter().any(|result| case.starts_with(text(&result["ruleId"]))));
        for result in results {
            subset(
                result,
                &[
                    "ruleId",
                    "ruleIndex",
                    "level",
                    "message",
                    "locations",
                    "relatedLocations",
                    "occurrenceCount",
                    "partialFingerprints",
                ],
            );
            let index = usize::try_from(result["ruleIndex"].as_u64().expect("an index"));
            assert_eq!(rules[index.expect("small")]["id"], result["ruleId"]);
            assert!(["error", "warning", "note"].contains(&text(&result["level"])));
            assert!(!text(&result["message"]["text"]).is_empty());
            assert!(result["occurrenceCount"].as_u64().expect("a count") >= 1);
            assert_eq!(result["locations"].as_array().map(Vec::len), Some(1));
            location(&result["locations"][0], &source);
            for related in result["relatedLocations"].as_array().expect("a list") {
                location(related, &source);
                assert!(!text(&related["message"]["text"]).is_empty());
            }
        }
        let failed = results.iter().any(|result| result["level"] == "error");
        assert_eq!(output.status.code(), Some(if failed { 3 } else { 0 }), "{case}");
    }
}

/// Elements are closed in order, and text holds no stray markup.
fn well_formed(xml: &str) {
    let mut open: Vec<&str> = Vec::new();
    for (index, part) in xml.split('<').enumerate().skip(1) {
        let (tag, content) = part.split_once('>').unwrap_or_else(|| panic!("part {index}: {part}"));
        assert!(!content.contains('>') && tag.matches('"').count() % 2 == 0, "{part}");
        let name = tag.split([' ', '/', '?']).find(|name| !name.is_empty()).unwrap_or_default();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') && !tag.starts_with('?') {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn junit_has_a_case_for_each_code_and_fails_those_with_errors() {
    let folder = folder("WG0301.yaml");
    let output = wgfleet(folder.path(), &["check", "--format", "junit"]);
    assert_eq!(output.status.code(), Some(3));
    let xml = String::from_utf8(output.stdout).expect("it is UTF-8");
    well_formed(&xml);
    assert_eq!(xml.matches("<testcase ").count(), Code::ALL.len());
    assert_eq!(xml.matches("<failure ").count(), 1);
    assert!(xml.contains("failures=\"1\""), "{xml}");
    assert!(xml.contains("<failure type=\"WG0301\" message=\"fleet.yaml:"));
    assert!(!xml.contains('\u{1b}'), "colours are for terminals");
}

#[test]
fn formats_for_findings_are_for_check_alone() {
    let folder = folder("WG0301.yaml");
    for arguments in [
        ["plan", "--format", "sarif"],
        ["render", "--format", "junit"],
        ["status", "--format", "html"],
    ] {
        let output = wgfleet(folder.path(), &arguments);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
    }
}

/// The page on stdout is that of `--html FILE`, with a matrix or without being asked for one.
#[test]
fn the_page_is_a_format_too() {
    let folder = folder("WG0404.yaml");
    let plain = wgfleet(folder.path(), &["check", "--format", "html", "--html", "page.html"]);
    let page = fs::read(folder.path().join("page.html")).expect("it is written");
    assert!(page.starts_with(b"<!doctype html>") || page.starts_with(b"<!DOCTYPE html>"));
    let matrix = wgfleet(folder.path(), &["check", "--reachability", "--format", "html"]);
    assert_eq!((&plain.stdout, &matrix.stdout), (&page, &page));
    for format in ["sarif", "junit"] {
        let refused = wgfleet(folder.path(), &["check", "--reachability", "--format", format]);
        assert_eq!(refused.status.code(), Some(64));
        assert!(String::from_utf8_lossy(&refused.stderr).contains("human, json or html"));
    }
}

#[test]
fn a_code_is_explained_without_an_inventory() {
    let folder = tempfile::tempdir().expect("a folder");
    let page: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/findings/WG0301.md");
    let page = fs::read_to_string(page).expect("the page is there");
    for code in ["WG0301", "wg0301", "301"] {
        let output = wgfleet(folder.path(), &["check", "--explain", code]);
        assert!(output.status.success());
        assert_eq!(String::from_utf8_lossy(&output.stdout), page);
    }
    let output = wgfleet(folder.path(), &["check", "--explain", "WG9999"]);
    assert_eq!(output.status.code(), Some(64));
}

#[test]
fn a_stdout_that_takes_nothing_is_an_error_and_no_panic() {
    let folder = tempfile::tempdir().expect("a folder");
    for arguments in [&["schema"][..], &["init", "new"]] {
        let full = fs::File::create("/dev/full").expect("it is everywhere");
        let output = Command::new(env!("CARGO_BIN_EXE_wgfleet"))
            .args(arguments)
            .current_dir(folder.path())
            .env("HOME", folder.path())
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_STATE_HOME")
            .stdout(full)
            .output()
            .expect("wgfleet runs");
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
    }
}
