//! Whatever is changed in a saved plan, its MAC does not fit any more.

use proptest::prelude::*;
use zeroize::Zeroizing;

use super::*;
use crate::check::{Difference, Moved};
use crate::finding::{FlowEnd, Loss, Reason};
use crate::plan::{Orphan, OrphanKind};

fn key(byte: u8) -> PlanKey {
    PlanKey::from_bytes(Zeroizing::new([byte; 32]))
}

/// A plan with something of everything: that of docs/json.md, and more.
fn plan() -> Plan {
    let page = include_str!("../../docs/json.md");
    let json = page.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let mut plan = Plan::from_json(json.as_bytes()).unwrap();
    plan.hosts[0].notes.push("a note".to_owned());
    plan.orphans.push(Orphan::new(OrphanKind::Host, "gone".to_owned(), None));
    let lost = Moved {
        from: FlowEnd::Host { host: "a".parse().unwrap() },
        to: FlowEnd::Host { host: "b".parse().unwrap() },
        pairs: 1,
        flows: 2,
        witness: crate::finding::Witness {
            source: "10.10.0.1".parse().unwrap(),
            destination: "10.10.0.2".parse().unwrap(),
        },
        reason: Some(Reason { cause: Loss::NoRoute, host: None, text: "no route".to_owned() }),
    };
    plan.reachability = Some(Difference { lost: vec![lost], ..Difference::default() });
    plan
}

fn saved() -> String {
    String::from_utf8(plan().to_saved(Some(&key(7))).unwrap()).unwrap()
}

/// Where in a JSON text its names, texts, numbers and words stand.
fn tokens(json: &str) -> Vec<std::ops::Range<usize>> {
    let bytes = json.as_bytes();
    let (mut found, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let begin = at;
        if bytes[at] == b'"' {
            at += 1;
            while bytes[at] != b'"' {
                at += if bytes[at] == b'\\' { 2 } else { 1 };
            }
            at += 1;
            found.push(begin..at);
        } else if bytes[at].is_ascii_alphanumeric() || bytes[at] == b'-' {
            while bytes[at].is_ascii_alphanumeric() || matches!(bytes[at], b'-' | b'.') {
                at += 1;
            }
            found.push(begin..at);
        } else {
            at += 1;
        }
    }
    found
}

#[test]
fn a_plan_is_verified_as_it_was_saved() {
    let saved = saved();
    assert_eq!(verify(saved.as_bytes(), &key(7)), Ok(()));
    let read = Plan::from_json(saved.as_bytes()).unwrap();
    assert_eq!(read.to_saved(Some(&key(7))).unwrap(), saved.as_bytes());
    assert_eq!(verify(saved.as_bytes(), &key(8)), Err(MacError::Wrong));
    // By hand: HMAC-SHA256 of what stands before the MAC.
    let (before, rest) = saved.rsplit_once(",\"mac\":\"").unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&[7; 32]).unwrap();
    mac.update(before.as_bytes());
    let digits = Fingerprint::from_bytes(mac.finalize().into_bytes().into()).to_string();
    assert_eq!(rest, format!("{digits}\"}}\n"));
}

#[test]
fn what_has_no_mac_is_not_verified() {
    let saved = saved();
    let value: serde_json::Value = serde_json::from_str(&saved).unwrap();
    let digits = value["mac"].as_str().unwrap();
    let others = [
        plan().to_saved(None).unwrap(),
        plan().to_json().unwrap(),
        serde_json::to_vec_pretty(&value).unwrap(),
        saved.replace(digits, &digits.to_ascii_uppercase()).into_bytes(),
        saved.trim_end().as_bytes().to_vec(),
        Vec::new(),
        b"\"}\n".to_vec(),
    ];
    for other in others {
        assert_eq!(verify(&other, &key(7)), Err(MacError::Missing));
    }
}

#[test]
fn every_byte_counts() {
    let saved = saved().into_bytes();
    for at in 0..saved.len() {
        let mut changed = saved.clone();
        changed[at] ^= 1;
        assert!(verify(&changed, &key(7)).is_err(), "byte {at}");
        changed.remove(at);
        assert!(verify(&changed, &key(7)).is_err(), "byte {at}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// The most that whoever edits the file can hope for is a plan that is read.
    #[test]
    fn no_value_can_be_changed(
        at in any::<prop::sample::Index>(),
        with in any::<prop::sample::Index>(),
        text in "[a-z0-9./:_-]{0,12}",
        own in any::<bool>(),
    ) {
        let saved = saved();
        let tokens = tokens(&saved);
        let (token, other) = (at.get(&tokens).clone(), with.get(&tokens).clone());
        // Another value of the same plan, or a text of one's own.
        let new = if own { format!("\"{text}\"") } else { saved[other].to_owned() };
        prop_assume!(saved[token.clone()] != new);
        let mut changed = saved.clone();
        changed.replace_range(token, &new);
        prop_assert!(verify(changed.as_bytes(), &key(7)).is_err(), "{}", changed);
    }

    /// Nor can parts be left out, repeated or put in.
    #[test]
    fn no_part_can_be_replaced(
        from in any::<prop::sample::Index>(),
        length in 0_usize..200,
        with in "[\\x20-\\x7e]{0,40}",
    ) {
        let saved = saved();
        let from = from.index(saved.len());
        let to = saved.len().min(from + length);
        prop_assume!(saved[from..to] != with);
        let mut changed = saved.clone();
        changed.replace_range(from..to, &with);
        prop_assert!(verify(changed.as_bytes(), &key(7)).is_err(), "{}", changed);
    }
}
