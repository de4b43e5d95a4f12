//! What is told of the machine of a host that the inventory no longer has.

use serde_json::{Value, json};

use super::*;
use crate::model::{Fingerprint, PublicKey};
use crate::observed::{LiveBackend, ObservedFile, ObservedPeer, ObservedPsk, UnitState};

fn key(byte: u8) -> PublicKey {
    PublicKey::from_bytes([byte; 32])
}

fn file(text: &str) -> ObservedFile {
    ObservedFile {
        mode: 0o644,
        root: true,
        fingerprint: Fingerprint::from_bytes([0; 32]),
        public_text: text.to_owned(),
    }
}

fn peer(latest_handshake: u64) -> ObservedPeer {
    ObservedPeer {
        psk: ObservedPsk::None,
        endpoint: None,
        allowed_ips: BTreeSet::new(),
        latest_handshake,
        received: 0,
        sent: 0,
        keepalive: None,
    }
}

fn live(own: u8, handshakes: &[u64]) -> ObservedInterface {
    ObservedInterface {
        backend: LiveBackend::Kernel,
        up: true,
        mtu: 1420,
        public_key: Some(key(own)),
        listen_port: 51820,
        fwmark: 0,
        addresses: ["10.9.0.3/24".parse().unwrap()].into(),
        routes: [].into(),
        unrouted: [].into(),
        unruled: [].into(),
        peers: (100..).map(key).zip(handshakes.iter().map(|time| peer(*time))).collect(),
    }
}

fn digest(byte: u8) -> Fingerprint {
    Fingerprint::from_bytes([byte; 32])
}

fn record(fleet: &str, host: &str) -> Value {
    let files = [
        "/etc/wireguard/wg0.conf",
        "/etc/wireguard/gone.conf",
        "/etc/sysctl.d/60-wgfleet-acme.conf",
        "/etc/wireguard/x;reboot",
        "/etc/wireguard/../shadow",
        "/root/notes",
    ];
    let files = files.map(|path| (path.to_owned(), Value::from("ab".repeat(32))));
    json!({
        "version": 1, "fleet": fleet, "host": host, "transaction": "c1", "who": "ann@ctl",
        "written": "2026-11-20T12:00:00Z", "ssh": host, "become": "auto",
        "machine_id": digest(1).to_string(), "host_key": digest(2).to_string(),
        "fingerprint_key": "ab".repeat(32), "tables": ["inet wgfleet-acme"],
        "fingerprints": files.into_iter().collect::<serde_json::Map<_, _>>(),
        "units": ["wg-quick@wg0.service", "sshd.service"],
        "interfaces": { "wg0": key(3).to_string(), "wg1": key(4).to_string() },
    })
}

/// A machine that was b7: wg0 runs as recorded, wg1 with another key, wg2 is nobody's.
fn machine() -> ObservedHost {
    let unit = UnitState { enabled: true, active: true, masked: false };
    let sysctls = "# before wgfleet: net.ipv4.ip_forward = 0\nnet.ipv4.ip_forward = 1\n";
    let files = [
        ("/etc/wireguard/wg0.conf", "# wg0 on b7, network n of fleet acme.\n"),
        ("/etc/sysctl.d/60-wgfleet-acme.conf", sysctls),
        ("/etc/wireguard/x;reboot", ""),
        ("/etc/wireguard/../shadow", ""),
        ("/root/notes", ""),
    ];
    ObservedHost {
        interfaces: [
            ("wg0".parse().unwrap(), live(3, &[0, 1_000, 1_880])),
            ("wg1".parse().unwrap(), live(9, &[1_990])),
            ("wg2".parse().unwrap(), live(10, &[])),
        ]
        .into(),
        // An answer with the last but one is refused as a whole.
        files: files
            .into_iter()
            .filter_map(|(path, text)| Some((path.parse().ok()?, file(text))))
            .collect(),
        units: ["wg-quick@wg0.service", "sshd.service"]
            .map(|name| (name.parse().unwrap(), unit))
            .into(),
        firewalls: [("wgfleet-acme".to_owned(), None)].into(),
        forward_v4: true,
        forward_v6: true,
        machine_id: Some(digest(1)),
        host_key: Some(digest(2)),
        records: [("acme".to_owned(), record("acme", "b7").to_string())].into(),
        now: 2_000,
        ..ObservedHost::default()
    }
}

fn found(change: impl Fn(&mut ObservedHost)) -> Found {
    let mut observed = machine();
    change(&mut observed);
    Found::on(&"acme".parse().unwrap(), &"b7".parse().unwrap(), &observed)
}

#[test]
fn what_its_own_record_has_and_still_is_there_is_told() {
    let own = found(|_| ());
    assert_eq!(own.runs(), Some(vec!["wg0".parse().unwrap()]));
    let told = serde_json::to_value(&own).unwrap();
    let expected = json!({
        "state": "own",
        "text": "ann@ctl on 2026-11-20",
        "interfaces": [{
            "interface": "wg0", "addresses": ["10.9.0.3/24"], "peers": 3, "sessions": 1,
            "handshake_age": 120,
        }],
        "units": ["wg-quick@wg0.service"],
        // What wgfleet does not write is not told, and nothing that a shell would obey.
        "files": ["/etc/sysctl.d/60-wgfleet-acme.conf", "/etc/wireguard/wg0.conf"],
        // IPv6 was turned on by somebody else.
        "forwarding": ["ipv4"],
        "masquerades": true,
    });
    assert_eq!(told, expected);
    assert_eq!(serde_json::from_value::<Found>(told).unwrap(), own);
}

#[test]
fn what_was_stopped_there_does_not_run() {
    let stopped = found(|host| {
        host.interfaces.clear();
        host.units.clear();
        host.files.clear();
        host.firewalls.clear();
        host.forward_v4 = false;
    });
    assert_eq!(stopped.runs(), Some(Vec::new()));
    let Found::Own { units, files, forwarding, masquerades, .. } = stopped else {
        panic!("{stopped:?}");
    };
    assert!(units.is_empty() && files.is_empty() && forwarding.is_empty() && !masquerades);
}

#[test]
fn a_machine_that_is_something_else_is_named_and_nothing_of_it_is_told() {
    let told = |change: &dyn Fn(&mut ObservedHost)| {
        let found = found(change);
        assert_eq!(found.runs(), None);
        match found {
            Found::Another { says, fleet, host } => {
                let fleet = fleet.map(|fleet| fleet.to_string()).unwrap_or_default();
                (says, fleet, host.map(|host| host.to_string()).unwrap_or_default())
            }
            other => panic!("{other:?}"),
        }
    };
    let none = |says| (says, String::new(), String::new());
    let keep = |fleet: &'static str, text: String| {
        move |host: &mut ObservedHost| host.records = [(fleet.to_owned(), text.clone())].into()
    };
    let other = keep("acme", record("acme", "c").to_string());
    assert_eq!(told(&other), (Says::OtherHost, "acme".to_owned(), "c".to_owned()));
    let other = keep("beta", record("beta", "x").to_string());
    assert_eq!(told(&other), (Says::OtherFleet, "beta".to_owned(), "x".to_owned()));
    assert_eq!(told(&|host| host.records.clear()), none(Says::Nothing));
    assert_eq!(told(&keep("acme", "{".to_owned())), none(Says::Unclear));
    // Its name is that of this fleet, and it speaks of another.
    assert_eq!(told(&keep("acme", record("beta", "b7").to_string())), none(Says::Unclear));
    let copied = |host: &mut ObservedHost| {
        (host.machine_id, host.host_key) = (Some(digest(8)), Some(digest(9)));
    };
    assert_eq!(told(&copied), none(Says::Copy));
    // One of the two alone changes with an upgrade.
    assert!(found(|host| host.host_key = Some(digest(9))).runs().is_some());
}
