//! What spokes and members of a mesh feel of one another's changes.

use std::path::PathBuf;

use super::*;
use crate::model::{Become, PublicKey};
use crate::plan::{Change, FileAction, HostState};

const HUB: &str = "fleet: f
networks: { n: { prefixes: 10.9.0.0/24, links: { hub: hub } } }
hosts:
  hub: { address: 10.9.0.1, endpoint: \"192.0.2.1:51820\" }
  a: { address: 10.9.0.2, endpoint: \"192.0.2.2:51820\" }
  b: { address: 10.9.0.3, endpoint: \"192.0.2.3:51820\" }
";

fn host(name: &str, feels: Felt) -> HostPlan {
    HostPlan {
        host: name.parse().unwrap(),
        ssh: name.parse().unwrap(),
        r#become: Become::Auto,
        payload: None,
        target: None,
        state: HostState::Ready,
        disruption: feels.worst(),
        feels,
        changes: vec![Change::Record { path: "/x".to_owned(), action: FileAction::Update }],
        notes: Vec::new(),
        drift: None,
    }
}

/// What `b` feels, who only writes a record, of what the others do.
fn felt(text: &str, others: &[(&str, Felt)]) -> Option<(Disruption, u64, String)> {
    let parsed = crate::inventory::parse(PathBuf::from("fleet.yaml"), text.to_owned());
    let inventory = parsed.inventory.unwrap_or_else(|| panic!("{:#?}", parsed.findings));
    let runs = crate::topology::build(&inventory, &|_: &_, _: &_| -> Vec<IpAddr> { Vec::new() });
    let mut hosts = vec![host("b", Felt::default())];
    hosts.extend(others.iter().map(|(name, felt)| host(name, felt.clone())));
    spread(&mut hosts, &runs);
    assert!(hosts[1..].iter().all(|host| host.feels.elsewhere.is_none()));
    let felt = hosts[0].feels.elsewhere.clone();
    assert_eq!(hosts[0].disruption, felt.as_ref().map_or(Disruption::None, |felt| felt.how));
    felt.map(|felt| (felt.how, felt.hosts, felt.such_as.to_string()))
}

fn peer(name: &str) -> PeerRef {
    PeerRef { name: name.parse().ok(), key: PublicKey::from_bytes([1; 32]) }
}

#[test]
fn what_happens_to_a_hub_is_felt_behind_it() {
    let wg0 = || vec!["wg0".parse().unwrap()];
    let restart = Felt { restarts: wg0(), ..Felt::default() };
    let renewal = Felt { renewals: wg0(), ..Felt::default() };
    let with = |name| Felt { handshakes: vec![peer(name)], ..Felt::default() };
    let ends = |name| Felt { ends: vec![peer(name)], ..Felt::default() };
    let some = |how, name: &str| Some((how, 1, name.to_owned()));
    for (others, expected) in [
        (vec![("hub", restart.clone())], some(Disruption::Restart, "hub")),
        // Another spoke, behind the hub.
        (vec![("a", restart.clone())], some(Disruption::Restart, "a")),
        (vec![("a", renewal)], some(Disruption::Handshake, "a")),
        (vec![("hub", with("a"))], some(Disruption::Handshake, "a")),
        (vec![("hub", with("b")), ("a", restart)], some(Disruption::Handshake, "hub")),
        (vec![("hub", ends("a"))], some(Disruption::Session, "a")),
        (vec![("hub", Felt { routes: true, ..Felt::default() })], some(Disruption::Routes, "hub")),
        (vec![("a", Felt::default())], None),
    ] {
        assert_eq!(felt(HUB, &others), expected, "{others:?}");
    }
    // In a mesh nobody is behind another, and what two do between them is theirs.
    let mesh = HUB.replace("{ hub: hub }", "mesh");
    assert_eq!(felt(&mesh, &[("hub", with("a"))]), None);
    assert_eq!(felt(&mesh, &[("hub", with("b"))]), some(Disruption::Handshake, "hub"));
}
