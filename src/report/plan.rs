//! A plan as a terminal diff.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};

use anstyle::{AnsiColor, Style};

use crate::model::Untrusted;
use crate::observed::LiveBackend;
use crate::plan::{
    Change, DiffLine, Felt, FieldChange, FileAction, HookWhen, HostPlan, HostState, NewInterface,
    PeerRef, Plan, Rename,
};

/// What a line does.
#[derive(Debug, Clone, Copy)]
enum Sign {
    Add,
    Remove,
    Change,
}

impl Sign {
    const fn style(self) -> Style {
        let colour = match self {
            Self::Add => AnsiColor::Green,
            Self::Remove => AnsiColor::Red,
            Self::Change => AnsiColor::Yellow,
        };
        colour.on_default()
    }

    const fn glyph(self) -> char {
        match self {
            Self::Add => '+',
            Self::Remove => '-',
            Self::Change => '~',
        }
    }
}

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// The plan for people. Styles are always in the text; the stream takes them out where it must.
#[must_use]
pub fn human(plan: &Plan) -> String {
    let mut out = String::new();
    for host in &plan.hosts {
        host_plan(&mut out, host);
    }
    out.push_str(&summary(plan));
    out.push_str(&plan.reachability.as_ref().map(super::reach::difference).unwrap_or_default());
    out
}

/// One line: how many hosts are what.
#[must_use]
pub fn summary(plan: &Plan) -> String {
    let changing = plan.hosts.iter().filter(|host| host.can_apply()).count();
    let unreadable = plan.unreadable().count();
    let blocked = plan.blocked().count();
    let same = plan.hosts.len() - changing - unreadable - blocked;
    let mut out = String::new();
    if changing + unreadable + blocked == 0 {
        let _ =
            writeln!(out, "{BOLD}No changes.{BOLD:#} {same} of {same} hosts are as the file says.");
        return out;
    }
    let _ = write!(out, "{BOLD}Plan:{BOLD:#} {changing} to change, {same} as the file says");
    if unreadable > 0 {
        let _ = write!(out, ", {BAD}{unreadable} unreadable{BAD:#}");
    }
    if blocked > 0 {
        let _ = write!(out, ", {BAD}{blocked} blocked{BAD:#}");
    }
    out.push_str(".\n");
    out
}

fn host_plan(out: &mut String, host: &HostPlan) {
    match &host.state {
        HostState::Unreadable(reason) => {
            let _ = writeln!(
                out,
                "{BOLD}{}{BOLD:#}  {BAD}could not be read{BAD:#}: {}",
                host.host,
                Untrusted::new(reason.as_str())
            );
            let _ = writeln!(out, "  {DIM}its peers keep what the file gives it{DIM:#}\n");
            return;
        }
        HostState::Blocked(reason) => {
            let _ = writeln!(
                out,
                "{BOLD}{}{BOLD:#}  {BAD}blocked{BAD:#}: {}",
                host.host,
                Untrusted::new(reason.as_str())
            );
        }
        HostState::Ready if host.changes.is_empty() => return,
        HostState::Ready => {
            let disruption = felt(&host.feels);
            let _ = writeln!(out, "{BOLD}{}{BOLD:#}  {DIM}{disruption}{DIM:#}", host.host);
        }
    }
    for item in &host.changes {
        change(out, item);
    }
    for note in &host.notes {
        let _ = writeln!(out, "  {DIM}note: {note}{DIM:#}");
    }
    out.push('\n');
}

/// Peers that a header names.
const NAMED: usize = 4;

/// What traffic feels of the changes to a host, the worst first.
fn felt(feels: &Felt) -> String {
    let mut words = Vec::new();
    match feels.flows {
        0 => {}
        1 => words.push("1 flow ceases to work".to_owned()),
        flows => words.push(format!("{flows} flows cease to work")),
    }
    let interfaces = feels.restarts.iter();
    words.extend(interfaces.map(|name| format!("{name} restarts: up to 10 s without traffic")));
    words.extend(feels.removals.iter().map(|name| format!("{name} goes, and its sessions end")));
    if !feels.ends.is_empty() {
        words.push(match feels.ends.len() {
            1 => format!("the session with {} ends", some(&feels.ends)),
            _ => format!("the sessions with {} end", some(&feels.ends)),
        });
    }
    let renewals = feels.renewals.iter();
    words
        .extend(renewals.map(|name| format!("up to 3 s: new handshakes with all peers of {name}")));
    if !feels.handshakes.is_empty() {
        let handshakes =
            if feels.handshakes.len() == 1 { "new handshake" } else { "new handshakes" };
        words.push(format!("up to 3 s: {handshakes} with {}", some(&feels.handshakes)));
    }
    if feels.routes {
        words.push("addresses or routes change: packets on their way may be lost".to_owned());
    }
    if words.is_empty() { "disrupts nothing".to_owned() } else { words.join("; ") }
}

/// The first of many peers.
fn some(peers: &[PeerRef]) -> String {
    let name = |peer: &PeerRef| match &peer.name {
        Some(name) => name.to_string(),
        None => format!("{}…", &peer.key.to_string()[..8]),
    };
    let mut names: Vec<String> = peers.iter().take(NAMED).map(name).collect();
    names.dedup();
    let names = names.join(", ");
    match peers.len() {
        many if many > NAMED => format!("{names} and {} more", many - NAMED),
        _ => names,
    }
}

fn line(out: &mut String, sign: Sign, text: fmt::Arguments<'_>) {
    let style = sign.style();
    let _ = writeln!(out, "  {style}{} {text}{style:#}", sign.glyph());
}

fn change(out: &mut String, item: &Change) {
    match item {
        Change::PushAgent { machine, digest } => {
            let digest = digest.to_string();
            line(out, Sign::Add, format_args!("wgfleet for {machine} (sha256 {}…)", &digest[..12]));
        }
        Change::File { path, action, diff, .. } => file(out, path, *action, diff),
        Change::Hook { interface, when, command, comes } => {
            let when = match when {
                HookWhen::PreUp => "before it comes up",
                HookWhen::PostUp => "after it comes up",
                HookWhen::PreDown => "before it goes down",
                HookWhen::PostDown => "after it goes down",
            };
            let (sign, runs) =
                if *comes { (Sign::Add, "runs") } else { (Sign::Remove, "no longer runs") };
            line(out, sign, format_args!("{interface} {runs} as root {when}: {command}"));
        }
        Change::Forward { family, on, .. } => {
            let sign = if *on { Sign::Add } else { Sign::Remove };
            line(out, sign, format_args!("forwarding of {family}"));
        }
        Change::Rename(Rename::Table { from, to }) => {
            line(out, Sign::Change, format_args!("nftables table inet {from} is renamed {to}"));
        }
        Change::Rename(Rename::File { from, to, .. }) => {
            line(out, Sign::Change, format_args!("file {from} is renamed {to}"));
        }
        Change::Rename(Rename::Reference { path, to, .. }) => {
            line(out, Sign::Change, format_args!("file {path} names {to}"));
        }
        Change::Firewall { table, digest } => {
            let sign = if digest.is_some() { Sign::Change } else { Sign::Remove };
            let what = format_args!("masquerading rules (nftables table inet {table})");
            line(out, sign, what);
        }
        Change::Create(new) => create(out, new),
        Change::Restart { interface, backend, reason } => {
            let backend = backend_name(*backend);
            line(out, Sign::Change, format_args!("restart of {interface} ({backend}): {reason}"));
        }
        Change::Delete { interface } => {
            line(out, Sign::Remove, format_args!("interface {interface}"));
        }
        Change::Device { interface, fields: changed } => {
            line(out, Sign::Change, format_args!("interface {interface}"));
            fields(out, changed);
        }
        Change::AddPeer { interface, peer, replaces } => {
            let sign = if replaces.is_some() { Sign::Change } else { Sign::Add };
            let new = if replaces.is_some() { "  new key" } else { "" };
            line(out, sign, format_args!("{interface} peer {}{new}", peer.name));
        }
        Change::ChangePeer { interface, peer, fields: changed } => {
            line(out, Sign::Change, format_args!("{interface} peer {}", name(peer)));
            fields(out, changed);
        }
        Change::RemovePeer { interface, peer } => {
            line(out, Sign::Remove, format_args!("{interface} peer {}", name(peer)));
        }
        Change::AddAddress { interface, address } => {
            line(out, Sign::Add, format_args!("{interface} address {address}"));
        }
        Change::RemoveAddress { interface, address } => {
            line(out, Sign::Remove, format_args!("{interface} address {address}"));
        }
        Change::AddRoute { interface, table, prefix } => {
            line(out, Sign::Add, format_args!("{interface} route {prefix}{}", in_table(*table)));
        }
        Change::RemoveRoute { interface, table, prefix } => {
            line(out, Sign::Remove, format_args!("{interface} route {prefix}{}", in_table(*table)));
        }
        Change::Record { path, action } => {
            let sign = if *action == FileAction::Create { Sign::Add } else { Sign::Change };
            line(out, sign, format_args!("record of what wgfleet does here ({path})"));
        }
        Change::Unit { unit, from, to } => {
            let mut words = Vec::new();
            if from.enabled != to.enabled {
                words.push(if to.enabled { "at boot" } else { "not at boot" });
            }
            if from.active != to.active {
                words.push(if to.active { "started" } else { "stopped" });
            }
            let sign = if to.enabled || to.active { Sign::Add } else { Sign::Remove };
            line(out, sign, format_args!("unit {unit} {}", words.join(", ")));
        }
    }
}

fn file(out: &mut String, path: &str, action: FileAction, diff: &[DiffLine]) {
    let (sign, what) = match action {
        FileAction::Create => (Sign::Add, "file"),
        FileAction::Update => (Sign::Change, "file"),
        FileAction::Protect => (Sign::Change, "owner and mode of file"),
        FileAction::Remove => (Sign::Remove, "file"),
    };
    line(out, sign, format_args!("{what} {path}"));
    if action == FileAction::Update && diff.is_empty() {
        let _ = writeln!(out, "      {DIM}(only secrets differ){DIM:#}");
    }
    for row in diff {
        let style = match row.sign {
            '+' => Sign::Add.style(),
            '-' => Sign::Remove.style(),
            _ => DIM,
        };
        let _ = writeln!(out, "      {style}{} {}{style:#}", row.sign, row.text);
    }
}

/// Most peers that a new interface is shown with.
const SHOWN: usize = 8;

fn create(out: &mut String, new: &NewInterface) {
    let NewInterface { interface, backend, addresses, peers, .. } = new;
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let (backend, addresses) = (backend_name(*backend), addresses.join(", "));
    line(out, Sign::Add, format_args!("interface {interface} ({backend})  {addresses}"));
    for peer in peers.iter().take(SHOWN) {
        line(out, Sign::Add, format_args!("  peer {}", peer.name));
    }
    if peers.len() > SHOWN {
        line(out, Sign::Add, format_args!("  and {} more peers", peers.len() - SHOWN));
    }
}

fn fields<F: fmt::Display>(out: &mut String, fields: &[FieldChange<F>]) {
    for field in fields {
        let _ = match (&field.from, &field.to) {
            (None, Some(to)) => writeln!(out, "      {}: {to}", field.field),
            (Some(from), Some(to)) if from.contains(", ") || to.contains(", ") => {
                writeln!(out, "      {}: {}", field.field, list_change(from, to))
            }
            (Some(from), Some(to)) => writeln!(out, "      {}: {from} → {to}", field.field),
            (Some(from), None) => writeln!(out, "      {}: {from} → none", field.field),
            (None, None) => Ok(()),
        };
    }
}

/// What comes and what goes of a list, not what stays.
fn list_change(from: &str, to: &str) -> String {
    let (old, new): (BTreeSet<&str>, BTreeSet<&str>) =
        (from.split(", ").collect(), to.split(", ").collect());
    let (add, remove) = (Sign::Add.style(), Sign::Remove.style());
    let gone = old.difference(&new).map(|item| format!("{remove}-{item}{remove:#}"));
    let come = new.difference(&old).map(|item| format!("{add}+{item}{add:#}"));
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

fn name(peer: &PeerRef) -> String {
    let key = peer.key.to_string();
    match &peer.name {
        Some(name) => format!("{name} ({}…)", &key[..8]),
        None => format!("{key} (not in the file)"),
    }
}

const fn backend_name(backend: LiveBackend) -> &'static str {
    match backend {
        LiveBackend::Kernel => "kernel",
        LiveBackend::Embedded => "embedded",
        LiveBackend::Userspace => "wireguard-go",
    }
}
