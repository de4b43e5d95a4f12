//! One change in words.

use std::collections::BTreeSet;

use super::peer::{PeerChange, Who};
use super::sign::{DIM, Sign};
use crate::model::{Family, InterfaceName, Untrusted};
use crate::plan::{
    Change, DeviceField, DiffLine, Field, FieldChange, FileAction, NewInterface, NewPeer,
    PeerField, Rename,
};

/// What a change to a host says. Changes that say the same are alike.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Told {
    /// What it does; none of a note.
    pub(super) sign: Option<Sign>,
    /// What is counted of it.
    pub(super) thing: Thing,
    /// Its line.
    pub(super) text: String,
    /// Lines below it, as they stand in a file.
    pub(super) lines: Vec<(char, String)>,
    /// What tells it from others, and is too long to be shown.
    pub(super) exact: String,
}

/// What a plan adds, changes and removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Thing {
    Interface,
    Peer,
    Address,
    Route,
    Forwarding,
    Firewall,
    Hook,
    File,
    Record,
    Unit,
    Binary,
    Note,
}

impl Thing {
    /// One of it and several of it.
    pub(super) const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Interface => ("interface", "interfaces"),
            Self::Peer => ("peer", "peers"),
            Self::Address => ("address", "addresses"),
            Self::Route => ("route", "routes"),
            Self::Forwarding => ("forwarding setting", "forwarding settings"),
            Self::Firewall => ("set of masquerading rules", "sets of masquerading rules"),
            Self::Hook => ("hook", "hooks"),
            Self::File => ("file", "files"),
            Self::Record => ("record", "records"),
            Self::Unit => ("unit", "units"),
            Self::Binary => ("wgfleet binary", "wgfleet binaries"),
            Self::Note => ("note", "notes"),
        }
    }
}

impl Told {
    fn new(sign: Sign, thing: Thing, text: String) -> Self {
        Self { sign: Some(sign), thing, text, lines: Vec::new(), exact: String::new() }
    }

    /// Whether it is about what runs as root, or text that nothing was derived from: then every host
    /// that has it is named.
    pub(super) fn is_text(&self) -> bool {
        self.thing == Thing::Hook || !self.lines.is_empty()
    }
}

/// A note.
pub(super) fn note(text: &str) -> Told {
    let text = format!("note: {}", Untrusted::new(text));
    Told { sign: None, ..Told::new(Sign::Change, Thing::Note, text) }
}

/// A new interface, and what each one has of its own.
pub(super) fn create(new: &NewInterface) -> (Told, String) {
    let NewInterface {
        interface,
        backend,
        public_key,
        addresses,
        listen_port,
        mtu,
        table,
        fwmark,
        dns,
        peers: _,
    } = new;
    let mut words = vec![format!("MTU {mtu}")];
    words.extend(listen_port.map(|port| format!("UDP port {port}")));
    words.extend(fwmark.map(|mark| format!("fwmark {:#x}", mark.0)));
    let table = table.to_string();
    words.extend((table != "auto").then(|| format!("table {table}")));
    if !dns.is_empty() {
        words.push(format!("DNS {}", Untrusted::new(dns.join(", "))));
    }
    let text = format!("interface {interface} ({backend}), {}", words.join(", "));
    let key = public_key.to_string();
    let mut own: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    own.push(format!("key {}…", &key[..8]));
    (Told::new(Sign::Add, Thing::Interface, text), own.join(", "))
}

/// A setting of an interface.
pub(super) fn device(interface: &InterfaceName, change: &FieldChange<DeviceField>) -> Told {
    let FieldChange { field, from, to } = change;
    let text =
        format!("{interface} {field} {}", values(*field, from.as_deref(), to.as_deref(), "none"));
    Told::new(Sign::Change, Thing::Interface, text)
}

/// What else is changed of a host; nothing of peers and new interfaces.
pub(super) fn host(change: &Change) -> Option<Told> {
    let told = match change {
        Change::PushHelper { machine, digest } => {
            let (machine, digest) = (Untrusted::new(machine.as_str()), digest.to_string());
            let text = format!("wgfleet for {machine} (sha256 {}…)", &digest[..12]);
            Told { exact: digest, ..Told::new(Sign::Add, Thing::Binary, text) }
        }
        Change::File { path, action, diff, said, .. } => file(path, *action, diff, *said),
        Change::Hook { interface, when, command, comes, now } => {
            let runs = match (comes, now) {
                (true, _) => "runs",
                (false, true) => "runs for the last time",
                (false, false) => "no longer runs",
            };
            let sign = if *comes { Sign::Add } else { Sign::Remove };
            let text = format!("{runs} as root {}: {command}", when.of(interface));
            Told::new(sign, Thing::Hook, text)
        }
        Change::Forward { family, on, accept_ra } => {
            let sign = if *on { Sign::Add } else { Sign::Remove };
            let mut text = format!("forwarding of {family}");
            if !accept_ra.is_empty() && *family == Family::V6 {
                let names: Vec<&str> = accept_ra.iter().map(InterfaceName::as_str).collect();
                text = format!("{text}; {} still hears routers (accept_ra = 2)", names.join(", "));
            }
            Told::new(sign, Thing::Forwarding, text)
        }
        Change::Rename(rename) => renamed(rename),
        Change::Firewall { table, digest } => {
            let sign = if digest.is_some() { Sign::Change } else { Sign::Remove };
            let table = Untrusted::new(table.as_str());
            let text = format!("masquerading rules (nftables table inet {table})");
            let exact = digest.clone().unwrap_or_default();
            Told { exact, ..Told::new(sign, Thing::Firewall, text) }
        }
        Change::Restart { interface, backend, reason } => {
            let reason = Untrusted::new(reason.as_str());
            let text = format!("restart of {interface} ({backend}): {reason}");
            Told::new(Sign::Change, Thing::Interface, text)
        }
        Change::Delete { interface } => {
            Told::new(Sign::Remove, Thing::Interface, format!("interface {interface}"))
        }
        Change::AddAddress { interface, address } => {
            Told::new(Sign::Add, Thing::Address, format!("{interface} address {address}"))
        }
        Change::RemoveAddress { interface, address } => {
            Told::new(Sign::Remove, Thing::Address, format!("{interface} address {address}"))
        }
        Change::AddRoute { interface, table, prefix } => {
            let text = format!("{interface} route {prefix}{}", in_table(*table));
            Told::new(Sign::Add, Thing::Route, text)
        }
        Change::RemoveRoute { interface, table, prefix } => {
            let text = format!("{interface} route {prefix}{}", in_table(*table));
            Told::new(Sign::Remove, Thing::Route, text)
        }
        Change::Record { path, action } => {
            let sign = if *action == FileAction::Create { Sign::Add } else { Sign::Change };
            let path = Untrusted::new(path.as_str());
            let text = format!("record of what wgfleet does here ({path})");
            Told::new(sign, Thing::Record, text)
        }
        Change::Unit { unit, from, to } => {
            let mut words = Vec::new();
            if from.masked && !to.masked {
                words.push("no longer masked");
            }
            if from.enabled != to.enabled {
                words.push(if to.enabled { "at boot" } else { "not at boot" });
            }
            if from.active != to.active {
                words.push(if to.active { "started" } else { "stopped" });
            }
            let sign = if to.enabled || to.active { Sign::Add } else { Sign::Remove };
            let text = format!("unit {} {}", Untrusted::new(unit.as_str()), words.join(", "));
            Told::new(sign, Thing::Unit, text)
        }
        Change::Create(_)
        | Change::Device { .. }
        | Change::AddPeer { .. }
        | Change::ChangePeer { .. }
        | Change::RemovePeer { .. } => return None,
    };
    Some(told)
}

fn renamed(rename: &Rename) -> Told {
    let shown = |text: &str| Untrusted::new(text).to_string();
    let (thing, text) = match rename {
        Rename::Table { from, to } => {
            let text = format!("nftables table inet {} is renamed {}", shown(from), shown(to));
            (Thing::Firewall, text)
        }
        Rename::File { from, to, .. } => {
            (Thing::File, format!("file {} is renamed {}", shown(from), shown(to)))
        }
        Rename::Reference { path, from, to, .. } => {
            let (path, from, to) = (shown(path), shown(from), shown(to));
            (Thing::File, format!("file {path} names {to} instead of {from}"))
        }
    };
    Told::new(Sign::Change, thing, text)
}

fn file(path: &str, action: FileAction, diff: &[DiffLine], said: usize) -> Told {
    let (sign, what) = match action {
        FileAction::Create => (Sign::Add, "file"),
        FileAction::Update => (Sign::Change, "file"),
        FileAction::Protect => (Sign::Change, "owner and mode of file"),
        FileAction::Remove => (Sign::Remove, "file"),
    };
    let mut text = format!("{what} {}", Untrusted::new(path));
    if action == FileAction::Update && diff.is_empty() && said == 0 {
        text = format!("{text} {DIM}(only secrets differ){DIM:#}");
    }
    let lines = diff.iter().map(|line| (line.sign, line.text.to_string())).collect();
    Told { lines, ..Told::new(sign, Thing::File, text) }
}

/// What happens to a peer.
pub(super) fn sign(change: &PeerChange<'_>) -> Sign {
    match change {
        PeerChange::Add { replaces: None, .. } => Sign::Add,
        PeerChange::Add { replaces: Some(_), .. } | PeerChange::Change { .. } => Sign::Change,
        PeerChange::Remove => Sign::Remove,
    }
}

/// A change to one peer. `on_others`: each of the hosts but the peer itself has it.
pub(super) fn one(
    interface: &InterfaceName,
    change: &PeerChange<'_>,
    peer: &Who<'_>,
    on_others: bool,
) -> String {
    let others = if on_others { " on the others" } else { "" };
    match change {
        PeerChange::Add { peer: new, replaces } => {
            let key = if replaces.is_some() { "new key, " } else { "" };
            format!("{interface} peer {peer}{others}: {key}{}", settings(new))
        }
        PeerChange::Change { field, from, to } => {
            format!("{interface} peer {peer}{others}: {field} {}", field_values(*field, *from, *to))
        }
        PeerChange::Remove => format!("{interface} peer {peer}{others}"),
    }
}

/// A change to several peers, in words before and after those that say which.
pub(super) fn several(interface: &InterfaceName, change: &PeerChange<'_>) -> String {
    match change {
        PeerChange::Change { field, from, to } => {
            format!("{interface} {field} {}", field_values(*field, *from, *to))
        }
        PeerChange::Add { .. } | PeerChange::Remove => interface.to_string(),
    }
}

/// All that is set of a new peer.
fn settings(peer: &NewPeer) -> String {
    let NewPeer { name: _, key: _, allowed_ips, endpoint, keepalive, psk_epoch } = peer;
    let nets: Vec<String> = allowed_ips.iter().map(ToString::to_string).collect();
    let nets = if nets.is_empty() { "none".to_owned() } else { nets.join(", ") };
    let mut words = vec![format!("{} {nets}", PeerField::AllowedIps)];
    words.extend(endpoint.as_ref().map(|at| format!("{} {at}", PeerField::Endpoint)));
    words.extend(keepalive.map(|seconds| format!("{} {seconds}", PeerField::Keepalive)));
    let epoch = psk_epoch.map(|epoch| format!("{} of epoch {epoch}", PeerField::PresharedKey));
    words.extend(epoch);
    words.join(", ")
}

fn field_values(field: PeerField, from: Option<&str>, to: Option<&str>) -> String {
    values(field, from, to, if field == PeerField::Keepalive { "off" } else { "none" })
}

/// A value and what it becomes. `none`: the word where there is none.
fn values(field: impl Field, from: Option<&str>, to: Option<&str>, none: &str) -> String {
    match (from, to) {
        (Some(from), Some(to)) if from.contains(", ") || to.contains(", ") => list_change(from, to),
        _ => {
            let word = |value: Option<&str>| value.map_or(none.to_owned(), |it| field.shown(it));
            format!("{} → {}", word(from), word(to))
        }
    }
}

/// What comes and what goes of a list, not what stays.
fn list_change(from: &str, to: &str) -> String {
    let (old, new): (BTreeSet<&str>, BTreeSet<&str>) =
        (from.split(", ").collect(), to.split(", ").collect());
    let styled = |sign: Sign, item: &str| {
        let (style, glyph) = (sign.style(), sign.glyph());
        format!("{style}{glyph}{}{style:#}", Untrusted::new(item))
    };
    let gone = old.difference(&new).map(|item| styled(Sign::Remove, item));
    let come = new.difference(&old).map(|item| styled(Sign::Add, item));
    let kept = old.intersection(&new).count();
    let mut words: Vec<String> = gone.chain(come).collect();
    if kept > 0 {
        words.push(format!("{DIM}({kept} as before){DIM:#}"));
    }
    words.join(" ")
}

fn in_table(table: u32) -> String {
    if table == 254 { String::new() } else { format!(" (table {table})") }
}
