//! A plan as JSON and back, and what is no plan.

use std::sync::Arc;

use serde_json::Value;

use super::*;
use crate::model::{Become, Fingerprint, HostPath, Untrusted};
use crate::plan::{DiffLine, Disruption, Felt, FileAction, HookWhen, NewInterface};

fn peer(name: &str) -> Arc<NewPeer> {
    Arc::new(NewPeer {
        name: name.parse().unwrap(),
        key: crate::model::PublicKey::from_bytes([7; 32]),
        allowed_ips: ["10.9.0.2/32".parse().unwrap()].into(),
        endpoint: Some("b.example.com:51820".parse().unwrap()),
        keepalive: None,
        psk_epoch: Some(1),
    })
}

fn create(peers: Vec<Arc<NewPeer>>) -> Change {
    Change::Create(NewInterface {
        interface: "wg0".parse().unwrap(),
        backend: crate::observed::LiveBackend::Kernel,
        public_key: crate::model::PublicKey::from_bytes([1; 32]),
        addresses: vec!["10.9.0.1/24".parse().unwrap()],
        listen_port: crate::model::Port::new(51820),
        mtu: crate::model::Mtu::DEFAULT,
        table: "77".parse().unwrap(),
        fwmark: Some(crate::model::FwMark(0x20)),
        dns: vec!["10.9.0.53".to_owned()],
        peers,
    })
}

fn host(name: &str, state: HostState, changes: Vec<Change>) -> HostPlan {
    HostPlan {
        host: name.parse().unwrap(),
        ssh: format!("root@{name}").parse().unwrap(),
        r#become: Become::Sudo,
        payload: Some(Fingerprint::from_bytes([2; 32])),
        target: Some(Fingerprint::from_bytes([3; 32])),
        state,
        disruption: Disruption::None,
        feels: Felt::default(),
        changes,
        drift: None,
        notes: vec!["a note".to_owned()],
    }
}

fn plan() -> Plan {
    let change = Change::ChangePeer {
        interface: "wg0".parse().unwrap(),
        peer: PeerRef { name: None, key: crate::model::PublicKey::from_bytes([9; 32]) },
        fields: vec![crate::plan::FieldChange {
            field: PeerField::Keepalive,
            from: None,
            to: Some("20".to_owned()),
        }],
    };
    let hook = Change::Hook {
        interface: "wg0".parse().unwrap(),
        when: HookWhen::PostUp,
        command: crate::model::Untrusted::new("true"),
        comes: true,
        now: true,
    };
    let file = Change::File {
        path: HostPath::made("/etc/wireguard/wg0.conf"),
        action: FileAction::Create,
        fingerprint: Some(Fingerprint::from_bytes([4; 32])),
        diff: vec![DiffLine::new('+', "SaveConfig = true")],
        said: 12,
    };
    let refused = Unanswered::Login { said: Untrusted::new("Connection refused") };
    Plan::new(
        "f".parse().unwrap(),
        vec![
            host("a", HostState::Ready, vec![create(vec![peer("b"), peer("c")]), hook, file]),
            host("b", HostState::Ready, vec![create(vec![peer("c")]), change]),
            host("c", HostState::Unreadable(refused), vec![]),
        ],
    )
}

#[test]
fn a_plan_survives_its_json() {
    let plan = plan();
    let bytes = plan.to_json().unwrap();
    assert_eq!(Plan::from_json(&bytes).unwrap(), plan);
    let value: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(value["peers"].as_array().unwrap().len(), 2, "each once");
    assert_eq!(value["hosts"][0]["changes"][0]["peers"], serde_json::json!([0, 1]));
    assert_eq!(value["hosts"][1]["changes"][0]["peers"], serde_json::json!([1]));
    insta::assert_snapshot!(serde_json::to_string_pretty(&value).unwrap());
}

#[test]
fn the_words_of_a_failed_login_are_not_saved() {
    let saved = plan().to_saved(None).unwrap();
    assert!(!String::from_utf8(saved.clone()).unwrap().contains("Connection"));
    let read = Plan::from_json(&saved).unwrap();
    assert_eq!(read.hosts[2].state, HostState::Unreadable(Unanswered::NotTold));
    assert!(String::from_utf8(plan().to_json().unwrap()).unwrap().contains("Connection refused"));
}

/// The same change in a mesh, on every host for every other: it is written once for each peer.
#[test]
fn a_change_of_a_whole_mesh_is_small() {
    let field = |field, from: &str| crate::plan::FieldChange {
        field,
        from: Some(from.to_owned()),
        to: Some("the vault's".to_owned()),
    };
    let change = |peer: u8, from| Change::ChangePeer {
        interface: "wg0".parse().unwrap(),
        peer: PeerRef { name: None, key: PublicKey::from_bytes([peer; 32]) },
        fields: vec![field(PeerField::PresharedKey, from)],
    };
    let changes = |from: u8| (from..from + 100).map(|peer| change(peer, "another")).collect();
    let mut hosts: Vec<_> = (0..100)
        .map(|number| host(&format!("h{number}"), HostState::Ready, changes(number)))
        .collect();
    // Other interfaces and other values stand between them, in their order.
    let other = Change::Delete { interface: "wg1".parse().unwrap() };
    let restart = Change::ChangePeer {
        interface: "wg2".parse().unwrap(),
        peer: PeerRef { name: None, key: PublicKey::from_bytes([1; 32]) },
        fields: Vec::new(),
    };
    hosts[7].changes.insert(50, other);
    hosts[8].changes.insert(50, restart);
    hosts[9].changes.insert(50, change(3, "none that is known"));
    let plan = Plan::new("f".parse().unwrap(), hosts);
    let bytes = plan.to_saved(None).unwrap();
    assert!(bytes.len() < 150_000, "{}", bytes.len());
    assert_eq!(Plan::from_json(&bytes).unwrap(), plan);
    assert_eq!(Plan::from_json(&bytes).unwrap().to_saved(None).unwrap(), bytes);
}

#[test]
fn what_is_no_plan_is_said_and_never_quoted() {
    let said = |text: &str| Plan::from_json(text.as_bytes()).unwrap_err().to_string();
    insta::assert_snapshot!(
        [
            said(""),
            said("AGE-SECRET-KEY-1"),
            said("{AGE-SECRET-KEY-1}"),
            said("[1]"),
            said("{}"),
            said(r#"{"version": 1, "fleet": "f", "hosts": []}"#),
            said(r#"{"version": "AGE-SECRET-KEY-1"}"#),
            said(r#"{"kind": "plan", "version": 5, "fleet": "AGE SECRET KEY"}"#),
            said(r#"{"kind": "plan", "version": 5}"#),
            said(r#"{"kind": "plan", "version": 5, "fleet": "f", "secrets": "AGE-SECRET-KEY-1"}"#),
            said(r#"{"kind": "plan", "version": 5, "AGE-SECRET-KEY-1": 3, "fleet": "f", "hosts": [{"#),
        ]
        .join("\n"),
        @r#"
    it is not a JSON object (line 1, column 1)
    it is not a JSON object (line 1, column 1)
    it is not JSON (line 1, column 2)
    it is not a JSON object (line 1, column 1)
    it is JSON, but no plan: missing field `version` (line 1, column 2)
    it is a plan of version 1, and this wgfleet reads version 5
    it is JSON, but no plan: a value that no plan has there (line 1, column 30)
    it is JSON, but no plan: a value that no plan has there (line 1, column 57)
    it is JSON, but no plan: missing field `fleet` (line 1, column 30)
    it is JSON, but no plan: a value that no plan has there (line 1, column 74)
    it is cut off (line 1, column 79)
    "#
    );
}

#[test]
fn a_damaged_plan_never_panics() {
    let bytes = plan().to_json().unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let changes = "\"peer_changes\":[0]";
    for (from, to) in [
        ("\"peers\":[0,1]", "\"peers\":[0,2]"),
        ("\"peers\":[1]", "\"peers\":[-1]"),
        (changes, "\"peer_changes\":[1]"),
        (changes, "\"peer_changes\":[0],\"more\":1"),
    ] {
        let damaged = text.replace(from, to);
        assert_ne!(damaged, text);
        let error = Plan::from_json(damaged.as_bytes()).unwrap_err();
        assert!(matches!(error, FormError::Shape { .. }), "{error}");
    }
    let inline = text.replace("\"peers\":[0,1]", "\"peers\":[{}]");
    assert!(Plan::from_json(inline.as_bytes()).is_err());
    for end in 0..text.len() {
        let _ = Plan::from_json(&text.as_bytes()[..end]);
        let mut flipped = text.clone().into_bytes();
        flipped[end] ^= 1;
        let _ = Plan::from_json(&flipped);
    }
}

/// The first of them was looked at for whether it may be changed, the last one for what is done.
#[test]
fn what_is_there_twice_is_no_plan() {
    let twice = |hosts: bool| {
        let mut value: Value = serde_json::from_slice(&plan().to_saved(None).unwrap()).unwrap();
        let list =
            if hosts { &mut value["hosts"] } else { &mut value["peer_changes"][0]["fields"] };
        let one = list[0].clone();
        list.as_array_mut().unwrap().push(one);
        Plan::from_json(value.to_string().as_bytes()).unwrap_err().to_string()
    };
    for error in [twice(true), twice(false)] {
        assert!(error.contains("is there twice"), "{error}");
    }
}
