//! Values of settings that are compared, for people.

use crate::desired::Masquerade;
use crate::plan::{ComparedRoute, Value};

/// The routing table that needs no telling.
const MAIN: u32 = 254;

/// A value in one line.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Number(number) => number.to_string(),
        Value::Mark(mark) => mark.to_string(),
        Value::Key(key) => key.to_string(),
        Value::Text(text) => text.to_string(),
        Value::Interface { network } => format!("of network {network}"),
        Value::Peer(settings) => {
            let texts = settings.iter().map(|(name, value)| format!("{name} {}", shown(value)));
            texts.collect::<Vec<_>>().join("; ")
        }
        Value::List(_) | Value::Families(_) | Value::Routes(_) | Value::Masquerade(_) => {
            items(value).join(", ")
        }
    }
}

/// The items of a list; of any other value, itself.
pub(super) fn items(value: &Value) -> Vec<String> {
    match value {
        Value::List(items) => items.iter().map(ToString::to_string).collect(),
        Value::Families(families) => families.iter().map(ToString::to_string).collect(),
        Value::Routes(routes) => routes.iter().map(route).collect(),
        Value::Masquerade(rules) => {
            let mut rules: Vec<String> = rules.iter().map(rule).collect();
            rules.sort();
            rules
        }
        _ => vec![shown(value)],
    }
}

fn route(route: &ComparedRoute) -> String {
    match route.table {
        MAIN => route.prefix.to_string(),
        table => format!("{} (table {table})", route.prefix),
    }
}

fn rule(rule: &Masquerade) -> String {
    if rule.except.is_empty() {
        return rule.source.to_string();
    }
    let except: Vec<String> = rule.except.iter().map(ToString::to_string).collect();
    format!("{} (not to {})", rule.source, except.join(", "))
}
