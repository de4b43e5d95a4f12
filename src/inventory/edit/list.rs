//! An item that a list gets, and a key that goes.

use std::ops::Range;

use super::super::node::{Kind, Node};
use super::entry::{self, block_end, own_line};
use super::read;
use super::set::{blanks, set};

/// Maps that go with their last key, at most.
const EMPTIED: usize = 2;

/// Appends `item` to the list `key` of the map that belongs to the key which ends at byte `at`; a single value
/// becomes a list with it. `None` where only a person can do that.
#[must_use]
pub fn append(text: &str, at: usize, key: &str, item: &str) -> Option<String> {
    let root = read(text)?;
    let chain = chain(&root, at)?;
    let Kind::Map(entries) = &chain.last()?.1.kind else {
        return set(text, at, key, &format!("[{item}]"));
    };
    let Some((name, value)) = entries.iter().find(|(name, _)| *name.value == *key) else {
        return set(text, at, key, &format!("[{item}]"));
    };
    let colon = name.at.end as usize + text.get(name.at.end as usize..)?.find(':')?;
    let begin = colon + 1 + blanks(text.get(colon + 1..)?);
    match (&value.kind, text.get(begin..)?.chars().next()) {
        (Kind::Seq(items), Some('[')) => {
            let (last, _) = content(text, begin)?;
            let comma = match (items.is_empty(), text[..last].ends_with(',')) {
                (true, _) => "",
                (false, true) => " ",
                (false, false) => ", ",
            };
            Some([&text[..last], comma, item, &text[last..]].concat())
        }
        (Kind::Seq(items), _) => {
            let first = items.first()?.at.start as usize;
            let line = text[..first].rfind('\n').map_or(0, |newline| newline + 1);
            let indent = blanks(&text[line..]);
            let mut end = line;
            while text.get(end..).is_some_and(|rest| {
                rest.trim_start_matches(' ').starts_with("- ") && blanks(rest) == indent
            }) {
                end = block_end(text, end, indent);
            }
            let newline = if text[..end].ends_with('\n') { "" } else { "\n" };
            let line = format!("{newline}{}- {item}\n", " ".repeat(indent));
            (end > line_start(text, first)).then(|| [&text[..end], &line, &text[end..]].concat())
        }
        (Kind::Scalar { .. }, Some(_)) => {
            let (start, end) = (value.at.start as usize, value.at.end as usize);
            let old = text.get(start..end).filter(|_| start == begin)?;
            Some([&text[..start], &format!("[{old}, {item}]"), &text[end..]].concat())
        }
        (Kind::Map(_), Some('{')) => {
            let (_, end) = content(text, begin)?;
            let old = &text[begin..=end];
            Some([&text[..begin], &format!("[{old}, {item}]"), &text[end + 1..]].concat())
        }
        _ => None,
    }
}

/// Takes `key` out of the map that belongs to the key which ends at byte `at`; the map goes with its last key,
/// and so does the one that holds it. `None` where it is not there, or only a person can do that.
#[must_use]
pub fn unset(text: &str, at: usize, key: &str) -> Option<String> {
    let root = read(text)?;
    let chain = chain(&root, at)?;
    let Kind::Map(entries) = &chain.last()?.1.kind else { return None };
    let (name, _) = entries.iter().find(|(name, _)| *name.value == *key)?;
    let mut goes: Range<usize> = name.at.start as usize..name.at.end as usize;
    for (own, map) in chain.iter().rev().take(EMPTIED) {
        let Kind::Map(entries) = &map.kind else { break };
        if entries.len() != 1 {
            break;
        }
        goes = own.clone();
    }
    let changed = entry::remove(text, goes)?;
    read(&changed).map(|_| changed)
}

/// The keys that lead to the one which ends at byte `at`, each with its value.
fn chain(node: &Node, at: usize) -> Option<Vec<(Range<usize>, &Node)>> {
    match &node.kind {
        Kind::Map(entries) => entries.iter().find_map(|(key, value)| {
            let own = (key.at.start as usize..key.at.end as usize, value);
            if own.0.end == at {
                return Some(vec![own]);
            }
            let mut below = chain(value, at)?;
            below.insert(0, own);
            Some(below)
        }),
        Kind::Seq(items) => items.iter().find_map(|item| chain(item, at)),
        Kind::Null | Kind::Scalar { .. } => None,
    }
}

fn line_start(text: &str, at: usize) -> usize {
    own_line(text, at)
        .map_or_else(|| text[..at].rfind('\n').map_or(0, |newline| newline + 1), |(line, _)| line)
}

/// Where the content of a list or a map ends whose bracket is at byte `open`, comments aside, and where its
/// closing bracket is.
fn content(text: &str, open: usize) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let (mut depth, mut quote, mut last) = (0_u32, None, open + 1);
    let mut at = open + 1;
    while at < bytes.len() {
        let byte = bytes[at];
        match (quote, byte) {
            (Some(q), _) if q == byte => quote = None,
            (Some(b'"'), b'\\') => at += 1,
            (None, b'"' | b'\'') if !bytes[at - 1].is_ascii_alphanumeric() => quote = Some(byte),
            (None, b'#') if bytes[at - 1].is_ascii_whitespace() => {
                at += text[at..].find('\n')?;
                continue;
            }
            (None, b'{' | b'[') => depth += 1,
            (None, b'}' | b']') if depth == 0 => return Some((last, at)),
            (None, b'}' | b']') => depth -= 1,
            _ => {}
        }
        at += 1;
        if !byte.is_ascii_whitespace() {
            last = at;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, name: &str) -> usize {
        text.find(name).expect("the name is there") + name.len()
    }

    #[test]
    fn an_item_is_added_in_any_style() {
        for (text, wanted) in [
            ("h: { l: [a, b] }\n", "h: { l: [a, b, c] }\n"),
            ("h: { l: [] }\n", "h: { l: [c] }\n"),
            ("h: { l: a }\n", "h: { l: [a, c] }\n"),
            ("h: { l: \"a\" } # x\n", "h: { l: [\"a\", c] } # x\n"),
            ("h: { l: { m: 1 } }\n", "h: { l: [{ m: 1 }, c] }\n"),
            ("h: {}\n", "h: { l: [c] }\n"),
            (
                "h:\n  l: # why\n    - a # first\n    - b # last\n  z: 1\n",
                "h:\n  l: # why\n    - a # first\n    - b # last\n    - c\n  z: 1\n",
            ),
            ("h:\n  l:\n  - [a, b]\n", "h:\n  l:\n  - [a, b]\n  - c\n"),
            (
                "h:\n  l:\n  - m: 1\n    n: 2\n  z: 1\n",
                "h:\n  l:\n  - m: 1\n    n: 2\n  - c\n  z: 1\n",
            ),
            (
                "h:\n  l: [\n    a, # one\n    b # two\n  ]\n",
                "h:\n  l: [\n    a, # one\n    b, c # two\n  ]\n",
            ),
            ("h:\n  l: [a, [b]] # x\n", "h:\n  l: [a, [b], c] # x\n"),
            ("h:\n  z: 1 # x\n", "h:\n  l: [c]\n  z: 1 # x\n"),
        ] {
            let changed = append(text, at(text, "h"), "l", "c");
            assert_eq!(changed.as_deref(), Some(wanted), "{text}");
        }
        assert_eq!(append("h:\n  l:\n    m: 1\n", 1, "l", "c"), None);
        assert_eq!(append("h: *x\n", 1, "l", "c"), None);
    }

    #[test]
    fn a_key_goes_with_the_maps_that_it_leaves_empty() {
        for (text, wanted) in [
            ("a: { p: { h: { k: [1] } } }\n", "a: { }\n"),
            ("a: { x: 1, p: { h: { k: [1] } } }\n", "a: { x: 1 }\n"),
            ("a: { p: { h: { k: 1, l: 2 } } }\n", "a: { p: { h: { l: 2 } } }\n"),
            (
                "a:\n  x: 1 # x\n  p:\n    h:\n      k: 1\n    i: { k: 2 }\n",
                "a:\n  x: 1 # x\n  p:\n    i: { k: 2 }\n",
            ),
            ("a:\n  p:\n    h: { k: 1 }\n  x: 1\n", "a:\n  x: 1\n"),
        ] {
            let changed = unset(text, at(text, "h"), "k");
            assert_eq!(changed.as_deref(), Some(wanted), "{text}");
        }
        assert_eq!(unset("h: { l: 1 }\n", 1, "k"), None);
    }
}
