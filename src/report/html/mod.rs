//! The result of a check as one HTML page: the topology drawn, every finding, every witness's way.
//!
//! The page needs nothing from outside: style and script are within it, and its own security
//! policy forbids everything else.

mod drawing;
mod layout;
mod losses;
mod matrix;
mod text;
mod trace;

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{explain, findings};
use crate::check::{Failures, Reachability};
use crate::finding::{Finding, Severity};
use crate::inventory::Inventory;
use crate::model::{Location, SourceMap};
use crate::topology::{Interface, NodeId, NodeKind, Topology};
use drawing::Marks;
use layout::Layout;
use text::escape;
use trace::trace;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Findings that a page holds.
const SHOWN: usize = 500;
/// Peers of an interface, and prefixes of a peer, that a page lists.
const PEERS: usize = 60;
/// The same of a fleet of more hosts than this.
const LARGE: usize = 600;
const FEW_PEERS: usize = 8;
const PREFIXES: usize = 8;

/// What a page shows of a fleet, with who reaches whom in it.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    /// What the file says.
    pub inventory: &'a Inventory,
    /// What it means.
    pub topology: &'a Topology,
    /// What was proved of it.
    pub reach: &'a Reachability,
    /// What is lost with each thing that fails.
    pub failures: &'a Failures,
}

/// The page. Without a fleet (the file itself is wrong) it has the findings alone.
#[must_use]
pub fn page(fleet: Option<Shown<'_>>, found: &[Finding], sources: &SourceMap) -> String {
    let shown = &found[..found.len().min(SHOWN)];
    let places = fleet.map(|fleet| Places::new(fleet.inventory, fleet.topology));
    let hosts: Vec<Vec<NodeId>> = shown
        .iter()
        .map(|finding| places.as_ref().map(|places| places.hosts(finding)).unwrap_or_default())
        .collect();
    let faults = fleet.iter().flat_map(|fleet| &fleet.reach.faults);
    let faults = faults.filter_map(|fault| fault.code);
    let mut codes: Vec<_> = shown.iter().map(|finding| finding.code).chain(faults).collect();
    codes.sort_unstable();
    codes.dedup();
    let pages: serde_json::Map<String, Value> =
        codes.iter().map(|code| (code.to_string(), json!(explain::page(*code)))).collect();
    let list: Vec<Value> =
        shown.iter().zip(&hosts).map(|(finding, hosts)| one(finding, hosts, sources)).collect();
    let list = text::shown(Value::Array(list));
    let mut data = json!({
        "findings": list,
        "pages": pages,
        "hosts": {},
        "faults": [],
        "losses": [],
        "sites": {},
        "folded": false,
        "lost_with": {},
    });
    let mut drawn = String::from("<p class=\"empty\">The file makes no fleet yet.</p>");
    let (mut legend, mut reached) = (String::new(), String::new());
    let mut title = "wgfleet check".to_owned();
    if let Some(Shown { inventory, topology, reach, failures }) = fleet {
        let layout = Layout::new(inventory, topology);
        let svg = drawing::svg(inventory, topology, &layout, &Marks::new(shown, &hosts));
        drawn = format!("{TOOLS}<div id=\"canvas\">{svg}</div>");
        if layout.left_out > 0 {
            let more = layout.left_out;
            // Writing to a String cannot fail.
            let _ =
                write!(drawn, "<p class=\"empty\">{more} more sites and hosts are not drawn.</p>");
        }
        let anchors = drawing::anchors(&layout);
        let described =
            anchors.iter().map(|(id, at)| (id.0.to_string(), host(inventory, topology, *id, *at)));
        data["hosts"] = text::shown(Value::Object(described.collect()));
        data["folded"] = json!(layout.folded);
        data["sites"] = text::shown(Value::Object(sites(inventory, topology)));
        data["faults"] = text::shown(Value::Array(matrix::faults(reach)));
        let (losses, lost_with) = losses::losses(failures);
        data["losses"] = text::shown(losses);
        data["lost_with"] = lost_with;
        reached = matrix::tables(reach);
        legend = networks(inventory);
        title = format!("{} · wgfleet check", inventory.fleet.value);
    }
    let summary = findings::summary(found);
    let worst = found.iter().map(|finding| finding.severity).max();
    let state = match worst {
        Some(Severity::Error) => "error",
        Some(Severity::Warning) => "warning",
        _ => "fine",
    };
    let buttons: String =
        shown.iter().enumerate().map(|(index, finding)| button(index, finding, sources)).collect();
    let empty = if found.is_empty() { "<p class=\"empty\">Nothing is wrong.</p>" } else { "" };
    let more = found.len() - shown.len();
    let more =
        if more > 0 { format!("<p class=\"empty\">and {more} more</p>") } else { String::new() };
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta \
         http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src \
         'unsafe-inline'; script-src 'unsafe-inline'\">\n<meta name=\"viewport\" \
         content=\"width=device-width\">\n<meta name=\"color-scheme\" content=\"light \
         dark\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<header>\
         <h1>{title}</h1><span id=\"summary\" class=\"chip {state}\">{summary}</span>{legend}\
         </header>\n<main>\n<section id=\"drawing\">\n{drawn}</section>\n<section id=\"list\" \
         aria-label=\"findings\">\n{buttons}{empty}{more}</section>\n<section id=\"detail\" \
         aria-live=\"polite\" hidden></section>\n{reached}</main>\n<script type=\"application/json\" \
         id=\"data\">{data}</script>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n",
        title = escape(&title),
        data = text::json(&data),
    )
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "info",
    }
}

fn button(index: usize, finding: &Finding, sources: &SourceMap) -> String {
    let count = if finding.count > 1 { format!(" ×{}", finding.count) } else { String::new() };
    format!(
        "<button class=\"finding\" data-finding=\"{index}\"><span class=\"chip {}\">{}</span> \
         <span class=\"what\">{}{count}</span> <span class=\"where\">{}</span></button>\n",
        severity(finding.severity),
        finding.code,
        escape(&finding.title),
        escape(&sources.describe(finding.primary.at)),
    )
}

fn one(finding: &Finding, hosts: &[NodeId], sources: &SourceMap) -> Value {
    let labels = std::iter::once(&finding.primary).chain(&finding.others).map(|label| {
        json!({
            "place": sources.describe(label.at),
            "line": line(sources, label.at),
            "text": label.text,
        })
    });
    json!({
        "code": finding.code,
        "severity": finding.severity,
        "title": finding.title,
        "count": finding.count,
        "labels": labels.collect::<Vec<_>>(),
        "witness": finding.witness,
        "trace": trace(&finding.trace),
        "help": finding.help,
        "hosts": hosts.iter().map(|id| id.0).collect::<Vec<_>>(),
    })
}

/// The line of a place, cut to what can be read.
fn line(sources: &SourceMap, at: Location) -> String {
    let file = sources.files().find(|(id, _)| *id == at.file).map(|(_, file)| file);
    let Some(text) = file.map(|file| file.text.as_str()) else { return String::new() };
    let mut start = (at.start as usize).min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let from = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[from..].lines().next().unwrap_or_default();
    line.trim().chars().take(160).collect()
}

fn host(inventory: &Inventory, topology: &Topology, id: NodeId, (x, y): (f64, f64)) -> Value {
    let node = topology.node(id);
    let mut facts: Vec<String> = Vec::new();
    facts.extend(node.site.map(|site| format!("site {}", inventory.sites[site].name.value)));
    match node.kind {
        NodeKind::Unmanaged(_) => facts.push("unmanaged".to_owned()),
        NodeKind::Host(_) if node.nat.value => facts.push("behind NAT".to_owned()),
        NodeKind::Host(_) => {}
    }
    if node.exit.value {
        facts.push("exit".to_owned());
    } else if node.forwards.any() {
        facts.push("forwards".to_owned());
    }
    facts.extend(node.subnets.iter().take(PREFIXES).map(|lan| lan.value.to_string()));
    let interfaces: Vec<Value> = node
        .interfaces
        .iter()
        .map(|id| interface(inventory, topology, topology.interface(*id)))
        .collect();
    json!({
        "name": node.name,
        "x": x.round(),
        "y": y.round(),
        "site": node.site,
        "facts": facts,
        "interfaces": interfaces,
    })
}

fn interface(inventory: &Inventory, topology: &Topology, interface: &Interface) -> Value {
    let listed = if topology.nodes.len() > LARGE { FEW_PEERS } else { PEERS };
    let peers = interface.peers.iter().take(listed).map(|peer| {
        let mut nets: Vec<String> =
            peer.allowed_ips.iter().take(PREFIXES).map(ToString::to_string).collect();
        if peer.allowed_ips.len() > PREFIXES {
            nets.push(format!("+{}", peer.allowed_ips.len() - PREFIXES));
        }
        json!({
            "name": topology.remote(peer).name,
            "allowed": nets.join(", "),
            "endpoint": peer.endpoint.as_ref().map(ToString::to_string),
            "keepalive": peer.keepalive().map(crate::model::Keepalive::get),
        })
    });
    json!({
        "name": interface.name.value,
        "network": inventory.networks[interface.network].name.value,
        "addresses": interface.addresses.iter().map(|a| a.value.to_string()).collect::<Vec<_>>(),
        "port": interface.listen_port.map(crate::model::Port::get),
        "mtu": interface.mtu.get(),
        "peers": peers.collect::<Vec<_>>(),
        "more": interface.peers.len().saturating_sub(listed),
    })
}

/// The hosts of each site, by its number.
fn sites(inventory: &Inventory, topology: &Topology) -> serde_json::Map<String, Value> {
    let mut hosts: Vec<Vec<u32>> = vec![Vec::new(); inventory.sites.len()];
    for (id, node) in (0_u32..).zip(&topology.nodes) {
        if let Some(site) = node.site {
            hosts[site].push(id);
        }
    }
    let one = |(index, (site, hosts)): (usize, (&crate::inventory::Site, Vec<u32>))| {
        let subnets: Vec<String> =
            site.subnets.iter().take(PREFIXES).map(|lan| lan.value.to_string()).collect();
        let value = json!({ "name": site.name.value, "subnets": subnets, "hosts": hosts });
        (index.to_string(), value)
    };
    inventory.sites.iter().zip(hosts).enumerate().map(one).collect()
}

/// What finds hosts and sites by name, and makes the drawing larger and smaller.
const TOOLS: &str = "<div id=\"tools\"><input id=\"search\" type=\"search\" placeholder=\"find a host or \
                     site\" aria-label=\"find a host or site\"><button data-zoom=\"0.8\" aria-label=\"make the \
                     drawing smaller\">−</button><button data-zoom=\"1.25\" aria-label=\"make the drawing \
                     larger\">+</button><button data-zoom=\"0\">fit</button><div id=\"found\"></div></div>\n";

fn networks(inventory: &Inventory) -> String {
    let one = |(index, network): (usize, &crate::inventory::Network)| {
        let prefixes: Vec<String> =
            network.prefixes.iter().map(|prefix| prefix.value.to_string()).collect();
        format!(
            "<span class=\"network n{}\"><i></i>{} <small>{}</small></span>",
            index % drawing::COLOURS,
            escape(network.name.value.as_str()),
            escape(&prefixes.join(", ")),
        )
    };
    let all: String = inventory.networks.iter().enumerate().take(12).map(one).collect();
    format!(
        "<div id=\"legend\">{all}<span class=\"key\">dashed: one end sleeps; red: no session</span></div>"
    )
}

/// What each stretch of the files is about.
struct Places<'t> {
    topology: &'t Topology,
    /// Where something begins, and the hosts that it is about.
    begins: Vec<(Location, Vec<NodeId>)>,
    names: std::collections::HashMap<&'t crate::model::HostName, NodeId>,
}

impl<'t> Places<'t> {
    fn new(inventory: &Inventory, topology: &'t Topology) -> Self {
        let mut begins: Vec<(Location, Vec<NodeId>)> = Vec::new();
        let mut names = std::collections::HashMap::new();
        for (id, node) in (0..).map(NodeId).zip(&topology.nodes) {
            begins.push((node.at, vec![id]));
            names.insert(&node.name, id);
        }
        for (index, site) in inventory.sites.iter().enumerate() {
            let nodes = (0..).map(NodeId).zip(&topology.nodes);
            let own = nodes.filter(|(_, node)| node.site == Some(index)).map(|(id, _)| id);
            begins.push((site.name.at, own.take(8).collect()));
        }
        begins.extend(inventory.networks.iter().map(|network| (network.name.at, Vec::new())));
        begins.extend(inventory.expects.iter().map(|rule| (rule.at, Vec::new())));
        begins.sort_by_key(|(at, _)| *at);
        Self { topology, begins, names }
    }

    /// The hosts that a finding is about: those of its trace, and those at its places.
    fn hosts(&self, finding: &Finding) -> Vec<NodeId> {
        let labels = std::iter::once(&finding.primary).chain(&finding.others);
        let at = labels.flat_map(|label| {
            let key = (label.at.file, label.at.line, label.at.column);
            let after = self.begins.partition_point(|(at, _)| (at.file, at.line, at.column) <= key);
            let found = after.checked_sub(1).map(|index| &self.begins[index]);
            found.filter(|(at, _)| at.file == label.at.file).into_iter().flat_map(|(_, ids)| ids)
        });
        let trace = finding.trace.iter().filter_map(|hop| self.names.get(&hop.host));
        let mut hosts: Vec<NodeId> = at.chain(trace).copied().collect();
        hosts.sort_unstable();
        hosts.dedup();
        hosts.retain(|id| (id.0 as usize) < self.topology.nodes.len());
        hosts
    }
}
