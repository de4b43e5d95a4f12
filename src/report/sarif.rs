//! Findings as SARIF 2.1.0, for code scanning in pull requests.

use std::path::Path;

use serde_json::{Value, json};

use super::{explain, findings};
use crate::finding::{Code, Finding, Label, Severity};
use crate::model::{Location, SourceMap, Untrusted};

/// Where the format is defined.
const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "note",
    }
}

/// One run of `check` as a SARIF log.
#[must_use]
pub fn log(found: &[Finding], sources: &SourceMap) -> Value {
    let rules: Vec<Value> = Code::ALL.iter().map(|code| rule(*code)).collect();
    let results: Vec<Value> = found.iter().map(|finding| result(finding, sources)).collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "wgfleet",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn rule(code: Code) -> Value {
    let page = explain::page(code);
    let group = match code.number() / 100 {
        1 => "file",
        2 => "addressing",
        3 => "routing",
        4 => "sessions",
        5 => "keys",
        6 => "policy",
        _ => "platform",
    };
    json!({
        "id": code.to_string(),
        "name": format!("{code:?}"),
        "shortDescription": { "text": code.summary() },
        "fullDescription": { "text": explain::heading(code) },
        "help": { "text": page, "markdown": page },
        "defaultConfiguration": { "level": level(code.severity()) },
        "properties": { "tags": ["wireguard", group], "precision": "high" },
    })
}

fn result(finding: &Finding, sources: &SourceMap) -> Value {
    let index = Code::ALL.iter().position(|code| *code == finding.code);
    let mut message = finding.title.clone();
    if !finding.primary.text.is_empty() {
        message.push_str(" (");
        message.push_str(&finding.primary.text);
        message.push(')');
    }
    for line in findings::notes(finding) {
        message.push_str(".\n");
        message.push_str(&line);
    }
    if let Some(help) = &finding.help {
        message.push_str(".\nHelp: ");
        message.push_str(help);
    }
    let related: Vec<Value> = finding
        .others
        .iter()
        .enumerate()
        .map(|(id, label)| {
            let mut place = location(label.at, sources);
            place["id"] = json!(id + 1);
            place["message"] = json!({ "text": plain(text_of(label)) });
            place
        })
        .collect();
    json!({
        "ruleId": finding.code.to_string(),
        "ruleIndex": index,
        "level": level(finding.severity),
        "message": { "text": plain(&message) },
        "locations": [location(finding.primary.at, sources)],
        "relatedLocations": related,
        "occurrenceCount": finding.count,
        // Lines move; what is wrong with whom does not.
        "partialFingerprints": { "finding/v1": format!("{}:{}", finding.code, finding.title) },
    })
}

fn text_of(label: &Label) -> &str {
    if label.text.is_empty() { "see here" } else { &label.text }
}

/// Text as it may be shown, in which nothing is a link: SARIF 2.1.0 section 3.11.6 reads `[…](…)` in
/// a message as one, and a name or value of the file must not become it.
fn plain(text: &str) -> String {
    let text = Untrusted::new(text).lines();
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '[' | ']' | '\\') {
            plain.push('\\');
        }
        plain.push(c);
    }
    plain
}

fn location(at: Location, sources: &SourceMap) -> Value {
    let file = sources.files().find(|(id, _)| *id == at.file).map(|(_, file)| file);
    let uri = file.map(|file| uri(&file.path)).unwrap_or_default();
    let length = file.map_or(0, |file| length(&file.text, at));
    json!({ "physicalLocation": {
        "artifactLocation": { "uri": uri },
        "region": {
            "startLine": at.line,
            "startColumn": at.column,
            "endLine": at.line,
            "endColumn": at.column.saturating_add(length),
        },
    }})
}

/// Characters of a stretch on its first line.
fn length(text: &str, at: Location) -> u32 {
    let stretch = text.get(at.start as usize..at.end as usize).unwrap_or_default();
    let first = stretch.split(['\n', '\r']).next().unwrap_or_default();
    u32::try_from(first.chars().count()).unwrap_or(u32::MAX)
}

/// A path as a URI reference: relative ones stay relative, to the root of the repository.
fn uri(path: &Path) -> String {
    let text = path.to_string_lossy();
    let text = text.strip_prefix("./").unwrap_or(&text);
    let mut uri = String::with_capacity(text.len() + 7);
    if text.starts_with('/') {
        uri.push_str("file://");
    }
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push('%');
            for digit in [byte >> 4, byte & 15] {
                uri.push(
                    char::from_digit(u32::from(digit), 16).unwrap_or('0').to_ascii_uppercase(),
                );
            }
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_a_link() {
        let text = plain("no key `[x](https://example.com)` \\ here");
        assert_eq!(text, r"no key `\[x\](https://example.com)` \\ here");
        assert_eq!(plain("a\u{202e}\n[1]"), "a\\\\u{202e}\n\\[1\\]");
    }

    #[test]
    fn paths_become_uris() {
        assert_eq!(uri(Path::new("./sites/a b.yaml")), "sites/a%20b.yaml");
        assert_eq!(uri(Path::new("/tmp/é.yaml")), "file:///tmp/%C3%A9.yaml");
    }
}
