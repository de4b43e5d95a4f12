//! What spokes and members of a mesh feel of one another's changes.

use std::path::PathBuf;

use super::*;
use crate::model::{Become, HostPath, PublicKey};
use crate::observed::Unanswered;
use crate::plan::{Change, FileAction};

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
        changes: vec![Change::Record { path: HostPath::made("/x"), action: FileAction::Update }],
        notes: Vec::new(),
        drift: None,
    }
}

/// What `b` feels, who only writes a record, of what the others do.
fn felt(text: &str, others: &[(&str, Felt)]) -> Option<(Disruption, u64, String)> {
    felt_beside(Felt::default(), text, others)
}

/// What `b` feels of what the others do, beside what its own changes do.
fn felt_beside(
    own: Felt,
    text: &str,
    others: &[(&str, Felt)],
) -> Option<(Disruption, u64, String)> {
    let own_worst = own.worst();
    let parsed = crate::inventory::parse(PathBuf::from("fleet.yaml"), text.to_owned());
    let inventory = parsed.inventory.unwrap_or_else(|| panic!("{:#?}", parsed.findings));
    let runs = crate::topology::build(&inventory, &|_: &_, _: &_| -> Vec<IpAddr> { Vec::new() });
    let mut hosts = vec![host("b", own)];
    hosts.extend(others.iter().map(|(name, felt)| host(name, felt.clone())));
    spread(&mut hosts, &runs);
    let felt = hosts[0].feels.elsewhere.clone();
    let worst = felt.as_ref().map_or(Disruption::None, |felt| felt.how).max(own_worst);
    assert_eq!(hosts[0].disruption, worst);
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
        (vec![("hub", with("b")), ("a", restart)], some(Disruption::Restart, "a")),
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

#[test]
fn a_host_with_changes_of_its_own_is_told_what_others_do_beyond_them() {
    let wg0 = || vec!["wg0".parse().unwrap()];
    let restart = || Felt { restarts: wg0(), ..Felt::default() };
    let with = |name| Felt { handshakes: vec![peer(name)], ..Felt::default() };
    let flows = || Felt { flows: 4, ..Felt::default() };
    let some = |how, name: &str| Some((how, 1, name.to_owned()));
    let renewal = || Felt { renewals: wg0(), ..Felt::default() };
    for (own, others, expected) in [
        (with("hub"), vec![("hub", restart())], some(Disruption::Restart, "hub")),
        // Behind the hub, too.
        (with("hub"), vec![("a", restart())], some(Disruption::Restart, "a")),
        (flows(), vec![("hub", restart())], some(Disruption::Restart, "hub")),
        // The same session, told by its own end.
        (with("hub"), vec![("hub", with("b"))], None),
        (renewal(), vec![("hub", renewal())], None),
        (renewal(), vec![("a", renewal())], None),
        (restart(), vec![("hub", restart())], None),
        (restart(), vec![("a", with("hub"))], None),
    ] {
        assert_eq!(felt_beside(own.clone(), HUB, &others), expected, "{own:?} {others:?}");
    }
    // In a mesh the session with one host says nothing of that with another.
    let mesh = HUB.replace("{ hub: hub }", "mesh");
    let other = felt_beside(with("a"), &mesh, &[("hub", with("b"))]);
    assert_eq!(other, some(Disruption::Handshake, "hub"));
}

/// It has nothing to change itself.
#[test]
fn a_host_without_changes_is_told_what_others_do() {
    let restart = Felt { restarts: vec!["wg0".parse().unwrap()], ..Felt::default() };
    let parsed = crate::inventory::parse(PathBuf::from("fleet.yaml"), HUB.to_owned());
    let inventory = parsed.inventory.unwrap_or_else(|| panic!("{:#?}", parsed.findings));
    let runs = crate::topology::build(&inventory, &|_: &_, _: &_| -> Vec<IpAddr> { Vec::new() });
    let idle = || HostPlan { changes: Vec::new(), ..host("b", Felt::default()) };
    let down = HostPlan { state: HostState::Unreadable(Unanswered::NotTold), ..idle() };
    for (host_b, disruption) in [(idle(), Disruption::Restart), (down, Disruption::None)] {
        let mut hosts = vec![host_b, host("hub", restart.clone())];
        spread(&mut hosts, &runs);
        assert_eq!(hosts[0].disruption, disruption);
        assert_eq!(hosts[0].feels.elsewhere.is_some(), disruption > Disruption::None);
    }
}
