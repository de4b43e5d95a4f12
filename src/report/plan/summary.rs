//! How much a plan adds, changes and removes, and which hosts it leaves alone.

use std::collections::{BTreeMap, BTreeSet};

use super::hosts::{count, number};
use super::sign::{BAD, BOLD, Sign};
use super::words::{self, Thing};
use crate::check::Unread;
use crate::model::{InterfaceName, PublicKey};
use crate::plan::{Change, HostPlan, Plan};

/// The closing line: what is added, changed and removed on how many hosts, and the other hosts.
#[must_use]
pub fn summary(plan: &Plan) -> String {
    let changing: Vec<&HostPlan> = plan.hosts.iter().filter(|host| host.can_apply()).collect();
    let (unreadable, blocked) = (plan.unreadable().count(), plan.blocked().count());
    let same = plan.hosts.len() - changing.len() - unreadable - blocked;
    let left_out: usize = plan
        .reachability
        .iter()
        .flat_map(|difference| &difference.assumed)
        .filter(|assumed| assumed.why == Unread::OutsideLimit)
        .map(|assumed| assumed.hosts.len())
        .sum();
    let mut rest = Vec::new();
    if same > 0 {
        rest.push(format!("{} up to date", are(same)));
    }
    if unreadable > 0 {
        rest.push(format!("{BAD}{} could not be read{BAD:#}", number(unreadable)));
    }
    if blocked > 0 {
        rest.push(format!("{BAD}{} blocked{BAD:#}", number(blocked)));
    }
    if left_out > 0 {
        rest.push(format!("{} left out by --limit", number(left_out)));
    }
    let rest = rest.join(", ");
    if changing.is_empty() {
        let end = if rest.is_empty() { "" } else { "." };
        return format!("{BOLD}No changes.{BOLD:#} {rest}{end}").trim_end().to_owned() + "\n";
    }
    let hosts = count(changing.len(), "host", "hosts");
    let apart = if rest.is_empty() { "" } else { "; " };
    format!("{BOLD}Plan:{BOLD:#} {}, on {hosts}{apart}{rest}.\n", counts(&changing))
}

fn are(hosts: usize) -> String {
    format!("{} {}", count(hosts, "host", "hosts"), if hosts == 1 { "is" } else { "are" })
}

/// `2 to add (2 routes), 0 to change, 0 to remove`.
fn counts(hosts: &[&HostPlan]) -> String {
    let mut things: BTreeMap<(Sign, Thing), usize> = BTreeMap::new();
    for host in hosts {
        // A key that takes another's place is one change.
        let replaced: BTreeSet<(&InterfaceName, &PublicKey)> = host
            .changes
            .iter()
            .filter_map(|change| match change {
                Change::AddPeer { interface, replaces, .. } => {
                    Some((interface, replaces.as_ref()?))
                }
                _ => None,
            })
            .collect();
        for change in &host.changes {
            let (sign, thing, count) = match change {
                Change::Create(new) => {
                    *things.entry((Sign::Add, Thing::Peer)).or_default() += new.peers.len();
                    (Sign::Add, Thing::Interface, 1)
                }
                Change::AddPeer { replaces: None, .. } => (Sign::Add, Thing::Peer, 1),
                Change::AddPeer { .. } | Change::ChangePeer { .. } => {
                    (Sign::Change, Thing::Peer, 1)
                }
                Change::RemovePeer { interface, peer } => {
                    let counts = !replaced.contains(&(interface, &peer.key));
                    (Sign::Remove, Thing::Peer, usize::from(counts))
                }
                Change::Device { .. } => (Sign::Change, Thing::Interface, 1),
                other => match words::host(other) {
                    Some(told) => (told.sign.unwrap_or(Sign::Change), told.thing, 1),
                    None => continue,
                },
            };
            *things.entry((sign, thing)).or_default() += count;
        }
    }
    let of = |sign: Sign, verb: &str| {
        let things: Vec<(Thing, usize)> = things
            .iter()
            .filter(|((of, _), count)| *of == sign && **count > 0)
            .map(|((_, thing), count)| (*thing, *count))
            .collect();
        let all = number(things.iter().map(|(_, count)| count).sum());
        let each = things.iter().map(|(thing, of)| count(*of, thing.words().0, thing.words().1));
        let each: Vec<String> = each.collect();
        match each.len() {
            0 => format!("0 to {verb}"),
            _ => format!("{all} to {verb} ({})", each.join(", ")),
        }
    };
    let parts = [of(Sign::Add, "add"), of(Sign::Change, "change"), of(Sign::Remove, "remove")];
    parts.join(", ")
}
