//! The `links:` of a network, before its names are looked up.

use crate::finding::{Code, Finding};
use crate::model::{Located, Location};

use super::fields::{Field, Fields, Sink, wrong_type};
use super::form::{AnyName, Map, Read};
use super::node::{Kind, Node};
use super::rows::{Rows, rows};
use super::spec::{Form, Section, Shape};

rows! {
    /// `links: { hub: …, spokes: … }`, or `{ mesh: … }`.
    pub(super) struct LinkKeys, LinkRows {
        KEYS: {
            hub: Option<Vec<AnyName>>, Own, "Every other member is linked to these hosts, sites or groups.";
            spokes: Option<Vec<AnyName>>, Own, "The members that are linked to the hubs; default: all others.";
            mesh_hubs: bool, Own, "Whether the hubs are linked to one another; default true.";
            failover: bool, Own, "Whether other hubs take over from one that fails; only `false`, hosts cannot do that yet.";
            mesh: Option<Vec<AnyName>>, Own, "Every pair of these hosts, sites or groups is linked.";
        }
    }
}

impl Map for LinkKeys {
    const SECTION: &'static Section =
        &Section { what: "a link shape", id: "link", many: "links", keys: &[LinkKeys::KEYS] };

    fn read(fields: &Fields<'_>, sink: &mut Sink) -> Self {
        Self::of(fields, sink)
    }
}

/// A name as it is written: a host, a site or a group.
pub(super) type Word = Located<String>;

/// One shape, its names not yet looked up.
#[derive(Debug, Clone)]
pub(super) enum Draft {
    Mesh { members: Option<Vec<Word>>, at: Location },
    Hub { hubs: Vec<Word>, spokes: Option<Vec<Word>>, mesh_hubs: bool, at: Location },
    Pair { a: Word, b: Word, at: Location },
}

impl Form for Vec<Draft> {
    /// `None`: not written, which means a mesh.
    type Value = Option<Self>;
    const SHAPE: Shape = Shape::Links;
}

impl Read for Vec<Draft> {
    fn read(field: &Field<'_>, sink: &mut Sink) -> Self::Value {
        Some(links(field, sink))
    }
}

const HELP: &str =
    "write `mesh`, `{hub: NAME}`, a list of pairs like [[a, b], [b, c]], or a list that mixes them";

/// Reads `mesh`, a map, a list of pairs, or a list of all of these.
fn links(field: &Field<'_>, sink: &mut Sink) -> Vec<Draft> {
    let mut drafts = Vec::new();
    match &field.node.kind {
        Kind::Seq(items) => {
            let words = items
                .iter()
                .all(|item| matches!(&item.kind, Kind::Scalar { text, .. } if **text != *"mesh"));
            if words && items.len() >= 2 {
                sink.push(
                    Finding::new(Code::WrongType, "each link is a list of two hosts", field.at)
                        .help("a single link between a and b is [[a, b]]"),
                );
                return drafts;
            }
            for item in items {
                shape(field, item, &mut drafts, sink);
            }
        }
        _ => shape(field, field.node, &mut drafts, sink),
    }
    drafts
}

fn shape(field: &Field<'_>, node: &Node, drafts: &mut Vec<Draft>, sink: &mut Sink) {
    let item = Field { name: field.name, at: field.at, node };
    let at = item.place();
    match &node.kind {
        Kind::Scalar { text, .. } if **text == *"mesh" => {
            drafts.push(Draft::Mesh { members: None, at });
        }
        Kind::Scalar { .. } => {
            sink.push(Finding::new(Code::BadValue, "this is not a shape of links", at).help(HELP));
        }
        Kind::Null => sink.push(Finding::new(Code::WrongType, "a link of nothing", at).help(HELP)),
        Kind::Seq(ends) => pair(&item, ends, drafts, sink),
        Kind::Map(entries) => {
            let at = entries.first().map_or(at, |(key, _)| key.at);
            map(&item, at, drafts, sink);
        }
    }
}

fn pair(item: &Field<'_>, ends: &[Node], drafts: &mut Vec<Draft>, sink: &mut Sink) {
    let words: Vec<Word> = ends
        .iter()
        .filter_map(|end| match &end.kind {
            Kind::Scalar { text, .. } => Some(Located::new(text.to_string(), end.at)),
            _ => None,
        })
        .collect();
    if let ([a, b], 2) = (&words[..], ends.len()) {
        let at = Location { end: b.at.end.max(a.at.end), ..a.at };
        drafts.push(Draft::Pair { a: a.clone(), b: b.clone(), at });
    } else {
        let at = words.first().map_or(item.place(), |word| word.at);
        sink.push(Finding::new(Code::WrongType, "a link is a list of two hosts", at).help(HELP));
    }
}

fn map(item: &Field<'_>, at: Location, drafts: &mut Vec<Draft>, sink: &mut Sink) {
    let before = sink.findings.len();
    let Some(keys) = LinkKeys::open(&Field { at, ..*item }, sink) else { return };
    let LinkKeys { hub: hubs, spokes, mesh_hubs, failover, mesh: members } = keys;
    if let Some(failover) = failover.declared().filter(|failover| failover.value) {
        sink.push(
            Finding::new(
                Code::Conflict,
                "hosts cannot fail over from one hub to another yet",
                failover.at,
            )
            .label("each two hosts have one way, through the first hub that leads there")
            .help(
                "remove `failover`, and link the hosts that must reach one another without the hub \
                 directly (`links: [{hub: h1}, [a, b]]`); `wgfleet check --failures` shows what the \
                 loss of each hub takes",
            ),
        );
    }
    let mesh_hubs = mesh_hubs.declared().map(|declared| declared.value);
    if hubs.is_none() && (spokes.is_some() || mesh_hubs.is_some()) {
        sink.push(
            Finding::new(Code::MissingKey, "`spokes` and `mesh_hubs` belong to a `hub`", at)
                .help("write `{hub: NAME, spokes: [NAME, …]}`"),
        );
    } else if hubs.is_none() && members.is_none() && sink.findings.len() == before {
        sink.push(
            Finding::new(Code::MissingKey, "a link shape needs `hub` or `mesh`", at).help(HELP),
        );
    }
    if let Some(hubs) = hubs {
        drafts.push(Draft::Hub { hubs, spokes, mesh_hubs: mesh_hubs.unwrap_or(true), at });
    }
    if let Some(members) = members {
        drafts.push(Draft::Mesh { members: Some(members), at });
    }
}

/// The items of a list; a finding for anything else.
pub(super) fn items<'n>(field: &Field<'n>, what: &str, sink: &mut Sink) -> Vec<Field<'n>> {
    let Kind::Seq(items) = &field.node.kind else {
        wrong_type(field, &format!("`{}` is a list of {what}", field.name), sink);
        return Vec::new();
    };
    items.iter().map(|node| Field { name: field.name, at: field.at, node }).collect()
}
