//! What is shown of a new wg0.conf beside the plan's fields.

use super::*;
use crate::desired::HookLines;
use crate::model::{Backend, Become};
use crate::topology::Forwarding;

const KEY: &str = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";

fn host() -> DesiredHost {
    let peer = DesiredPeer {
        name: "b".parse().unwrap(),
        endpoint: Some("b.example.com:51820".parse().unwrap()),
        allowed_ips: ["10.9.0.2/32", "fd09::2/128"].map(|net| net.parse().unwrap()).into(),
        keepalive: crate::model::Keepalive::new(25),
        psk_epoch: Some(1),
    };
    let interface = DesiredInterface {
        name: "wg0".parse().unwrap(),
        network: "n".parse().unwrap(),
        public_key: PublicKey::from_bytes([1; 32]),
        addresses: vec!["10.9.0.1/24".parse().unwrap()],
        listen_port: crate::model::Port::new(51820),
        mtu: crate::model::Mtu::DEFAULT,
        table: "77".parse().unwrap(),
        fwmark: None,
        dns: vec!["10.9.0.53".to_owned()],
        hooks: HookLines::default(),
        peers: [(KEY.parse().unwrap(), peer)].into(),
    };
    DesiredHost {
        name: "a".parse().unwrap(),
        ssh: "a".parse().unwrap(),
        r#become: Become::Auto,
        backend: Backend::Auto,
        forwarding: Forwarding::default(),
        masquerade: Vec::new(),
        interfaces: vec![interface],
    }
}

fn plain() -> String {
    format!(
        "# wg0 on a, network n of fleet f.\n# Managed by wgfleet: edit the inventory instead; \
         `wgfleet plan` shows what changed here.\n\n[Interface]\nPrivateKey = (hidden)\nAddress = \
         10.9.0.1/24\nListenPort = 51820\nMTU = 1420\nDNS = 10.9.0.53\nTable = 77\nPostUp = true\n\n\
         # b\n[Peer]\nPublicKey = {KEY}\nPresharedKey = (hidden)\nAllowedIPs = 10.9.0.2/32, \
         fd09::2/128\nEndpoint = b.example.com:51820\nPersistentKeepalive = 25\n\
         # preshared keys: epoch 1\n"
    )
}

#[test]
fn the_default_template_says_nothing_twice() {
    let host = host();
    assert_eq!(unsaid(&plain(), &host, &host.interfaces[0]), [] as [&str; 0]);
}

#[test]
fn what_a_template_adds_is_shown() {
    let host = host();
    let shown = |from: &str, to: &str| -> Vec<String> {
        let text = plain().replace(from, to);
        assert_ne!(text, plain());
        unsaid(&text, &host, &host.interfaces[0]).into_iter().map(str::to_owned).collect()
    };
    assert_eq!(shown("MTU", "SaveConfig = true\nMTU"), ["SaveConfig = true"]);
    assert_eq!(shown("MTU", "# by us\nMTU"), ["# by us"]);
    assert_eq!(shown("MTU", "PostUp = true # x\nMTU"), ["PostUp = true # x"]);
    assert_eq!(shown("MTU", "MTU = 1420\nMTU"), ["MTU = 1420"]);
    let more = "AllowedIPs = 0.0.0.0/0\nEndpoint";
    assert_eq!(shown("Endpoint", more), ["AllowedIPs = 0.0.0.0/0"]);
    let other = KEY.replace('d', "e");
    let stranger = format!("[Peer]\nPublicKey = {other}\nAllowedIPs = 10.0.0.0/8\n");
    let lines = shown("# preshared", &format!("{stranger}# preshared"));
    assert_eq!(lines, [format!("PublicKey = {other}"), "AllowedIPs = 10.0.0.0/8".to_owned()]);
}

#[test]
fn a_file_that_leaves_something_out_is_shown_whole() {
    let host = host();
    for (from, to) in [
        ("MTU = 1420\n", ""),
        ("MTU = 1420\n", "MTU = 1300\n"),
        (", fd09::2/128", ""),
        ("Endpoint = b.example.com:51820\n", ""),
        ("Table = 77\n", ""),
    ] {
        let text = plain().replace(from, to);
        let lines = unsaid(&text, &host, &host.interfaces[0]);
        assert_eq!(lines, text.lines().collect::<Vec<_>>(), "{from}");
    }
}
