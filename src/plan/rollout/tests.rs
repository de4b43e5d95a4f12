//! Which hosts of small fleets have to change together.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;

use super::*;
use crate::check::Clashing;
use crate::inventory::Inventory;
use crate::model::{InterfaceName, Part};
use crate::topology::{self, Topology};

type Fleet = (Inventory, Topology);

fn fleet(text: &str) -> Fleet {
    let parsed = crate::inventory::parse(PathBuf::from("fleet.yaml"), format!("fleet: f\n{text}"));
    let inventory = parsed.inventory.unwrap_or_else(|| panic!("{text}\n{:#?}", parsed.findings));
    let topology = topology::build(&inventory, &|_: &_, _: &_| -> Vec<IpAddr> { Vec::new() });
    (inventory, topology)
}

fn name(text: &str) -> HostName {
    text.parse().unwrap()
}

/// Every host of the new file changes.
fn all(fleet: &Fleet) -> Changing {
    let hosts = fleet.0.hosts.iter().map(|host| (host.name.value.clone(), Role::Changes));
    Changing { roles: hosts.collect(), ..Changing::default() }
}

fn between(before: &Fleet, after: &Fleet, changing: &Changing) -> Rollout {
    let settings = RolloutSettings::default();
    let state = |fleet: &'_ Fleet| (fleet.0.clone(), fleet.1.clone());
    let (old, new) = (state(before), state(after));
    rollout(State::new(&old.0, &old.1), State::new(&new.0, &new.1), changing, &settings, None)
}

/// The groups of several hosts, and why.
fn groups(rollout: &Rollout) -> Vec<(String, BTreeSet<Clashing>)> {
    let several = rollout.groups().filter(|group| group.hosts.len() > 1);
    several
        .map(|group| {
            let hosts: Vec<&str> = group.hosts.iter().map(HostName::as_str).collect();
            (hosts.join(" "), group.couplings.iter().map(|coupling| coupling.because).collect())
        })
        .collect()
}

/// A hub and three spokes behind NAT.
fn hub(port: u16, links: &str, more: &str) -> Fleet {
    let mut text = format!(
        "networks: {{ n: {{ prefixes: 10.9.0.0/24, links: {links} }} }}\nhosts:\n  \
         hub: {{ address: 10.9.0.1, endpoint: \"192.0.2.1:{port}\" }}\n"
    );
    for spoke in 2..5 {
        let _ = writeln!(
            text,
            "  s{spoke}: {{ address: 10.9.0.{spoke}, endpoint: \"192.0.2.{spoke}:51820\" }}"
        );
    }
    text.push_str(more);
    fleet(&text)
}

const HUB: &str = "{ hub: hub }";

#[test]
fn what_is_harmless_in_either_order_couples_nobody() {
    let before = hub(51820, HUB, "");
    let more = "  s5: { address: 10.9.0.5, nat: true, subnets: 10.50.0.0/24 }\n";
    let after = hub(51820, HUB, more);
    let rollout = between(&before, &after, &all(&after));
    assert_eq!(groups(&rollout), []);
    assert_eq!(rollout.waves.len(), 1);
    assert_eq!(rollout.waves[0].groups.len(), 5);
    // Four hosts, each with each other.
    assert_eq!((rollout.flows, rollout.is_proved()), (12, true));
    // And away again.
    let rollout = between(&after, &before, &all(&before));
    assert_eq!(groups(&rollout), []);
}

#[test]
fn from_hub_to_mesh_the_spokes_change_together() {
    let (before, after) = (hub(51820, HUB, ""), hub(51820, "mesh", ""));
    let rollout = between(&before, &after, &all(&after));
    let found = groups(&rollout);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].0.ends_with("s2 s3 s4"), "{found:?}");
    // Links beside those of the hub, for no flow but the two hosts' own, join these two.
    let one = hub(51820, "[{ hub: hub }, [s2, s3]]", "");
    let rollout = between(&before, &one, &all(&one));
    assert_eq!(groups(&rollout).len(), 1);
    assert!(!groups(&rollout)[0].0.contains("s4"), "{:?}", groups(&rollout));
}

#[test]
fn another_port_couples_those_who_alone_can_begin() {
    let spokes = |port: u16| {
        let text = format!(
            "networks: {{ n: {{ prefixes: 10.9.0.0/24, links: {HUB} }} }}\nhosts:\n  \
             hub: {{ address: 10.9.0.1, endpoint: \"192.0.2.1:{port}\" }}\n  \
             s1: {{ address: 10.9.0.2, nat: true }}\n  s2: {{ address: 10.9.0.3, nat: true }}\n"
        );
        fleet(&text)
    };
    let (before, after) = (spokes(51820), spokes(51821));
    let rollout = between(&before, &after, &all(&after));
    assert_eq!(groups(&rollout), [("hub s1 s2".to_owned(), BTreeSet::from([Clashing::Port]))]);
    // A host that is down keeps the others from nothing, and what it loses is told.
    let mut changing = all(&after);
    changing.roles.insert(name("s2"), Role::Stays);
    let rollout = between(&before, &after, &changing);
    assert_eq!(groups(&rollout), [("hub s1".to_owned(), BTreeSet::from([Clashing::Port]))]);
    assert!(!rollout.is_proved());
    let lost = &rollout.lost[0];
    assert_eq!((lost.until.as_str(), lost.changes.as_str()), ("s2", "hub"), "{lost:?}");
    assert_eq!(lost.because, Clashing::Port);
    // Where the hub could begin, but does so only when it has something to send: the spoke cannot.
    let (before, after) = (hub(51820, HUB, ""), hub(51821, HUB, ""));
    let session = BTreeSet::from([Clashing::Session]);
    let found = groups(&between(&before, &after, &all(&after)));
    assert_eq!(found, [("hub s2 s3 s4".to_owned(), session)]);
}

#[test]
fn keys_and_preshared_keys_couple_the_two_ends_of_a_link() {
    let same = hub(51820, HUB, "");
    let interface: InterfaceName = same.1.interfaces[0].name.value.clone();
    let mut changing = all(&same);
    changing.contact(&name("s2"), &interface).psks.insert(name("hub"));
    changing.contact(&name("hub"), &interface).psks.insert(name("s2"));
    let rollout = between(&same, &same, &changing);
    let psk = BTreeSet::from([Clashing::PresharedKey]);
    assert_eq!(groups(&rollout), [("hub s2".to_owned(), psk)]);
    let mut changing = all(&same);
    changing.contact(&name("s3"), &interface).key = true;
    changing.contact(&name("hub"), &interface).keys.insert(name("s3"));
    let rollout = between(&same, &same, &changing);
    assert_eq!(groups(&rollout), [("hub s3".to_owned(), BTreeSet::from([Clashing::Key]))]);
    // What changes at one end only fixes what did not work before.
    let mut changing = all(&same);
    changing.contact(&name("s4"), &interface).psks.insert(name("hub"));
    assert_eq!(groups(&between(&same, &same, &changing)), []);
}

#[test]
fn an_address_and_a_lan_that_move_couple_those_who_send_there() {
    let mesh = |last: u8, gateway: u8| {
        let mut text = String::from(
            "networks: { n: { prefixes: 10.9.0.0/24 } }\nsites:\n  lan:\n    subnets: \
             10.50.0.0/24\n    hosts:\n",
        );
        for host in 1..4 {
            let last = if host == 1 { last } else { host };
            let lan = if host == gateway { ", gateway: true" } else { "" };
            let site = "      ";
            if host < 3 {
                let _ = writeln!(
                    text,
                    "{site}h{host}: {{ address: 10.9.0.{last}, endpoint: \
                     \"192.0.2.{host}:51820\"{lan} }}"
                );
            } else {
                let _ = writeln!(
                    text,
                    "hosts:\n  h{host}: {{ address: 10.9.0.{last}, endpoint: \
                     \"192.0.2.{host}:51820\" }}"
                );
            }
        }
        fleet(&text)
    };
    let before = mesh(1, 0);
    let moved = mesh(7, 0);
    let found = groups(&between(&before, &moved, &all(&moved)));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, "h1 h2 h3");
    let (before, after) = (mesh(1, 1), mesh(1, 2));
    let found = groups(&between(&before, &after, &all(&after)));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].0.contains("h3"), "{found:?}");
}

#[test]
fn a_group_that_is_too_large_says_what_holds_and_what_splits_it() {
    let (before, after) = (hub(51820, HUB, ""), hub(51820, "mesh", ""));
    let rollout = between(&before, &after, &all(&after));
    assert!(rollout.within(50).is_ok());
    let text = rollout.within(2).unwrap_err().to_string();
    assert!(text.contains("`max_group` is 2: between `"), "{text}");
    assert!(text.contains("add the new links first"), "{text}");
}

/// Two hubs, two gateways of a site, and many spokes, none of which has to change with another.
fn many() -> Fleet {
    let mut text = String::from(
        "networks: { n: { prefixes: 10.9.0.0/16, links: { hub: [hub-1, hub-2] } } }\nsites:\n  \
         dc:\n    subnets: 10.50.0.0/24\n    hosts:\n      gw-1: { address: 10.9.1.1, gateway: \
         true, nat: true }\n      gw-2: { address: 10.9.1.2, gateway: true, nat: true }\nhosts:\n",
    );
    for host in 1..3 {
        let _ = writeln!(
            text,
            "  hub-{host}: {{ address: 10.9.0.{host}, endpoint: \"192.0.2.{host}:51820\" }}"
        );
    }
    for host in 0..36 {
        let _ = writeln!(text, "  s{host}: {{ address: 10.9.2.{}, nat: true }}", host + 1);
    }
    fleet(&text)
}

fn waves(rollout: &Rollout) -> Vec<Vec<&str>> {
    rollout
        .waves
        .iter()
        .map(|wave| wave.groups.iter().flat_map(|g| g.hosts.iter().map(HostName::as_str)).collect())
        .collect()
}

#[test]
fn many_hosts_go_in_waves_with_those_others_depend_on_late() {
    let fleet = many();
    let state = State::new(&fleet.0, &fleet.1);
    let settings = RolloutSettings::default();
    let controller = name("s7");
    let rollout = rollout(state, state, &all(&fleet), &settings, Some(&controller));
    let waves = waves(&rollout);
    let sizes: Vec<usize> = waves.iter().map(Vec::len).collect();
    assert_eq!(sizes[..2], [1, 4], "{waves:?}");
    assert_eq!(sizes.iter().sum::<usize>(), 40);
    assert_eq!(waves.last().unwrap(), &["s7"]);
    for wave in &waves {
        for pair in [["hub-1", "hub-2"], ["gw-1", "gw-2"]] {
            assert!(!pair.iter().all(|host| wave.contains(host)), "{waves:?}");
        }
    }
    for late in ["hub-1", "hub-2", "gw-1", "gw-2"] {
        assert!(waves[..2].iter().all(|wave| !wave.contains(&late)), "{waves:?}");
    }
    assert_eq!(rollout.against, []);
}

#[test]
fn the_operator_says_who_is_first_and_how_many() {
    let fleet = many();
    let state = State::new(&fleet.0, &fleet.1);
    let settings = RolloutSettings {
        waves: Some(vec![Part::Hosts(2), Part::Percent(50)]),
        order: vec![BTreeSet::from([name("s9"), name("s30")])],
        ..RolloutSettings::default()
    };
    let all = all(&fleet);
    let sizes = |settings: &RolloutSettings| -> Vec<Vec<String>> {
        let rollout = rollout(state, state, &all, settings, None);
        waves(&rollout).iter().map(|wave| wave.iter().map(ToString::to_string).collect()).collect()
    };
    let told = sizes(&settings);
    assert_eq!(told[0], ["s9", "s30"]);
    assert_eq!(told[1].len(), 20);
    // A canary goes before, and beside it the sizes count as they are written.
    let canary = BTreeSet::from([name("s4")]);
    let told = sizes(&RolloutSettings { canary: canary.clone(), ..settings });
    assert_eq!(
        (&*told[0], &*told[1], told[2].len()),
        (&["s4".to_owned()][..], &["s9".to_owned(), "s30".to_owned()][..], 20)
    );
    // An order alone has a wave for each step, and the others in one; a canary takes the place of the first
    // of the usual waves.
    let order = vec![BTreeSet::from([name("s9")]), BTreeSet::from([name("s1"), name("s2")])];
    let waves = Some(vec![Part::Percent(100)]);
    let told = sizes(&RolloutSettings { waves, order, ..RolloutSettings::default() });
    assert_eq!(
        (&*told[0], &*told[1]),
        (&["s9".to_owned()][..], &["s1".to_owned(), "s2".to_owned()][..])
    );
    let told = sizes(&RolloutSettings { canary, ..RolloutSettings::default() });
    assert_eq!((told[0].len(), told[1].len()), (1, 4));
}

#[test]
fn where_order_and_coupling_collide_coupling_wins_and_says_so() {
    let fleet = many();
    let interface: InterfaceName = fleet.1.interfaces[0].name.value.clone();
    let mut changing = all(&fleet);
    changing.contact(&name("hub-1"), &interface).psks.insert(name("hub-2"));
    changing.contact(&name("hub-2"), &interface).psks.insert(name("hub-1"));
    let state = State::new(&fleet.0, &fleet.1);
    let rollout = rollout(state, state, &changing, &RolloutSettings::default(), None);
    let hosts = vec![name("hub-1"), name("hub-2")];
    assert_eq!(rollout.against, [Against::AllHubs { network: "n".to_owned(), hosts }]);
}
