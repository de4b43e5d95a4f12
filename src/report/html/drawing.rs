//! The topology as SVG: boxes for sites and hosts, lines for sessions.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::layout::{Block, COLUMN, HEAD, Layout, number};
use super::text::escape;
use crate::check::session::{SessionStart, Sessions};
use crate::finding::{Finding, Severity};
use crate::inventory::Inventory;
use crate::topology::{InterfaceId, NodeId, NodeKind, Topology};

/// Lines that are drawn; of a large mesh the rest would only make it black.
const LINES: usize = 3000;
/// Colours of networks that the style has.
pub(super) const COLOURS: usize = 6;

/// What a drawing shows beside the topology.
pub(super) struct Marks {
    /// The worst finding of each node.
    pub(super) nodes: BTreeMap<NodeId, Severity>,
}

impl Marks {
    pub(super) fn new(findings: &[Finding], hosts: &[Vec<NodeId>]) -> Self {
        let mut nodes: BTreeMap<NodeId, Severity> = BTreeMap::new();
        for (finding, hosts) in findings.iter().zip(hosts) {
            for node in hosts {
                let worst = nodes.entry(*node).or_insert(finding.severity);
                *worst = (*worst).max(finding.severity);
            }
        }
        Self { nodes }
    }
}

/// Where the line of each node begins.
pub(super) fn anchors(layout: &Layout) -> BTreeMap<NodeId, (f64, f64)> {
    let rows = layout.blocks.iter().flat_map(|block| {
        let x = block.x;
        let (single, tile, middle) = (block.nodes.len() == 1, block.tile, block.y);
        block.rows().map(move |(node, left, y)| {
            if tile {
                return (node, (x, middle));
            }
            let x = if single { x } else { left + COLUMN / 2.0 };
            (node, (x, y))
        })
    });
    rows.collect()
}

/// The whole drawing.
pub(super) fn svg(
    inventory: &Inventory,
    topology: &Topology,
    layout: &Layout,
    marks: &Marks,
) -> String {
    let mut text = String::new();
    let (width, height) = (layout.width, layout.height);
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "<svg id=\"map\" viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" \
         aria-label=\"topology\" data-width=\"{width:.0}\">\n<defs><marker id=\"arrow\" \
         viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" \
         orient=\"auto\"><path d=\"M0 0 8 4 0 8z\"/></marker></defs>\n"
    );
    lines(&mut text, inventory, topology, layout);
    text.push_str("<g id=\"boxes\">\n");
    for block in &layout.blocks {
        let (left, top) = (block.x - block.width / 2.0, block.y - block.height / 2.0);
        let device = block
            .nodes
            .first()
            .is_some_and(|node| matches!(topology.node(*node).kind, NodeKind::Unmanaged(_)));
        if block.tile {
            tile(&mut text, inventory, topology, marks, block);
            continue;
        }
        let class = match (block.site, device) {
            (Some(_), _) => "site",
            (None, true) => "device",
            (None, false) => "alone",
        };
        let _ = writeln!(
            text,
            "<g class=\"block {class}{}\"><rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" \
             height=\"{:.1}\" rx=\"8\"/>",
            if block.hub { " hub" } else { "" },
            block.width,
            block.height
        );
        if let Some(site) = block.site {
            let site = &inventory.sites[site];
            let subnets: Vec<String> =
                site.subnets.iter().map(|subnet| subnet.value.to_string()).collect();
            let (x, y) = (left + 12.0, top + 20.0);
            let _ = writeln!(
                text,
                "<text class=\"title\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text><text class=\"small\" \
                 x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
                escape(&shorten(site.name.value.as_str(), 22)),
                top + HEAD - 4.0,
                escape(&few(&subnets)),
            );
        }
        for (node, x, y) in block.rows() {
            host(&mut text, topology, marks, (node, x, y));
        }
        if block.folded > 0 {
            let (x, y) = (left + 12.0, top + block.height + 14.0);
            let _ = writeln!(
                text,
                "<text class=\"small\" x=\"{x:.1}\" y=\"{y:.1}\">and {} more</text>",
                block.folded
            );
        }
        text.push_str("</g>\n");
    }
    text.push_str("</g>\n<g id=\"way\"></g>\n</svg>\n");
    text
}

/// The class of a mark.
fn class(worst: Option<Severity>) -> &'static str {
    match worst {
        Some(Severity::Error) => "error",
        Some(Severity::Warning) => "warning",
        Some(Severity::Info) => "info",
        None => "fine",
    }
}

/// A box of which the name alone is drawn: a site leads to its hosts, all else to the host.
fn tile(
    text: &mut String,
    inventory: &Inventory,
    topology: &Topology,
    marks: &Marks,
    block: &Block,
) {
    let Some(first) = block.nodes.first() else { return };
    let worst = block.nodes.iter().filter_map(|node| marks.nodes.get(node)).max().copied();
    let (left, top) = (block.x - block.width / 2.0, block.y - block.height / 2.0);
    let count = block.nodes.len() + block.folded;
    let (name, leads) = match block.site {
        Some(site) => (inventory.sites[site].name.value.as_str(), format!("data-site=\"{site}\"")),
        None => (topology.node(*first).name.as_str(), format!("data-host=\"{}\"", first.0)),
    };
    let more = if count > 1 { format!("{count} hosts") } else { String::new() };
    let _ = writeln!(
        text,
        "<g class=\"host block tile {}\" {leads} tabindex=\"0\" role=\"button\" \
         aria-label=\"{full}\"><title>{full} {more}</title><rect x=\"{left:.1}\" y=\"{top:.1}\" \
         width=\"{:.1}\" height=\"{:.1}\" rx=\"6\"/><circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\"/><text \
         x=\"{:.1}\" y=\"{:.1}\">{}</text><text class=\"small end\" x=\"{:.1}\" y=\"{:.1}\">{}</text></g>",
        class(worst),
        block.width,
        block.height,
        left + 11.0,
        block.y,
        left + 20.0,
        block.y + 4.0,
        escape(&shorten(name, if count > 1 { 11 } else { 17 })),
        left + block.width - 8.0,
        block.y + 4.0,
        more,
        full = escape(name),
    );
}

fn host(text: &mut String, topology: &Topology, marks: &Marks, (id, x, y): (NodeId, f64, f64)) {
    let node = topology.node(id);
    let mark = class(marks.nodes.get(&id).copied());
    let first = node.interfaces.first();
    let addr = first.and_then(|id| topology.tunnel_addresses(*id).next());
    let addr = addr.map(|addr| addr.to_string()).unwrap_or_default();
    let name = escape(&shorten(node.name.as_str(), 15));
    let full = escape(node.name.as_str());
    let _ = writeln!(
        text,
        "<g class=\"host {mark}\" data-host=\"{}\" tabindex=\"0\" role=\"button\" \
         aria-label=\"{full}\"><title>{full} {addr}</title><rect x=\"{x:.1}\" y=\"{:.1}\" \
         width=\"{:.1}\" height=\"20\" rx=\"5\"/><circle cx=\"{:.1}\" cy=\"{y:.1}\" r=\"4.5\"/>\
         <text x=\"{:.1}\" y=\"{:.1}\">{name}</text><text class=\"small end\" x=\"{:.1}\" \
         y=\"{:.1}\">{}</text></g>",
        id.0,
        y - 10.0,
        COLUMN - 4.0,
        x + 10.0,
        x + 20.0,
        y + 4.0,
        x + COLUMN - 10.0,
        y + 4.0,
        escape(&shorten(&addr, 15)),
    );
}

fn lines(text: &mut String, inventory: &Inventory, topology: &Topology, layout: &Layout) {
    let anchors = anchors(layout);
    let all: usize = topology.interfaces.iter().map(|interface| interface.peers.len()).sum();
    let class = if all > 300 { " class=\"many\"" } else { "" };
    let _ = writeln!(text, "<g id=\"links\"{class}>");
    let mut drawn = 0;
    let sessions = Sessions::new(inventory, topology);
    for (id, interface) in (0..).map(InterfaceId).zip(&topology.interfaces) {
        for peer in interface.peers.iter().filter(|peer| id < peer.remote) {
            let far = topology.interface(peer.remote).node;
            let ends = (anchors.get(&interface.node), anchors.get(&far));
            let (Some((x1, y1)), Some((x2, y2))) = ends else { continue };
            // Within one box the row says enough.
            let boxes = (layout.of.get(&interface.node), layout.of.get(&far));
            if boxes.0 == boxes.1 || drawn >= LINES {
                continue;
            }
            // Of many links those between hubs are drawn; the others with the host that is chosen.
            let hub = |index: Option<&usize>| index.is_some_and(|index| layout.blocks[*index].hub);
            if layout.folded && !(hub(boxes.0) && hub(boxes.1)) {
                continue;
            }
            drawn += 1;
            let back = crate::check::entry(topology, peer.remote, id);
            let there = back.map_or(SessionStart::Never, |back| sessions.of(peer.remote, back));
            let state = match (sessions.of(id, peer), there) {
                (SessionStart::Ready, SessionStart::Ready) => "ready",
                (here, there) if here.possible() && there.possible() => "asleep",
                _ => "never",
            };
            // Links of several networks between two hosts are bent apart.
            let bend = 10.0f64.mul_add(number(interface.network), 6.0);
            let length = (x2 - x1).hypot(y2 - y1).max(1.0);
            let (mx, my) = (f64::midpoint(*x1, *x2), f64::midpoint(*y1, *y2));
            let (cx, cy) =
                (mx - (y2 - y1) / length * bend * 2.0, my + (x2 - x1) / length * bend * 2.0);
            let _ = writeln!(
                text,
                "<path class=\"link {state} n{}\" data-a=\"{}\" data-b=\"{}\" d=\"M{x1:.0} \
                 {y1:.0}Q{cx:.0} {cy:.0} {x2:.0} {y2:.0}\"/>",
                interface.network % COLOURS,
                interface.node.0,
                far.0
            );
        }
    }
    text.push_str("</g>\n");
}

/// The first of a list and how many there are beside.
fn few(items: &[String]) -> String {
    match items {
        [] => "no subnets".to_owned(),
        [one] => one.clone(),
        [one, rest @ ..] => format!("{one} +{}", rest.len()),
    }
}

fn shorten(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(most - 1).collect();
    short.push('…');
    short
}
