//! The lock of a host: one run at a time has it.

use std::thread::sleep;
use std::time::Duration;

use crate::sandbox::Sandbox;
use crate::{encode, files, ops};

const ANN: &str = "ann@laptop 2026-11-27T19:00:00Z apply 0123456789ab\n";
const BOB: &str = "bob@ci 2026-11-27T19:00:01Z rotate -\n";

/// A change of a run.
fn payload(run: &str) -> String {
    let mut files = files();
    files.push(("lock", format!("{run}\n")));
    encode(&files, &ops())
}

#[test]
fn one_run_at_a_time_has_a_host() {
    for shell in ["dash", "busybox sh"] {
        let sandbox = Sandbox::new(shell);
        let lock = |words: &[&str], who: &str| sandbox.host("lock", words, who);
        let is_anns = |said: &str| {
            assert!(said.starts_with("locked r1 ") && said.ends_with(ANN), "{said}");
        };
        assert_eq!(sandbox.host("holder", &[], ""), "free\n");
        assert_eq!(lock(&["r1", "300"], ANN), "taken\n");
        // Its answer was lost.
        assert_eq!(lock(&["r1", "300"], ANN), "taken\n");
        is_anns(&lock(&["r2", "300"], BOB));
        is_anns(&lock(&["r2", "300", "r0", "r3"], BOB));
        is_anns(&sandbox.host("holder", &[], ""));
        assert_eq!(sandbox.host("renew", &["r2", "300"], ""), "gone\n");
        assert_eq!(sandbox.host("renew", &["r1", "300"], ""), "taken\n");
        assert_eq!(sandbox.host("unlock", &["r2"], ""), "gone\n");
        let before = sandbox.state();
        // Whoever never had it, or lost it, changes nothing.
        for payload in [encode(&files(), &ops()), payload("r2")] {
            is_anns(&sandbox.host("apply", &["c2", "60"], &payload));
            is_anns(&sandbox.host("prepare", &["c2", "60"], &payload));
        }
        sandbox.wait_for_state(&before, 5);
        // What is armed keeps others out, and ends the lock with it.
        assert_eq!(sandbox.host("prepare", &["c1", "60"], &payload("r1")), "prepared\n");
        assert_eq!(lock(&["r2", "300", "r1"], BOB), "busy c1\n");
        assert_eq!(sandbox.host("break", &[], ""), "busy c1\n");
        assert_eq!(sandbox.host("revert", &["c1"], ""), "reverted\n");
        assert_eq!(sandbox.host("holder", &[], ""), "free\n");
        // The run that had it is over.
        assert_eq!(lock(&["r2", "300"], BOB), "taken\n");
        assert_eq!(lock(&["r3", "300", "r1", "r2"], ANN), "taken\n");
        assert_eq!(sandbox.host("unlock", &["r2"], ""), "gone\n");
        assert_eq!(sandbox.host("break", &[], ""), "released\n");
        assert_eq!(sandbox.host("break", &[], ""), "gone\n");
        // A lease ends by itself.
        assert_eq!(lock(&["r4", "1"], ANN), "taken\n");
        sleep(Duration::from_millis(1100));
        assert_eq!(sandbox.host("holder", &[], ""), "free\n");
        assert_eq!(lock(&["r5", "300"], BOB), "taken\n");
    }
}

#[test]
fn of_many_that_ask_at_once_one_gets_it() {
    let sandbox = Sandbox::new("dash");
    assert_eq!(sandbox.host("lock", &["r0", "1"], ANN), "taken\n");
    sleep(Duration::from_millis(1100));
    let runs: Vec<String> = (1..=8).map(|number| format!("r{number}")).collect();
    let asking: Vec<_> = runs.iter().map(|run| sandbox.start("lock", &[run, "300"], BOB)).collect();
    let said: Vec<String> = asking
        .into_iter()
        .map(|child| String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap())
        .collect();
    let holder = sandbox.host("holder", &[], "");
    let taken: Vec<_> =
        runs.iter().zip(&said).filter(|(_, said)| *said == "taken\n").map(|(run, _)| run).collect();
    assert_eq!(taken.len(), 1, "{said:?}");
    assert!(holder.starts_with(&format!("locked {} ", taken[0])), "{holder}: {said:?}");
}
