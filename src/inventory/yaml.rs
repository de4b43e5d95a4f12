//! YAML text to [`Node`]s, within budgets; the one place that knows the parser.
//!
//! It takes the parser's events instead of going through serde: each value keeps its exact place,
//! its own spelling (`1.10` stays a name) and whether it was quoted, and a duplicate key is one
//! finding among others instead of the end.

use std::collections::HashMap;

use granit_parser::{Event, Marker, Parser, ScalarStyle, Span, Tag, options};

use crate::finding::{Code, Finding};
use crate::model::{FileId, Located, Location, turns_direction};

use super::fields::{MAX_FINDINGS, shorten};
use super::node::{Key, Kind, Node};

/// Most bytes that one file may have.
pub const MAX_FILE_BYTES: usize = 64 << 20;
/// Nodes that all files of one inventory may have: 100,000 hosts with forty values each.
const MAX_NODES: usize = 4_000_000;
/// Nodes that anchors and aliases of all files may copy.
const MAX_COPIED_NODES: usize = 1_000_000;
/// Bytes of text that anchors and aliases of all files may copy.
const MAX_COPIED_BYTES: usize = 32 << 20;
/// Collections within one another; the format itself needs nine.
const MAX_DEPTH: usize = 32;
/// Bytes of one scalar; a hook may have 4,096.
const MAX_SCALAR_BYTES: usize = 16 << 10;

/// What the files of one inventory have used up together.
#[derive(Debug, Default)]
pub(super) struct Budget {
    nodes: usize,
    /// Nodes and bytes that anchors and aliases copied.
    copied: (usize, usize),
}

/// Parses one document. A finding says why where there is none.
pub(super) fn parse(
    text: &str,
    file: FileId,
    budget: &mut Budget,
    findings: &mut Vec<Finding>,
) -> Option<Node> {
    let start = Location::start_of(file);
    if text.len() > MAX_FILE_BYTES {
        let title =
            format!("the file has {} bytes, more than the {MAX_FILE_BYTES} allowed", text.len());
        findings.push(Finding::new(Code::Syntax, title, start).help(SPLIT));
        return None;
    }
    if refuse_misleading(text, file, findings) {
        return None;
    }
    let mut builder = Builder {
        file,
        findings,
        stack: Vec::new(),
        root: None,
        documents: 0,
        anchors: HashMap::new(),
        budget,
    };
    let limits = options! {
        emit_comments: false,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    for event in Parser::new_from_str_with_options(text, limits) {
        let outcome = match event {
            Ok((event, span)) => builder.event(event, span),
            Err(error) => stop(Finding::new(
                Code::Syntax,
                format!("this is not YAML: {}", error.info()),
                builder.point(*error.marker()),
            )),
        };
        if let Err(finding) = outcome {
            builder.findings.push(*finding);
            return None;
        }
    }
    builder.root
}

const SPLIT: &str = "split the fleet into several files with `include:`";

/// Characters of one file that are named before the rest is left out.
const NAMED: usize = 8;

/// Refuses text that looks otherwise than it is, comments included: a reviewer reads those too, and a
/// terminal obeys them. Whether it found any.
fn refuse_misleading(text: &str, file: FileId, findings: &mut Vec<Finding>) -> bool {
    let misleads = |(at, c): (usize, char)| match c {
        '\n' | '\t' => None,
        '\r' if text[at + 1..].starts_with('\n') => None,
        '\r' => Some("returns to the beginning of the line"),
        '\u{85}' | '\u{2028}' | '\u{2029}' => Some("looks like the end of a line and is none"),
        c if turns_direction(c) => Some("turns the direction of the text behind it"),
        c if c.is_control() => Some("is a control character"),
        _ => None,
    };
    let found = text.char_indices().filter_map(|(at, c)| Some((at, c, misleads((at, c))?)));
    let before = findings.len();
    for (at, c, what) in found.take(NAMED) {
        let line = text[..at].rfind('\n').map_or(0, |end| end + 1);
        let place = Location {
            file,
            line: narrow(text[..at].matches('\n').count() + 1),
            column: narrow(text[line..at].chars().count() + 1),
            start: narrow(at),
            end: narrow(at + c.len_utf8()),
        };
        let title = format!("`{}` {what}", c.escape_unicode());
        findings.push(
            Finding::new(Code::Syntax, title, place)
                .help("delete it: what a reader sees has to be what the file says"),
        );
    }
    findings.len() > before
}

/// A collection that is still open.
enum Frame {
    Seq { at: Location, anchor: usize, items: Vec<Node> },
    Map { at: Location, anchor: usize, entries: Vec<(Key, Node)>, pending: Pending },
}

/// The key that a value is awaited for.
enum Pending {
    /// A key comes next.
    None,
    /// The value of this key comes next.
    Key(Key),
    /// The value of a key that was refused comes next.
    Refused,
}

struct Builder<'a> {
    file: FileId,
    findings: &'a mut Vec<Finding>,
    stack: Vec<Frame>,
    root: Option<Node>,
    documents: usize,
    anchors: HashMap<usize, Node>,
    budget: &'a mut Budget,
}

/// The finding that ends the parse.
type Step = Result<(), Box<Finding>>;

fn stop(finding: Finding) -> Step {
    Err(Box::new(finding))
}

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, span: Span) -> Step {
        let at = self.place(span);
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return stop(Finding::new(Code::Syntax, "a second YAML document", at)
                        .help("a file is one document; put the other into a file of its own and `include` it"));
                }
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.scalar(&text, style, anchor, tag.as_deref(), at)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.tag(tag.as_deref(), at);
                self.open(Frame::Seq { at, anchor, items: Vec::new() }, at)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.tag(tag.as_deref(), at);
                self.open(
                    Frame::Map { at, anchor, entries: Vec::new(), pending: Pending::None },
                    at,
                )
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(id) => self.alias(id, at),
            _ => Ok(()),
        }
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        at: Location,
    ) -> Step {
        if text.len() > MAX_SCALAR_BYTES {
            let title =
                format!("a value of {} bytes; at most {MAX_SCALAR_BYTES} are allowed", text.len());
            return stop(Finding::new(Code::Syntax, title, Location { end: at.start, ..at }));
        }
        self.tag(tag, at);
        let quoted = style != ScalarStyle::Plain
            || tag.is_some_and(|tag| tag.is_yaml_core_schema_tag("str"));
        let null = !quoted && matches!(text, "" | "~" | "null" | "Null" | "NULL");
        let kind = if null { Kind::Null } else { Kind::Scalar { text: text.into(), quoted } };
        self.finish(Node { at, kind }, anchor)
    }

    /// Tags of the core schema say nothing that the format does not know; others are refused.
    fn tag(&mut self, tag: Option<&Tag>, at: Location) {
        if let Some(tag) = tag.filter(|tag| !tag.is_yaml_core_schema()) {
            let title = format!("the tag `{}`", tag.original());
            self.findings.push(
                Finding::new(Code::Syntax, title, at)
                    .help("leave the tag out; an inventory has none"),
            );
        }
    }

    fn open(&mut self, frame: Frame, at: Location) -> Step {
        self.count(at)?;
        if self.stack.len() >= MAX_DEPTH {
            let title = format!("more than {MAX_DEPTH} lists and maps within one another");
            return stop(Finding::new(Code::Syntax, title, at));
        }
        self.stack.push(frame);
        Ok(())
    }

    fn close(&mut self) -> Step {
        match self.stack.pop() {
            Some(Frame::Seq { at, anchor, items }) => {
                self.attach(Node { at, kind: Kind::Seq(items) }, anchor)
            }
            Some(Frame::Map { at, anchor, entries, .. }) => {
                let entries = self.unique(entries);
                self.attach(Node { at, kind: Kind::Map(entries) }, anchor)
            }
            None => Ok(()),
        }
    }

    fn alias(&mut self, id: usize, at: Location) -> Step {
        let Some(node) = self.anchors.get(&id).cloned() else {
            return stop(Finding::new(
                Code::Syntax,
                "an alias within the value that it stands for",
                at,
            ));
        };
        self.copy(&node, at)?;
        self.finish(node, 0)
    }

    fn finish(&mut self, node: Node, anchor: usize) -> Step {
        self.count(node.at)?;
        self.attach(node, anchor)
    }

    fn attach(&mut self, node: Node, anchor: usize) -> Step {
        if anchor != 0 {
            self.copy(&node, node.at)?;
            self.anchors.insert(anchor, node.clone());
        }
        match self.stack.last_mut() {
            None => self.root = Some(node),
            Some(Frame::Seq { items, .. }) => items.push(node),
            Some(Frame::Map { entries, pending, .. }) => {
                match std::mem::replace(pending, Pending::None) {
                    Pending::Key(key) => entries.push((key, node)),
                    Pending::Refused => {}
                    Pending::None => match node.kind {
                        Kind::Scalar { text, .. } => {
                            *pending = Pending::Key(Located::new(text, node.at));
                        }
                        Kind::Null => *pending = Pending::Key(Located::new("".into(), node.at)),
                        Kind::Seq(_) | Kind::Map(_) => {
                            *pending = Pending::Refused;
                            self.findings.push(Finding::new(
                                Code::Syntax,
                                "a key that is a list or a map",
                                node.at,
                            ));
                        }
                    },
                }
            }
        }
        Ok(())
    }

    fn count(&mut self, at: Location) -> Step {
        self.budget.nodes += 1;
        if self.budget.nodes <= MAX_NODES {
            return Ok(());
        }
        let title = format!("more than {MAX_NODES} values in all files together");
        stop(Finding::new(Code::Syntax, title, at).help("make several fleets of it"))
    }

    fn copy(&mut self, node: &Node, at: Location) -> Step {
        let (nodes, bytes) = node.weight();
        let copied = &mut self.budget.copied;
        *copied = (copied.0 + nodes, copied.1 + bytes);
        if copied.0 <= MAX_COPIED_NODES && copied.1 <= MAX_COPIED_BYTES {
            return Ok(());
        }
        let title =
            format!("anchors and aliases that unfold to more than {MAX_COPIED_NODES} values");
        stop(
            Finding::new(Code::Syntax, title, at)
                .help("write shared settings once, under `groups:` or `defaults:`"),
        )
    }

    /// Merges `<<`, and keeps the first of each key; the others are findings.
    fn unique(&mut self, entries: Vec<(Key, Node)>) -> Vec<(Key, Node)> {
        let mut seen: HashMap<Box<str>, Location> = HashMap::with_capacity(entries.len());
        let mut kept = Vec::with_capacity(entries.len());
        let mut merged = Vec::new();
        for (key, value) in entries {
            if &*key.value == "<<" {
                merged.push(value);
                continue;
            }
            if let Some(first) = seen.get(&key.value) {
                if self.findings.len() >= MAX_FINDINGS {
                    continue;
                }
                let title = format!("`{}` is written twice", shorten(&key.value));
                self.findings.push(
                    Finding::new(Code::DuplicateName, title, key.at)
                        .label("again")
                        .also(*first, "first here")
                        .help("keep one of them"),
                );
            } else {
                seen.insert(key.value.clone(), key.at);
                kept.push((key, value));
            }
        }
        for value in merged {
            let at = value.at;
            let maps = match value.kind {
                Kind::Seq(maps) => maps,
                kind => vec![Node { at, kind }],
            };
            for map in maps {
                match map.kind {
                    Kind::Map(entries) => {
                        for (key, value) in entries {
                            if seen.insert(key.value.clone(), key.at).is_none() {
                                kept.push((key, value));
                            }
                        }
                    }
                    _ => self.findings.push(Finding::new(
                        Code::Syntax,
                        "`<<` takes a map, or a list of maps",
                        map.at,
                    )),
                }
            }
        }
        kept
    }

    fn place(&self, span: Span) -> Location {
        let start = self.point(span.start);
        let end = span.end.byte_offset().map_or(start.end, narrow).max(start.end);
        Location { end, ..start }
    }

    fn point(&self, mark: Marker) -> Location {
        let byte = mark.byte_offset().map_or(0, narrow);
        Location {
            file: self.file,
            line: narrow(mark.line().max(1)),
            column: narrow(mark.col() + 1),
            start: byte,
            end: byte,
        }
    }
}

/// Offsets within a file of at most [`MAX_FILE_BYTES`].
fn narrow(offset: usize) -> u32 {
    u32::try_from(offset).unwrap_or(u32::MAX)
}
