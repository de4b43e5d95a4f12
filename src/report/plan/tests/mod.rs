//! What the text says of a plan, taken apart again, is the plan; and how it reads.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::model::{
    Become, Family, Fingerprint, HostPath, InterfaceName, PublicKey, UnitName, Untrusted,
};
use crate::observed::{LiveBackend, Unanswered, UnitState};
use crate::plan::{
    Change, DeviceField, DiffLine, FieldChange, FileAction, HookWhen, HostPlan, NewInterface,
    NewPeer, Obstacle, Orphan, OrphanKind, PeerField, PeerRef,
};

mod orphans;
mod say;

fn wg(number: u8) -> InterfaceName {
    format!("wg{number}").parse().unwrap()
}

fn key(number: u8) -> PublicKey {
    let mut bytes = [number; 32];
    bytes[0] = number.wrapping_mul(37).wrapping_add(11);
    PublicKey::from_bytes(bytes)
}

fn name(number: u8) -> crate::model::HostName {
    format!("h{number}").parse().unwrap()
}

fn peer_ref(number: u8) -> PeerRef {
    PeerRef { name: Some(name(number)), key: key(number) }
}

fn new_peer(number: u8, keepalive: u16) -> NewPeer {
    NewPeer {
        name: name(number),
        key: key(number),
        allowed_ips: [format!("10.9.0.{number}/32").parse().unwrap()].into(),
        endpoint: Some(format!("h{number}.example.com:51820").parse().unwrap()),
        keepalive: crate::model::Keepalive::new(keepalive),
        psk_epoch: Some(1),
    }
}

fn create(number: u8, peers: &[u8]) -> Change {
    Change::Create(NewInterface {
        interface: wg(0),
        backend: LiveBackend::Kernel,
        public_key: key(number),
        addresses: vec![format!("10.9.0.{number}/24").parse().unwrap()],
        listen_port: crate::model::Port::new(51820),
        mtu: crate::model::Mtu::DEFAULT,
        table: "auto".parse().unwrap(),
        fwmark: None,
        dns: Vec::new(),
        peers: peers.iter().map(|number| new_peer(*number, 0).into()).collect(),
    })
}

fn keepalive(peer: u8, from: Option<&str>, to: &str) -> Change {
    let (from, to) = (from.map(str::to_owned), Some(to.to_owned()));
    let fields = vec![FieldChange { field: PeerField::Keepalive, from, to }];
    Change::ChangePeer { interface: wg(0), peer: peer_ref(peer), fields }
}

fn file(action: FileAction, lines: &[&str]) -> Change {
    Change::File {
        path: HostPath::made("/etc/wireguard/wg0.conf"),
        action,
        fingerprint: Some(Fingerprint::from_bytes([7; 32])),
        diff: lines.iter().map(|line| DiffLine::new('+', line)).collect(),
        said: 3,
    }
}

fn hook(command: &str) -> Change {
    let command = Untrusted::new(command);
    Change::Hook { interface: wg(0), when: HookWhen::PostUp, command, comes: true, now: false }
}

fn host(number: u8, changes: Vec<Change>) -> HostPlan {
    HostPlan {
        host: name(number),
        ssh: format!("root@h{number}").parse().unwrap(),
        r#become: Become::Sudo,
        payload: None,
        target: None,
        state: HostState::Ready,
        disruption: crate::plan::Disruption::None,
        feels: crate::plan::Felt::default(),
        changes,
        drift: None,
        notes: Vec::new(),
    }
}

fn plan(hosts: Vec<HostPlan>) -> Plan {
    Plan::new("f".parse().unwrap(), hosts)
}

/// The text without its colours.
fn text(plan: &Plan, detail: Detail) -> String {
    anstream::adapter::strip_str(&human(plan, detail)).to_string()
}

fn others(of: u8, all: u8) -> impl Iterator<Item = u8> {
    (1..=all).filter(move |number| *number != of)
}

#[test]
fn one_keepalive_of_a_mesh_of_a_hundred_is_told_once() {
    let hosts = (1..=100).map(|number| {
        let mut changes: Vec<Change> =
            others(number, 100).map(|peer| keepalive(peer, None, "20")).collect();
        changes.push(file(FileAction::Update, &[]));
        host(number, changes)
    });
    let plan = plan(hosts.collect());
    insta::assert_snapshot!(text(&plan, Detail::Grouped), @r"
    all 100 hosts  disrupts nothing
      ~ wg0 persistent keepalive off → 20 on 9,900 peers: each other
      ~ file /etc/wireguard/wg0.conf

    Plan: 0 to add, 10,000 to change (9,900 peers, 100 files), 0 to remove, on 100 hosts.
    ");
    let each = text(&plan, Detail::Each);
    assert_eq!(each.matches("persistent keepalive off → 20\n").count(), 9_900);
}

#[test]
fn a_host_that_comes_or_goes_is_one_line_on_the_others() {
    let all = 12;
    let mut hosts: Vec<HostPlan> = (1..all)
        .map(|number| {
            let peer = new_peer(all, 0);
            let add = Change::AddPeer { interface: wg(0), peer, replaces: None };
            let gone = Change::RemovePeer { interface: wg(0), peer: peer_ref(99) };
            host(number, vec![add, gone, file(FileAction::Update, &[])])
        })
        .collect();
    let peers: Vec<u8> = others(all, all).collect();
    hosts.push(host(all, vec![create(all, &peers), file(FileAction::Create, &[])]));
    insta::assert_snapshot!(text(&plan(hosts), Detail::Grouped), @r"
    11 hosts: all but h12  disrupts nothing
      + wg0 peer h12 (xwwMDAwM…): allowed ips 10.9.0.12/32, endpoint h12.example.com:51820, preshared key of epoch 1
      - wg0 peer h99 (WmNjY2Nj…)
      ~ file /etc/wireguard/wg0.conf

    h12  disrupts nothing
      + interface wg0 (kernel), MTU 1420, UDP port 51820: 10.9.0.12/24, key xwwMDAwM…
      + wg0 peer h1 (MAEBAQEB…): allowed ips 10.9.0.1/32, endpoint h1.example.com:51820, preshared key of epoch 1
      + wg0 peer h2 (VQICAgIC…): allowed ips 10.9.0.2/32, endpoint h2.example.com:51820, preshared key of epoch 1
      + wg0 peer h3 (egMDAwMD…): allowed ips 10.9.0.3/32, endpoint h3.example.com:51820, preshared key of epoch 1
      + wg0 peer h4 (nwQEBAQE…): allowed ips 10.9.0.4/32, endpoint h4.example.com:51820, preshared key of epoch 1
      + wg0 peer h5 (xAUFBQUF…): allowed ips 10.9.0.5/32, endpoint h5.example.com:51820, preshared key of epoch 1
      + wg0 peer h6 (6QYGBgYG…): allowed ips 10.9.0.6/32, endpoint h6.example.com:51820, preshared key of epoch 1
      + wg0 peer h7 (DgcHBwcH…): allowed ips 10.9.0.7/32, endpoint h7.example.com:51820, preshared key of epoch 1
      + wg0 peer h8 (MwgICAgI…): allowed ips 10.9.0.8/32, endpoint h8.example.com:51820, preshared key of epoch 1
      + wg0 peer h9 (WAkJCQkJ…): allowed ips 10.9.0.9/32, endpoint h9.example.com:51820, preshared key of epoch 1
      + wg0 peer h10 (fQoKCgoK…): allowed ips 10.9.0.10/32, endpoint h10.example.com:51820, preshared key of epoch 1
      + wg0 peer h11 (ogsLCwsL…): allowed ips 10.9.0.11/32, endpoint h11.example.com:51820, preshared key of epoch 1
      + file /etc/wireguard/wg0.conf

    Plan: 24 to add (1 interface, 22 peers, 1 file), 11 to change (11 files), 11 to remove (11 peers), on 12 hosts.
    ");
}

#[test]
fn a_mesh_that_is_made_tells_each_peer_once() {
    let hosts = (1..=9).map(|number| {
        let peers: Vec<u8> = others(number, 9).collect();
        let unit = Change::Unit {
            unit: UnitName::made("wg-quick@wg0.service"),
            from: UnitState::default(),
            to: UnitState { enabled: true, active: true, masked: false },
        };
        host(number, vec![create(number, &peers), file(FileAction::Create, &[]), unit])
    });
    insta::assert_snapshot!(text(&plan(hosts.collect()), Detail::Grouped), @r"
    all 9 hosts  disrupts nothing
      + interface wg0 (kernel), MTU 1420, UDP port 51820
          h1: 10.9.0.1/24, key MAEBAQEB…
          h2: 10.9.0.2/24, key VQICAgIC…
          h3: 10.9.0.3/24, key egMDAwMD…
          h4: 10.9.0.4/24, key nwQEBAQE…
          h5: 10.9.0.5/24, key xAUFBQUF…
          h6: 10.9.0.6/24, key 6QYGBgYG…
          h7: 10.9.0.7/24, key DgcHBwcH…
          h8: 10.9.0.8/24, key MwgICAgI…
          h9: 10.9.0.9/24, key WAkJCQkJ…
      + wg0 peer h1 (MAEBAQEB…) on the others: allowed ips 10.9.0.1/32, endpoint h1.example.com:51820, preshared key of epoch 1
      + wg0 peer h2 (VQICAgIC…) on the others: allowed ips 10.9.0.2/32, endpoint h2.example.com:51820, preshared key of epoch 1
      + wg0 peer h3 (egMDAwMD…) on the others: allowed ips 10.9.0.3/32, endpoint h3.example.com:51820, preshared key of epoch 1
      + wg0 peer h4 (nwQEBAQE…) on the others: allowed ips 10.9.0.4/32, endpoint h4.example.com:51820, preshared key of epoch 1
      + wg0 peer h5 (xAUFBQUF…) on the others: allowed ips 10.9.0.5/32, endpoint h5.example.com:51820, preshared key of epoch 1
      + wg0 peer h6 (6QYGBgYG…) on the others: allowed ips 10.9.0.6/32, endpoint h6.example.com:51820, preshared key of epoch 1
      + wg0 peer h7 (DgcHBwcH…) on the others: allowed ips 10.9.0.7/32, endpoint h7.example.com:51820, preshared key of epoch 1
      + wg0 peer h8 (MwgICAgI…) on the others: allowed ips 10.9.0.8/32, endpoint h8.example.com:51820, preshared key of epoch 1
      + wg0 peer h9 (WAkJCQkJ…) on the others: allowed ips 10.9.0.9/32, endpoint h9.example.com:51820, preshared key of epoch 1
      + file /etc/wireguard/wg0.conf
      + unit wg-quick@wg0.service at boot, started

    Plan: 99 to add (9 interfaces, 72 peers, 9 files, 9 units), 0 to change, 0 to remove, on 9 hosts.
    ");
}

#[test]
fn what_runs_as_root_names_every_host_that_it_runs_on() {
    let hosts: Vec<HostPlan> = (1..=30)
        .map(|number| {
            let changes = match number {
                1..=20 => vec![hook("sysctl -w a=1"), keepalive(99, None, "20")],
                21 => vec![hook("sysctl -w a=2")],
                _ => vec![file(FileAction::Create, &["SaveConfig = true"])],
            };
            host(number, changes)
        })
        .collect();
    insta::assert_snapshot!(text(&plan(hosts), Detail::Grouped), @r"
    20 hosts: h1, h2, h3, h4, h5, h6, h7, h8, h9, h10, h11, h12, h13, h14, h15, h16, h17, h18, h19, h20  disrupts nothing
      + runs as root after wg0 comes up: sysctl -w a=1
      ~ wg0 peer h99 (WmNjY2Nj…): persistent keepalive off → 20

    9 hosts: h22, h23, h24, h25, h26, h27, h28, h29, h30  disrupts nothing
      + file /etc/wireguard/wg0.conf
          + SaveConfig = true

    h21  disrupts nothing
      + runs as root after wg0 comes up: sysctl -w a=2

    Plan: 30 to add (21 hooks, 9 files), 20 to change (20 peers), 0 to remove, on 30 hosts.
    ");
}

#[test]
fn what_is_not_done_is_never_told_with_what_is() {
    let mut hosts: Vec<HostPlan> =
        (1..=4).map(|number| host(number, vec![keepalive(9, None, "20")])).collect();
    let said = |text| Unanswered::Login { said: Untrusted::new(text) };
    hosts[0].state =
        HostState::Blocked(Obstacle::Unobserved { reason: said("it lacks ip(8)\u{202e}") });
    hosts[1].feels.routes = true;
    hosts.push(host(5, Vec::new()));
    hosts.push(host(6, Vec::new()));
    hosts[5].state = HostState::Unreadable(said("Connection\u{1b}[31m refused"));
    let mut plan = plan(hosts);
    plan.secrets = SecretState::NotCompared;
    let (kind, runs) = (OrphanKind::Host, Some(vec![wg(0)]));
    plan.orphans = vec![Orphan::new(kind, "h77".to_owned(), runs)];
    insta::assert_snapshot!(text(&plan, Detail::Grouped), @r"
    Private and preshared keys were not compared: the vault was not open. This plan cannot be applied.

    h1  blocked: ssh did not connect: it lacks ip(8)\u{202e}
      ~ wg0 peer h9 (WAkJCQkJ…): persistent keepalive off → 20

    h6  could not be read: ssh did not connect: Connection\u{1b}[31m refused
      its peers keep what the file gives it

    h2, h3, h4  what traffic feels is told below
      ~ wg0 peer h9 (WAkJCQkJ…): persistent keepalive off → 20

    h2  addresses or routes change: packets on their way may be lost

    h3, h4  disrupts nothing

    No longer in the inventory:
      host h77: wg0 still runs

    Plan: 0 to add, 3 to change (3 peers), 0 to remove, on 3 hosts; 1 host is up to date, 1 could not be read, 1 blocked.
    ");
}

/// It has nothing to change itself, and others restart what its packets go through.
#[test]
fn a_host_without_changes_tells_what_it_feels_of_others() {
    let elsewhere = crate::plan::Elsewhere {
        how: crate::plan::Disruption::Restart,
        hosts: 1,
        such_as: name(1),
    };
    let feels = crate::plan::Felt { elsewhere: Some(elsewhere), ..crate::plan::Felt::default() };
    let idle = |number| HostPlan { feels: feels.clone(), ..host(number, Vec::new()) };
    let plan =
        plan(vec![host(1, vec![keepalive(2, None, "20")]), idle(2), idle(3), host(4, vec![])]);
    for detail in [Detail::Grouped, Detail::Each] {
        let shown = text(&plan, detail);
        let words = "up to 10 s without traffic to h1, for the changes there\n";
        let expected = match detail {
            Detail::Grouped => format!("h2, h3  {words}"),
            Detail::Each => format!("h2  {words}\nh3  {words}"),
        };
        assert!(shown.contains(&expected) && !shown.contains("h4"), "{shown}");
    }
}

fn evil_field<F>(field: F, evil: &str) -> FieldChange<F> {
    FieldChange { field, from: Some(evil.to_owned()), to: Some(format!("{evil}, 10.0.0.1/32")) }
}

#[test]
fn hostile_text_of_a_saved_plan_is_escaped() {
    let evil = "\u{1b}]0;x\u{7}\n+ fake\u{202e}";
    let changes = vec![
        Change::PushHelper { machine: evil.to_owned(), digest: Fingerprint::from_bytes([1; 32]) },
        Change::File {
            path: HostPath::made("/+ fake"), // which can hold nothing worse
            action: FileAction::Remove,
            fingerprint: None,
            diff: vec![DiffLine { sign: '\u{1b}', text: Untrusted::new(evil) }],
            said: 0,
        },
        hook(evil),
        Change::Restart { interface: wg(0), backend: LiveBackend::Kernel, reason: evil.to_owned() },
        Change::Device { interface: wg(0), fields: vec![evil_field(DeviceField::Mtu, evil)] },
        Change::ChangePeer {
            interface: wg(0),
            peer: peer_ref(9),
            fields: vec![evil_field(PeerField::AllowedIps, evil)],
        },
        Change::Unit {
            unit: UnitName::made("fake.service"),
            from: UnitState::default(),
            to: UnitState { enabled: true, active: false, masked: false },
        },
    ];
    let mut host = host(1, changes);
    host.notes.push(evil.to_owned());
    let Change::Create(mut new) = create(2, &[]) else { unreachable!() };
    new.dns = vec![evil.to_owned()];
    host.changes.push(Change::Create(new));
    let mut plan = plan(vec![host]);
    let kind = OrphanKind::Network;
    plan.orphans = vec![Orphan::new(kind, evil.to_owned(), None)];
    for detail in [Detail::Grouped, Detail::Each] {
        let coloured = human(&plan, detail);
        let text = text(&plan, detail);
        assert!(!text.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{text:?}");
        assert!(!text.lines().any(|line| line.starts_with("+ fake")), "{text}");
        assert!(!coloured.contains("\u{1b}]"), "{coloured:?}");
    }
}

/// A host that the file names twice, and one that has itself for a peer: a plan that nobody made.
#[test]
fn a_twisted_plan_hides_nothing() {
    let add =
        |number| Change::AddPeer { interface: wg(0), peer: new_peer(number, 0), replaces: None };
    let hosts = vec![
        host(1, vec![add(1), add(2), keepalive(1, None, "20"), keepalive(2, None, "20")]),
        host(2, vec![add(1), add(2), add(2), keepalive(1, None, "20")]),
        host(1, vec![add(2), keepalive(2, None, "20"), keepalive(2, None, "20")]),
        host(3, vec![add(1), add(2), keepalive(1, None, "20"), keepalive(2, None, "20")]),
    ];
    let plan = plan(hosts);
    assert_eq!(say::expanded(&plan), say::reference(&plan));
}

fn change() -> impl Strategy<Value = Change> {
    let value = || proptest::option::of(prop_oneof![Just("20".to_owned()), Just("25".to_owned())]);
    let nets = || {
        let net = (1..3_u8).prop_map(|n| format!("10.0.{n}.0/24"));
        proptest::collection::btree_set(net, 1..3)
            .prop_map(|nets| Some(nets.into_iter().collect::<Vec<_>>().join(", ")))
    };
    let keepalive = (value(), value()).prop_map(|(from, to)| FieldChange {
        field: PeerField::Keepalive,
        from,
        to,
    });
    let allowed = (nets(), nets()).prop_map(|(from, to)| FieldChange {
        field: PeerField::AllowedIps,
        from,
        to,
    });
    let fields = proptest::collection::vec(prop_oneof![3 => keepalive, 1 => allowed], 1..3);
    let peer = || {
        (1..8_u8, any::<bool>()).prop_map(|(number, named)| {
            // Some keys nobody knows.
            let known = named || number < 6;
            PeerRef { name: known.then(|| name(number)), key: key(number) }
        })
    };
    let action = prop_oneof![Just(FileAction::Create), Just(FileAction::Update)];
    let lines = prop_oneof![
        Just(vec![]),
        Just(vec!["SaveConfig = true"]),
        Just(vec!["SaveConfig = true", "Table = off"])
    ];
    prop_oneof![
        6 => (0..2_u8, peer(), fields).prop_map(|(number, peer, fields)| {
            Change::ChangePeer { interface: wg(number), peer, fields }
        }),
        3 => (0..2_u8, peer())
            .prop_map(|(number, peer)| Change::RemovePeer { interface: wg(number), peer }),
        3 => (0..2_u8, 1..8_u8, 0..2_u16, any::<bool>()).prop_map(|(at, number, alive, new)| {
            let replaces = new.then(|| key(200));
            Change::AddPeer { interface: wg(at), peer: new_peer(number, alive * 20), replaces }
        }),
        2 => (1..4_u8, proptest::collection::btree_set(1..8_u8, 0..6))
            .prop_map(|(number, peers)| create(number, &peers.into_iter().collect::<Vec<_>>())),
        1 => (action, lines).prop_map(|(action, lines)| file(action, &lines)),
        1 => prop_oneof![Just("true"), Just("false")].prop_map(hook),
        1 => (0..3_u8, any::<bool>()).prop_map(|(n, add)| {
            let (interface, table) = (wg(0), 254);
            let prefix = format!("10.1.{n}.0/24").parse().unwrap();
            if add {
                Change::AddRoute { interface, table, prefix }
            } else {
                Change::RemoveRoute { interface, table, prefix }
            }
        }),
        1 => any::<bool>().prop_map(|on| {
            Change::Forward { family: Family::V4, on, accept_ra: Vec::new() }
        }),
        1 => Just(Change::Delete { interface: wg(3) }),
    ]
}

fn any_plan(most: u8) -> impl Strategy<Value = Plan> {
    let state = prop_oneof![
        6 => Just(HostState::Ready),
        1 => Just(HostState::Blocked(Obstacle::NoIp)),
        1 => Just(HostState::Blocked(Obstacle::NoNft)),
    ];
    let one = (proptest::collection::vec(any::<proptest::sample::Index>(), 0..12), state);
    // Few different changes, so that many are alike.
    (proptest::collection::vec(change(), 1..14), proptest::collection::vec(one, 1..most.into()))
        .prop_map(|(pool, hosts)| {
            let hosts = (1..).zip(hosts).map(|(number, (picked, state))| {
                let changes = picked.iter().map(|index| index.get(&pool).clone()).collect();
                HostPlan { state, ..host(number, changes) }
            });
            plan(hosts.collect())
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    /// Up to eight hosts are named, so the text alone says everything.
    #[test]
    fn the_text_taken_apart_is_the_plan(plan in any_plan(8)) {
        for detail in [Detail::Grouped, Detail::Each] {
            let shown = text(&plan, detail);
            prop_assert_eq!(say::parsed(&shown), say::reference(&plan), "{}", shown);
        }
    }

    #[test]
    fn the_groups_taken_apart_are_the_plan(plan in any_plan(20)) {
        prop_assert_eq!(say::expanded(&plan), say::reference(&plan));
    }
}
