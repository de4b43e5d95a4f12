//! An entry of a map that comes or goes.

use std::ops::Range;

use super::super::node::{Kind, Node};
use super::set::blanks;

/// Adds `name: value` to the map `peers`, whose key is `key`; where the document has none, at its end.
pub(super) fn add(
    text: &str,
    peers: Option<&(Range<usize>, &Node)>,
    key: &str,
    name: &str,
    value: &str,
) -> Option<String> {
    let Some((at, peers)) = peers else {
        let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        return Some(format!("{text}{end}{key}:\n  {name}: {value}\n"));
    };
    let colon = at.end + text.get(at.end..)?.find(':')?;
    let begin = colon + 1 + blanks(&text[colon + 1..]);
    if text[begin..].starts_with('{') {
        let Kind::Map(entries) = &peers.kind else { return None };
        let comma = if entries.is_empty() { " " } else { "," };
        return Some(
            [&text[..=begin], &format!(" {name}: {value}{comma}"), &text[begin + 1..]].concat(),
        );
    }
    match &peers.kind {
        Kind::Map(entries) => {
            let (last, _) = entries.last()?;
            let (last, indent) = own_line(text, last.at.start as usize)?;
            let end = block_end(text, last, indent);
            let newline = if text[..end].ends_with('\n') { "" } else { "\n" };
            let line = format!("{newline}{}{name}: {value}\n", " ".repeat(indent));
            Some([&text[..end], &line, &text[end..]].concat())
        }
        Kind::Null => {
            let (_, indent) = own_line(text, at.start)?;
            let end = text[colon..].find('\n').map_or(text.len(), |newline| colon + newline + 1);
            let newline = if text[..end].ends_with('\n') { "" } else { "\n" };
            let line = format!("{newline}{}{name}: {value}\n", " ".repeat(indent + 2));
            Some([&text[..end], &line, &text[end..]].concat())
        }
        Kind::Scalar { .. } | Kind::Seq(_) => None,
    }
}

/// Removes the entry whose key is at `key`. Comments above it stay; they may be about more.
pub(super) fn remove(text: &str, key: Range<usize>) -> Option<String> {
    if let Some((line, indent)) = own_line(text, key.start)
        && !in_flow(text, key.start)
    {
        let end = block_end(text, line, indent);
        return Some([&text[..line], &text[end..]].concat());
    }
    let end = flow_end(text, key.end)?;
    let after = end + text[end..].len() - text[end..].trim_start().len();
    if text[after..].starts_with(',') {
        let rest = after + 1;
        let rest = rest + blanks(&text[rest..]);
        // A line of its own goes whole.
        if let Some((line, _)) =
            own_line(text, key.start).filter(|_| text[rest..].starts_with('\n'))
        {
            return Some([&text[..line], &text[rest + 1..]].concat());
        }
        return Some([&text[..key.start], &text[rest..]].concat());
    }
    // The last one: the comma before it goes.
    let before = text[..key.start].trim_end();
    match before.strip_suffix(',') {
        Some(before) => Some([before, &text[end..]].concat()),
        None => Some([&text[..key.start], text[end..].trim_start_matches([' ', '\t'])].concat()),
    }
}

/// The beginning of the line of `at` and its indentation, where nothing stands before it on the line.
pub(super) fn own_line(text: &str, at: usize) -> Option<(usize, usize)> {
    let line = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    text[line..at].bytes().all(|byte| byte == b' ').then_some((line, at - line))
}

/// Whether a key that begins its line stands within braces: then the line says nothing about its end.
fn in_flow(text: &str, at: usize) -> bool {
    let before = text[..at].trim_end_matches(|c: char| c.is_whitespace());
    // Comment lines between it and what precedes it are passed over.
    let mut lines = before.lines().rev().map(str::trim).skip_while(|line| line.starts_with('#'));
    lines.next().is_some_and(|line| {
        let code = line.split(" #").next().unwrap_or_default().trim_end();
        code.ends_with(['{', ',', '['])
    })
}

/// The end of a block entry that begins at `line`: of its last line with content that is indented more.
pub(super) fn block_end(text: &str, line: usize, indent: usize) -> usize {
    let next = |from: usize| text[from..].find('\n').map_or(text.len(), |end| from + end + 1);
    let mut end = next(line);
    let mut at = end;
    while at < text.len() {
        let to = next(at);
        let content = text[at..to].trim();
        let depth = blanks(&text[at..to]);
        if !content.is_empty() && depth <= indent {
            break;
        }
        if !content.is_empty() {
            end = to;
        }
        at = to;
    }
    end
}

/// The end of a flow value whose key ends at `from`: before the comma or the brace that follows it.
fn flow_end(text: &str, from: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut depth, mut quote) = (0_u32, None);
    let mut at = from;
    while at < bytes.len() {
        let byte = bytes[at];
        match (quote, byte) {
            (Some(q), _) if q == byte => quote = None,
            (Some(b'"'), b'\\') => at += 1,
            // A quote within a word is a letter like others.
            (None, b'"' | b'\'') if !bytes[at - 1].is_ascii_alphanumeric() => quote = Some(byte),
            (None, b'#') if bytes[at - 1].is_ascii_whitespace() => {
                at += text[at..].find('\n')?;
            }
            (None, b'{' | b'[') => depth += 1,
            (None, b',' | b'}') if depth == 0 => {
                return Some(from + text[from..at].trim_end().len());
            }
            (None, b'}' | b']') => depth = depth.checked_sub(1)?,
            _ => {}
        }
        at += 1;
    }
    None
}
