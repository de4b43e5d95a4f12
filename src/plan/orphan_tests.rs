//! What is named although no inventory has it any more.

use std::path::PathBuf;

use super::*;
use crate::desired::DesiredHost;
use crate::inventory::parse;
use crate::model::{Backend, Become, Fingerprint, HostPath, PublicKey, Untrusted};
use crate::observed::{LiveBackend, ObservedFile, ObservedInterface};
use crate::plan::Change;

const FLEET: &str = "fleet: acme
networks: { n: { interface: wg0, prefixes: 10.9.0.0/24 } }
hosts:
  a: { address: 10.9.0.1, endpoint: 'a.example.com:51820' }
  b: { address: 10.9.0.2, endpoint: 'b.example.com:51820' }
peers:
  phone: { via: a, address: 10.9.0.9 }
";

fn inventory() -> Inventory {
    let parsed = parse(PathBuf::from("fleet.yaml"), FLEET.to_owned());
    parsed.inventory.unwrap_or_else(|| panic!("{:?}", parsed.findings))
}

fn desired(name: &str) -> DesiredHost {
    DesiredHost {
        name: name.parse().unwrap(),
        ssh: name.parse().unwrap(),
        r#become: Become::Auto,
        backend: Backend::Auto,
        forwarding: crate::topology::Forwarding::default(),
        masquerade: Vec::new(),
        interfaces: Vec::new(),
    }
}

/// A machine where wg1 runs with key 1, by a file of network `red`.
fn machine() -> ObservedHost {
    let live = ObservedInterface {
        backend: LiveBackend::Kernel,
        up: true,
        mtu: 1420,
        public_key: Some(PublicKey::from_bytes([1; 32])),
        listen_port: 0,
        fwmark: 0,
        addresses: BTreeSet::new(),
        routes: BTreeSet::new(),
        unrouted: [].into(),
        unruled: [].into(),
        peers: BTreeMap::new(),
    };
    let file = ObservedFile {
        mode: 0o600,
        root: true,
        fingerprint: Fingerprint::from_bytes([0; 32]),
        public_text: "# wg1 on a, network red of fleet acme.\n".to_owned(),
    };
    ObservedHost {
        interfaces: [("wg1".parse().unwrap(), live)].into(),
        files: [(HostPath::made("/etc/wireguard/wg1.conf"), file)].into(),
        ..ObservedHost::default()
    }
}

fn record(host: &str) -> Record {
    let text = serde_json::json!({
        "version": 1, "fleet": "acme", "host": host, "transaction": "c1", "who": "ann@ctl",
        "written": "2026-11-20T12:00:00Z", "ssh": host, "become": "auto",
        "fingerprint_key": "ab".repeat(32), "fingerprints": {}, "units": [], "tables": [],
        "interfaces": { "wg1": PublicKey::from_bytes([1; 32]).to_string() },
    });
    Record::parse(&"acme".parse().unwrap(), &text.to_string()).unwrap()
}

fn told(pins: &[(&str, &str)], keys: &[&str], seen: &[(&str, ObservedHost, Record)]) -> String {
    let hosts = vec![desired("a"), desired("b")];
    let fleet = "acme".parse().unwrap();
    let state = DesiredState { fleet, hosts, issued: Vec::new(), names: BTreeMap::new().into() };
    told_of(&state, pins, keys, seen, &[])
}

/// Everything that is remembered, owned.
#[derive(Default)]
struct Told<'a> {
    pins: &'a [(&'a str, &'a str)],
    keys: &'a [&'a str],
    seen: &'a [(&'a str, ObservedHost, Record)],
    remains: BTreeMap<HostName, Remains>,
    names: BTreeMap<PublicKey, HostName>,
}

impl Told<'_> {
    fn orphans(&self, state: &DesiredState, changes: &[Change]) -> Vec<Orphan> {
        let pins: Vec<(NetworkName, HostName)> = self
            .pins
            .iter()
            .map(|(network, host)| (network.parse().unwrap(), host.parse().unwrap()))
            .collect();
        let keys: Vec<HostName> = self.keys.iter().map(|name| name.parse().unwrap()).collect();
        let names = self.seen.iter().map(|(name, _, _)| name.parse().unwrap());
        let names: Vec<HostName> = names.collect();
        let seen = names.iter().zip(self.seen);
        let remembered = Remembered {
            pins: pins.iter().map(|(network, host)| (network, host)).collect(),
            keys: keys.iter().collect(),
            seen: seen.map(|(name, (_, host, record))| (name, (host, Some(record)))).collect(),
            remains: &self.remains,
            names: &self.names,
        };
        let plans = state.hosts.iter().map(|host| HostPlan {
            changes: changes.to_vec(),
            state: if changes.is_empty() {
                HostState::Unreadable(Unanswered::NotTold)
            } else {
                HostState::Ready
            },
            ..HostPlan::unreadable(host, Unanswered::NotTold)
        });
        let plans: Vec<HostPlan> = plans.collect();
        orphans(&inventory(), state, &remembered, &plans)
    }
}

fn told_of(
    state: &DesiredState,
    pins: &[(&str, &str)],
    keys: &[&str],
    seen: &[(&str, ObservedHost, Record)],
    changes: &[Change],
) -> String {
    let orphans = Told { pins, keys, seen, ..Told::default() }.orphans(state, changes);
    let line = |orphan: &Orphan| {
        let host = orphan.host.as_ref().map(|host| format!("@{host}")).unwrap_or_default();
        let runs = orphan.runs.as_ref().map(|runs| runs.iter().map(ToString::to_string).collect());
        let runs = runs.map_or("?".to_owned(), |runs: Vec<String>| runs.join(","));
        format!("{:?} {}{host}: {runs}", orphan.kind, orphan.name)
    };
    orphans.iter().map(line).collect::<Vec<_>>().join("; ")
}

#[test]
fn hosts_are_named_from_lock_file_and_vault_and_from_the_machine_that_says_it_is_one() {
    let all = [("n", "a"), ("n", "b"), ("n", "phone")];
    assert_eq!(told(&all, &["a", "b", "phone"], &[]), "");
    let gone = [&all[..], &[("n", "old")]].concat();
    assert_eq!(told(&gone, &["a", "older"], &[]), "Host old: ?; Host older: ?");
    let there = [("a", machine(), record("old"))];
    assert_eq!(told(&gone, &[], &there), "Host old: wg1");
    let stopped = [("a", ObservedHost::default(), record("old"))];
    assert_eq!(told(&gone, &[], &stopped), "Host old: ");
}

#[test]
fn networks_are_named_while_something_of_them_runs_or_may_run() {
    let pins = [("n", "a"), ("red", "a"), ("red", "b")];
    assert_eq!(told(&pins, &[], &[]), "Network red: ?");
    let nothing = |name| (name, ObservedHost::default(), record(name));
    assert_eq!(told(&pins, &[], &[nothing("a")]), "Network red: ?");
    assert_eq!(told(&pins, &[], &[nothing("a"), nothing("b")]), "");
    let other = ("a", machine(), record("b"));
    assert_eq!(told(&pins, &[], &[other]), "Network red: wg1");
}

#[test]
fn an_interface_that_the_record_has_and_no_change_removes_is_named() {
    let there = || [("a", machine(), record("a"))];
    assert_eq!(told(&[], &[], &there()), "Interface wg1@a: wg1");
    assert_eq!(told(&[], &[], &[("a", ObservedHost::default(), record("a"))]), "");
    // What runs with another key is another's.
    let mut other = machine();
    let live = other.interfaces.values_mut().next().unwrap();
    live.public_key = Some(PublicKey::from_bytes([2; 32]));
    assert_eq!(told(&[], &[], &[("a", other, record("a"))]), "");
    let hosts = vec![desired("a")];
    let fleet = "acme".parse().unwrap();
    let state = DesiredState { fleet, hosts, issued: Vec::new(), names: BTreeMap::new().into() };
    let goes = [Change::Delete { interface: "wg1".parse().unwrap() }];
    assert_eq!(told_of(&state, &[], &[], &there(), &goes), "");
}

#[test]
fn who_has_a_removed_host_as_a_peer_is_told_before_and_after_the_plan() {
    let key = PublicKey::from_bytes([7; 32]);
    let mut having = machine();
    let live = having.interfaces.values_mut().next().unwrap();
    let peer = crate::observed::ObservedPeer {
        psk: crate::observed::ObservedPsk::None,
        endpoint: None,
        allowed_ips: BTreeSet::new(),
        latest_handshake: 0,
        received: 0,
        sent: 0,
        keepalive: None,
    };
    live.peers.insert(key, peer);
    let seen = [("a", having, record("a")), ("b", machine(), record("b"))];
    let names = [(key, "old".parse().unwrap())].into();
    let told = Told { keys: &["old"], seen: &seen, names, ..Told::default() };
    let fleet = "acme".parse().unwrap();
    let hosts = vec![desired("a"), desired("b")];
    let state = DesiredState { fleet, hosts, issued: Vec::new(), names: BTreeMap::new().into() };
    let peers = |changes: &[Change]| {
        let orphans = told.orphans(&state, changes);
        let old = orphans.iter().find(|orphan| orphan.name == "old").unwrap();
        let names =
            |hosts: &[HostName]| hosts.iter().map(HostName::as_str).collect::<Vec<_>>().join(",");
        format!("{} -> {}", names(&old.peer_of), names(&old.stays_peer_of))
    };
    let interface = || "wg1".parse().unwrap();
    let other = crate::plan::PeerRef { name: None, key: PublicKey::from_bytes([8; 32]) };
    let old = crate::plan::PeerRef { name: None, key };
    assert_eq!(peers(&[]), "a -> a");
    assert_eq!(peers(&[Change::RemovePeer { interface: interface(), peer: other }]), "a -> a");
    assert_eq!(peers(&[Change::RemovePeer { interface: interface(), peer: old }]), "a -> ");
    assert_eq!(peers(&[Change::Delete { interface: interface() }]), "a -> ");
}

#[test]
fn what_was_found_on_its_machine_counts_unless_another_name_leads_there() {
    let fleet = || "acme".parse().unwrap();
    let hosts = vec![desired("a")];
    let state =
        DesiredState { fleet: fleet(), hosts, issued: Vec::new(), names: BTreeMap::new().into() };
    let of = |seen: &[(&str, ObservedHost, Record)], found: Found| {
        let remains = Remains { login: None, found };
        let remains = [("old".parse().unwrap(), remains)].into();
        let told = Told { keys: &["old"], seen, remains, ..Told::default() };
        told.orphans(&state, &[]).remove(0)
    };
    let said = || Untrusted::new("Connection refused");
    let unreadable = || Found::Unreadable { reason: Unanswered::Login { said: said() } };
    let runs = Some(vec!["wg1".parse().unwrap()]);
    let own = Found::own(&record("old"), &machine());
    assert_eq!(of(&[], own.clone()).runs, runs);
    assert_eq!(of(&[], unreadable()).runs, None);
    let elsewhere = of(&[("a", machine(), record("old"))], unreadable());
    assert_eq!((elsewhere.runs, elsewhere.remains.unwrap().found), (runs, own));
    // What ssh says of it is not saved: it differs from one time to the next.
    let silent = of(&[], unreadable()).without_reason();
    let found = Found::Unreadable { reason: Unanswered::NotTold };
    assert_eq!(silent.remains, Some(Remains { login: None, found }));
}
