//! Machines that are what the inventory takes them for, and others.

use super::*;
use crate::model::Backend;
use crate::observed::{LiveBackend, ObservedFile, ObservedInterface, Unanswered};

fn fleet() -> FleetName {
    "acme".parse().unwrap()
}

fn name(text: &str) -> HostName {
    text.parse().unwrap()
}

fn key(byte: u8) -> PublicKey {
    PublicKey::from_bytes([byte; 32])
}

fn print(byte: u8) -> Fingerprint {
    Fingerprint::from_bytes([byte; 32])
}

fn desired(host: &str) -> DesiredHost {
    DesiredHost {
        name: name(host),
        ssh: "root@192.0.2.8".parse().unwrap(),
        r#become: crate::model::Become::Auto,
        backend: Backend::Auto,
        forwarding: crate::topology::Forwarding::default(),
        masquerade: Vec::new(),
        interfaces: Vec::new(),
    }
}

/// A machine by the first bytes of its machine-id, its ssh host keys and its tunnel's key.
fn machine(id: u8, keys: u8, runs: Option<u8>) -> ObservedHost {
    let interface = |byte| ObservedInterface {
        backend: LiveBackend::Kernel,
        up: true,
        mtu: 1420,
        public_key: Some(key(byte)),
        listen_port: 0,
        fwmark: 0,
        addresses: [].into(),
        routes: [].into(),
        unrouted: [].into(),
        unruled: [].into(),
        peers: BTreeMap::new(),
    };
    ObservedHost {
        machine_id: Some(print(id)),
        host_key: Some(print(keys)),
        interfaces: runs
            .map(|byte| ("wg0".parse().unwrap(), interface(byte)))
            .into_iter()
            .collect(),
        ..ObservedHost::default()
    }
}

fn record(host: &str) -> Record {
    let text = serde_json::json!({
        "version": 1, "fleet": "acme", "host": host, "transaction": "c1", "who": "ann@ctl",
        "written": "2026-11-20T12:00:00Z", "ssh": "root@192.0.2.8", "become": "auto",
        "machine_id": print(1), "host_key": print(1), "fingerprint_key": print(9),
        "fingerprints": {}, "interfaces": {}, "units": [], "tables": [],
    });
    Record::parse(&fleet(), &text.to_string()).unwrap()
}

/// What is said of the machine that `ssh:` of h17 leads to; h8 has the keys 8 and 88, h17 has 17.
fn said(observed: &ObservedHost, kept: Option<&Result<Record, RecordError>>) -> Option<String> {
    let names = [(key(8), name("h8")), (key(88), name("h8")), (key(17), name("h17"))].into();
    Some(stranger(&fleet(), &desired("h17"), observed, kept, &names)?.to_string())
}

#[test]
fn a_machine_that_says_that_it_is_another_host_is_told_with_both_names() {
    let why = said(&machine(1, 1, Some(8)), Some(&Ok(record("h8")))).unwrap();
    insta::assert_snapshot!(why, @"the machine at root@192.0.2.8 is `h8`, not `h17`: so says the record of ann@ctl on 2026-11-20; correct `ssh:` of `h17`, or, where `h17` takes the place of `h8`, add --replace h17");
    // Its record counts for more than a key that somebody has copied.
    assert_eq!(said(&machine(1, 1, Some(8)), Some(&Ok(record("h17")))), None);
}

#[test]
fn without_a_record_its_key_or_its_file_says_who_it_is() {
    for byte in [8, 88] {
        let why = said(&machine(1, 1, Some(byte)), None).unwrap();
        assert!(why.contains("is `h8`, not `h17`: wg0 runs with its key; correct"), "{why}");
    }
    for runs in [None, Some(17), Some(99)] {
        assert_eq!(said(&machine(1, 1, runs), None), None, "{runs:?}");
    }
    let file = |line: &str| {
        let public_text = format!("{line}\n# Managed by wgfleet\n");
        let file = ObservedFile {
            mode: 0o600,
            root: true,
            fingerprint: Fingerprint::from_bytes([0; 32]),
            public_text,
        };
        let path = HostPath::made("/etc/wireguard/wg0.conf");
        ObservedHost { files: [(path, file)].into(), ..machine(1, 1, None) }
    };
    let why = said(&file("# wg0 on h8, network office of fleet acme."), None).unwrap();
    assert!(why.contains("is `h8`, not `h17`: so says /etc/wireguard/wg0.conf; correct"), "{why}");
    for line in [
        "# wg0 on h17, network office of fleet acme.",
        "# wg0 on h8, network office of fleet beta.",
        "# wg0 on h8, network office of fleet acme",
        "# wg0 on \u{202e}, network of fleet acme.",
        "",
    ] {
        assert_eq!(said(&file(line), None), None, "{line}");
    }
}

#[test]
fn a_copied_disk_is_not_the_machine_that_its_record_was_made_on() {
    let kept = Ok(record("h17"));
    let why = said(&machine(2, 2, Some(17)), Some(&kept)).unwrap();
    assert!(
        why.contains("is not the one that was `h17`: its machine-id and its ssh host"),
        "{why}"
    );
    assert!(why.contains("/var/lib/wgfleet/acme.json") && why.contains("--replace h17"), "{why}");
    // An upgrade or a repair changes one of them; and what nobody knows says nothing.
    for (id, keys) in [(1, 1), (1, 2), (2, 1)] {
        assert_eq!(said(&machine(id, keys, Some(17)), Some(&kept)), None);
    }
    let bare = ObservedHost { machine_id: None, ..machine(2, 2, None) };
    assert_eq!(said(&bare, Some(&kept)), None);
}

#[test]
fn a_record_that_cannot_be_read_yet_is_not_overwritten_and_a_damaged_one_is() {
    let newer = Err(RecordError::Newer { found: 9 });
    let why = said(&machine(1, 1, None), Some(&newer)).unwrap();
    assert!(why.contains("it has version 9") && why.contains("--replace h17"), "{why}");
    let damaged = Err(RecordError::TooLong);
    assert_eq!(said(&machine(1, 1, None), Some(&damaged)), None);
    assert!(said(&machine(1, 1, Some(8)), Some(&damaged)).is_some());
}

#[test]
fn two_hosts_on_one_machine_are_found_and_copies_that_run_are_told_apart() {
    let pairs = |all: &[(&str, ObservedHost)]| {
        let names: Vec<_> = all.iter().map(|(text, host)| (name(text), host)).collect();
        let same = same_machines(names.iter().map(|(name, host)| (name, *host)));
        same.iter().map(|(one, other)| format!("{one}={other}")).collect::<Vec<_>>().join(" ")
    };
    let one = || machine(1, 1, Some(8));
    assert_eq!(
        pairs(&[("h8", one()), ("h17", one()), ("h3", machine(2, 2, None))]),
        "h17=h8 h8=h17"
    );
    assert_eq!(pairs(&[("a", one()), ("b", one()), ("c", one())]), "a=b b=c c=a");
    assert_eq!(pairs(&[("a", machine(1, 1, None)), ("b", machine(1, 1, None))]), "a=b b=a");
    for other in [machine(1, 2, Some(8)), machine(2, 1, Some(8)), machine(1, 1, Some(9))] {
        assert_eq!(pairs(&[("a", one()), ("b", other)]), "");
    }
    let unknown = || ObservedHost { machine_id: None, ..one() };
    assert_eq!(pairs(&[("a", unknown()), ("b", unknown())]), "");
    let why = Obstacle::SharedMachine { host: name("h8"), other: name("h17") }.to_string();
    assert!(why.starts_with("`h8` and `h17` reach the same machine"), "{why}");
}

#[test]
fn hosts_that_are_refused_are_blocked() {
    let mut plan = HostPlan::unreadable(&desired("h17"), Unanswered::NotTold);
    plan.refuse(Obstacle::NoIp);
    assert_eq!(plan.state, HostState::Blocked(Obstacle::NoIp));
}
