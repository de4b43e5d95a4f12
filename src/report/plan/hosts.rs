//! Sets of hosts and of peers, as they are named.

use super::peer::Who;
use crate::model::HostName;
use crate::plan::Plan;

/// Up to how many members of a set are named, where nothing asks for all.
pub(super) const NAMED: usize = 8;
/// How many are named of a larger one, or left out of it, to say which it is.
const SOME: usize = 3;

/// Hosts of a plan, by their places in it, in order.
pub(super) type Hosts = Vec<u32>;

/// The names of hosts. `whole`: of each of them, however many there are.
pub(super) fn hosts(plan: &Plan, set: &[u32], whole: bool) -> String {
    let name = |place: &u32| plan.hosts[*place as usize].host.as_str();
    let (count, all) = (set.len(), plan.hosts.len());
    if count <= NAMED {
        return join(set.iter().map(name));
    }
    if count == all {
        return format!("all {} hosts", number(all));
    }
    if all - count <= SOME {
        let places = 0..u32::try_from(all).unwrap_or(u32::MAX);
        let out: Vec<u32> = places.filter(|place| set.binary_search(place).is_err()).collect();
        return format!("{} hosts: all but {}", number(count), join(out.iter().map(name)));
    }
    let shown = if whole { count } else { SOME };
    let more = if whole { "" } else { ", …" };
    format!("{} hosts: {}{more}", number(count), join(set.iter().take(shown).map(name)))
}

/// Which peers change, where there are several: on each of the hosts all of them but itself.
pub(super) fn peers(plan: &Plan, at: &[u32], peers: &[Who<'_>]) -> String {
    let names = || peers.iter().filter_map(|peer| peer.name).map(HostName::as_str);
    let unique = names().collect::<std::collections::BTreeSet<_>>().len() == peers.len();
    if peers.len() <= NAMED {
        return if unique { join(names()) } else { join(peers.iter().map(Who::to_string)) };
    }
    let mut places: std::collections::BTreeMap<&str, u32> =
        (0..).zip(&plan.hosts).map(|(place, host)| (host.host.as_str(), place)).collect();
    let set: Option<std::collections::BTreeSet<u32>> =
        names().map(|name| places.remove(name)).collect();
    match set.filter(|_| unique) {
        Some(set) if set.iter().eq(at) => "each other".to_owned(),
        Some(set) if set.len() == plan.hosts.len() => "all hosts".to_owned(),
        Some(set) => hosts(plan, &set.into_iter().collect::<Hosts>(), false),
        None => format!("{}, …", join(names().take(SOME))),
    }
}

fn join<S: AsRef<str>>(names: impl Iterator<Item = S>) -> String {
    let names: Vec<S> = names.collect();
    names.iter().map(AsRef::as_ref).collect::<Vec<&str>>().join(", ")
}

/// A number with its thousands apart: 9,900.
pub(super) fn number(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number with what is counted.
pub(super) fn count(count: usize, one: &str, many: &str) -> String {
    format!("{} {}", number(count), if count == 1 { one } else { many })
}
