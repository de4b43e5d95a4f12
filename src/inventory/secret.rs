//! Keeps keys that were pasted into an inventory out of every report.

use std::ops::Range;

/// Whether a value has the form of a `WireGuard` key: 43 base64 characters and `=`.
pub(super) fn looks_like_key(text: &str) -> bool {
    let text = text.trim();
    text.len() == 44
        && text.ends_with('=')
        && text.bytes().take(43).all(|b| is_base64(b) && b != b'=')
}

const fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

/// Every stretch of a text that has the form of a key, except values of `public_key` and
/// age's secret keys whole.
pub(super) fn keys_in(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if !is_base64(bytes[at]) {
            at += 1;
            continue;
        }
        let end = at + bytes[at..].iter().take_while(|b| is_base64(**b)).count();
        if looks_like_key(&text[at..end]) && !follows_public_key(&bytes[..at]) {
            found.push(at..end);
        }
        at = end;
    }
    found
}

/// Whether the line so far names a public key.
fn follows_public_key(before: &[u8]) -> bool {
    let from = before.len().saturating_sub(32);
    let mut near = before[from..].to_ascii_lowercase();
    if let Some(start) = near.iter().rposition(|b| *b == b'\n') {
        near.drain(..=start);
    }
    while near.last().is_some_and(|b| matches!(b, b' ' | b':' | b'"' | b'\'')) {
        near.pop();
    }
    near.ends_with(b"public_key")
}

/// A sentence of a report without anything that has the form of a key.
pub(super) fn mask(text: &mut String) {
    if text.len() < 44 {
        return;
    }
    for range in keys_in(text).into_iter().rev() {
        text.replace_range(range, "[hidden]");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";

    #[test]
    fn keys_are_found_wherever_they_are_but_for_public_ones() {
        let found = keys_in(&format!("a: {KEY}\n"));
        assert_eq!(found.first(), Some(&(3..47)));
        assert!(keys_in(&format!("public_key: \"{KEY}\"")).is_empty());
        assert!(keys_in("name: not-a-key").is_empty());
        let mut text = format!("\"{KEY}\" has no port");
        mask(&mut text);
        assert_eq!(text, "\"[hidden]\" has no port");
    }
}
