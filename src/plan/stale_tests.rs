//! What of a saved plan moved, in words.

use std::sync::Arc;

use super::*;
use crate::finding::FlowEnd;
use crate::model::{Become, Fingerprint, HostPath, InterfaceName};
use crate::observed::Unanswered;
use crate::plan::{Disruption, Felt, FileAction, HookWhen, NewPeer, PeerRef};

fn wg0() -> InterfaceName {
    "wg0".parse().unwrap()
}

fn digest(byte: u8) -> Fingerprint {
    Fingerprint::from_bytes([byte; 32])
}

fn peer(allowed: &str) -> NewPeer {
    NewPeer {
        name: "h3".parse().unwrap(),
        key: PublicKey::from_bytes([7; 32]),
        allowed_ips: [allowed.parse().unwrap()].into(),
        endpoint: None,
        keepalive: None,
        psk_epoch: None,
    }
}

fn create() -> NewInterface {
    NewInterface {
        interface: wg0(),
        backend: crate::observed::LiveBackend::Kernel,
        public_key: PublicKey::from_bytes([1; 32]),
        addresses: vec!["10.9.0.1/24".parse().unwrap()],
        listen_port: None,
        mtu: crate::model::Mtu::DEFAULT,
        table: crate::model::RouteTable::Auto,
        fwmark: None,
        dns: Vec::new(),
        peers: vec![Arc::new(peer("10.9.0.3/32"))],
    }
}

fn file(byte: u8) -> Change {
    Change::File {
        path: HostPath::made("/etc/wireguard/wg0.conf"),
        action: FileAction::Update,
        fingerprint: Some(digest(byte)),
        diff: Vec::new(),
        said: 0,
    }
}

fn change(field: PeerField, from: &str, to: &str) -> Change {
    let (from, to) = (Some(from.to_owned()), Some(to.to_owned()));
    Change::ChangePeer {
        interface: wg0(),
        peer: PeerRef { name: "h3".parse().ok(), key: PublicKey::from_bytes([7; 32]) },
        fields: vec![FieldChange { field, from, to }],
    }
}

fn host(name: &str, state: HostState, changes: Vec<Change>) -> HostPlan {
    HostPlan {
        host: name.parse().unwrap(),
        ssh: name.parse().unwrap(),
        r#become: Become::Auto,
        payload: Some(digest(2)),
        target: Some(digest(3)),
        state,
        disruption: Disruption::None,
        feels: Felt::default(),
        changes,
        drift: None,
        notes: Vec::new(),
    }
}

fn unread(reason: &str) -> HostState {
    HostState::Unreadable(Unanswered::Login { said: Untrusted::new(reason) })
}

/// One host that changes, and one that could not be read.
fn plan(edit: impl Fn(&mut Plan)) -> Plan {
    let changes = vec![file(4), change(PeerField::Keepalive, "off", "20")];
    let mut hosts = vec![host("b7", HostState::Ready, changes)];
    hosts.push(host("c1", unread("Connection refused"), Vec::new()));
    let mut plan = Plan::new("acme".parse().unwrap(), hosts);
    edit(&mut plan);
    plan
}

fn now(edit: impl Fn(&mut Plan)) -> Vec<String> {
    moved(&plan(|_| ()), &plan(edit))
}

#[test]
fn what_moved_is_named_with_its_host() {
    let edits: [fn(&mut Plan); 15] = [
        |plan| plan.fleet = "other".parse().unwrap(),
        |plan| plan.hosts[0].ssh = "root@198.51.100.1".parse().unwrap(),
        |plan| plan.hosts[0].r#become = Become::Sudo,
        |plan| plan.hosts[0].changes[0] = file(5),
        |plan| plan.hosts[0].payload = Some(digest(9)),
        |plan| plan.hosts[0].changes[1] = change(PeerField::Keepalive, "off", "25"),
        |plan| plan.hosts[0].changes[1] = change(PeerField::Keepalive, "9", "20"),
        |plan| plan.hosts[0].changes[1] = change(PeerField::AllowedIps, "a", "b"),
        |plan| drop(plan.hosts[0].changes.remove(1)),
        |plan| plan.hosts[0].changes.push(Change::Delete { interface: wg0() }),
        |plan| {
            plan.hosts[0].changes.push(Change::Hook {
                interface: wg0(),
                when: HookWhen::PostUp,
                command: Untrusted::new("touch /root/\u{202e}x"),
                comes: true,
                now: true,
            });
        },
        |plan| plan.hosts[0].state = HostState::Blocked(Obstacle::NoNft),
        |plan| drop(plan.hosts.remove(0)),
        |plan| plan.hosts.push(host("d2", HostState::Ready, Vec::new())),
        |plan| {
            plan.hosts[0].changes.clear();
            plan.hosts[0].target = Some(digest(8));
        },
    ];
    let lines: Vec<String> = edits.iter().map(|edit| now(edit).join(" | ")).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn a_new_interface_says_which_of_its_settings_moved() {
    let with =
        |new: NewInterface| plan(|plan| plan.hosts[0].changes = vec![Change::Create(new.clone())]);
    let saved = with(create());
    let said = |new: NewInterface| moved(&saved, &with(new)).join(" | ");
    assert_eq!(said(create()), "");
    assert_eq!(
        said(NewInterface { mtu: crate::model::Mtu::new(1300).unwrap(), ..create() }),
        "b7: interface wg0 would get other MTU than the plan's"
    );
    assert_eq!(
        said(NewInterface { peers: vec![Arc::new(peer("0.0.0.0/0"))], ..create() }),
        "b7: interface wg0 would get other settings of peers than the plan's"
    );
}

#[test]
fn what_moves_by_itself_is_the_same() {
    assert_eq!(now(|_| ()), [] as [&str; 0]);
    assert_eq!(now(|plan| plan.hosts[1].state = unread("timed out")), [] as [&str; 0]);
    assert_eq!(now(|plan| plan.hosts[0].notes.push("a note".to_owned())), [] as [&str; 0]);
    assert_eq!(now(|plan| plan.hosts[0].disruption = Disruption::Flows), [] as [&str; 0]);
    // A peer was heard meanwhile, or from elsewhere.
    let roamed = change(PeerField::Endpoint, "192.0.2.1:1", "b.example.com:51820");
    assert_eq!(now(|plan| plan.hosts[0].changes.push(roamed.clone())), [] as [&str; 0]);
    let saved = plan(|plan| plan.hosts[0].changes.push(roamed.clone()));
    assert_eq!(moved(&saved, &plan(|_| ())), [] as [&str; 0]);
}

#[test]
fn what_is_carried_out_already_is_no_change() {
    let done = |plan: &mut Plan| plan.hosts[0].changes.clear();
    assert_eq!(now(done), [] as [&str; 0]);
    // Nobody knows what a plan without its target leads to.
    let saved = plan(|plan| plan.hosts[0].target = None);
    let lines = moved(
        &saved,
        &plan(|plan| {
            done(plan);
            plan.hosts[0].target = None;
        }),
    );
    assert_eq!(lines, ["b7: it has nothing left to change, but not what the plan leads to"]);
}

#[test]
fn a_host_that_is_down_or_was_makes_no_plan_stale() {
    assert_eq!(now(|plan| plan.hosts[0].state = unread("timed out")), [] as [&str; 0]);
    let changes = vec![file(4)];
    let back = |plan: &mut Plan| {
        plan.hosts[1] = host("c1", HostState::Ready, changes.clone());
    };
    assert_eq!(now(back), [] as [&str; 0]);
    // But nobody has seen what would be done to it.
    let mut left = plan(back);
    leave_out(&plan(|_| ()), &mut left);
    assert!(left.hosts[0].can_apply() && !left.hosts[1].can_apply());
    assert_eq!(left.hosts[1].state, HostState::Blocked(Obstacle::UnreadWhenPlanned));
    let moved_on = now(|plan| {
        plan.hosts[0].state = unread("timed out");
        plan.hosts[0].ssh = "elsewhere".parse().unwrap();
    });
    assert_eq!(moved_on, ["b7: its ssh target is now elsewhere, and the plan has b7"]);
}

#[test]
fn a_host_that_has_nothing_to_do_and_another_target_is_another() {
    let idle = |target: u8| {
        plan(|plan| {
            plan.hosts[0].changes.clear();
            plan.hosts[0].target = Some(digest(target));
        })
    };
    assert_eq!(moved(&idle(3), &idle(3)), [] as [&str; 0]);
    assert_eq!(
        moved(&idle(3), &idle(4)),
        ["b7: the file gives it something else than when the plan was made"]
    );
}

#[test]
fn a_plan_that_was_saved_is_not_stale_for_its_form() {
    let plan = plan(|plan| {
        plan.hosts[0].changes.push(Change::Hook {
            interface: wg0(),
            when: HookWhen::PreDown,
            command: Untrusted::new("echo \u{202e}"),
            comes: false,
            now: true,
        });
    });
    let saved = Plan::from_json(&plan.to_saved(None).unwrap()).unwrap();
    assert_eq!(moved(&saved, &plan), [] as [&str; 0]);
}

#[test]
fn a_blocked_host_to_which_nothing_is_done_is_the_same() {
    let (no_ip, no_nft) = (HostState::Blocked(Obstacle::NoIp), HostState::Blocked(Obstacle::NoNft));
    let with = |state: HostState, idle: bool| {
        plan(|plan| {
            plan.hosts[0].state = state.clone();
            if idle {
                plan.hosts[0].changes.clear();
            }
        })
    };
    let none = [] as [&str; 0];
    assert_eq!(moved(&with(no_ip.clone(), false), &with(no_nft, false)), none);
    assert_eq!(moved(&with(no_ip.clone(), false), &with(HostState::Ready, true)), none);
    assert_eq!(moved(&with(HostState::Ready, true), &with(no_ip.clone(), true)), none);
    // It is left out.
    assert_eq!(moved(&with(no_ip.clone(), false), &with(HostState::Ready, false)), none);
    let mut left = with(HostState::Ready, false);
    leave_out(&with(no_ip.clone(), false), &mut left);
    assert!(!left.hosts[0].can_apply());
}

#[test]
fn more_lost_flows_than_were_reviewed_are_named() {
    let row = |from: &str, to: &str| crate::check::Moved {
        from: FlowEnd::Host { host: from.parse().unwrap() },
        to: FlowEnd::Host { host: to.parse().unwrap() },
        pairs: 1,
        flows: 1,
        witness: crate::finding::Witness {
            source: "10.9.0.1".parse().unwrap(),
            destination: "10.9.0.2".parse().unwrap(),
        },
        reason: None,
    };
    let with = |lost: &[(&str, &str)]| {
        let lost = lost.iter().map(|(from, to)| row(from, to)).collect();
        let difference = crate::check::Difference { lost, ..crate::check::Difference::default() };
        plan(|plan| plan.reachability = Some(difference.clone()))
    };
    let (one, two) = (with(&[("a", "b")]), with(&[("a", "b"), ("b", "a")]));
    assert_eq!(moved(&one, &two), ["flows from `b` to `a` would cease to work as well"]);
    assert_eq!(moved(&two, &one), [] as [&str; 0]);
}
