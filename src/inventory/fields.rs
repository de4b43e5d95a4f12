//! A map of the file against its section: unknown, refused and missing keys.

use crate::finding::{Code, Finding};
use crate::model::{Location, Untrusted, closest, looks_like_key, mask};

use super::node::{Key, Kind, Node};
use super::spec::{KeySpec, Section};

/// Findings that one inventory can have. All of a parse are errors, so that nothing is lost by
/// dropping some.
pub(super) const MAX_FINDINGS: usize = 10_000;

/// Findings, and the places that no report may show.
#[derive(Debug, Default)]
pub(super) struct Sink {
    pub(super) findings: Vec<Finding>,
    pub(super) secrets: Vec<Location>,
}

impl Sink {
    /// Takes a finding; beyond [`MAX_FINDINGS`] nobody reads them.
    pub(super) fn push(&mut self, finding: Finding) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(finding);
        }
    }
}

/// One key that is present.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field<'n> {
    pub(super) name: &'n str,
    /// Where the key is written.
    pub(super) at: Location,
    pub(super) node: &'n Node,
}

impl Field<'_> {
    /// Where to point: at the value where it is on a line, otherwise at the key.
    pub(super) fn place(&self) -> Location {
        if self.node.at.end > self.node.at.start { self.node.at } else { self.at }
    }
}

/// The keys of one map that its section knows.
#[derive(Debug)]
pub(super) struct Fields<'n> {
    section: &'static Section,
    entries: &'n [(Key, Node)],
}

impl<'n> Fields<'n> {
    /// Checks the keys of a map; nothing at all counts as an empty one.
    pub(super) fn open(
        section: &'static Section,
        node: &'n Node,
        at: Location,
        sink: &mut Sink,
    ) -> Option<Self> {
        let entries: &[(Key, Node)] = match &node.kind {
            Kind::Map(entries) => entries,
            Kind::Null => &[],
            Kind::Scalar { .. } | Kind::Seq(_) => {
                let field = Field { name: section.id, at, node };
                wrong_type(&field, &format!("{} is a map of keys and values", section.what), sink);
                return None;
            }
        };
        for (key, value) in entries {
            if section.find(&key.value).is_none() {
                unknown(section, key, value, sink);
            }
        }
        let fields = Self { section, entries };
        for spec in section.all().filter(|spec| spec.required) {
            if fields.get(spec).is_none() {
                sink.push(
                    Finding::new(
                        Code::MissingKey,
                        format!("{} needs `{}`", section.what, spec.name),
                        at,
                    )
                    .label(format!("`{}` is missing", spec.name))
                    .help(describe(spec)),
                );
            }
        }
        Some(fields)
    }

    /// Whether the section has a group of keys, and not only keys of the same names.
    pub(super) fn have(&self, group: &[&KeySpec]) -> bool {
        self.section
            .keys
            .iter()
            .any(|own| own.iter().map(|key| key.name).eq(group.iter().map(|key| key.name)))
    }

    /// The value of a key; `null` counts as absent.
    pub(super) fn get(&self, spec: &KeySpec) -> Option<Field<'n>> {
        self.entries
            .iter()
            .find(|(key, _)| *key.value == *spec.name)
            .filter(|(_, node)| !matches!(node.kind, Kind::Null))
            .map(|(key, node)| Field { name: &key.value, at: key.at, node })
    }
}

/// What a key is for, as a lower-case fragment.
fn describe(spec: &KeySpec) -> String {
    let mut doc: Vec<char> = spec.doc.trim_end_matches('.').chars().collect();
    if doc.get(1).is_some_and(|second| second.is_lowercase() || *second == ' ') {
        doc[0] = doc[0].to_ascii_lowercase();
    }
    format!("`{}`: {}", spec.name, doc.into_iter().collect::<String>())
}

/// The entries of a map from names to sections.
pub(super) fn named<'n>(field: Field<'n>, what: &str, sink: &mut Sink) -> Vec<Field<'n>> {
    match &field.node.kind {
        Kind::Map(entries) => {
            entries.iter().map(|(key, node)| Field { name: &key.value, at: key.at, node }).collect()
        }
        Kind::Null => Vec::new(),
        Kind::Scalar { .. } | Kind::Seq(_) => {
            wrong_type(&field, &format!("`{}` is a map from names to {what}", field.name), sink);
            Vec::new()
        }
    }
}

/// Says that a value has the wrong type, without repeating it.
pub(super) fn wrong_type(field: &Field<'_>, want: &str, sink: &mut Sink) {
    hide_keys(field.node, sink);
    let found = field.node.describe();
    sink.push(Finding::new(Code::WrongType, want, field.place()).label(format!("this is {found}")));
}

/// Marks everything below that looks like a key as secret.
fn hide_keys(node: &Node, sink: &mut Sink) {
    match &node.kind {
        Kind::Scalar { text, .. } if looks_like_key(text) => sink.secrets.push(node.at),
        Kind::Null | Kind::Scalar { .. } => {}
        Kind::Seq(items) => items.iter().for_each(|item| hide_keys(item, sink)),
        Kind::Map(entries) => entries.iter().for_each(|(_, value)| hide_keys(value, sink)),
    }
}

/// Hides every scalar below.
fn hide(node: &Node, sink: &mut Sink) {
    match &node.kind {
        Kind::Null => {}
        Kind::Scalar { .. } => sink.secrets.push(node.at),
        Kind::Seq(items) => items.iter().for_each(|item| hide(item, sink)),
        Kind::Map(entries) => entries.iter().for_each(|(_, value)| hide(value, sink)),
    }
}

/// A key without case and separators, so that `ListenPort` meets `listen_port`.
fn fold(key: &str) -> String {
    key.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// Keys of wg-quick(8) and of other tools, folded, with what to write here.
const FOREIGN: &[(&str, &str)] = &[
    ("persistentkeepalive", "write `keepalive`"),
    (
        "allowedips",
        "AllowedIPs are derived from sites, subnets and links; override them under `peers: {NAME: {allowed_ips: […]}}` of a host",
    ),
    ("publickey", "the vault makes the keys of hosts; only unmanaged peers have a `public_key`"),
    ("prefix", "write `prefixes`"),
    ("subnet", "write `subnets`"),
    ("lan", "write `subnets`"),
    ("group", "write `groups`"),
    ("network", "write `networks`"),
    ("port", "write `listen_port`"),
    ("host", "write `hosts`"),
    ("ansiblehost", "write `ssh`"),
    ("hostname", "write `ssh`"),
];

fn unknown(section: &'static Section, key: &Key, value: &Node, sink: &mut Sink) {
    if sink.findings.len() >= MAX_FINDINGS {
        // Secrets stay hidden even where nothing is said about them any more.
        hide(value, sink);
        return;
    }
    let folded = fold(&key.value);
    if folded == "saveconfig" {
        sink.push(Finding::new(Code::Refused, "SaveConfig is not supported", key.at).help(
            "leave it out: with SaveConfig, `wg-quick down` overwrites the rendered file with \
                 whatever the interface happens to hold",
        ));
        return;
    }
    if matches!(&*folded, "privatekey" | "presharedkey" | "privkey" | "secret" | "secretkey") {
        hide(value, sink);
        sink.push(
            Finding::new(Code::Refused, format!("`{}` in an inventory", key.value), key.at)
                .label("a secret does not belong here")
                .help(
                    "keys live in the vault: delete the line, treat the key as leaked if the file \
                     was ever committed, and let wgfleet make a new one",
                ),
        );
        return;
    }
    hide_keys(value, sink);
    let shown = if looks_like_key(&key.value) {
        sink.secrets.push(key.at);
        "this key".to_owned()
    } else {
        format!("`{}`", shorten(&key.value))
    };
    let mut finding =
        Finding::new(Code::UnknownKey, format!("{} has no key {shown}", section.what), key.at);
    let names = || section.all().map(|spec| spec.name);
    if let Some(name) = names().find(|name| fold(name) == folded) {
        finding = finding.label(format!("write `{name}`"));
    } else if let Some((_, help)) = FOREIGN.iter().find(|(foreign, _)| *foreign == folded) {
        finding = finding.help(*help);
    } else if let Some(name) = closest(&key.value, names()) {
        finding = finding.label(format!("did you mean `{name}`?"));
    } else {
        let all: Vec<&str> = names().collect();
        finding = finding.help(format!("{} has: {}", section.what, all.join(", ")));
    }
    sink.push(finding);
}

/// At most sixty characters of what an operator wrote.
pub(super) fn shorten(text: &str) -> String {
    // Masked first: of a key that is cut, nobody would know what it was.
    let text = mask(text);
    let short: String = text.chars().take(60).collect();
    let mut short = Untrusted::new(short).to_string();
    if text.chars().nth(60).is_some() {
        short.push('…');
    }
    short
}
