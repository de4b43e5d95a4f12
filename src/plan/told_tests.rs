//! What is left of a file's difference beside the changes that say the rest.

use super::*;
use crate::model::{HostName, Untrusted};
use crate::plan::PeerRef;

const A: &str = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";
const B: &str = "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=";

fn wg0() -> InterfaceName {
    "wg0".parse().unwrap()
}

fn name() -> HostName {
    "b".parse().unwrap()
}

fn peer(key: &str) -> PeerRef {
    PeerRef { name: Some(name()), key: key.parse().unwrap() }
}

fn changed(key: &str, field: PeerField, from: Option<&str>, to: Option<&str>) -> Change {
    let (from, to) = (from.map(str::to_owned), to.map(str::to_owned));
    Change::ChangePeer {
        interface: wg0(),
        peer: peer(key),
        fields: vec![FieldChange { field, from, to }],
    }
}

fn added(keepalive: u16) -> Change {
    let peer = NewPeer {
        name: name(),
        key: B.parse().unwrap(),
        allowed_ips: ["10.9.0.2/32", "fd09::2/128"].map(|net| net.parse().unwrap()).into(),
        endpoint: Some("b.example.com:51820".parse().unwrap()),
        keepalive: crate::model::Keepalive::new(keepalive),
        psk_epoch: Some(1),
    };
    Change::AddPeer { interface: wg0(), peer, replaces: None }
}

/// The lines that the changes do not tell.
fn untold(changes: &[Change], text: &str, side: Side) -> Vec<String> {
    let told = Told::of(&wg0(), changes).lines(text, side);
    let lines = text.lines().zip(told).filter(|(_, told)| !told);
    lines.map(|(line, _)| line.to_owned()).collect()
}

fn section(key: &str, more: &str) -> String {
    format!(
        "\n# b\n[Peer]\nPublicKey = {key}\nPresharedKey = (hidden)\nAllowedIPs = 10.9.0.2/32, \
         fd09::2/128\nEndpoint = b.example.com:51820\n{more}"
    )
}

#[test]
fn a_setting_is_told_of_its_own_peer_only() {
    let changes = [changed(A, PeerField::Keepalive, None, Some("20"))];
    let line = "PersistentKeepalive = 20\n";
    let text = format!("{}{}", section(A, line), section(B, line));
    let left = untold(&changes, &text, Side::New);
    assert_eq!(left.iter().filter(|left| *left == "PersistentKeepalive = 20").count(), 1);
    assert!(left.last().unwrap().starts_with("PersistentKeepalive"), "that of the other");
    // Another value is shown.
    let other = section(A, "PersistentKeepalive = 21\n");
    assert!(untold(&changes, &other, Side::New).contains(&"PersistentKeepalive = 21".to_owned()));
    // So is one with something behind it, and what stands there twice.
    let behind = section(A, "PersistentKeepalive = 20 # x\n");
    assert_eq!(untold(&changes, &behind, Side::New).len(), 7);
    let twice = section(A, &format!("{line}{line}"));
    assert_eq!(untold(&changes, &twice, Side::New).len(), 8);
    let both = format!("{0}{0}", section(A, line));
    assert_eq!(untold(&changes, &both, Side::New).len(), 14);
    // The value that was there goes with it.
    assert_eq!(untold(&changes, &section(A, line), Side::Old).len(), 6);
}

#[test]
fn a_peer_that_comes_is_told_where_the_file_says_the_same_of_it() {
    let whole = section(B, "PersistentKeepalive = 25\n# preshared keys: epoch 1\n");
    assert_eq!(untold(&[added(25)], &whole, Side::New), [] as [&str; 0]);
    // A file that says more, less or something else is shown.
    let more = section(B, "PersistentKeepalive = 25\nX = y\n");
    assert_eq!(untold(&[added(25)], &more, Side::New).len(), 8);
    assert_eq!(untold(&[added(0)], &whole, Side::New).len(), 7);
    assert_eq!(untold(&[added(25)], &section(B, ""), Side::New).len(), 6);
    let comment = section(B, "PersistentKeepalive = 25\n# look here\n");
    assert_eq!(untold(&[added(25)], &comment, Side::New), ["# look here"]);
    let garbage = section(B, "PersistentKeepalive = 25\nrm -rf /\n");
    assert_eq!(untold(&[added(25)], &garbage, Side::New).len(), 8);
    // Nobody's section.
    assert_eq!(untold(&[added(25)], &section(A, ""), Side::New).len(), 6);
}

#[test]
fn a_peer_that_goes_takes_its_section_along() {
    let gone = [Change::RemovePeer { interface: wg0(), peer: peer(B) }];
    let text = section(B, "PersistentKeepalive = 25\nX = y\n# note\n");
    assert_eq!(untold(&gone, &text, Side::Old), ["X = y", "# note"]);
    assert_eq!(untold(&gone, &text, Side::New).len(), 9, "it does not go from there");
}

#[test]
fn settings_addresses_and_hooks_of_the_interface() {
    let field = |field, to: &str| FieldChange { field, from: None, to: Some(to.to_owned()) };
    let hook = |command: &str, comes| Change::Hook {
        interface: wg0(),
        when: HookWhen::PostUp,
        command: Untrusted::new(command),
        comes,
        now: false,
    };
    let changes = [
        Change::Device {
            interface: wg0(),
            fields: vec![field(DeviceField::Mtu, "1380"), field(DeviceField::FwMark, "0x20")],
        },
        Change::AddAddress { interface: wg0(), address: "10.9.0.9/24".parse().unwrap() },
        Change::RemoveAddress { interface: wg0(), address: "10.9.0.1/24".parse().unwrap() },
        hook("new", true),
        hook("old", false),
    ];
    let text = "[Interface]\nMTU = 1380\nFwMark = 32\nAddress = 10.9.0.9/24\nAddress = \
                10.9.0.1/24\nPostUp = new\nPostUp = old\nPreUp = new\nTable = off\nDNS = x\n";
    let left = untold(&changes, text, Side::New);
    let shown = ["[Interface]", "Address = 10.9.0.1/24", "PostUp = old", "PreUp = new"];
    assert_eq!(left[..4], shown);
    assert_eq!(left[4..], ["Table = off", "DNS = x"]);
    let left = untold(&changes, text, Side::Old);
    let shown = ["[Interface]", "Address = 10.9.0.9/24", "PostUp = new", "PreUp = new"];
    assert_eq!(left[..4], shown);
    // Of another interface nothing is told.
    let told = Told::of(&"wg1".parse().unwrap(), &changes).lines(text, Side::New);
    assert!(told.iter().all(|told| !told));
}

#[test]
fn a_new_epoch_is_told_with_the_keys() {
    let changes = [changed(A, PeerField::PresharedKey, Some("another"), Some("the vault's"))];
    let text = section(A, "# preshared keys: epoch 2\n");
    let left = untold(&changes, &text, Side::New);
    assert!(!left.iter().any(|line| line.contains("epoch") || line.contains("Preshared")));
    let text = section(A, "# preshared keys: epoch x\n");
    assert!(untold(&changes, &text, Side::New).iter().any(|line| line.contains("epoch")));
}
