//! The settings of a host for people: aligned, one on a line.

use std::fmt::Write as _;

use serde_json::Value;

use super::{Explanation, Level, Place, Reason, Setting};
use crate::model::Untrusted;

/// Columns that a value may widen its block by: longer ones push their own reason aside only.
const WIDE: usize = 44;

/// Every setting with its value and its reason.
#[must_use]
pub fn human(explanation: &Explanation) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{} of fleet {}", explanation.host, explanation.fleet);
    block(&mut out, "  ", &explanation.settings);
    for interface in &explanation.interfaces {
        let _ = writeln!(out, "\n{}, network {}", interface.interface, interface.network);
        block(&mut out, "  ", &interface.settings);
        for peer in &interface.peers {
            let _ = writeln!(out, "\n  peer {}", peer.peer);
            block(&mut out, "    ", &peer.settings);
        }
    }
    out
}

fn block(out: &mut String, indent: &str, settings: &[Setting]) {
    let rows: Vec<[String; 3]> = settings
        .iter()
        .map(|one| [one.setting.replace('_', " "), value(&one.value), why(one)])
        .collect();
    let width = |column: usize| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        widths.filter(|width| *width <= WIDE).max().unwrap_or_default()
    };
    let (names, values) = (width(0), width(1));
    let mut last = None;
    for [name, value, why] in &rows {
        // The items of a list stand below their name.
        let shown = if last == Some(name) { "" } else { name.as_str() };
        last = Some(name);
        let _ = writeln!(out, "{indent}{shown:<names$}  {value:<values$}  {why}");
    }
}

fn value(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => Untrusted::new(text.as_str()).to_string(),
        other => other.to_string(),
    }
}

/// `fleet.yaml:12`.
fn place(place: &Place) -> String {
    format!("{}:{}", Untrusted::new(place.file.as_str()), place.line)
}

/// The reason in words.
fn why(setting: &Setting) -> String {
    let of = setting.of.as_deref().unwrap_or_default();
    let at = setting.at.as_ref().map(place);
    let and = |text: String| match &at {
        Some(at) => format!("{text}, {at}"),
        None => text,
    };
    match setting.because {
        Reason::Written => and(match setting.level {
            Some(Level::Site) => format!("defaults of site {of}"),
            Some(Level::Group) => format!("group {of}"),
            Some(Level::Network) => format!("network {of}"),
            Some(Level::Fleet) => "defaults of the fleet".to_owned(),
            Some(Level::Own) | None => "written".to_owned(),
        }),
        Reason::Override => and(format!("override for {of}")),
        Reason::PeerEndpoint => and(format!("endpoint of {of}")),
        Reason::PeerLocalEndpoint => and(format!("local endpoint of {of}, at the same site")),
        Reason::Endpoint => and("its endpoint".to_owned()),
        Reason::LocalEndpoint => and("its local endpoint".to_owned()),
        Reason::NetworkName => and("name of the network".to_owned()),
        Reason::Pinned => "allocated, pinned in the lock file".to_owned(),
        Reason::Underlay => and(format!("underlay of site {of}, less 80")),
        Reason::Ethernet => "Ethernet's 1500, less 80".to_owned(),
        Reason::Nat => and("behind NAT".to_owned()),
        Reason::Unknown => "the peer has no endpoint of this host".to_owned(),
        Reason::NoEndpoint if setting.setting == "endpoint" => {
            "none is known: the other side begins".to_owned()
        }
        Reason::NoEndpoint => "no endpoint is known".to_owned(),
        Reason::Derived => "nothing is behind the peer".to_owned(),
        Reason::Address => and(format!("address of {of}")),
        Reason::Subnet => and(format!("subnet of {of}")),
        Reason::Network => and("prefix of the network".to_owned()),
        Reason::FullTunnel => and("full tunnel".to_owned()),
        Reason::Hub => and("hub of links".to_owned()),
        Reason::Routes => and("routes a subnet".to_owned()),
        Reason::OwnKey => and("the peer brought its own key".to_owned()),
        Reason::Link => and("linked".to_owned()),
        Reason::Vault => "vault".to_owned(),
        Reason::Seen => "seen on the host".to_owned(),
        Reason::Default => "default".to_owned(),
    }
}
