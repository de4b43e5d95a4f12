//! The JSON Schema of the file, from the table that the decoder uses.

use serde_json::{Map, Value, json};

use super::keys::{FLEET, SECTIONS};
use super::spec::{KeySpec, Section, Shape};

/// The schema, in draft 2020-12.
#[must_use]
pub fn schema() -> Value {
    let mut definitions = Map::new();
    for section in SECTIONS.iter().filter(|section| section.id != FLEET.id) {
        definitions.insert(section.id.to_owned(), object(section));
    }
    definitions.insert("links".to_owned(), links());
    let mut root = Map::new();
    root.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    root.insert("title".to_owned(), json!("wgfleet inventory"));
    root.insert("description".to_owned(), json!("A WireGuard fleet, declared."));
    if let Value::Object(fields) = object(FLEET) {
        root.extend(fields);
    }
    root.insert("$defs".to_owned(), Value::Object(definitions));
    Value::Object(root)
}

/// The schema as the text of `schemas/fleet.schema.json`.
#[must_use]
pub fn text() -> String {
    format!("{:#}\n", schema())
}

fn object(section: &Section) -> Value {
    let properties: Map<String, Value> =
        section.all().map(|key| (key.name.to_owned(), property(key))).collect();
    let required: Vec<&str> =
        section.all().filter(|key| key.required).map(|key| key.name).collect();
    let mut object = json!({
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    });
    if !required.is_empty() {
        object["required"] = json!(required);
    }
    object
}

fn property(key: &KeySpec) -> Value {
    let mut value = of(&key.shape);
    if let Value::Object(fields) = &mut value {
        fields.insert("description".to_owned(), json!(key.doc));
    }
    value
}

/// `a-z`, `0-9`, `-` and `.`, none of the latter two at an edge.
const NAME: &str = "^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$";

fn text_like(pattern: &str, example: &str) -> Value {
    json!({ "type": "string", "pattern": pattern, "examples": [example] })
}

fn reference(id: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{id}") })
}

fn of(shape: &Shape) -> Value {
    match shape {
        Shape::Name => text_like(NAME, "paris"),
        Shape::InterfaceName => text_like("^[A-Za-z0-9_=+.-]{1,15}$", "wg0"),
        Shape::Address => text_like("^[0-9A-Fa-f:.]+$", "10.10.0.1"),
        Shape::Prefix => text_like("^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$", "10.10.0.0/24"),
        Shape::Endpoint => {
            text_like("^(\\[[0-9A-Fa-f:.]+\\]|[^:\\[\\]]+):[0-9]{1,5}$", "vpn.example.com:51820")
        }
        Shape::Ssh => text_like(
            "^[A-Za-z0-9@:\\[\\]._%/][A-Za-z0-9@:\\[\\]._%/-]*$",
            "root@paris.example.com",
        ),
        Shape::PublicKey => {
            text_like("^[A-Za-z0-9+/]{43}=$", "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=")
        }
        Shape::Hook => json!({ "type": "string", "minLength": 1, "maxLength": 4096 }),
        Shape::Until => text_like(
            "^[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ][0-9:.]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})?$",
            "2027-01-31",
        ),
        Shape::Part => json!({ "anyOf": [
            { "type": "integer", "minimum": 0, "maximum": u32::MAX },
            text_like("^[0-9]{1,3}%$", "10%"),
        ] }),
        Shape::Window => text_like(
            "^([A-Za-z,-]+ )?[0-9]{1,2}:[0-9]{2}-[0-9]{1,2}:[0-9]{2} [A-Za-z0-9/_+-]+$",
            "22:00-04:00 Europe/Paris",
        ),
        Shape::Dns => text_like("^[A-Za-z0-9:._-]+$", "10.0.0.53"),
        Shape::Path | Shape::Selector => json!({ "type": "string", "minLength": 1 }),
        Shape::Bool => json!({ "type": "boolean" }),
        Shape::Int(low, high) => json!({ "type": "integer", "minimum": low, "maximum": high }),
        Shape::IntOr(low, high, words) => json!({ "anyOf": [
            { "type": "integer", "minimum": low, "maximum": high },
            { "enum": words },
        ] }),
        Shape::Choice(words) => json!({ "enum": words }),
        Shape::OrFalse(shape) => json!({ "anyOf": [of(shape), { "const": false }] }),
        Shape::OneOrMany(shape) => {
            json!({ "anyOf": [of(shape), { "type": "array", "items": of(shape) }] })
        }
        Shape::Section(section) => reference(section.id),
        Shape::Named(section) => json!({
            "type": "object",
            "propertyNames": { "pattern": NAME },
            "additionalProperties": { "anyOf": [reference(section.id), { "type": "null" }] },
        }),
        Shape::NamesOr(section) => json!({ "anyOf": [
            of(&Shape::OneOrMany(&Shape::Name)),
            of(&Shape::Named(section)),
        ] }),
        Shape::Links => reference("links"),
        Shape::Renames => json!({
            "type": "object",
            "propertyNames": { "pattern": NAME },
            "additionalProperties": of(&Shape::Name),
        }),
        Shape::Expect => json!({ "type": "array", "items": reference("rule") }),
    }
}

fn links() -> Value {
    let pair = json!({ "type": "array", "items": of(&Shape::Name), "minItems": 2, "maxItems": 2 });
    let shape = json!({ "anyOf": [{ "const": "mesh" }, reference("link"), pair] });
    json!({ "anyOf": [
        { "const": "mesh" },
        reference("link"),
        { "type": "array", "items": shape },
    ] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_has_a_definition() {
        let schema = schema();
        let text = schema.to_string();
        let mut rest = text.as_str();
        while let Some((_, after)) = rest.split_once("#/$defs/") {
            let id = after.split('"').next().unwrap_or_default();
            assert!(schema["$defs"][id].is_object(), "{id}");
            rest = after;
        }
    }
}
