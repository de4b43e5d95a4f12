//! Why changes did not end as they were to, as programs read it.

use std::num::NonZeroU32;

use super::*;
use crate::event::{LiveSetting, Outcome, Pause};
use crate::model::PublicKey;
use crate::model::schema::{assert_reasons, kinds};

fn said(text: &str) -> Untrusted {
    Untrusted::new(text)
}

/// One of each kind.
fn samples() -> Vec<Reason> {
    let host: HostName = "b7".parse().unwrap();
    let interface: InterfaceName = "wg0".parse().unwrap();
    let reason = || Box::new(Reason::DeadlinePassed);
    let at = || FailedAt::Op { number: NonZeroU32::MIN, label: "nft".to_owned() };
    vec![
        Reason::Blocked { reason: Obstacle::NoIp },
        Reason::Unanswered { reason: Unanswered::NoAnswer { within_seconds: 20 } },
        Reason::HostSaid { said: said("stage: no room") },
        Reason::Busy { change: said("c1") },
        Reason::Moved {
            what: vec![
                HostPart::Setting { interface: interface.clone(), setting: LiveSetting::Mtu },
                HostPart::File { path: said("/etc/wireguard/wg0.conf") },
            ],
        },
        Reason::NoSecret { cause: said("no such key") },
        Reason::NoBinary { machine: said("riscv64") },
        Reason::Failed { at: at(), said: said("no such table") },
        Reason::Unhealthy {
            interface,
            problem: Unhealthy::Peers {
                lacks: vec![host.clone()],
                unwanted: vec![PublicKey::from_bytes([3; 32])],
            },
        },
        Reason::DeadlinePassed,
        Reason::NoNewConnection { reason: Unanswered::ConnectionBroke { cause: None } },
        Reason::Group { host: host.clone(), reason: reason() },
        Reason::Locked {
            by: Box::new(
                Holder::parse("r1 280 ann@laptop 2026-11-27T19:00:00Z apply 0123456789ab").unwrap(),
            ),
        },
        Reason::OthersLocked { host: host.clone() },
        Reason::Interrupted,
        Reason::Asleep { seconds: 40 },
        Reason::EarlierWave { host: host.clone() },
        Reason::Paused { why: Pause::Declined },
        Reason::NoHandshake { host, within_seconds: 20 },
        Reason::NoTimeLeft,
        Reason::NotForNextBoot { what: said("/etc/wireguard/wg0.conf") },
        Reason::RollbackFailed { at: at(), said: said("no"), rollback: said("unverified wg0") },
        Reason::NotSeenToConfirm { reason: reason() },
        Reason::StillRollingBack { reason: reason() },
        Reason::RollbackUnread {
            reason: reason(),
            unread: Unanswered::Login { said: said("Connection refused") },
        },
        Reason::RollbackSaid { reason: reason(), said: said("unverified wg0") },
        Reason::NotAsBefore { reason: reason() },
    ]
}

#[test]
fn every_reason_has_a_kind_and_survives_its_json() {
    assert_reasons(&samples());
    let mut kinds = kinds::<Unhealthy>();
    kinds.dedup();
    assert_eq!(kinds, ["missing", "down", "other-key", "peers"]);
}

/// The words that people know.
#[test]
fn every_reason_has_its_words() {
    let words: Vec<String> = samples().iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(words.join("\n"));
}

#[test]
fn every_outcome_survives_its_json() {
    let reason = || Reason::DeadlinePassed;
    let outcomes = [
        (Outcome::Unchanged, "unchanged", "unchanged"),
        (Outcome::Applied, "applied", "applied"),
        (Outcome::NotForNextBoot(reason()), "applied-not-for-next-boot", "applied, but not for"),
        (Outcome::Moved(reason()), "moved", "the deadline"),
        (Outcome::Skipped(reason()), "skipped", "the deadline"),
        (Outcome::Failed(reason()), "failed", "the deadline"),
        (Outcome::RolledBack(reason()), "rolled-back", "rolled back: the deadline"),
        (Outcome::Unknown(reason()), "unknown", "state unknown: the deadline"),
    ];
    for (outcome, kind, words) in outcomes {
        let json = serde_json::to_value(&outcome).unwrap();
        assert_eq!(json["kind"], kind);
        assert_eq!(json["reason"]["kind"].as_str(), outcome.reason().map(|_| "deadline-passed"));
        assert_eq!(serde_json::from_value::<Outcome>(json).unwrap(), outcome);
        assert!(outcome.to_string().starts_with(words), "{outcome}");
    }
    let blocked = Outcome::Skipped(Reason::Blocked { reason: Obstacle::NoIp });
    assert!(blocked.to_string().starts_with("skipped: the host has no ip(8)"), "{blocked}");
}

#[test]
fn a_long_list_names_its_first() {
    let unhealthy = |lacks: &[&str], unwanted: usize| {
        let lacks = lacks.iter().map(|name| name.parse().unwrap()).collect();
        let unwanted = vec![PublicKey::from_bytes([3; 32]); unwanted];
        Unhealthy::Peers { lacks, unwanted }.to_string()
    };
    let key = PublicKey::from_bytes([3; 32]);
    assert_eq!(unhealthy(&["b7"], 0), "lacks b7");
    assert_eq!(unhealthy(&[], 1), format!("has peers that are not wanted: public key {key}"));
    assert_eq!(
        unhealthy(&["b7", "b8"], 1),
        format!("lacks b7, b8, and has peers that are not wanted: public key {key}")
    );
    assert!(unhealthy(&["b7"; 9], 0).ends_with("b7, b7, …"));
}
