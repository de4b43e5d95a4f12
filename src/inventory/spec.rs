//! What a key of the file format is: its name, its shape, what it is for, and how it is inherited.

use std::fmt;

/// One map of the format and the keys that it may have.
#[derive(Debug)]
pub struct Section {
    /// What it is, with its article: `a host`.
    pub what: &'static str,
    /// Its name in the JSON Schema.
    pub id: &'static str,
    /// Several of it: `hosts`.
    pub many: &'static str,
    /// Its keys, in groups that several sections share.
    pub keys: &'static [&'static [&'static KeySpec]],
}

/// One key of a section.
#[derive(Debug)]
pub struct KeySpec {
    /// The key.
    pub name: &'static str,
    /// What its value looks like.
    pub shape: Shape,
    /// One sentence for editors and the documentation.
    pub doc: &'static str,
    /// Whether it must be there.
    pub required: bool,
    /// How a host has it from the levels below its own.
    pub inheritance: Inheritance,
}

/// How the value of a key is put together from several levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Inheritance {
    /// It is not: only the map that has the key is meant.
    Own,
    /// The nearest level that says it wins.
    Replaced,
    /// All levels count, the lower ones first.
    Added,
    /// The nearest level says which names there are; what it leaves open about each comes from the
    /// lower ones.
    Merged,
}

/// What a value looks like.
#[derive(Debug)]
pub enum Shape {
    /// A name of a fleet, site, host, network, group or peer.
    Name,
    /// An interface name.
    InterfaceName,
    /// An IPv4 or IPv6 address.
    Address,
    /// An IPv4 or IPv6 prefix.
    Prefix,
    /// `host:port`.
    Endpoint,
    /// What ssh(1) connects to.
    Ssh,
    /// A public key in base64.
    PublicKey,
    /// One command line.
    Hook,
    /// A day, or a moment.
    Until,
    /// A number of hosts, or a percentage.
    Part,
    /// When something may happen.
    Window,
    /// A DNS server or a search domain.
    Dns,
    /// The path of a file or a glob pattern.
    Path,
    /// What an `expect` rule is about.
    Selector,
    /// `true` or `false`.
    Bool,
    /// A whole number in a range.
    Int(u32, u32),
    /// A whole number in a range, or one of some words.
    IntOr(u32, u32, &'static [&'static str]),
    /// One of some words.
    Choice(&'static [&'static str]),
    /// The first shape, or `false`.
    OrFalse(&'static Self),
    /// One, or a list.
    OneOrMany(&'static Self),
    /// A map of fixed keys.
    Section(&'static Section),
    /// A map from names to sections.
    Named(&'static Section),
    /// A list of names, or a map from names to sections.
    NamesOr(&'static Section),
    /// The links of a network.
    Links,
    /// A map from former names to names.
    Renames,
    /// A list of `allow:` and `deny:` rules.
    Expect,
}

/// A type whose values stand in the file.
pub trait Form {
    /// What is read of it; its default where the key is absent.
    type Value: Clone + Default + fmt::Debug;
    /// What it looks like.
    const SHAPE: Shape;
}

impl Section {
    /// All keys, in order of the table.
    pub fn all(&self) -> impl Iterator<Item = &'static KeySpec> + use<> {
        self.keys.iter().flat_map(|group| group.iter().copied())
    }

    /// The key of a name.
    pub(super) fn find(&self, name: &str) -> Option<&'static KeySpec> {
        self.all().find(|key| key.name == name)
    }
}

/// The key that a field of a struct stands for.
pub(super) const fn key_of(field: &'static str) -> &'static str {
    match field.as_bytes() {
        // `r#become` is how Rust writes a field whose name is a word of the language.
        [b'r', b'#', ..] => field.split_at(2).1,
        _ => field,
    }
}
