//! Names that carry the fleet: an older version's are changed and nothing else, and what another
//! fleet has on the same machine stays.

use std::collections::BTreeMap;

use proptest::prelude::*;
use wgfleet::desired::{DesiredState, Secrets as _};
use wgfleet::model::{FleetName, InterfaceName};
use wgfleet::plan::{Change, Disruption, HostState};

use crate::fleet::{Spec, spec};
use crate::plan::config;
use crate::world::{World, facts, plan};

/// Another name for an interface of the laws' fleets.
fn elsewhere(text: &str) -> String {
    text.replace("wg0", "wg7").replace("wg1", "wg8")
}

/// What a fleet of the name has on a machine, on interfaces of its own.
fn neighbour(state: &mut DesiredState, spec: &Spec, index: usize, world: &World) -> Option<World> {
    state.fleet = fleet("f4");
    let (first, mut world) = plan(state, index, &spec.vault, world, &state.names);
    if first.state != HostState::Ready {
        return None;
    }
    let name =
        |name: InterfaceName| elsewhere(name.as_str()).parse::<InterfaceName>().expect("a name");
    let host = &mut world.host;
    host.interfaces =
        std::mem::take(&mut host.interfaces).into_iter().map(|(i, live)| (name(i), live)).collect();
    let made = |unit: &str| elsewhere(unit).parse().expect("a unit");
    host.units = std::mem::take(&mut host.units).into_iter().map(|(u, s)| (made(&u), s)).collect();
    for (path, mut file) in std::mem::take(&mut host.files) {
        file.public_text = elsewhere(&file.public_text);
        host.files.insert(elsewhere(&path).parse().expect("a path"), file);
    }
    let pairs = |map: &mut BTreeMap<crate::world::Pair, String>| {
        *map =
            std::mem::take(map).into_iter().map(|((i, key), psk)| ((name(i), key), psk)).collect();
    };
    pairs(&mut world.live);
    pairs(&mut world.file);
    Some(world)
}

fn fleet(name: &str) -> FleetName {
    name.parse().expect("a name")
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_an_older_version_named_is_renamed_and_nothing_else(spec in spec(), facts in facts()) {
        let state = spec.desired();
        for (index, host) in state.hosts.iter().enumerate() {
            let (first, mut world) = plan(&state, index, &spec.vault, &World::new(facts.clone()), &state.names);
            if first.state != HostState::Ready {
                continue;
            }
            let wanted = world.clone();
            let key = spec.vault.fingerprint_key(&host.name).expect("made up");
            world.with_old_names(state.fleet.as_str(), &key);
            let (second, world) = plan(&state, index, &spec.vault, &world, &state.names);
            let renames = second.changes.iter().all(|change| matches!(change, Change::Rename(_)));
            prop_assert!(renames, "{:#?}", second.changes);
            prop_assert_eq!(second.changes.is_empty(), wanted.host.firewalls.is_empty()
                && wanted.host.files.keys().all(|path| !path.contains("60-wgfleet-")));
            prop_assert_eq!(second.disruption, Disruption::None);
            prop_assert_eq!(&second.state, &HostState::Ready);
            prop_assert_eq!(&world, &wanted);
            let (third, _) = plan(&state, index, &spec.vault, &world, &state.names);
            prop_assert!(third.changes.is_empty(), "{:#?}", third.changes);
        }
    }

    #[test]
    fn an_older_version_and_another_file_leave_nothing_behind(old in spec(), new in spec(), facts in facts()) {
        let (before, after) = (old.desired(), new.desired());
        for index in 0..before.hosts.len().min(after.hosts.len()) {
            let (first, mut world) = plan(&before, index, &old.vault, &World::new(facts.clone()), &before.names);
            if first.state != HostState::Ready {
                continue;
            }
            let key = old.vault.fingerprint_key(&before.hosts[index].name).expect("made up");
            world.with_old_names(before.fleet.as_str(), &key);
            let (second, world) = plan(&after, index, &new.vault, &world, &after.names);
            if second.state != HostState::Ready {
                continue;
            }
            prop_assert!(!world.host.firewalls.contains_key("wgfleet"), "{:#?}", second.changes);
            for path in ["/etc/wireguard/wgfleet.nft", "/etc/sysctl.d/60-wgfleet.conf"] {
                prop_assert!(!world.host.files.contains_key(path), "{:#?}", second.changes);
            }
            let (third, _) = plan(&after, index, &new.vault, &world, &after.names);
            prop_assert!(third.changes.is_empty(), "{:#?}", third.changes);
        }
    }

    #[test]
    fn what_another_fleet_has_on_the_machine_stays(
        other in spec(), old in spec(), new in spec(), facts in facts(), old_names in any::<bool>(),
    ) {
        let (mut theirs, mut before, mut after) = (other.desired(), old.desired(), new.desired());
        (before.fleet, after.fleet) = (fleet("f6"), fleet("f6"));
        let all = before.hosts.len().min(after.hosts.len()).min(theirs.hosts.len());
        for index in 0..all {
            let bare = World::new(facts.clone());
            let Some(mut there) = neighbour(&mut theirs, &other, index, &bare) else { continue };
            if old_names {
                let key = other.vault.fingerprint_key(&theirs.hosts[index].name).expect("made up");
                there.with_old_names("f4", &key);
            }
            // It comes, changes, and has less in the end.
            let mut less = new.clone();
            less.two = false;
            less.hosts.iter_mut().for_each(|host| (host.masquerade, host.subnet) = (false, false));
            let mut last = less.desired();
            last.fleet = fleet("f6");
            let mut world = there.clone();
            for (state, spec) in [(&before, &old), (&after, &new), (&last, &less)] {
                let (next, then) = plan(state, index, &spec.vault, &world, &state.names);
                if next.state != HostState::Ready {
                    continue;
                }
                world = then;
                let (again, _) = plan(state, index, &spec.vault, &world, &state.names);
                prop_assert!(again.changes.is_empty(), "{:#?}\nafter {:#?}", again.changes, next.changes);
                for (path, file) in &there.host.files {
                    prop_assert_eq!(world.host.files.get(path), Some(file), "{}: {:#?}", path, next.changes);
                }
                for (table, digest) in &there.host.firewalls {
                    prop_assert_eq!(world.host.firewalls.get(table), Some(digest), "{:#?}", next.changes);
                }
                for (name, live) in &there.host.interfaces {
                    prop_assert_eq!(world.host.interfaces.get(name), Some(live), "{:#?}", next.changes);
                }
                for (unit, state) in &there.host.units {
                    prop_assert_eq!(world.host.units.get(unit), Some(state), "{:#?}", next.changes);
                }
                prop_assert!(world.host.forward_v4 || !there.host.forward_v4, "{:#?}", next.changes);
                prop_assert!(world.host.forward_v6 || !there.host.forward_v6, "{:#?}", next.changes);
            }
        }
    }
}
