//! Keys in the text of files, wherever they stand: in a hook, in a comment, in a word of a template.

use std::borrow::Cow;
use std::ops::Range;

use crate::model::secrets_in as keys_in;
use crate::observed::HIDDEN;

/// What stands for a key in a comment, as the host's script writes it.
const HIDDEN_IN_COMMENT: &str = "(key)";

/// A configuration file's text with everything hidden that has the form of a secret. Public keys are
/// told where they stand as such, behind `PublicKey =`.
///
/// No secret has two lines, and none has blanks: whatever stands around one, or only pretends to be
/// the inside of a key in PEM, is shown.
pub(super) fn mask(text: &str) -> Cow<'_, str> {
    // The shortest secret has twenty characters.
    let suspects = |line: &str| line.len() >= 20 && !is_plain(line) && !keys_in(line).is_empty();
    if !text.contains(BEGIN) && !text.lines().any(suspects) {
        return Cow::Borrowed(text);
    }
    let mut masked = String::with_capacity(text.len());
    let mut inside = false;
    for line in text.split_inclusive('\n') {
        if inside && line.contains(END) {
            inside = false;
        }
        let word = line.trim_matches(|c: char| c.is_whitespace() || c == '#');
        let key = inside && word.len() >= 4 && word.trim_end_matches('=').bytes().all(is_base64);
        if key {
            masked.push_str(&line.replace(word, hidden(line)));
        } else if is_plain(line) {
            masked.push_str(line);
        } else {
            mask_line(line, &mut masked);
        }
        if line.rfind(BEGIN) > line.rfind(END) {
            inside = true;
        }
    }
    Cow::Owned(masked)
}

/// How a key in PEM begins, and how it ends.
const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";

/// The least characters in a row of a key in PEM that stands in one line.
const ROW: usize = 40;

const fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')
}

fn hidden(before: &str) -> &'static str {
    if before.contains('#') { HIDDEN_IN_COMMENT } else { HIDDEN }
}

/// A line without the secrets that begin and end in it. Of a key in PEM the long words are hidden;
/// whatever else stands behind its beginning is shown.
fn mask_line(line: &str, masked: &mut String) {
    let pem = line.contains(BEGIN);
    let mut from = 0;
    // Without its beginning nothing is taken for a key in PEM, to the end of the line.
    for piece in line.split_inclusive(BEGIN) {
        let keys = if pem { [keys_in(strip(piece)), rows(piece)].concat() } else { keys_in(piece) };
        let mut shown = 0;
        let mut keys = keys;
        keys.sort_by_key(|key| key.start);
        for key in keys {
            if key.start >= shown {
                masked.push_str(&piece[shown..key.start]);
                masked.push_str(hidden(&line[..from + key.start]));
                shown = key.end;
            }
        }
        masked.push_str(&piece[shown..]);
        from += piece.len();
    }
}

fn strip(piece: &str) -> &str {
    piece.strip_suffix(BEGIN).unwrap_or(piece)
}

/// The long words of base64.
fn rows(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    for word in text.split(|c: char| !u8::try_from(c).is_ok_and(is_base64)) {
        let start = text[at..].find(word).map_or(at, |found| at + found);
        at = start + word.len();
        if word.len() >= ROW {
            found.push(start..at);
        }
    }
    found
}

/// Whether a line, or its beginning, is a setting that holds no secret by its nature.
fn is_plain(line: &str) -> bool {
    const PLAIN: [&str; 8] = [
        "publickey",
        "allowedips",
        "endpoint",
        "persistentkeepalive",
        "address",
        "listenport",
        "mtu",
        "fwmark",
    ];
    let Some((name, value)) = line.split_once('=') else { return false };
    !value.contains('#') && PLAIN.contains(&name.trim().to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";

    #[test]
    fn keys_are_hidden_but_where_a_public_one_belongs() {
        let text = format!(
            "PublicKey = {KEY}\nPostUp = wg set wg0 peer {KEY} # {KEY}\n# {KEY}\nMTU = 1420 # {KEY}\n"
        );
        assert_eq!(
            mask(&text),
            format!(
                "PublicKey = {KEY}\nPostUp = wg set wg0 peer (hidden) # (key)\n# (key)\n\
                 MTU = 1420 # (key)\n"
            )
        );
        assert_eq!(mask(&mask(&text)), mask(&text));
        let age =
            "PostUp = echo AGE-SECRET-KEY-1YX9K024AMDLZGXR3JT552MQRMNRYPP3AYJLAAK5NVW07H0F9\n";
        assert_eq!(mask(age), "PostUp = echo (hidden)\n");
        let pem =
            "PostUp = true\n-----BEGIN PRIVATE KEY-----\nMC4CAQA\n-----END PRIVATE KEY-----\n";
        assert_eq!(mask(pem), pem.replace("MC4CAQA", "(hidden)"));
        assert!(matches!(mask("[Interface]\nMTU = 1420\n"), Cow::Borrowed(_)));
    }

    /// A template that writes the beginning of a key in PEM hid all the hooks behind it.
    #[test]
    fn what_only_pretends_to_be_a_key_is_shown() {
        let row = "MC4CAQAwBQYDK2VwBCIEIJ8mzxhYkN7R0oS2bC1gkT5v4uQeW9aLpXyZ";
        let text = format!(
            "# -----BEGIN PRIVATE KEY-----\nPostUp = touch /root/x\nMTU=1420\n{row}\n#{row}\nAb==\n\
             # -----END PRIVATE KEY-----\nPostUp = echo '-----BEGIN PRIVATE KEY-----'; touch /root/y\n\
             PostDown = printf '-----BEGIN PRIVATE KEY-----\\n{row}\\n-----END'; touch /root/z\n\
             PreDown = {row}\n"
        );
        assert_eq!(
            mask(&text),
            "# -----BEGIN PRIVATE KEY-----\nPostUp = touch /root/x\nMTU=1420\n(hidden)\n#(key)\n\
             (hidden)\n# -----END PRIVATE KEY-----\nPostUp = echo '-----BEGIN PRIVATE KEY-----'; \
             touch /root/y\nPostDown = printf '-----BEGIN PRIVATE KEY-----\\(hidden)\\n-----END'; \
             touch /root/z\nPreDown = \
             MC4CAQAwBQYDK2VwBCIEIJ8mzxhYkN7R0oS2bC1gkT5v4uQeW9aLpXyZ\n"
        );
    }
}
