//! What a plan must not do, whoever reads it: `--forbid restart,lost-flow`.

use std::collections::BTreeSet;
use std::fmt;

use super::{Change, FileAction, HostPlan, Plan};
use crate::model::{Forbidden, HostName, InterfaceName, PublicKey, count};

/// Where a plan does what it must not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// What it does.
    pub forbidden: Forbidden,
    /// On which hosts; none where it is about the fleet.
    pub hosts: Vec<HostName>,
    /// How many flows, where it is about those.
    pub flows: u64,
}

/// Whether a host's part of a plan does it.
fn is_in(kind: Forbidden, host: &HostPlan) -> bool {
    // A key that takes another's place removes no peer.
    let replaced: BTreeSet<(&InterfaceName, &PublicKey)> = host
        .changes
        .iter()
        .filter_map(|change| match change {
            Change::AddPeer { interface, replaces: Some(key), .. } => Some((interface, key)),
            _ => None,
        })
        .collect();
    let does = |change: &Change| match kind {
        Forbidden::Restart => matches!(change, Change::Restart { .. }),
        Forbidden::LostFlow => false,
        Forbidden::Removal => match change {
            Change::RemovePeer { interface, peer } => !replaced.contains(&(interface, &peer.key)),
            other => removes(other),
        },
        Forbidden::Hook => matches!(change, Change::Hook { now: true, .. }),
    };
    host.can_apply() && host.changes.iter().any(does)
}

/// Whether something goes that nothing takes the place of.
fn removes(change: &Change) -> bool {
    match change {
        Change::Delete { .. }
        | Change::RemovePeer { .. }
        | Change::RemoveAddress { .. }
        | Change::RemoveRoute { .. }
        | Change::File { action: FileAction::Remove, .. }
        | Change::Firewall { digest: None, .. }
        | Change::Forward { on: false, .. } => true,
        Change::PushHelper { .. }
        | Change::File { .. }
        | Change::Hook { .. }
        | Change::Forward { .. }
        | Change::Rename(_)
        | Change::Firewall { .. }
        | Change::Create(_)
        | Change::Restart { .. }
        | Change::Device { .. }
        | Change::AddPeer { .. }
        | Change::ChangePeer { .. }
        | Change::AddAddress { .. }
        | Change::AddRoute { .. }
        | Change::Record { .. }
        | Change::Unit { .. } => false,
    }
}

/// Where a plan does what it must not, in order of `forbidden`.
#[must_use]
pub fn hits(plan: &Plan, forbidden: &[Forbidden]) -> Vec<Hit> {
    let mut all = Vec::new();
    for kind in Forbidden::ALL.into_iter().filter(|kind| forbidden.contains(kind)) {
        let hosts = plan.hosts.iter().filter(|host| is_in(kind, host));
        let hosts: Vec<HostName> = hosts.map(|host| host.host.clone()).collect();
        let flows = if kind == Forbidden::LostFlow { lost(plan) } else { 0 };
        if !hosts.is_empty() || flows > 0 {
            all.push(Hit { forbidden: kind, hosts, flows });
        }
    }
    all
}

/// How many flows cease to work, for good or in between.
fn lost(plan: &Plan) -> u64 {
    let for_good = plan.reachability.iter().flat_map(|difference| &difference.lost);
    let between = plan.rollout.iter().flat_map(|rollout| &rollout.lost);
    for_good.map(|moved| moved.flows).sum::<u64>() + between.map(|flow| flow.flows).sum::<u64>()
}

impl fmt::Display for Hit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// So many hosts are named.
        const MOST: usize = 10;
        if self.forbidden == Forbidden::LostFlow {
            let flows = usize::try_from(self.flows).unwrap_or(usize::MAX);
            return write!(f, "lost-flow ({})", count(flows, "flow"));
        }
        let names: Vec<&str> = self.hosts.iter().take(MOST).map(HostName::as_str).collect();
        let more = if self.hosts.len() > MOST { ", …" } else { "" };
        write!(f, "{} (on {}{more})", self.forbidden.word(), names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Become, Untrusted};
    use crate::observed::LiveBackend;
    use crate::plan::{Disruption, Felt, HookWhen, HostState, PeerRef};

    fn host(name: &str, changes: Vec<Change>) -> HostPlan {
        HostPlan {
            host: name.parse().unwrap(),
            ssh: name.parse().unwrap(),
            r#become: Become::Auto,
            payload: None,
            target: None,
            state: HostState::Ready,
            disruption: Disruption::None,
            feels: Felt::default(),
            changes,
            drift: None,
            notes: Vec::new(),
        }
    }

    fn told(hosts: Vec<HostPlan>, forbidden: &[Forbidden]) -> Vec<String> {
        let plan = Plan::new("f".parse().unwrap(), hosts);
        hits(&plan, forbidden).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_a_plan_must_not_do_is_found_where_it_does_it() {
        let interface: InterfaceName = "wg0".parse().unwrap();
        let restart = Change::Restart {
            interface: interface.clone(),
            backend: LiveBackend::Kernel,
            reason: String::new(),
        };
        let peer = PeerRef { name: None, key: PublicKey::from_bytes([9; 32]) };
        let removal = Change::RemovePeer { interface: interface.clone(), peer };
        let hook = |now| Change::Hook {
            interface: interface.clone(),
            when: HookWhen::PostUp,
            command: Untrusted::new("true"),
            comes: true,
            now,
        };
        let hosts = || {
            vec![
                host("a", vec![restart.clone(), hook(false)]),
                host("b", vec![removal.clone(), hook(true)]),
            ]
        };
        assert_eq!(
            told(hosts(), &Forbidden::ALL),
            ["restart (on a)", "removal (on b)", "hook (on b)"]
        );
        assert_eq!(told(hosts(), &[Forbidden::Hook]), ["hook (on b)"]);
        assert_eq!(told(hosts(), &[]), [""; 0]);
        let blocked = vec![HostPlan {
            state: HostState::Unreadable(crate::observed::Unanswered::NotTold),
            ..host("a", vec![restart.clone()])
        }];
        assert_eq!(told(blocked, &Forbidden::ALL), [""; 0]);
    }
}
