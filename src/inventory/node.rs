//! A YAML document as a tree that knows its places, independent of who parsed it.

use crate::model::{Located, Location};

/// A key of a map.
pub(super) type Key = Located<Box<str>>;

/// One value of a document.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// Where it is written; a point for block collections.
    pub(super) at: Location,
    /// What it is.
    pub(super) kind: Kind,
}

/// What a node is.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// `~`, `null`, or nothing after the colon.
    Null,
    /// A scalar.
    Scalar {
        /// The text after escapes.
        text: Box<str>,
        /// Whether it was quoted, so that it is no number, boolean or null.
        quoted: bool,
    },
    /// A list.
    Seq(Vec<Node>),
    /// A map in order of the file, each key once.
    Map(Vec<(Key, Node)>),
}

impl Node {
    /// What it is, for "found …".
    pub(super) fn describe(&self) -> &'static str {
        match &self.kind {
            Kind::Null => "nothing",
            Kind::Scalar { quoted: true, .. } => "a quoted text",
            Kind::Scalar { text, .. } => match &**text {
                "true" | "false" => "a boolean",
                text if text.parse::<i64>().is_ok() => "a number",
                _ => "a text",
            },
            Kind::Seq(_) => "a list",
            Kind::Map(_) => "a map",
        }
    }

    /// How many nodes and bytes of text it holds, itself included.
    pub(super) fn weight(&self) -> (usize, usize) {
        let add = |a: (usize, usize), b: (usize, usize)| (a.0 + b.0, a.1 + b.1);
        match &self.kind {
            Kind::Null => (1, 0),
            Kind::Scalar { text, .. } => (1, text.len()),
            Kind::Seq(items) => items.iter().map(Self::weight).fold((1, 0), add),
            Kind::Map(entries) => entries
                .iter()
                .map(|(key, value)| add(value.weight(), (1, key.value.len())))
                .fold((1, 0), add),
        }
    }
}
