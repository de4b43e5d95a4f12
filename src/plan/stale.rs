//! Whether a saved plan is still what would be done, and if not, what moved.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::obstacle::Obstacle;
use super::{Change, Field, FieldChange, HostPlan, HostState, NewInterface, PeerField, Plan};
use crate::model::{FleetName, HostName, PublicKey, Untrusted};

/// What of a saved plan differs from the plan of now: each line names a host and what moved there.
/// Each may be shown. Empty: the saved plan is what would be done now, or what of it is left to do. A host that has
/// everything that the saved plan leads to counts as done.
///
/// These count for nothing: why a host could not be read, which is ssh's affair; where a peer was last
/// heard; what traffic feels, notes and texts of files, which follow from what is compared.
#[must_use]
pub fn moved(saved: &Plan, now: &Plan) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(line) = of_another(saved, &now.fleet) {
        found.push(line);
        return found;
    }
    let by_name = |plan: &'_ Plan| -> BTreeMap<HostName, usize> {
        (0..).zip(&plan.hosts).map(|(index, host)| (host.host.clone(), index)).collect()
    };
    let (before, after) = (by_name(saved), by_name(now));
    for (name, index) in &before {
        match after.get(name) {
            Some(other) => {
                let lines = host_moved(&saved.hosts[*index], &now.hosts[*other]);
                found.extend(lines.into_iter().map(|line| format!("{name}: {line}")));
            }
            None => found.push(format!(
                "{name}: it is in the plan, and neither --limit nor the file has it now"
            )),
        }
    }
    let new = after.keys().filter(|name| !before.contains_key(*name));
    found.extend(new.map(|name| format!("{name}: it is not in the plan")));
    // More that ceases to work than was reviewed. Fewer, or other gains, may come of a session that
    // somebody began since.
    let lost = |plan: &Plan| -> BTreeSet<(String, String)> {
        let rows = plan.reachability.iter().flat_map(|moved| &moved.lost);
        rows.map(|row| (row.from.to_string(), row.to.to_string())).collect()
    };
    // What runs on a host that is down is taken from elsewhere; that alone makes no plan stale.
    let down =
        |plan: &Plan| plan.unreadable().map(|(name, _)| name.clone()).collect::<BTreeSet<_>>();
    if down(saved) == down(now) {
        for (from, to) in lost(now).difference(&lost(saved)) {
            found.push(format!("flows from {from} to {to} would cease to work as well"));
        }
    }
    found
}

/// Says so where a saved plan is that of another fleet than this one.
#[must_use]
pub fn of_another(saved: &Plan, fleet: &FleetName) -> Option<String> {
    let own = &saved.fleet;
    (own != fleet).then(|| format!("the plan is of fleet `{own}`, and this is `{fleet}`"))
}

/// Leaves out what a saved plan does not change: hosts that could not be read or were blocked when it
/// was made, and that have something to do now. Nobody has seen what that is.
pub fn leave_out(saved: &Plan, now: &mut Plan) {
    for host in now.hosts.iter_mut().filter(|host| host.can_apply()) {
        let Some(old) = saved.hosts.iter().find(|old| old.host == host.host) else { continue };
        host.state = HostState::Blocked(match old.state {
            HostState::Ready => continue,
            HostState::Unreadable(_) => Obstacle::UnreadWhenPlanned,
            HostState::Blocked(_) => Obstacle::BlockedWhenPlanned,
        });
    }
}

fn host_moved(saved: &HostPlan, now: &HostPlan) -> Vec<String> {
    let mut found = Vec::new();
    if saved.ssh != now.ssh {
        found.push(format!("its ssh target is now {}, and the plan has {}", now.ssh, saved.ssh));
    }
    if saved.r#become != now.r#become {
        let (old, new) = (saved.r#become.as_str(), now.r#become.as_str());
        found.push(format!("`become` is now {new}, and the plan has {old}"));
    }
    match (&saved.state, &now.state) {
        (HostState::Ready, HostState::Ready) => {}
        (HostState::Ready, HostState::Blocked(reason)) if !saved.changes.is_empty() => {
            let reason = Untrusted::new(reason.to_string());
            found.push(format!("it is blocked now: {reason}"));
            return found;
        }
        // Nothing is done to it; [`leave_out`] sees to that where it could be changed now.
        _ => return found,
    }
    if now.changes.is_empty() && saved.changes.is_empty() && saved.target != now.target {
        found.push("the file gives it something else than when the plan was made".to_owned());
        return found;
    }
    if now.changes.is_empty() && !saved.changes.is_empty() {
        // Carried out already, by whomever; or the file and the host have both moved on.
        if saved.target.is_none() || saved.target != now.target {
            found.push("it has nothing left to change, but not what the plan leads to".to_owned());
        }
        return found;
    }
    let (saved_settled, now_settled) = (saved.settled(), now.settled());
    let (old, new) = (by_doing(&saved_settled), by_doing(&now_settled));
    for (what, change) in &old {
        match new.get(what) {
            Some(now) => found.extend(differs(change, now)),
            None => found.push(format!("{} is in the plan, and not to be done any more", what.0)),
        }
    }
    let come = new.keys().filter(|what| !old.contains_key(*what));
    found.extend(come.map(|what| format!("{} is to be done now, and not in the plan", what.0)));
    if found.is_empty() && saved.payload != now.payload {
        found.push("what it is sent is not what the plan was made with".to_owned());
    }
    found
}

/// The changes of a host by what each does, and to which key.
fn by_doing(plan: &HostPlan) -> BTreeMap<(String, Option<PublicKey>), &Change> {
    let key = |change: &Change| match change {
        Change::AddPeer { peer, .. } => Some(peer.key),
        Change::ChangePeer { peer, .. } | Change::RemovePeer { peer, .. } => Some(peer.key),
        _ => None,
    };
    plan.changes.iter().map(|change| ((change.doing(), key(change)), change)).collect()
}

/// How a change differs from what it was; `None`: it does not.
fn differs(saved: &Change, now: &Change) -> Option<String> {
    match (saved, now) {
        (
            Change::File { path, action: old, fingerprint: before, .. },
            Change::File { action: new, fingerprint: after, .. },
        ) => {
            let path = Untrusted::new(path.as_str());
            if before != after {
                return Some(format!("{path} would get another content than the plan's"));
            }
            (old != new).then(|| format!("{path} is not what it was for the plan"))
        }
        (Change::Device { interface, fields: old }, Change::Device { fields: new, .. }) => {
            fields_differ(old, new).map(|what| format!("{interface} {what}"))
        }
        (
            Change::ChangePeer { interface, peer, fields: old },
            Change::ChangePeer { fields: new, .. },
        ) => fields_differ(old, new).map(|what| format!("peer {peer} of {interface} {what}")),
        (Change::AddPeer { interface, peer: old, .. }, Change::AddPeer { peer: new, .. })
            if old != new =>
        {
            Some(format!("peer {} of {interface} would be another than the plan's", old.name))
        }
        (Change::Create(old), Change::Create(new)) => interfaces_differ(old, new),
        // All of it is in what it does, as it may be shown: a saved plan has no other form of it.
        (Change::Hook { .. }, Change::Hook { .. }) => None,
        _ => (saved != now).then(|| format!("{} is not as in the plan", now.doing())),
    }
}

fn fields_differ<F: Field>(saved: &[FieldChange<F>], now: &[FieldChange<F>]) -> Option<String> {
    let to = |change: &FieldChange<F>| match &change.to {
        Some(to) => change.field.shown(to),
        None => "none".to_owned(),
    };
    for new in now {
        let name = &new.field;
        let Some(old) = saved.iter().find(|old| old.field == new.field) else {
            return Some(format!("would get {name} {}, which is not in the plan", to(new)));
        };
        if old.to != new.to {
            return Some(format!("would get {name} {}, and the plan has {}", to(new), to(old)));
        }
        if old.from != new.from {
            return Some(format!("has another {name} now than it had for the plan"));
        }
    }
    let gone = saved.iter().find(|old| !now.iter().any(|new| new.field == old.field));
    gone.map(|old| format!("would keep its {}, which the plan changes", old.field))
}

/// Which settings of a new interface are others now.
fn interfaces_differ(saved: &NewInterface, now: &NewInterface) -> Option<String> {
    let peers = |new: &NewInterface| -> BTreeSet<PublicKey> {
        new.peers.iter().map(|peer| peer.key).collect()
    };
    let all = [
        (saved.backend != now.backend, "backend"),
        (saved.public_key != now.public_key, "key"),
        (saved.addresses != now.addresses, "addresses"),
        (saved.listen_port != now.listen_port, "port"),
        (saved.mtu != now.mtu, "MTU"),
        (saved.table != now.table, "table"),
        (saved.fwmark != now.fwmark, "fwmark"),
        (saved.dns != now.dns, "DNS servers"),
        (peers(saved) != peers(now), "peers"),
        (peers(saved) == peers(now) && saved.peers != now.peers, "settings of peers"),
    ];
    let differ: Vec<&str> =
        all.into_iter().filter(|(differs, _)| *differs).map(|(_, name)| name).collect();
    let name = &saved.interface;
    let what = format!("interface {name} would get other {} than the plan's", differ.join(", "));
    (!differ.is_empty()).then_some(what)
}

impl HostPlan {
    /// The plan without what peers decide that move: an endpoint is set where a peer was not heard
    /// yet, and where it is set to is in the file.
    pub(super) fn settled(&self) -> Cow<'_, Self> {
        let moves = |change: &Change| match change {
            Change::ChangePeer { fields, .. } => {
                fields.is_empty() || fields.iter().any(|change| change.field == PeerField::Endpoint)
            }
            _ => false,
        };
        if !self.changes.iter().any(moves) {
            return Cow::Borrowed(self);
        }
        let mut plan = self.clone();
        for change in &mut plan.changes {
            if let Change::ChangePeer { fields, .. } = change {
                fields.retain(|change| change.field != PeerField::Endpoint);
            }
        }
        plan.changes.retain(
            |change| !matches!(change, Change::ChangePeer { fields, .. } if fields.is_empty()),
        );
        Cow::Owned(plan)
    }
}

#[cfg(test)]
#[path = "stale_tests.rs"]
mod tests;
