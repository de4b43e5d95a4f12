//! Two inventories compared, for people.

mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::reach;
use crate::model::InterfaceName;
use crate::plan::{Comparison, HostAction, HostComparison, PeerName, Setting, SettingName, Value};
use value::{items, shown};

/// Hosts that a row is told of one by one.
const ALIKE: usize = 8;
/// Hosts that are named where many are alike.
const NAMED: usize = 4;
/// Most peers that a new interface is shown with.
const SHOWN: usize = 8;

/// What is alike of several hosts: the interface, the peer where a whole one comes or goes, the
/// setting, and what it becomes. Otherwise only whether it is of a peer counts, not of which.
type Alike<'a> =
    (&'a str, bool, Option<&'a PeerName>, &'a SettingName, Option<&'a Value>, Option<&'a Value>);

/// The comparison as text. Changes that many hosts have alike are told once, unless `verbose`;
/// what runs as root is always told with all of its text.
#[must_use]
pub fn human(comparison: &Comparison, verbose: bool) -> String {
    let mut out = String::new();
    let alike = if verbose { BTreeMap::new() } else { alike(comparison) };
    for rows in alike.values() {
        several(&mut out, rows);
    }
    if !alike.is_empty() {
        out.push_str("  (--verbose shows each host)\n\n");
    }
    for host in &comparison.hosts {
        one(&mut out, host, &alike, verbose);
    }
    out.push_str(&summary(comparison));
    out.push_str(&reach::difference(&comparison.reachability));
    out
}

/// The rows of changing hosts that more than a few have alike.
fn alike(comparison: &Comparison) -> BTreeMap<Alike<'_>, Vec<(&HostComparison, &Setting)>> {
    let mut alike: BTreeMap<Alike<'_>, Vec<(&HostComparison, &Setting)>> = BTreeMap::new();
    let changing = comparison.hosts.iter().filter(|host| host.action == HostAction::Change);
    for host in changing {
        for setting in &host.settings {
            alike.entry(key(setting)).or_default().push((host, setting));
        }
    }
    alike.retain(|_, rows| hosts(rows).len() > ALIKE);
    alike
}

fn hosts<'a>(rows: &[(&'a HostComparison, &Setting)]) -> Vec<&'a HostComparison> {
    let mut hosts: Vec<&HostComparison> = rows.iter().map(|(host, _)| *host).collect();
    // A host's rows stand together.
    hosts.dedup_by_key(|host| &host.host);
    hosts
}

fn key(row: &Setting) -> Alike<'_> {
    let interface = row.interface.as_ref().map_or("", |name| name.as_str());
    let peer = row.peer.as_ref().filter(|_| row.setting == SettingName::Peer);
    let (from, to) = (row.from.as_ref(), row.to.as_ref());
    (interface, row.peer.is_some(), peer, &row.setting, from, to)
}

/// A row that several hosts have.
fn several(out: &mut String, rows: &[(&HostComparison, &Setting)]) {
    let Some((_, row)) = rows.first() else { return };
    let hosts = hosts(rows);
    let names: Vec<String> = hosts.iter().take(NAMED).map(|host| host.host.to_string()).collect();
    let more = hosts.len() - names.len();
    let _ = writeln!(out, "{}: {} and {more} more", count(hosts.len(), "host"), names.join(", "));
    if row.peer.is_none() || row.setting == SettingName::Peer {
        line(out, row, row.peer.as_ref());
        return;
    }
    line(out, row, None);
    let _ = writeln!(out, "      on {}", count(rows.len(), "peer"));
}

/// What changes about one host, but for what was told of many.
fn one(
    out: &mut String,
    host: &HostComparison,
    alike: &BTreeMap<Alike<'_>, Vec<(&HostComparison, &Setting)>>,
    verbose: bool,
) {
    let changes = host.action == HostAction::Change;
    let told = |row: &&Setting| !changes || !alike.contains_key(&key(row));
    let rows: Vec<&Setting> = host.settings.iter().filter(told).collect();
    if changes && rows.is_empty() {
        return;
    }
    let what = match host.action {
        HostAction::Add => "is new",
        HostAction::Remove => "is not in the inventory any more",
        HostAction::Change => "changes",
    };
    let issued = if host.issued { " (unmanaged: its config has to be handed out)" } else { "" };
    let _ = writeln!(out, "{}  {what}{issued}", host.host);
    let mut peers: BTreeMap<Option<&str>, usize> = BTreeMap::new();
    for row in rows {
        if row.setting == SettingName::Peer && host.action == HostAction::Add && !verbose {
            let known = peers.entry(row.interface.as_ref().map(InterfaceName::as_str)).or_default();
            *known += 1;
            if *known > SHOWN {
                continue;
            }
        }
        line(out, row, row.peer.as_ref());
    }
    for (interface, number) in peers.into_iter().filter(|(_, number)| *number > SHOWN) {
        let _ = writeln!(
            out,
            "  + {} and {} more (--verbose shows each)",
            interface.unwrap_or_default(),
            count(number - SHOWN, "peer"),
        );
    }
    out.push('\n');
}

fn line(out: &mut String, row: &Setting, peer: Option<&PeerName>) {
    let sign = match (&row.from, &row.to) {
        (None, _) => '+',
        (_, None) => '-',
        _ => '~',
    };
    let mut place = String::new();
    if let Some(interface) = &row.interface {
        let _ = write!(place, "{interface} ");
    }
    let whole = matches!(row.setting, SettingName::Peer | SettingName::Interface);
    if let Some(peer) = peer {
        let _ = write!(place, "peer {peer} ");
    }
    let becomes = becomes(row);
    let _ = if row.as_root {
        let when = when(&row.setting);
        let verb = if row.to.is_some() { "runs" } else { "no longer runs" };
        writeln!(out, "  {sign} {place}{verb} as root {when}: {becomes}")
    } else if whole && row.peer.is_none() {
        writeln!(out, "  {sign} interface {place}({becomes})")
    } else if whole && row.to.is_none() {
        writeln!(out, "  {sign} {}", place.trim_end())
    } else if whole {
        writeln!(out, "  {sign} {place}({becomes})")
    } else {
        writeln!(out, "  {sign} {place}{}: {becomes}", row.setting)
    };
}

fn when(setting: &SettingName) -> &'static str {
    match setting {
        SettingName::PreUp => "before it comes up",
        SettingName::PostUp => "after it comes up",
        SettingName::PreDown => "before it goes down",
        _ => "after it goes down",
    }
}

/// `a → b`; of lists only what comes and goes.
fn becomes(row: &Setting) -> String {
    match (&row.from, &row.to) {
        (Some(from), Some(to)) if row.setting.is_list() => {
            let (old, new): (BTreeSet<String>, BTreeSet<String>) =
                (items(from).into_iter().collect(), items(to).into_iter().collect());
            let gone = old.difference(&new).map(|item| format!("-{item}"));
            let come = new.difference(&old).map(|item| format!("+{item}"));
            gone.chain(come).collect::<Vec<_>>().join(" ")
        }
        (Some(from), Some(to)) => format!("{} → {}", shown(from), shown(to)),
        (None, Some(to)) => shown(to),
        (Some(from), None) if row.as_root || row.setting == SettingName::Interface => shown(from),
        (Some(from), None) => format!("{} → none", shown(from)),
        (None, None) => String::new(),
    }
}

fn summary(comparison: &Comparison) -> String {
    let base = &comparison.base;
    let mut out = match &base.fleet {
        None => format!("{} has no such inventory: everything is new.\n", base.revision),
        Some(fleet) if *fleet != comparison.fleet => {
            format!("The fleet's name changes: {fleet} → {}.\n", comparison.fleet)
        }
        Some(_) => String::new(),
    };
    let of =
        |action: HostAction| comparison.hosts.iter().filter(|host| host.action == action).count();
    let (add, change, remove) =
        (of(HostAction::Add), of(HostAction::Change), of(HostAction::Remove));
    if comparison.is_empty() {
        let _ = writeln!(out, "No changes against {}.", base.revision);
    } else {
        let _ = writeln!(
            out,
            "Against {}: {} to add, {change} to change, {remove} to remove.",
            base.revision,
            count(add, "host"),
        );
    }
    out.push_str("Only the two inventories were compared: no host was asked, and no key.\n");
    out
}

fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
