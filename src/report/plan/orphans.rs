//! What wgfleet set up and the inventory no longer has: what still runs there, and what to do by hand.

use std::fmt::Write as _;

use super::sign::{BOLD, DIM};
use crate::model::{Family, FleetName, HostName, InterfaceName, Untrusted, count};
use crate::observed::Record;
use crate::plan::{
    FormerTarget, Found, LiveInterface, Names, NotAsked, Orphan, OrphanKind, Plan, Remains, Says,
};
use crate::report::status::age;

/// Hosts that are named one by one.
const NAMED: usize = 4;

/// All of them, with all of their files where `whole` says so; empty where there are none.
pub(super) fn orphans(plan: &Plan, whole: bool) -> String {
    let mut out = String::new();
    if plan.orphans.is_empty() {
        return out;
    }
    let (left_out, gone): (Vec<&Orphan>, Vec<&Orphan>) =
        plan.orphans.iter().partition(|orphan| orphan.left_out.is_some());
    for (head, some) in
        [("Left out by the inventory", left_out), ("No longer in the inventory", gone)]
    {
        if !some.is_empty() {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{BOLD}{head}:{BOLD:#}");
        }
        for orphan in some {
            write(&mut out, plan, orphan, whole);
        }
    }
    out.push('\n');
    out
}

/// One of them.
fn write(out: &mut String, plan: &Plan, orphan: &Orphan, whole: bool) {
    let Orphan { kind, name, host, left_out, runs, remains, .. } = orphan;
    let kind = match kind {
        OrphanKind::Host if left_out.is_some() && is_peer(orphan) => "peer",
        OrphanKind::Host => "host",
        OrphanKind::Network => "network",
        OrphanKind::Interface => "interface",
    };
    let at = host.as_ref().map(|host| format!(" on {host}")).unwrap_or_default();
    let why = left_out.as_ref().map(|why| format!(", {}", Untrusted::new(why.to_string())));
    let why = why.unwrap_or_default();
    let what = match (runs, remains) {
        (None, Some(_)) if left_out.is_some() && is_peer(orphan) => {
            "nobody can log in to it; its own configuration stays there".to_owned()
        }
        (None, Some(remains)) => unknown(name, remains),
        (None, None) => "what runs there could not be read".to_owned(),
        (Some(runs), _) if runs.is_empty() => "nothing of it runs".to_owned(),
        (Some(runs), _) => {
            let names: Vec<&str> = runs.iter().map(InterfaceName::as_str).collect();
            let verb = if names.len() == 1 { "runs" } else { "run" };
            format!("{} still {verb}", names.join(", "))
        }
    };
    let _ = writeln!(out, "  {kind} {}{at}{why}: {what}", Untrusted::new(name.as_str()));
    for line in details(&plan.fleet, orphan, whole) {
        let _ = writeln!(out, "    {DIM}{line}{DIM:#}");
    }
}

fn is_peer(orphan: &Orphan) -> bool {
    let remains = orphan.remains.as_ref().map(|remains| &remains.found);
    matches!(remains, Some(Found::NotAsked { why: NotAsked::Peer }))
}

/// Why nobody knows what still runs.
fn unknown(name: &str, remains: &Remains) -> String {
    let target = remains.login.as_ref().map(target).unwrap_or_default();
    match &remains.found {
        Found::NotAsked { why } => match why {
            NotAsked::OutsideLimit => {
                format!("what runs there was not read; `--limit {}` reads it", Untrusted::new(name))
            }
            NotAsked::NoTarget => "what runs there could not be read: neither a commit that hosts \
                                   recorded nor an earlier login from here says where it is"
                .to_owned(),
            NotAsked::Peer => {
                "it was an unmanaged peer, and nobody can log in to it; take its configuration away \
                 there"
                    .to_owned()
            }
        },
        Found::Unreadable { reason } => {
            let reason = Untrusted::new(reason.to_string());
            let colon = if reason.raw().is_empty() { "" } else { ": " };
            format!("{target} could not be read{colon}{reason}")
        }
        Found::Another { says, fleet, host } => {
            let whose = |host: &Option<HostName>, fleet: &Option<FleetName>| {
                let host = host.as_ref().map(|host| format!("`{host}`")).unwrap_or_default();
                let fleet = fleet.as_ref().map(|fleet| format!(" of fleet `{fleet}`"));
                format!("{host}{}", fleet.unwrap_or_default())
            };
            let is = match says {
                Says::OtherHost => format!("is host {} now", whose(host, &None)),
                Says::OtherFleet => {
                    format!("has no record of this fleet, and is {}", whose(host, fleet))
                }
                Says::Copy => {
                    "is a copy of it: its machine-id and its ssh host keys are not those \
                               of the record there"
                        .to_owned()
                }
                Says::Unclear => "has a record of this fleet that cannot be read".to_owned(),
                Says::Nothing => {
                    "has no record of wgfleet: it was installed anew, or cleaned up".to_owned()
                }
            };
            format!("the machine at {target} {is}")
        }
        Found::Own { .. } => String::new(),
    }
}

fn target(login: &FormerTarget) -> String {
    let from = match &login.commit {
        Some(commit) => format!("as of commit {commit}"),
        None => "where the last login from here went".to_owned(),
    };
    format!("{} ({from})", login.ssh)
}

/// What is told below the line of an orphan.
fn details(fleet: &FleetName, orphan: &Orphan, whole: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let Some(remains) = &orphan.remains else { return lines };
    if let Found::Own { text, interfaces, units, files, forwarding, masquerades } = &remains.found {
        let at = remains.login.as_ref().map(|login| format!("{}, ", target(login)));
        lines.push(format!("{}changed last by {text}", at.unwrap_or_default()));
        lines.extend(interfaces.iter().map(interface));
        if !units.is_empty() {
            lines.push(format!("starts at boot: {}", units.join(", ")));
        }
        if !forwarding.is_empty() || *masquerades {
            let families = forwarding.iter().map(|family| match family {
                Family::V4 => "forwards IPv4",
                Family::V6 => "forwards IPv6",
            });
            let masquerades = masquerades.then_some("masquerades");
            lines.push(families.chain(masquerades).collect::<Vec<_>>().join(", "));
        }
        if !files.is_empty() {
            let told = if whole { files.len() } else { NAMED };
            let more = files.len().checked_sub(told).filter(|more| *more > 0);
            let more = more.map(|more| format!(" and {more} more")).unwrap_or_default();
            let some: Vec<&str> = files.iter().take(told).map(String::as_str).collect();
            let files = some.join(", ") + &more;
            lines.push(format!("files: {files}"));
        }
        lines.push(format!(
            "to end it by hand, as root there: `{}`",
            by_hand(fleet, &remains.found)
        ));
    }
    lines.extend(peers(orphan));
    lines
}

fn interface(live: &LiveInterface) -> String {
    let LiveInterface { interface, addresses, peers, sessions, handshake_age } = live;
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let addresses =
        if addresses.is_empty() { "no address".to_owned() } else { addresses.join(", ") };
    let traffic = match (sessions, handshake_age) {
        (0, None) => "no handshake with any: no traffic flows".to_owned(),
        (0, Some(seconds)) => format!("the last handshake was {}: no traffic flows", age(*seconds)),
        (some, seconds) => format!(
            "{} alive (last handshake {}): traffic may flow",
            number(*some, "session"),
            age(seconds.unwrap_or_default())
        ),
    };
    format!("{interface}: {addresses}, {}, {traffic}", number(*peers, "peer"))
}

/// Who still has it as a peer.
fn peers(orphan: &Orphan) -> Option<String> {
    let Orphan { peer_of, stays_peer_of, .. } = orphan;
    if orphan.kind != OrphanKind::Host || peer_of.is_empty() {
        return None;
    }
    let names = |hosts: &[HostName]| {
        let more = hosts.len().checked_sub(NAMED).filter(|more| *more > 0);
        let more = more.map(|more| format!(" and {more} more")).unwrap_or_default();
        hosts.iter().take(NAMED).map(HostName::as_str).collect::<Vec<_>>().join(", ") + &more
    };
    let after = match &stays_peer_of[..] {
        [] => "none of them after this plan".to_owned(),
        some => format!("after this plan still {}", names(some)),
    };
    let verb = if peer_of.len() == 1 { "has" } else { "have" };
    Some(format!("{} {verb} it as a peer; {after}", names(peer_of)))
}

/// What ends all of it, for a shell on that machine.
fn by_hand(fleet: &FleetName, found: &Found) -> String {
    let Found::Own { interfaces, units, files, forwarding, masquerades, .. } = found else {
        return String::new();
    };
    let mut words: Vec<String> = Vec::new();
    words.extend(units.iter().map(|unit| format!("systemctl disable --now {unit}")));
    for LiveInterface { interface, .. } in interfaces {
        // With a unit it has ended already, unless somebody started it without that.
        let quiet = if units.is_empty() { "" } else { " 2>/dev/null" };
        words.push(format!("ip link del {interface}{quiet}"));
    }
    if *masquerades {
        words.push(format!("nft delete table inet {}", Names::of(fleet).table));
    }
    words.extend(forwarding.iter().map(|family| match family {
        Family::V4 => "sysctl net.ipv4.ip_forward=0".to_owned(),
        Family::V6 => "sysctl net.ipv6.conf.all.forwarding=0".to_owned(),
    }));
    let record = Record::path(fleet);
    let all: Vec<&str> = files.iter().map(String::as_str).chain([record.as_str()]).collect();
    words.push(format!("rm -f {}", all.join(" ")));
    words.join("; ")
}

fn number(number: u64, noun: &str) -> String {
    count(usize::try_from(number).unwrap_or(usize::MAX), noun)
}
