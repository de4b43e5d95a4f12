//! What is lost with each host, for the page's script.

use serde_json::{Value, json};

use crate::check::{Failing, Failures, Without};
use crate::report::reach::plural;

/// Kinds of lost flows that a host shows.
const SHOWN: usize = 30;

/// What is lost with each kind of failure, and which of them each host is, by name.
pub(super) fn losses(failures: &Failures) -> (Value, Value) {
    let one = |without: &Without| {
        let flows = without.flows.iter().take(SHOWN).map(|flow| {
            json!({
                "from": flow.from.to_string(),
                "to": flow.to.to_string(),
                "flows": plural(flow.flows),
                "ends": [end(&flow.from), end(&flow.to)],
                "why": flow.reason.to_string(),
            })
        });
        json!({
            "title": super::super::failures::title(&without.failing),
            "count": without.count,
            "ends": plural(without.ends),
            "lost": plural(without.lost),
            "survive": plural(without.survive),
            "any": without.lost > 0,
            "flows": flows.collect::<Vec<_>>(),
            "more": without.more + without.flows.len().saturating_sub(SHOWN),
        })
    };
    let all = failures.without.iter().map(one).collect();
    let mut of = serde_json::Map::new();
    for (index, without) in failures.without.iter().enumerate() {
        let Failing::Host { host, .. } = &without.failing else { continue };
        // The numbers of those that are alike are the same, but the flows are those of the first.
        for name in std::iter::once(host).chain(&without.hosts) {
            of.insert(name.to_string(), json!(index));
        }
    }
    (Value::Array(all), Value::Object(of))
}

fn end(end: &crate::finding::FlowEnd) -> Option<String> {
    match end {
        crate::finding::FlowEnd::Host { host } => Some(host.to_string()),
        _ => None,
    }
}
