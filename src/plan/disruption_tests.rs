//! What each kind of change is felt as.

use std::collections::BTreeMap;

use super::*;
use crate::model::Family;
use crate::observed::{LiveBackend, ObservedInterface, ObservedPeer, ObservedPsk};
use crate::plan::NewPeer;

fn key(number: u8) -> PublicKey {
    PublicKey::from_bytes([number; 32])
}

fn peer(number: u8) -> PeerRef {
    PeerRef { name: format!("h{number}").parse().ok(), key: key(number) }
}

fn wg0() -> InterfaceName {
    "wg0".parse().unwrap()
}

/// A spoke that has a hub, number 1, for a peer.
fn observed() -> ObservedHost {
    let hub = ObservedPeer {
        psk: ObservedPsk::None,
        endpoint: None,
        allowed_ips: ["10.9.0.0/24".parse().unwrap()].into(),
        latest_handshake: 0,
        received: 0,
        sent: 0,
        keepalive: None,
    };
    let live = ObservedInterface {
        backend: LiveBackend::Kernel,
        up: true,
        mtu: 1420,
        public_key: Some(key(9)),
        listen_port: 51820,
        fwmark: 0,
        addresses: ["10.9.0.2/24".parse().unwrap()].into(),
        routes: BTreeSet::new(),
        unrouted: BTreeSet::new(),
        unruled: BTreeSet::new(),
        peers: BTreeMap::from([(key(1), hub)]),
    };
    ObservedHost { interfaces: [(wg0(), live)].into(), ..ObservedHost::default() }
}

fn fields<F>(field: F) -> Vec<FieldChange<F>> {
    vec![FieldChange { field, from: None, to: Some("1".to_owned()) }]
}

fn add(number: u8, nets: &str, replaces: Option<PublicKey>) -> Change {
    let peer = NewPeer {
        name: format!("h{number}").parse().unwrap(),
        key: key(number),
        allowed_ips: nets.split(", ").map(|net| net.parse().unwrap()).collect(),
        endpoint: None,
        keepalive: None,
        psk_epoch: None,
    };
    Change::AddPeer { interface: wg0(), peer, replaces }
}

fn worst(changes: &[Change]) -> Disruption {
    Felt::of(changes, &observed()).worst()
}

#[test]
fn each_change_is_felt_as_what_it_is() {
    let interface = wg0;
    let address = "10.9.0.2/24".parse().unwrap();
    let device = |field| Change::Device { interface: interface(), fields: fields(field) };
    let change =
        |field| Change::ChangePeer { interface: interface(), peer: peer(1), fields: fields(field) };
    let moves = |from: Option<&str>, to: &str| Change::ChangePeer {
        interface: interface(),
        peer: peer(2),
        fields: vec![FieldChange {
            field: PeerField::AllowedIps,
            from: from.map(str::to_owned),
            to: Some(to.to_owned()),
        }],
    };
    let restart = Change::Restart {
        interface: interface(),
        backend: LiveBackend::Kernel,
        reason: "hooks".to_owned(),
    };
    for (change, expected) in [
        (device(DeviceField::Mtu), Disruption::None),
        (device(DeviceField::ListenPort), Disruption::Handshake),
        (device(DeviceField::PublicKey), Disruption::Handshake),
        (change(PeerField::Keepalive), Disruption::None),
        (change(PeerField::PresharedKey), Disruption::Handshake),
        // A peer that nobody's packets go to yet.
        (add(2, "10.50.0.0/24", None), Disruption::None),
        // From a hub to a mesh: what the hub carried waits for the new session.
        (add(2, "10.50.0.0/24, 10.9.0.3/32", None), Disruption::Handshake),
        (add(2, "10.50.0.0/24", Some(key(3))), Disruption::Handshake),
        (device(DeviceField::FwMark), Disruption::Routes),
        (moves(None, "10.50.0.0/24"), Disruption::None),
        // What the hub carried, to a peer that was not heard yet, and to the hub from nowhere.
        (moves(None, "10.9.0.3/32"), Disruption::Handshake),
        (moves(Some("10.9.0.3/32, 10.9.0.4/32"), "10.9.0.4/32"), Disruption::Routes),
        (Change::RemovePeer { interface: interface(), peer: peer(1) }, Disruption::Session),
        (Change::AddAddress { interface: interface(), address }, Disruption::None),
        (Change::RemoveAddress { interface: interface(), address }, Disruption::Routes),
        (
            Change::RemoveRoute { interface: interface(), table: 254, prefix: address.trunc() },
            Disruption::Routes,
        ),
        (Change::Forward { family: Family::V4, on: true, accept_ra: vec![] }, Disruption::None),
        (Change::Forward { family: Family::V4, on: false, accept_ra: vec![] }, Disruption::Routes),
        (Change::Firewall { table: "wgfleet-a".to_owned(), digest: None }, Disruption::Routes),
        (restart, Disruption::Restart),
        (Change::Delete { interface: interface() }, Disruption::Restart),
    ] {
        assert_eq!(worst(std::slice::from_ref(&change)), expected, "{change:?}");
    }
    assert_eq!(worst(&[]), Disruption::None);
}

#[test]
fn a_key_in_anothers_place_ends_no_session() {
    let changes = [
        add(2, "10.9.0.3/32", Some(key(1))),
        Change::RemovePeer { interface: wg0(), peer: PeerRef { name: None, key: key(1) } },
    ];
    let felt = Felt::of(&changes, &observed());
    assert_eq!((felt.worst(), felt.ends), (Disruption::Handshake, Vec::new()));
}

#[test]
fn flows_that_cease_are_worse_than_all() {
    let felt = Felt { flows: 8, ..Felt::of(&[], &observed()) };
    assert_eq!(felt.worst(), Disruption::Flows);
    let words: Vec<_> = [
        Disruption::None,
        Disruption::Routes,
        Disruption::Handshake,
        Disruption::Session,
        Disruption::Restart,
        Disruption::Flows,
    ]
    .iter()
    .map(|word| serde_json::to_value(word).unwrap())
    .collect();
    assert_eq!(words, ["none", "routes", "handshake", "session", "restart", "flows"]);
}
