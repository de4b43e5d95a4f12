//! A plan for people: changes that are alike are told once, with the hosts and peers that have them.

mod felt;
mod group;
mod hosts;
mod kept;
mod orphans;
mod peer;
mod rollout;
mod sign;
mod summary;
mod words;

pub use summary::summary;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use self::group::{Group, What, groups};
use self::hosts::{Hosts, count};
use self::peer::PeerChange;
use self::sign::{BAD, BOLD, DIM, Sign};
use crate::model::Untrusted;
use crate::plan::{Disruption, HostState, Plan, SecretState};

/// How much of a plan is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// What is alike once, with the hosts and peers that have it.
    Grouped,
    /// Each change of each host.
    Each,
}

/// The plan for people. Styles are always in the text; the stream takes them out where it must.
#[must_use]
pub fn human(plan: &Plan, detail: Detail) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    if plan.secrets == SecretState::NotCompared {
        let _ = writeln!(
            out,
            "{BAD}Private and preshared keys were not compared{BAD:#}: the vault was not open. \
             This plan cannot be applied.\n"
        );
    }
    for class in classes(plan) {
        match detail {
            Detail::Grouped => write_class(&mut out, plan, &class, detail),
            Detail::Each => {
                for place in &class.hosts {
                    let alone = Class { hosts: vec![*place], ..class };
                    write_class(&mut out, plan, &alone, detail);
                }
            }
        }
    }
    out.push_str(&orphans::orphans(plan, detail == Detail::Each));
    out.push_str(&super::records::newer(plan));
    out.push_str(&summary(plan));
    out.push_str(&plan.reachability.as_ref().map(super::reach::difference).unwrap_or_default());
    out.push_str(&plan.rollout.as_ref().map(rollout::rollout).unwrap_or_default());
    out.push_str(&kept::kept(&plan.kept));
    out
}

/// Hosts whose changes may be told together: those of another state are not made.
struct Class<'a> {
    state: &'a HostState,
    hosts: Hosts,
}

/// The hosts that there is something to say of. Those that are ready come last, in one class.
fn classes(plan: &Plan) -> Vec<Class<'_>> {
    let mut classes: Vec<Class<'_>> = Vec::new();
    let mut places: BTreeMap<(bool, String), usize> = BTreeMap::new();
    let mut ready = Class { state: &HostState::Ready, hosts: Hosts::new() };
    for (place, host) in (0..).zip(&plan.hosts) {
        let key = match &host.state {
            // What others' changes do to its traffic is told of a host without changes as well.
            HostState::Ready
                if host.changes.is_empty() && host.feels.worst() == Disruption::None =>
            {
                continue;
            }
            HostState::Ready => {
                ready.hosts.push(place);
                continue;
            }
            HostState::Blocked(reason) => (true, reason.to_string()),
            HostState::Unreadable(reason) => (false, reason.to_string()),
        };
        let class = *places.entry(key).or_insert_with(|| {
            classes.push(Class { state: &host.state, hosts: Hosts::new() });
            classes.len() - 1
        });
        classes[class].hosts.push(place);
    }
    classes.push(ready);
    classes
}

fn write_class(out: &mut String, plan: &Plan, class: &Class<'_>, detail: Detail) {
    let whole = detail == Detail::Each;
    let name = |set: &[u32], whole| hosts::hosts(plan, set, whole);
    let reason = match class.state {
        HostState::Ready => None,
        HostState::Unreadable(reason) => {
            let reason = Untrusted::new(reason.to_string());
            let colon = if reason.raw().is_empty() { "" } else { ": " };
            let names = name(&class.hosts, true);
            let _ = writeln!(
                out,
                "{BOLD}{names}{BOLD:#}  {BAD}could not be read{BAD:#}{colon}{reason}\n  {DIM}its \
                 peers keep what the file gives it{DIM:#}\n"
            );
            return;
        }
        HostState::Blocked(reason) => {
            Some(format!("{BAD}blocked{BAD:#}: {}", Untrusted::new(reason.to_string())))
        }
    };
    let mut sections: BTreeMap<(usize, Hosts), Vec<Group<'_>>> = BTreeMap::new();
    let groups = groups(plan, &class.hosts).into_iter();
    for group in groups.flat_map(|group| if whole { group.apart() } else { vec![group] }) {
        // What most hosts have stands first.
        let key = (usize::MAX - group.hosts.len(), group.hosts.clone());
        sections.entry(key).or_default().push(group);
    }
    let feels: BTreeMap<u32, String> = class
        .hosts
        .iter()
        .map(|place| (*place, felt::felt(&plan.hosts[*place as usize].feels, whole)))
        .collect();
    let mut silent = feels.clone();
    for ((_, set), groups) in sections {
        let text = groups.iter().any(|group| match &group.what {
            What::Host(told) => told.is_text(),
            What::Peer(..) => false,
        });
        let felt = &feels[&set[0]];
        let alike = set.iter().all(|place| feels[place] == *felt);
        let head = match &reason {
            Some(reason) => reason.clone(),
            None if alike => {
                silent.retain(|place, _| !set.contains(place));
                format!("{DIM}{felt}{DIM:#}")
            }
            None => format!("{DIM}what traffic feels is told below{DIM:#}"),
        };
        let _ = writeln!(out, "{BOLD}{}{BOLD:#}  {head}", name(&set, text || whole));
        for group in &groups {
            write_group(out, plan, group);
        }
        out.push('\n');
    }
    // A blocked host without changes, and hosts that were only told among others that feel more.
    let mut rest: BTreeMap<&str, Hosts> = BTreeMap::new();
    for (place, felt) in &silent {
        if reason.is_none() {
            rest.entry(felt).or_default().push(*place);
        }
    }
    for (felt, set) in rest {
        let _ = writeln!(out, "{BOLD}{}{BOLD:#}  {DIM}{felt}{DIM:#}\n", name(&set, whole));
    }
    if let Some(reason) = &reason {
        let none = |place: &&u32| {
            let host = &plan.hosts[**place as usize];
            host.changes.is_empty() && host.notes.is_empty()
        };
        let bare: Hosts = class.hosts.iter().filter(none).copied().collect();
        if !bare.is_empty() {
            let _ = writeln!(out, "{BOLD}{}{BOLD:#}  {reason}\n", name(&bare, true));
        }
    }
}

fn write_group(out: &mut String, plan: &Plan, group: &Group<'_>) {
    let (sign, mut text) = match &group.what {
        What::Host(told) => (told.sign, told.text.clone()),
        What::Peer(interface, change) => {
            let sign = Some(words::sign(change));
            let text = if let [peer] = group.peers[..] {
                words::one(interface, change, &peer, group.but_itself)
            } else {
                let begin = words::several(interface, change);
                let on = if matches!(change, PeerChange::Change { .. }) { " on" } else { "" };
                let count = count(group.pairs(plan), "peer", "peers");
                let names = hosts::peers(plan, &group.hosts, &group.peers);
                let itself = if group.has_itself(plan) { " (each itself too)" } else { "" };
                format!("{begin}{on} {count}: {names}{itself}")
            };
            (sign, text)
        }
    };
    if let [own] = &group.own[..] {
        text = format!("{text}: {own}");
    }
    if group.times > 1 {
        text = format!("{text} ({} times)", group.times);
    }
    let _ = match sign {
        Some(sign) => {
            let style = sign.style();
            writeln!(out, "  {style}{} {text}{style:#}", sign.glyph())
        }
        None => writeln!(out, "  {DIM}{text}{DIM:#}"),
    };
    if group.own.len() > 1 {
        for (place, own) in group.hosts.iter().zip(&group.own) {
            let name = &plan.hosts[*place as usize].host;
            let _ = writeln!(out, "      {name}: {own}");
        }
    }
    let What::Host(told) = &group.what else { return };
    for (sign, line) in &told.lines {
        let style = match sign {
            '+' => Sign::Add.style(),
            '-' => Sign::Remove.style(),
            _ => DIM,
        };
        let sign = if matches!(sign, '+' | '-') { *sign } else { ' ' };
        let _ = writeln!(out, "      {style}{sign} {line}{style:#}");
    }
}

#[cfg(test)]
mod tests;
