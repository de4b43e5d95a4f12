//! The largest plans that are read, and those that are not.

use super::*;
use crate::model::{Become, Fingerprint, HostName, PublicKey};
use crate::plan::{Disruption, Felt, FormError, HostPlan, HostState};

fn fields(length: usize) -> Vec<FieldChange<PeerField>> {
    let all = [PeerField::AllowedIps, PeerField::Keepalive, PeerField::PresharedKey];
    let text = || Some("x".repeat(length));
    all.into_iter().map(|field| FieldChange { field, from: text(), to: text() }).collect()
}

fn host(name: &str, changes: Vec<Change>) -> HostPlan {
    HostPlan {
        host: name.parse().unwrap(),
        ssh: name.parse().unwrap(),
        r#become: Become::Auto,
        payload: Some(Fingerprint::from_bytes([2; 32])),
        target: Some(Fingerprint::from_bytes([3; 32])),
        state: HostState::Ready,
        disruption: Disruption::None,
        feels: Felt::default(),
        changes,
        drift: None,
        notes: Vec::new(),
    }
}

fn change(name: &str, fields: Vec<FieldChange<PeerField>>) -> Change {
    let name: HostName = name.parse().unwrap();
    let peer = PeerRef { name: Some(name), key: PublicKey::from_bytes([9; 32]) };
    Change::ChangePeer { interface: "wg0".parse().unwrap(), peer, fields }
}

/// A plan's JSON, in which one host's changes refer `times` times to one peer of the table.
fn hostile(times: usize, field: usize) -> Vec<u8> {
    let plan = Plan::new("f".parse().unwrap(), vec![host("a", vec![change("b", fields(field))])]);
    let json = String::from_utf8(plan.to_saved(None).unwrap()).unwrap();
    let numbers = vec!["0"; times].join(",");
    json.replacen("\"peer_changes\":[0]", &format!("\"peer_changes\":[{numbers}]"), 1).into_bytes()
}

#[test]
fn a_small_file_does_not_stand_for_gigabytes() {
    assert_eq!(Plan::from_json(&hostile(1_000, 10)).unwrap().hosts[0].changes.len(), 1_000);
    // 2 MB that would be 6 GB, and 1 MB that would be 12 GB.
    for (times, field) in [(1_000_000, 1_000), (2_000, 1_000_000)] {
        let error = Plan::from_json(&hostile(times, field)).unwrap_err();
        assert_eq!(error, FormError::TooLarge(TooLarge::Memory));
        assert!(error.to_string().contains("more than 1024 MiB of memory"), "{error}");
    }
    let error = Plan::from_json(&hostile(MOST_VALUES, 10)).unwrap_err();
    assert_eq!(error, FormError::TooLarge(TooLarge::Values));
}

#[test]
fn each_setting_of_each_peer_of_a_thousand_hosts_is_read() {
    let fields = fields(20);
    let one = of_change(
        &"wg0".parse().unwrap(),
        &PeerRef { name: "host-999".parse().ok(), key: PublicKey::from_bytes([9; 32]) },
        &fields,
    );
    assert!(one * 999 * 1_000 < MOST_MEMORY, "{one}");
}

#[test]
fn what_is_saved_counts_as_what_is_read() {
    let one = change("b", fields(4_000));
    let plan =
        |times: usize| Plan::new("f".parse().unwrap(), vec![host("a", vec![one.clone(); times])]);
    assert_eq!(memory(&plan(9)), 9 * memory(&plan(1)));
    assert!(memory(&plan(1)) > 6 * 4_000);
    let read = Plan::from_json(&hostile(9, 4_000)).unwrap();
    assert_eq!(memory(&read), memory(&plan(9)));
}

#[test]
fn commas_and_brackets_in_texts_are_no_values() {
    let text = |inner: &str| format!("{{\"a\": \"{inner}\"}}").into_bytes();
    let many = ",[{\\\\\\\"".repeat(MOST_VALUES / 2);
    assert_eq!(count_values(&text(&many)), Ok(()));
    assert_eq!(count_values(&vec![b','; MOST_VALUES]), Ok(()));
    assert_eq!(count_values(&vec![b','; MOST_VALUES + 1]), Err(TooLarge::Values));
}
