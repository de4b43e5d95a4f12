//! What belongs to another fleet on the same machine.

use super::*;
use crate::desired::{DesiredInterface, HookLines};
use crate::model::{Backend, Become, Fingerprint, HostPath, Mtu, Port, PublicKey, RouteTable};
use crate::observed::{LiveBackend, ObservedFile, ObservedInterface};
use crate::topology::Forwarding;

fn key(byte: u8) -> PublicKey {
    PublicKey::from_bytes([byte; 32])
}

/// Host h6 of f6 as it is to be: one interface with key 6.
fn wanted(interface: &str, port: u16) -> DesiredHost {
    let interface = DesiredInterface {
        name: interface.parse().unwrap(),
        network: "net".parse().unwrap(),
        public_key: key(6),
        addresses: Vec::new(),
        listen_port: Port::new(port),
        mtu: Mtu::new(1420).unwrap(),
        table: RouteTable::Auto,
        fwmark: None,
        dns: Vec::new(),
        hooks: HookLines::default(),
        peers: [].into(),
    };
    DesiredHost {
        name: "h6".parse().unwrap(),
        ssh: "root@192.0.2.6".parse().unwrap(),
        r#become: Become::Auto,
        backend: Backend::Auto,
        forwarding: Forwarding::default(),
        masquerade: Vec::new(),
        interfaces: vec![interface],
    }
}

/// A machine where wg0 runs with a key at port 51820, and its file has a first line.
fn machine(runs: Option<u8>, line: &str) -> ObservedHost {
    let interface = |byte| ObservedInterface {
        backend: LiveBackend::Kernel,
        up: true,
        mtu: 1420,
        public_key: Some(key(byte)),
        listen_port: 51820,
        fwmark: 0,
        addresses: [].into(),
        routes: [].into(),
        unrouted: [].into(),
        unruled: [].into(),
        peers: [].into(),
    };
    let file = ObservedFile {
        mode: 0o600,
        root: true,
        fingerprint: Fingerprint::from_bytes([0; 32]),
        public_text: format!("{line}\n"),
    };
    ObservedHost {
        interfaces: runs
            .map(|byte| ("wg0".parse().unwrap(), interface(byte)))
            .into_iter()
            .collect(),
        files: [(HostPath::made("/etc/wireguard/wg0.conf"), file)].into(),
        ..ObservedHost::default()
    }
}

/// The record of h4 of f4, whose wg0 has key 4.
fn recorded(mut observed: ObservedHost) -> ObservedHost {
    let digest = "ab".repeat(32);
    let text = serde_json::json!({
        "version": 1, "fleet": "f4", "host": "h4", "transaction": "c1", "who": "ann@ctl",
        "written": "2026-11-20T12:00:00Z", "ssh": "h4", "become": "auto",
        "fingerprint_key": digest, "fingerprints": { "/etc/wireguard/wg0.conf": digest },
        "interfaces": { "wg0": key(4).to_string() }, "units": [], "tables": [],
    });
    observed.records.insert("f4".to_owned(), text.to_string());
    observed
}

fn said(observed: &ObservedHost, interface: &str, port: u16) -> Option<String> {
    Some(clash(&"f6".parse().unwrap(), &wanted(interface, port), observed)?.to_string())
}

const F4: &str = "# wg0 on h4, network net of fleet f4.";

#[test]
fn an_interface_of_another_fleet_is_not_taken() {
    for there in [machine(Some(4), F4), machine(None, F4), recorded(machine(Some(4), "# mine"))] {
        assert_eq!(
            said(&there, "wg0", 51900).unwrap(),
            "wg0 on this machine is `h4` of fleet `f4`; `h6` of fleet `f6` needs another: give its \
             network another `interface:`"
        );
        assert_eq!(said(&there, "wg7", 51900), None);
    }
    // Nobody's, this fleet's, that of a fleet with these keys under another name; and a record that
    // outlived its fleet.
    let ours = "# wg0 on h6, network net of fleet f6.";
    for there in [
        machine(Some(4), "# mine"),
        machine(Some(6), ours),
        machine(Some(6), F4),
        recorded(machine(Some(6), ours)),
        recorded(machine(Some(5), ours)),
        recorded(machine(None, ours)),
    ] {
        assert_eq!(said(&there, "wg0", 51820), None);
    }
}

#[test]
fn a_port_of_another_fleet_is_not_taken() {
    for there in [machine(Some(4), F4), recorded(machine(Some(4), "# mine"))] {
        let why = said(&there, "wg7", 51820).unwrap();
        assert!(
            why.starts_with(
                "UDP port 51820 on this machine is that of wg0, which is `h4` of fleet `f4`"
            ),
            "{why}"
        );
    }
    assert_eq!(said(&machine(Some(4), "# mine"), "wg7", 51820), None);
}

#[test]
fn a_file_that_names_no_fleet_is_that_of_the_fleet_that_recorded_it() {
    let path = "/etc/wireguard/wg0.conf";
    let may_own = |fleet: &str, there: &ObservedHost| {
        super::super::Names::of(&fleet.parse().unwrap()).may_own(path, there)
    };
    let ours = "# wg0 on h6, network net of fleet f6.";
    for (there, f4, f6) in [
        (recorded(machine(None, "# Managed by wgfleet, by a template")), true, false),
        (recorded(machine(None, F4)), true, false),
        // A fleet that has got another name: its file says so.
        (recorded(machine(None, ours)), false, true),
        (machine(None, "# Managed by wgfleet, by a template"), true, true),
    ] {
        assert_eq!((may_own("f4", &there), may_own("f6", &there)), (f4, f6));
    }
}
