//! The schemas in schemas/ are what the structs give.

use std::fs;
use std::path::Path;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::*;
use crate::check;
use crate::cli::arguments;
use crate::cli::tests::leaves;
use crate::model::Document;
use crate::observed::Record;
use crate::plan::{Comparison, Plan};
use crate::report::document;
use crate::report::settings::Explanation;

/// The kind of a document, and the text of its schema.
fn of<D: Document + JsonSchema>() -> (&'static str, String) {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut schema = settings.into_generator().into_root_schema_for::<D>();
    schema.insert("title".to_owned(), format!("wgfleet {}", D::KIND).into());
    (D::KIND, format!("{:#}\n", schema.as_value()))
}

/// The schema of every document.
fn all() -> Vec<(&'static str, String)> {
    vec![
        ("fleet", schema::text()),
        of::<document::Findings<'_>>(),
        of::<check::Reachability>(),
        of::<check::Failures>(),
        of::<check::Why>(),
        of::<Explanation>(),
        of::<Plan>(),
        of::<Comparison>(),
        of::<document::Apply<'_>>(),
        of::<document::Rotate<'_>>(),
        of::<document::EventLine<'_>>(),
        of::<document::StatusDocument<'_>>(),
        of::<document::History<'_>>(),
        of::<document::Locks<'_>>(),
        of::<document::VaultStatus<'_>>(),
        of::<document::VaultRecipients<'_>>(),
        of::<document::VaultKeygen<'_>>(),
        of::<document::VaultInit<'_>>(),
        of::<document::VaultImport<'_>>(),
        of::<document::VaultExport<'_>>(),
        of::<document::VaultRekey<'_>>(),
        of::<document::Lab<'_>>(),
        of::<document::LabDown<'_>>(),
        of::<document::Init<'_>>(),
        of::<document::Render<'_>>(),
        of::<document::Peer<'_>>(),
        of::<document::Import<'_>>(),
        of::<document::Export<'_>>(),
        of::<crate::desired::WholeFleet>(),
        of::<Record>(),
    ]
}

/// `make docs` writes them: it sets `WGFLEET_WRITE_SCHEMAS`.
#[test]
fn schemas_are_what_the_structs_give() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    let write = std::env::var_os("WGFLEET_WRITE_SCHEMAS").is_some();
    for (kind, text) in all() {
        let path = folder.join(format!("{kind}.schema.json"));
        if write {
            fs::write(&path, &text).unwrap();
        }
        let stored = fs::read_to_string(&path).unwrap_or_default();
        assert!(stored == text, "{} differs from the structs: run `make docs`", path.display());
    }
    let files = fs::read_dir(folder).unwrap().count();
    assert_eq!(files, all().len(), "schemas/ has nothing else");
}

#[test]
fn every_document_can_be_asked_for() {
    let asked: Vec<String> = Subject::value_variants()
        .iter()
        .filter_map(|subject| Some(subject.to_possible_value()?.get_name().to_owned()))
        .collect();
    let kinds: Vec<&str> = all().iter().map(|(kind, _)| *kind).collect();
    assert_eq!(asked, kinds);
    let write = std::env::var_os("WGFLEET_WRITE_SCHEMAS").is_some();
    for (subject, (kind, text)) in Subject::value_variants().iter().zip(all()) {
        assert!(write || subject.text() == text, "{kind}");
    }
}

/// Commands that have no `--format`, and why.
const WITHOUT_FORMAT: [(&str, &str); 13] = [
    ("wgfleet lab exec", "it prints what the command prints that it runs"),
    ("wgfleet lab stop", "it prints nothing"),
    ("wgfleet lab start", "it prints nothing"),
    ("wgfleet lab cable", "it prints nothing"),
    ("wgfleet tunnel", "it is a tunnel, and prints nothing"),
    ("wgfleet wg", "it prints what wg(8) prints"),
    ("wgfleet quick up", "it prints what wg-quick(8) prints"),
    ("wgfleet quick down", "it prints what wg-quick(8) prints"),
    ("wgfleet quick save", "it prints what wg-quick(8) prints"),
    ("wgfleet quick strip", "it prints what wg-quick(8) prints"),
    ("wgfleet schema", "all that it prints is JSON"),
    ("wgfleet man", "what it writes is for man(1)"),
    ("wgfleet completions", "what it prints is for shells"),
];

#[test]
fn every_command_has_a_document_or_a_reason_for_none() {
    let helps: Vec<String> = Subject::value_variants()
        .iter()
        .filter_map(|subject| Some(subject.to_possible_value()?.get_help()?.to_string()))
        .collect();
    let mut without = Vec::new();
    leaves(&arguments(), ("wgfleet", ""), &mut |names, _, command| {
        let format = command.get_arguments().find(|argument| argument.get_id() == "format");
        let Some(format) = format else { return without.push(names.to_owned()) };
        let values = format.get_possible_values();
        let values: Vec<&str> = values.iter().map(clap::builder::PossibleValue::get_name).collect();
        assert!(values.starts_with(&["human", "json"]), "{names}: {values:?}");
        let words = names.trim_start_matches("wgfleet ");
        let has = |help: &String| help.contains(&format!("`{words} --format json"));
        assert!(helps.iter().any(has), "`wgfleet schema` has nothing of {names}");
    });
    let reasons: Vec<&str> = WITHOUT_FORMAT.iter().map(|(command, _)| *command).collect();
    without.sort_by_key(|names| reasons.iter().position(|known| known == names));
    assert_eq!(without, reasons);
}

/// Fields that have sentences for people, or lines for a tool.
const PROSE: [&str; 4] = ["text", "message", "hint", "patch"];
/// Types whose values somebody else chose: texts of files and hosts, paths, values of settings.
const CHOSEN: [&str; 4] = ["Untrusted", "Path", "SshTarget", "Scalar"];

/// Strings of a schema of which it does not say what may stand there, each by its type and field.
fn loose(schema: &Value, place: &str, found: &mut Vec<String>) {
    match schema {
        Value::Object(map) => {
            let is_string = match map.get("type") {
                Some(Value::Array(types)) => types.iter().any(|one| one == "string"),
                Some(one) => one == "string",
                None => false,
            };
            let told =
                ["enum", "const", "pattern", "format"].iter().any(|word| map.contains_key(*word));
            if is_string && !told {
                found.push(place.to_owned());
            }
            for (word, inner) in map {
                match (word.as_str(), inner) {
                    ("properties" | "$defs", Value::Object(named)) => {
                        let named = named.iter().filter(|(name, _)| {
                            let known: &[&str] = if word == "$defs" { &CHOSEN } else { &PROSE };
                            !known.contains(&name.as_str())
                        });
                        for (name, inner) in named {
                            loose(inner, &format!("{place}.{name}"), found);
                        }
                    }
                    _ => loose(inner, place, found),
                }
            }
        }
        Value::Array(all) => all.iter().for_each(|inner| loose(inner, place, found)),
        _ => {}
    }
}

#[test]
fn values_are_numbers_lists_and_words() {
    for (kind, text) in all().into_iter().filter(|(kind, _)| *kind != "fleet") {
        let mut found = Vec::new();
        loose(&serde_json::from_str(&text).unwrap(), kind, &mut found);
        assert!(found.is_empty(), "say with a pattern what {found:?} are, or call them `text`");
    }
}
