//! What people are shown of a host's files.

use super::*;
use crate::model::Fingerprint;

fn seen(text: &str) -> ObservedFile {
    let fingerprint = Fingerprint::from_bytes([1; 32]);
    ObservedFile { mode: 0o600, root: true, fingerprint, public_text: text.to_owned() }
}

fn wanted(text: &str) -> TargetFile {
    let fingerprint = Fingerprint::from_bytes([2; 32]);
    TargetFile { mode: 0o600, fingerprint, public_text: text.to_owned(), conf: None }
}

fn shown(old: &str, new: &str) -> Vec<String> {
    let lines = updated(&seen(old), &wanted(new));
    lines.iter().map(|line| format!("{}{}", line.sign, line.text)).collect()
}

#[test]
fn a_change_is_shown_with_a_line_around_it() {
    assert_eq!(shown("a\nb\nc\nd\ne\n", "a\nb\nx\nd\ne\n"), [" b", "-c", "+x", " d"]);
    assert_eq!(shown("", "a\n"), ["+a"]);
    assert_eq!(shown("a\n", ""), ["-a"]);
    assert_eq!(shown("a\na\n", "a\n"), [" a", "-a"]);
    assert_eq!(shown("a\n", "a\n"), [] as [&str; 0]);
}

#[test]
fn a_host_cannot_stall_a_plan_or_drown_it() {
    let own = "[Interface]\nMTU = 1420\n";
    let noise = "7\n9\n1\n977\n".repeat(100_000);
    let text = format!("{noise}{own}{noise}");
    let lines = shown(&text, &format!("{own}PostUp = true\n"));
    assert!(lines.len() < 300, "{}", lines.len());
    assert!(lines.contains(&"+PostUp = true".to_owned()), "{lines:?}");
    assert!(lines.last().is_some_and(|line| line.contains("more lines of the file")), "{lines:?}");
    // What is written is never left out.
    let many = "PostUp = true\n".repeat(5_000);
    let lines = shown(&noise, &many);
    assert_eq!(lines.iter().filter(|line| line.starts_with('+')).count(), 5_000);
}

#[test]
fn keys_are_hidden_on_either_side() {
    let key = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";
    let lines = shown(&format!("PostUp = a {key}\n"), &format!("PostUp = b {key}\n"));
    assert_eq!(lines, ["-PostUp = a (hidden)", "+PostUp = b (hidden)"]);
}
