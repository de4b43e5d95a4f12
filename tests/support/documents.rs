//! Whether a JSON text is what its schema in schemas/ says.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use jsonschema::Validator;
use serde_json::Value;

/// The schemas that were read, by kind.
static KNOWN: Mutex<BTreeMap<String, Arc<Validator>>> = Mutex::new(BTreeMap::new());

/// Reads a JSON text, which has to be a document that schemas/ describes, and gives it back.
pub(crate) fn document(text: &[u8]) -> Value {
    let value: Value = serde_json::from_slice(text)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(text)));
    let begins = String::from_utf8_lossy(text);
    let begins: String = begins.chars().filter(|c| !c.is_whitespace()).collect();
    let kind = value["kind"].as_str().unwrap_or_else(|| panic!("no kind: {value:#}"));
    let first = format!("{{\"kind\":\"{kind}\",\"version\":{}", value["version"]);
    assert!(begins.starts_with(&first), "{first} does not come first: {begins}");
    let wrong: Vec<String> = validator(kind)
        .iter_errors(&value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(wrong.is_empty(), "no {kind}: {}\n{value:#}", wrong.join("\n"));
    plain(&value, kind);
    value
}

/// Fields whose values are sentences, lines for a tool, commands, or what ssh(1), a host or the system
/// said.
const TEXTS: [&str; 11] = [
    "text", "message", "patch", "command", "said", "printed", "cause", "advice", "hint", "record",
    "because",
];

/// Refuses what is written for people in values for programs: backticks, and lists in one text.
fn plain(value: &Value, place: &str) {
    match value {
        Value::String(text) => {
            let joined = text.contains('`') || text.contains(", ") || text.contains("; ");
            assert!(!joined, "{place} is for people: {text:?}");
        }
        Value::Array(values) => values.iter().for_each(|value| plain(value, place)),
        Value::Object(map) => {
            // A setting whose value is a command.
            let hooks = ["pre_up", "post_up", "pre_down", "post_down"];
            let runs = map.get("setting").and_then(Value::as_str);
            if !runs.is_some_and(|setting| hooks.contains(&setting)) {
                let fields = map.iter().filter(|(field, _)| !TEXTS.contains(&field.as_str()));
                fields.for_each(|(field, value)| plain(value, &format!("{place}.{field}")));
            }
        }
        _ => {}
    }
}

fn validator(kind: &str) -> Arc<Validator> {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.entry(kind.to_owned()).or_insert_with(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
        let text = std::fs::read_to_string(folder.join(format!("{kind}.schema.json")))
            .unwrap_or_else(|error| panic!("the schema of {kind}: {error}"));
        let mut schema: Value = serde_json::from_str(&text).expect("a schema is JSON");
        close(&mut schema);
        jsonschema::validator_for(&schema).expect("a schema").into()
    });
    Arc::clone(known)
}

/// Refuses fields that a schema does not name: readers pass over them, and a test must not.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            let named = map.get("properties").is_some_and(Value::is_object);
            // The fields of one of several alternatives stand beside those of all.
            let alternatives = map.get_mut("oneOf").filter(|_| named).and_then(Value::as_array_mut);
            let word = match alternatives {
                Some(alternatives) => {
                    let fields = alternatives.iter_mut().filter_map(Value::as_object_mut);
                    fields.flat_map(serde_json::Map::values_mut).for_each(close);
                    "unevaluatedProperties"
                }
                None => "additionalProperties",
            };
            map.iter_mut().filter(|(key, _)| !named || *key != "oneOf").for_each(|(_, v)| close(v));
            if named {
                map.entry(word).or_insert(Value::Bool(false));
            }
        }
        Value::Array(values) => values.iter_mut().for_each(close),
        _ => {}
    }
}
