//! The schemas in schemas/ are what the structs give.

use std::fs;
use std::path::Path;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;

use super::*;
use crate::check;
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
        of::<check::Why>(),
        of::<Explanation>(),
        of::<Plan>(),
        of::<Comparison>(),
        of::<document::Apply<'_>>(),
        of::<document::Rotate<'_>>(),
        of::<document::StatusDocument<'_>>(),
        of::<document::VaultStatus<'_>>(),
        of::<document::VaultRecipients<'_>>(),
        of::<document::VaultKeygen<'_>>(),
        of::<document::Lab<'_>>(),
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
