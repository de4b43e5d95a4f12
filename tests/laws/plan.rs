//! Laws of plans: carrying one out leads to what is wanted, and nowhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use ipnet::IpNet;
use proptest::prelude::*;
use proptest::sample::Index;
use wgfleet::model::{Fingerprint, HostName, InterfaceName, PublicKey};
use wgfleet::observed::{LiveBackend, ObservedFile, Unanswered, UnitState};
use wgfleet::plan::{Change, HostPlan, HostState, PeerField, Plan};

use crate::drift::{drift, live};
use crate::fleet::spec;
use crate::vault::{leaks, secrets};
use crate::world::{World, facts, plan, psk};

pub(crate) fn config() -> ProptestConfig {
    ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn carried_out_there_is_nothing_more_to_do(
        old in spec(), new in spec(), facts in facts(), drifts in proptest::collection::vec(drift(), 0..4), kept in any::<bool>(),
    ) {
        // Half of the time the file changes in little.
        let mut new = new;
        if kept {
            new.hosts.clone_from(&old.hosts);
        }
        let (before, after) = (old.desired(), new.desired());
        let mut names: BTreeMap<PublicKey, HostName> = (*before.names).clone();
        names.extend((*after.names).clone());
        for index in 0..before.hosts.len().min(after.hosts.len()) {
            let world = World::new(facts.clone());
            let (first, mut world) = plan(&before, index, &old.vault, &world, &before.names);
            if let HostState::Blocked(_) = first.state {
                continue;
            }
            let (second, same) = plan(&before, index, &old.vault, &world, &before.names);
            prop_assert!(second.changes.is_empty(), "{:#?}\n{}", second.changes, old.yaml());
            prop_assert_eq!(&same, &world);
            live(&mut world);
            for drift in &drifts {
                world.drift(drift);
            }
            let (third, world) = plan(&after, index, &new.vault, &world, &names);
            if let HostState::Blocked(_) = third.state {
                continue;
            }
            let (fourth, _) = plan(&after, index, &new.vault, &world, &names);
            prop_assert!(fourth.changes.is_empty(), "{:#?}\nafter {:#?}\n{}\n{}", fourth.changes, third.changes, old.yaml(), new.yaml());
            // One way of starting an interface, not two.
            for interface in &after.hosts[index].interfaces {
                let enabled = world.host.units.iter().filter(|(name, unit)| {
                    unit.enabled && wgfleet::plan::units_of(&interface.name).any(|own| own == **name)
                });
                prop_assert!(enabled.count() <= 1, "{:#?}", world.host.units);
            }
            // What is live is what is wanted, secrets included.
            for interface in &after.hosts[index].interfaces {
                let seen = &world.host.interfaces[&interface.name];
                prop_assert_eq!(seen.peers.keys().collect::<Vec<_>>(), interface.peers.keys().collect::<Vec<_>>());
                for (key, peer) in &interface.peers {
                    let pair = (interface.name.clone(), *key);
                    let wanted = peer.psk_epoch.map(|epoch| psk(&new.vault, interface, key, epoch));
                    prop_assert_eq!(world.live.get(&pair), wanted.as_ref(), "live psk after {:#?}", third.changes);
                    prop_assert_eq!(world.file.get(&pair), wanted.as_ref());
                    let nets: BTreeSet<IpNet> = peer.allowed_ips.iter().copied().collect();
                    prop_assert_eq!(&seen.peers[key].allowed_ips, &nets);
                }
            }
        }
    }

    #[test]
    fn sessions_that_live_change_nothing(spec in spec(), facts in facts()) {
        let state = spec.desired();
        for index in 0..state.hosts.len() {
            let world = World::new(facts.clone());
            let (first, mut world) = plan(&state, index, &spec.vault, &world, &state.names);
            if first.state != HostState::Ready {
                continue;
            }
            live(&mut world);
            let (second, _) = plan(&state, index, &spec.vault, &world, &state.names);
            prop_assert!(second.changes.is_empty(), "{:#?}\n{}", second.changes, spec.yaml());
        }
    }

    #[test]
    fn the_same_gives_the_same_bytes_and_no_secrets(old in spec(), new in spec(), facts in facts(), drifts in proptest::collection::vec(drift(), 0..3)) {
        let (before, after) = (old.desired(), new.desired());
        let mut texts = Vec::new();
        for _ in 0..2 {
            let mut hosts = Vec::new();
            for index in 0..before.hosts.len().min(after.hosts.len()) {
                let (_, mut world) = plan(&before, index, &old.vault, &World::new(facts.clone()), &before.names);
                for drift in &drifts {
                    world.drift(drift);
                }
                hosts.push(plan(&after, index, &new.vault, &world, &after.names).0);
            }
            let plan = Plan::new(after.fleet.clone(), hosts);
            let saved = plan.to_saved(None).expect("it is JSON");
            texts.push((String::from_utf8(saved).expect("text"), format!("{plan:?}")));
        }
        prop_assert_eq!(&texts[0], &texts[1]);
        let mut all = secrets(&before, &old.vault);
        all.extend(secrets(&after, &new.vault));
        prop_assert!(!leaks(&texts[0].0, &all) && !leaks(&texts[0].1, &all));
    }

    #[test]
    fn who_did_not_change_is_not_mentioned(spec in spec(), facts in facts(), which in any::<Index>()) {
        // One host gets another subnet; on every other one only the peer entry of that host, or of
        // the hub that leads to it, may change.
        let before = spec.desired();
        let mut changed = spec.clone();
        let number = which.index(spec.hosts.len());
        changed.hosts[number].subnet = !changed.hosts[number].subnet;
        changed.hosts[number].masquerade = false;
        let after = changed.desired();
        let name = &after.hosts[number].name;
        for index in (0..after.hosts.len()).filter(|index| *index != number) {
            let (first, mut world) = plan(&before, index, &spec.vault, &World::new(facts.clone()), &before.names);
            if first.state != HostState::Ready {
                continue;
            }
            live(&mut world);
            let (second, _) = plan(&after, index, &spec.vault, &world, &after.names);
            for change in &second.changes {
                let allowed = match change {
                    Change::ChangePeer { peer, .. } => {
                        peer.name.as_ref() == Some(name) || (spec.hub && peer.name.as_ref().is_some_and(|n| n.as_str() == "h0"))
                    }
                    // A gateway that masquerades names the sources.
                    Change::AddRoute { .. }
                    | Change::RemoveRoute { .. }
                    | Change::File { .. }
                    | Change::Firewall { .. } => true,
                    _ => false,
                };
                prop_assert!(allowed, "{change:#?}\n{}", spec.yaml());
            }
        }
    }

    #[test]
    fn a_wg0_made_by_hand_is_taken_over(spec in spec(), facts in facts(), hand_psk in any::<bool>()) {
        let state = spec.desired();
        for (index, host) in state.hosts.iter().enumerate() {
            let mut world = World::new(facts.clone());
            let Some(wanted) = host.interfaces.iter().find(|i| i.name.as_str() == "wg0") else { continue };
            world.start(&spec.vault, wanted, LiveBackend::Kernel);
            for peer in wanted.peers.keys() {
                let pair = (wanted.name.clone(), *peer);
                if hand_psk {
                    world.live.insert(pair.clone(), "by hand".to_owned());
                    world.file.insert(pair, "by hand".to_owned());
                } else if let Some(psk) = world.live.get(&pair) {
                    world.file.insert(pair, psk.clone());
                }
            }
            let mut text = String::from("[Interface]\nPrivateKey = (hidden)\n");
            let _ = writeln!(text, "Table = {}", wanted.table);
            for hook in &wanted.hooks.post_up {
                let _ = writeln!(text, "PostUp = {hook}");
            }
            for (key, peer) in &wanted.peers {
                let _ = write!(text, "[Peer]\nPublicKey={key}\nAllowedIPs = {}\n", peer.allowed_ips.iter().map(ToString::to_string).collect::<Vec<_>>().join(","));
                if let Some(endpoint) = &peer.endpoint {
                    let _ = writeln!(text, "Endpoint ={endpoint}");
                }
            }
            let file = ObservedFile { mode: 0o644, root: true, fingerprint: Fingerprint::from_bytes([3; 32]), public_text: text };
            world.host.files.insert("/etc/wireguard/wg0.conf".parse().expect("a path"), file);
            live(&mut world);
            let (first, world) = plan(&state, index, &spec.vault, &world, &state.names);
            if let HostState::Blocked(_) = first.state {
                continue;
            }
            let other = state.hosts[index].backend;
            let takes = matches!(other, wgfleet::model::Backend::Auto | wgfleet::model::Backend::Kernel);
            let hand: Vec<&Change> = first.changes.iter().filter(|change| change.interface().is_some_and(|i| i.as_str() == "wg0")).collect();
            if takes {
                // The same settings: the interface goes on, only preshared keys may change.
                for change in hand {
                    let fine = matches!(change, Change::ChangePeer { fields, .. } if fields.iter().all(|f| f.field == PeerField::PresharedKey));
                    prop_assert!(fine, "{change:#?}\n{}", spec.yaml());
                }
            }
            let (second, _) = plan(&state, index, &spec.vault, &world, &state.names);
            prop_assert!(second.changes.is_empty(), "{:#?}\n{}", second.changes, spec.yaml());
        }
    }

    #[test]
    fn what_is_left_behind_goes(spec in spec(), facts in facts()) {
        let mut two = spec.clone();
        two.two = true;
        let mut one = spec;
        one.two = false;
        let (before, after) = (two.desired(), one.desired());
        for index in 0..2 {
            let (first, world) = plan(&before, index, &two.vault, &World::new(facts.clone()), &before.names);
            if first.state != HostState::Ready {
                continue;
            }
            let (second, world) = plan(&after, index, &one.vault, &world, &after.names);
            let gone: InterfaceName = "wg1".parse().expect("a name");
            prop_assert!(second.changes.contains(&Change::Delete { interface: gone }), "{:#?}", second.changes);
            prop_assert!(world.host.files.keys().all(|path| !path.contains("wg1")), "{:?}", world.host.files.keys());
            prop_assert!(world.host.units.iter().all(|(unit, state)| !unit.contains("wg1") || *state == UnitState::default()));
            let (third, _) = plan(&after, index, &one.vault, &world, &after.names);
            prop_assert!(third.changes.is_empty(), "{:#?}", third.changes);
        }
    }
}

#[test]
fn a_host_that_cannot_be_read_removes_nobody() {
    // What the others are to have comes from the file alone: no observation of this one is asked.
    let spec = crate::fleet::Spec::two_hosts();
    let plan = HostPlan::unreadable(&spec.desired().hosts[1], Unanswered::NotTold);
    assert!(plan.changes.is_empty() && !plan.can_apply());
}
