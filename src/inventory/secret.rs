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

/// Every stretch of a text that has the form of a secret: `WireGuard` keys except values of
/// `public_key`, age's identities, private keys in PEM, and tokens that people paste by mistake.
/// In order, and none within another.
#[must_use]
pub fn keys_in(text: &str) -> Vec<Range<usize>> {
    let mut found = blocks(text);
    found.extend(wireguard_keys(text));
    found.extend(PREFIXED.iter().flat_map(|prefix| prefixed(text, prefix)));
    found.sort_by_key(|range| (range.start, std::cmp::Reverse(range.end)));
    let mut end = 0;
    found.retain(|range| {
        let apart = range.start >= end;
        if apart {
            end = range.end;
        }
        apart
    });
    found
}

fn wireguard_keys(text: &str) -> Vec<Range<usize>> {
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

/// What a secret begins with, and how many characters it has at least behind that.
struct Prefix {
    begin: &'static str,
    least: usize,
}

const PREFIXED: &[Prefix] = &[
    Prefix { begin: "AGE-SECRET-KEY-", least: 20 },
    Prefix { begin: "AGE-PLUGIN-", least: 10 },
    Prefix { begin: "ghp_", least: 30 },
    Prefix { begin: "gho_", least: 30 },
    Prefix { begin: "ghs_", least: 30 },
    Prefix { begin: "github_pat_", least: 30 },
    Prefix { begin: "glpat-", least: 18 },
    Prefix { begin: "xoxb-", least: 20 },
    Prefix { begin: "AKIA", least: 16 },
];

fn prefixed(text: &str, prefix: &Prefix) -> Vec<Range<usize>> {
    let word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    // age writes its keys in one case, and reads either.
    let upper = text.to_ascii_uppercase();
    let (text, begin) = if prefix.begin.starts_with("AGE-") {
        (upper.as_str(), prefix.begin)
    } else {
        (text, prefix.begin)
    };
    let mut found = Vec::new();
    for (at, _) in text.match_indices(begin) {
        let behind = at + begin.len();
        let end = behind + text.as_bytes()[behind..].iter().take_while(|b| word(b)).count();
        if end - behind >= prefix.least {
            found.push(at..end);
        }
    }
    found
}

/// Private keys in PEM, from their first line to their last, or to the end where there is none.
fn blocks(text: &str) -> Vec<Range<usize>> {
    const BEGIN: &str = "-----BEGIN ";
    let mut found: Vec<Range<usize>> = Vec::new();
    for (at, _) in text.match_indices(BEGIN) {
        let line = text[at..].lines().next().unwrap_or_default();
        let inside = found.last().is_some_and(|last| at < last.end);
        if inside || !(line.contains("PRIVATE KEY") || line.contains("AGE ENCRYPTED")) {
            continue;
        }
        let end = text[at..].find("-----END ").map_or(text.len(), |end| {
            let end = at + end;
            end + text[end..].lines().next().map_or(0, str::len)
        });
        found.push(at..end);
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
    if text.len() < 20 {
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
        for secret in [
            "AGE-SECRET-KEY-1YX9K024AMDLZGXR3JT552MQRMNRYPP3AYJLAAK5NVW07H0F948QS2VECEM",
            "age-secret-key-1yx9k024amdlzgxr3jt552mqrmnrypp3ayjlaak5nvw07h0f948qs2vecem",
            "AGE-PLUGIN-YUBIKEY-1QYQSZQGPQYQSZQGPQYQSZ",
            "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
            "AKIAIOSFODNN7EXAMPLE",
            "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\n-----END OPENSSH PRIVATE KEY-----",
            "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIE",
        ] {
            let mut text = format!("é: {secret}");
            mask(&mut text);
            assert_eq!(text, "é: [hidden]", "{secret}");
        }
        assert!(keys_in("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----").is_empty());
        let mut text = format!("\"{KEY}\" has no port");
        mask(&mut text);
        assert_eq!(text, "\"[hidden]\" has no port");
    }
}
