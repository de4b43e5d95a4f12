//! A key of a map that gets a value.

use std::ops::Range;

/// Sets `key` to `value` in the map that belongs to the key which ends at byte `at`; `None` where
/// no map can be there.
#[must_use]
pub fn set(text: &str, at: usize, key: &str, value: &str) -> Option<String> {
    let colon = at + text.get(at..)?.find(':')?;
    if !text[at..colon].chars().all(|c| c.is_whitespace() || matches!(c, '"' | '\'')) {
        return None;
    }
    let mut begin = colon + 1;
    begin += blanks(&text[begin..]);
    if text[begin..].starts_with('&') {
        begin += text[begin..].find(|c: char| c.is_whitespace())?;
        begin += blanks(&text[begin..]);
    }
    match text[begin..].chars().next() {
        Some('{') => Some(flow(text, begin, key, value)?),
        None | Some('\n' | '\r' | '#') => block(text, at, colon, key, value),
        Some(_) => None,
    }
}

/// How many blanks a text begins with.
pub(super) fn blanks(text: &str) -> usize {
    text.len() - text.trim_start_matches([' ', '\t']).len()
}

fn replaced(text: &str, range: Range<usize>, with: &str) -> String {
    [&text[..range.start], with, &text[range.end..]].concat()
}

/// In `{ a: 1, b: [2, 3] }`, whose brace is at byte `open`.
fn flow(text: &str, open: usize, key: &str, value: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let (mut depth, mut quote, mut empty) = (0_u32, None, true);
    let mut word = open + 1;
    let mut found: Option<usize> = None;
    // Where what was read ends, comments aside.
    let mut last = open + 1;
    let mut at = open + 1;
    while at < bytes.len() {
        let byte = bytes[at];
        match (quote, byte) {
            (Some(q), _) if q == byte => quote = None,
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'#') if bytes[at - 1].is_ascii_whitespace() => {
                at += text[at..].find('\n')?;
                continue;
            }
            (None, b'{' | b'[') => depth += 1,
            (None, b':') if depth == 0 && found.is_none() => {
                let name = text[word..at].trim().trim_matches(['"', '\'']);
                if name == key {
                    found = Some(at + 1);
                }
            }
            (None, b',' | b'}') if depth == 0 => {
                if let Some(from) = found {
                    return Some(replaced(text, from..last.max(from), &format!(" {value}")));
                }
                if byte == b'}' {
                    let with = if empty {
                        format!(" {key}: {value} ")
                    } else {
                        format!(" {key}: {value},")
                    };
                    return Some(replaced(text, open + 1..open + 1, &with));
                }
                word = at + 1;
            }
            (None, b'}' | b']') => depth = depth.checked_sub(1)?,
            _ => {}
        }
        empty &= byte.is_ascii_whitespace();
        at += 1;
        if !byte.is_ascii_whitespace() {
            last = at;
        }
    }
    None
}

/// In the indented lines below the key that ends at byte `at`.
fn block(text: &str, at: usize, colon: usize, key: &str, value: &str) -> Option<String> {
    let line = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let parent = blanks(&text[line..]);
    let first = text[colon..].find('\n').map(|newline| colon + newline + 1);
    let mut below = first.unwrap_or(text.len());
    let mut child: Option<(usize, usize)> = None;
    let mut found: Option<(usize, usize)> = None;
    while below < text.len() {
        let end = text[below..].find('\n').map_or(text.len(), |newline| below + newline + 1);
        let content = &text[below..end];
        let indent = blanks(content);
        let plain = content.trim();
        if plain.is_empty() || plain.starts_with('#') {
            below = end;
            continue;
        }
        if indent <= parent {
            break;
        }
        let (_, depth) = *child.get_or_insert((below, indent));
        if let Some((from, _)) = found {
            if indent <= depth && !(indent == depth && plain.starts_with("- ")) {
                break;
            }
            found = Some((from, below + content.trim_end().len()));
        } else if indent == depth {
            let name = plain.split(':').next().unwrap_or_default().trim_matches(['"', '\'']);
            if name == key {
                let from = below + content.find(':')? + 1;
                found = Some((from, below + without_comment(content)));
            }
        }
        below = end;
    }
    if let Some((from, to)) = found {
        return Some(replaced(text, from..to, &format!(" {value}")));
    }
    Some(match child {
        Some((_, indent)) => {
            // Above the comments of what is there.
            let start = first.unwrap_or(text.len());
            let with = format!("{}{key}: {value}\n", " ".repeat(indent));
            replaced(text, start..start, &with)
        }
        None => replaced(text, colon + 1..colon + 1, &format!(" {{ {key}: {value} }}")),
    })
}

/// Bytes of a line before its comment, and before the blanks there.
fn without_comment(line: &str) -> usize {
    let bytes = line.as_bytes();
    let mut quote = None;
    for (at, byte) in bytes.iter().enumerate() {
        match (quote, byte) {
            (Some(q), _) if q == *byte => quote = None,
            (None, b'"' | b'\'') if !bytes[at.saturating_sub(1)].is_ascii_alphanumeric() => {
                quote = Some(*byte);
            }
            (None, b'#') if at > 0 && bytes[at - 1].is_ascii_whitespace() => {
                return line[..at].trim_end().len();
            }
            _ => {}
        }
    }
    line.trim_end().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(text: &str, name: &str) -> String {
        let at = text.find(name).expect("the name is there") + name.len();
        set(text, at, "nat", "true").expect("a map")
    }

    #[test]
    fn a_key_is_added_or_replaced_in_any_style() {
        for (text, wanted) in [
            ("h: { ssh: x }\n", "h: { nat: true, ssh: x }\n"),
            ("h: {}\n", "h: { nat: true }\n"),
            ("h: { nat: false, a: [1, 2] }\n", "h: { nat: true, a: [1, 2] }\n"),
            ("h: { a: { nat: 1 }, \"nat\": off }", "h: { a: { nat: 1 }, \"nat\": true }"),
            ("h:\n  # x\n  ssh: a\ni: 1\n", "h:\n  nat: true\n  # x\n  ssh: a\ni: 1\n"),
            ("h:\n  nat: no # why\n  z: 1\n", "h:\n  nat: true # why\n  z: 1\n"),
            ("h:\n  nat: '#' # why\n", "h:\n  nat: true # why\n"),
            ("h: {\n  nat: no # why\n}\n", "h: {\n  nat: true # why\n}\n"),
            ("h: { nat: no, # why\n  z: 1 }\n", "h: { nat: true, # why\n  z: 1 }\n"),
            ("h:\n  ssh: a\n  nat: no\ni: 1\n", "h:\n  ssh: a\n  nat: true\ni: 1\n"),
            ("h:\n  nat:\n    - a\n    - b\n  z: 1\n", "h:\n  nat: true\n  z: 1\n"),
            ("h:\n  nat:\n  - a\n  z: 1\n", "h:\n  nat: true\n  z: 1\n"),
            ("  h:\n  i: 1\n", "  h: { nat: true }\n  i: 1\n"),
            ("h:", "h: { nat: true }"),
            ("h: &a { x: '}' }", "h: &a { nat: true, x: '}' }"),
        ] {
            assert_eq!(after(text, "h"), wanted, "{text}");
        }
        assert_eq!(set("h: *alias\n", 1, "nat", "true"), None);
        assert_eq!(set("h: [a]\n", 1, "nat", "true"), None);
    }
}
