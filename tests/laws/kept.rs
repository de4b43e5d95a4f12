//! What differs from a host's record is drift; what the file changes is not.

use proptest::prelude::*;
use wgfleet::desired::DesiredState;
use wgfleet::model::Untrusted;
use wgfleet::observed::Record;
use wgfleet::plan::{
    Change, DeviceField, HostPlan, HostState, PeerField, Provenance, diff_host, record, resolve,
};

use crate::drift::{drift, live};
use crate::fleet::spec;
use crate::plan::config;
use crate::vault::{Vault, render};
use crate::world::{World, facts, helpers, plan};

/// The record that a host keeps of what it has now.
fn kept(state: &DesiredState, index: usize, vault: &Vault, world: &World) -> Record {
    let (host, observed) = (&state.hosts[index], world.observe());
    let rendered = render(state, host, vault);
    let target = resolve(host, &rendered, &observed);
    let made = Provenance {
        who: Untrusted::new("ann@ctl"),
        commit: None,
        generation: None,
        now: jiff::Timestamp::UNIX_EPOCH,
    };
    record(&state.fleet, &target, &rendered, &observed, &made, "c1".to_owned(), (None, &[]))
}

/// The plan of a host that keeps a record.
fn told(
    state: &DesiredState,
    index: usize,
    vault: &Vault,
    world: &World,
    kept: &Record,
) -> HostPlan {
    let (host, observed) = (&state.hosts[index], world.observe());
    let rendered = render(state, host, vault);
    let target = resolve(host, &rendered, &observed);
    let mut plan = diff_host(&target, &observed, &helpers(), &state.names);
    plan.tell_drift(&target, &rendered, &observed, Some(kept));
    plan
}

/// Whether a change sets something of wg0 that its file has a word for.
fn by_hand(change: &Change) -> bool {
    let wg0 = change.interface().is_some_and(|name| name.as_str() == "wg0");
    let known = match change {
        Change::Device { fields, .. } => fields
            .iter()
            .all(|field| !matches!(field.field, DeviceField::FwMark | DeviceField::ListenPort)),
        Change::ChangePeer { fields, .. } => {
            fields.iter().any(|field| field.field != PeerField::Endpoint)
        }
        Change::AddAddress { .. }
        | Change::RemoveAddress { .. }
        | Change::AddRoute { .. }
        | Change::AddPeer { .. }
        | Change::RemovePeer { .. } => true,
        _ => false,
    };
    wg0 && known
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_another_hand_did_is_drift_and_what_the_file_says_is_none(
        old in spec(), new in spec(), facts in facts(),
        drifts in proptest::collection::vec(drift(), 1..4),
    ) {
        // Only what the same vault made can be compared.
        let mut new = new;
        new.vault.clone_from(&old.vault);
        let (before, after) = (old.desired(), new.desired());
        for index in 0..before.hosts.len() {
            let (first, world) = plan(&before, index, &old.vault, &World::new(facts.clone()), &before.names);
            if let HostState::Blocked(_) = first.state {
                continue;
            }
            let kept = kept(&before, index, &old.vault, &world);
            let mut other = world.clone();
            live(&mut other);
            for drift in &drifts {
                other.drift(drift);
            }
            let drifted = told(&before, index, &old.vault, &other, &kept);
            for change in &drifted.changes {
                // A hook runs because of another change.
                let neither = matches!(
                    change,
                    Change::PushHelper { .. } | Change::Rename(_) | Change::Hook { .. }
                );
                prop_assert!(
                    neither || drifted.is_drift(change),
                    "{change:#?}\nof {:#?}\nafter {drifts:?}\n{}", drifted.changes, old.yaml()
                );
            }
            if index < after.hosts.len() {
                let changed = told(&after, index, &new.vault, &world, &kept);
                let drift = changed.drift.expect("they can be compared");
                prop_assert!(drift.is_empty(), "{drift:#?}\nof {:#?}\n{}\n{}", changed.changes, old.yaml(), new.yaml());
                // Of both, what another hand did is told from the file that was left there.
                let both = told(&after, index, &new.vault, &other, &kept);
                let left = "/etc/wireguard/wg0.conf";
                let same = |host: &World| host.host.files.get(left).map(|file| file.fingerprint);
                let undone = |change: &&Change| same(&other) == same(&world) && by_hand(change);
                for change in drifted.changes.iter().filter(undone) {
                    prop_assert!(
                        !both.changes.contains(change) || both.is_drift(change),
                        "{change:#?}\nof {:#?}\nafter {drifts:?}\n{}\n{}", both.changes, old.yaml(), new.yaml()
                    );
                }
            }
        }
    }
}
