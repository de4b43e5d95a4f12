//! Each row of the format is in the documentation and in the schema, and reads what it says it reads.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use wgfleet::finding::{Code, Finding};
use wgfleet::inventory::keys::{KeySpec, SECTIONS, Section, Shape};
use wgfleet::inventory::{self, schema};

use crate::root;

/// What stands in the column `value`.
fn shown(shape: &Shape) -> String {
    let listed = |words: &[&str]| {
        let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
        words.join(", ")
    };
    match shape {
        Shape::Name => "name".to_owned(),
        Shape::InterfaceName => "interface name".to_owned(),
        Shape::Address => "address".to_owned(),
        Shape::Prefix => "prefix".to_owned(),
        Shape::Endpoint => "host:port".to_owned(),
        Shape::Ssh => "ssh target".to_owned(),
        Shape::Until => "day, or moment with its zone".to_owned(),
        Shape::Part => "number, or percentage".to_owned(),
        Shape::Window => "hours with their zone".to_owned(),
        Shape::PublicKey => "base64".to_owned(),
        Shape::Hook => "command".to_owned(),
        Shape::Dns => "address or domain".to_owned(),
        Shape::Path => "path or pattern".to_owned(),
        Shape::Selector => "name, prefix or `internet`".to_owned(),
        Shape::Bool => "true, false".to_owned(),
        Shape::Int(low, high) => format!("{low} to {high}"),
        Shape::IntOr(low, high, words) => format!("{low} to {high}, or {}", listed(words)),
        Shape::Choice(words) => listed(words),
        Shape::OrFalse(shape) => format!("{}, or false", shown(shape)),
        Shape::OneOrMany(shape) => format!("{}, or a list", shown(shape)),
        Shape::Section(section) => format!("[map](#{})", section.id),
        Shape::Named(section) => format!("name → [{}](#{})", section.id, section.id),
        Shape::NamesOr(section) => format!("names, or name → [{}](#{})", section.id, section.id),
        Shape::Links => "[links](#links)".to_owned(),
        Shape::Renames => "name → name".to_owned(),
        Shape::Expect => "list of [rules](#rules)".to_owned(),
    }
}

/// The table of a section in docs/file-format.md.
fn table(section: &Section) -> String {
    let mut table = String::from("| key | value | meaning |\n|---|---|---|\n");
    for key in section.all() {
        let required = if key.required { "**Required.** " } else { "" };
        writeln!(table, "| `{}` | {} | {required}{} |", key.name, shown(&key.shape), key.doc)
            .expect("a string takes everything");
    }
    table
}

/// `make docs` writes the tables: it sets `WGFLEET_WRITE_DOCS`.
#[test]
fn the_documentation_has_the_tables_of_all_sections() {
    let path = root().join("docs/file-format.md");
    let stored = fs::read_to_string(&path).expect("the page is there");
    let mut page = stored.clone();
    for section in SECTIONS {
        let anchor = format!("<a id=\"{}\"></a>\n\n", section.id);
        let start = page.find(&anchor).unwrap_or_else(|| panic!("{anchor}")) + anchor.len();
        let end = page[start..].find("\n\n").map_or(page.len(), |end| start + end + 1);
        assert!(page[start..].starts_with("| key |"), "{}: a table follows", section.id);
        page.replace_range(start..end, &table(section));
    }
    if std::env::var_os("WGFLEET_WRITE_DOCS").is_some() {
        fs::write(&path, &page).expect("the page can be written");
    }
    let stored = fs::read_to_string(&path).expect("the page is there");
    assert!(stored == page, "{} differs from the rows: run `make docs`", path.display());
}

#[test]
fn the_schema_has_every_key() {
    let schema = schema::schema();
    for section in SECTIONS {
        let map = if section.id == "fleet" { &schema } else { &schema["$defs"][section.id] };
        let properties = map["properties"].as_object().expect("properties");
        assert_eq!(properties.len(), section.all().count(), "{}", section.id);
        for key in section.all() {
            assert_eq!(properties[key.name]["description"], key.doc, "{}", key.name);
            let required = map["required"].as_array();
            let required = required.is_some_and(|all| all.iter().any(|one| one == key.name));
            assert_eq!(required, key.required, "{}", key.name);
        }
    }
}

/// Values that a shape takes, in a fleet with hosts `a` and `b` and a network `n`.
fn values(shape: &Shape) -> Vec<String> {
    let one = |text: &str| vec![text.to_owned()];
    match shape {
        Shape::Name | Shape::Selector => one("a"),
        Shape::InterfaceName => one("wg7"),
        Shape::Address => one("10.0.0.9"),
        Shape::Prefix => one("10.0.0.0/24"),
        Shape::Endpoint => one("'vpn.example.com:51820'"),
        Shape::Ssh => one("root@a.example.com"),
        Shape::Until => {
            ["2027-01-31", "2027-01-31+01:00", "2027-01-31T18:00Z"].map(str::to_owned).into()
        }
        Shape::Part => vec!["5".to_owned(), "10%".to_owned()],
        Shape::Window => {
            vec!["22:00-04:00 Europe/Paris".to_owned(), "mon-fri 8:00-18:00 UTC".to_owned()]
        }
        Shape::PublicKey => one("hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="),
        Shape::Hook => one("touch /run/x"),
        Shape::Dns => one("10.0.0.53"),
        Shape::Path => one("other.yaml"),
        Shape::Bool => vec!["true".to_owned(), "false".to_owned()],
        Shape::Int(low, high) => vec![low.to_string(), high.to_string()],
        Shape::IntOr(low, high, words) => {
            let words = words.iter().map(|word| (*word).to_owned());
            [low.to_string(), high.to_string()].into_iter().chain(words).collect()
        }
        Shape::Choice(words) => words.iter().map(|word| (*word).to_owned()).collect(),
        Shape::OrFalse(shape) => values(shape).into_iter().chain(one("false")).collect(),
        Shape::OneOrMany(shape) => {
            let values = values(shape);
            values.iter().map(|value| format!("[{value}]")).chain(values.clone()).collect()
        }
        Shape::Section(section) => vec![map(section, None)],
        Shape::Named(section) => vec![format!("{{ a: {} }}", map(section, None))],
        Shape::NamesOr(section) => {
            vec!["n".to_owned(), "[n]".to_owned(), format!("{{ n: {} }}", map(section, None))]
        }
        Shape::Links => vec!["mesh".to_owned(), "{ hub: a }".to_owned(), "[[a, b]]".to_owned()],
        Shape::Renames => one("{ z: a }"),
        Shape::Expect => one("[{ allow: { from: a, to: b } }]"),
    }
}

/// Values that a shape does not take.
fn refused(shape: &Shape) -> Vec<&'static str> {
    match shape {
        Shape::Section(_) | Shape::Named(_) => vec!["7", "[a]"],
        Shape::NamesOr(_) => vec!["[[a]]", "[{ a: b }]"],
        Shape::Links => vec!["7", "[[a]]"],
        Shape::Renames => vec!["7", "[a]", "{ z: [a] }", "{ z: A_ }"],
        Shape::Expect => vec!["7", "{ a: b }", "[7]"],
        Shape::OneOrMany(_) => vec!["{ a: b }", "[[a]]"],
        Shape::Name
        | Shape::InterfaceName
        | Shape::Address
        | Shape::Prefix
        | Shape::Endpoint
        | Shape::Ssh
        | Shape::Until
        | Shape::Part
        | Shape::Window
        | Shape::PublicKey
        | Shape::Hook
        | Shape::Dns
        | Shape::Path
        | Shape::Selector
        | Shape::Bool
        | Shape::Int(..)
        | Shape::IntOr(..)
        | Shape::Choice(_)
        | Shape::OrFalse(_) => vec!["{ a: b }", "[a]"],
    }
}

/// A map of a section that has what it must have, and one key with a value on a line of its own.
fn map(section: &Section, with: Option<(&KeySpec, &str)>) -> String {
    let mut parts: Vec<String> = section
        .all()
        .filter(|key| key.required && with.is_none_or(|(other, _)| other.name != key.name))
        .map(|key| format!("{}: {}", key.name, values(&key.shape)[0]))
        .collect();
    parts.extend(with.map(|(key, value)| format!("\n  {}: {value}\n ", key.name)));
    format!("{{ {} }}", parts.join(", "))
}

/// An inventory with a map of a section in the place of the format where it belongs.
fn file(id: &str, map: &str) -> String {
    let within = |key: &str, id: &str| {
        let required = if id == "network" { ", prefixes: 10.0.0.0/24" } else { "" };
        file(id, &format!("{{ {key}: {map}{required} }}"))
    };
    let parts = match id {
        "fleet" => return map.to_owned(),
        "network" => format!("networks: {{ n: {map} }}"),
        "site" => format!("sites: {{ s: {map} }}"),
        "defaults" => format!("defaults: {map}"),
        "group" => format!("groups: {{ g: {map} }}"),
        "host" => format!("hosts: {{ a: {map} }}"),
        "peer" => format!("peers: {{ p: {map} }}"),
        "rule" => format!("expect: [{map}]"),
        "underlay" => return within("underlay", "site"),
        "link" => return within("links", "network"),
        "rollout" => format!("rollout: {map}"),
        "flow" => return within("allow", "rule"),
        "survival" => return within("survive", "rule"),
        "membership" => return file("host", &format!("{{ networks: {{ n: {map} }} }}")),
        "override" => return file("host", &format!("{{ peers: {{ b: {map} }} }}")),
        other => panic!("where does {other} stand?"),
    };
    format!("{{ fleet: f, {parts} }}")
}

/// What is wrong with the shape of a value: findings at its line, names that are looked up aside.
fn wrong(section: &Section, key: &KeySpec, value: &str) -> (String, Vec<Finding>) {
    let text = file(section.id, &map(section, Some((key, value))));
    let line = text.lines().position(|line| line.starts_with(&format!("  {}: ", key.name)));
    let line = u32::try_from(line.expect("the key has a line") + 1).expect("a short file");
    let parsed = inventory::parse(PathBuf::from("fleet.yaml"), text.clone());
    let codes = [Code::WrongType, Code::BadValue, Code::UnknownKey, Code::Syntax];
    let findings = parsed
        .findings
        .into_iter()
        .filter(|finding| finding.primary.at.line == line && codes.contains(&finding.code));
    (text, findings.collect())
}

#[test]
fn every_key_reads_its_shape_and_refuses_others() {
    let mut tried = 0;
    for section in SECTIONS {
        for key in section.all() {
            for value in values(&key.shape) {
                let (text, findings) = wrong(section, key, &value);
                assert!(findings.is_empty(), "{text}\n{findings:?}");
                tried += 1;
            }
            for value in refused(&key.shape) {
                let (text, findings) = wrong(section, key, value);
                assert!(!findings.is_empty(), "{} of {}:\n{text}", key.name, section.what);
                tried += 1;
            }
        }
    }
    assert!(tried > 400, "{tried} values");
}

/// An unknown key is told what it may have meant, whichever key of the section that is.
#[test]
fn every_key_is_suggested_where_a_letter_is_missing() {
    for section in SECTIONS {
        for key in section.all().filter(|key| key.name.len() > 6) {
            let (head, tail) = key.name.split_at(1);
            let slip = format!("{head}{}", &tail[1..]);
            let known = if section.id == "fleet" { "fleet: f, " } else { "" };
            let text = file(section.id, &format!("{{ {known}{slip}: x }}"));
            let parsed = inventory::parse(PathBuf::from("fleet.yaml"), text.clone());
            let mut unknown = parsed.findings.iter().filter(|one| one.code == Code::UnknownKey);
            let told = unknown.next().unwrap_or_else(|| panic!("{text}")).primary.text.clone();
            assert_eq!(told, format!("did you mean `{}`?", key.name), "{text}");
        }
    }
}
