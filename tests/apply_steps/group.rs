//! What hosts that change together do: prepare, flip, hold, release.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::sandbox::{Sandbox, assert_same};
use crate::{NEXT_BOOT, encode, files, ops};

/// What a host's clock says.
fn clock(sandbox: &Sandbox) -> u64 {
    let said = sandbox.host("clock", &[], "");
    said.trim().strip_prefix("clock ").expect("a clock").parse().expect("a number")
}

/// Prepares and flips a change with a timer of so many seconds; by how many milliseconds too late it was.
fn flip(sandbox: &Sandbox, id: &str, seconds: u64) -> u64 {
    let payload = encode(&files(), &ops());
    assert_eq!(sandbox.host("prepare", &[id, "60"], &payload), "prepared\n");
    let at = clock(sandbox) + 50;
    let words = [id.to_owned(), at.to_string(), (at + seconds * 100).to_string()];
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let said = sandbox.host("flip", &words, "");
    assert!(clock(sandbox) >= at);
    said.trim().strip_prefix("flipped ").unwrap_or_else(|| panic!("{said}")).parse().expect("ms")
}

fn next_boot(sandbox: &Sandbox) -> String {
    String::from_utf8(sandbox.sh(NEXT_BOOT).stdout).expect("text")
}

#[test]
fn what_is_prepared_changes_nothing_and_is_forgotten() {
    for shell in ["dash", "busybox sh"] {
        let sandbox = Sandbox::new(shell);
        let before = sandbox.state();
        let payload = encode(&files(), &ops());
        assert_eq!(sandbox.host("prepare", &["c1", "60"], &payload), "prepared\n");
        assert_eq!(sandbox.host("apply", &["c2", "60"], &payload), "busy c1\n");
        assert_eq!(sandbox.host("prepare", &["c2", "60"], &payload), "busy c1\n");
        assert_eq!(sandbox.host("hold", &["c3", "1"], ""), "gone\n");
        assert_eq!(sandbox.host("revert", &["c1"], ""), "reverted\n");
        sandbox.wait_for_state(&before, 5);
        // Nobody flips it.
        assert_eq!(sandbox.host("prepare", &["c4", "2"], &payload), "prepared\n");
        sandbox.wait_for_state(&before, 10);
        assert_eq!(sandbox.host("flip", &["c4", "1", "2"], ""), "gone\n");
    }
}

#[test]
fn what_cannot_be_done_is_said_before_anything_changes() {
    let sandbox = Sandbox::new("dash");
    let refused = |files: Vec<(&'static str, String)>, words: &str| {
        let before = sandbox.state();
        let said = sandbox.host("prepare", &["c1", "60"], &encode(&files, &ops()));
        assert!(said.starts_with("failed 0 ") && said.contains(words), "{said}");
        sandbox.wait_for_state(&before, 5);
    };
    let with = |name: &str, text: &str| {
        let mut all = files();
        let file = all.iter_mut().find(|(file, _)| *file == name).expect(name);
        text.clone_into(&mut file.1);
        all
    };
    refused(with("wg2.set", "[Interface]\nNonsense = 1\n"), "wg does not understand it");
    refused(with("rules.nft", "table inet wgfleet-f4 { chain x { nonsense; }; }\n"), "nft: ");
    sandbox
        .sh("mount --bind /etc/wireguard /etc/wireguard; mount -o remount,ro,bind /etc/wireguard");
    refused(files(), "Read-only file system");
}

#[test]
fn a_flip_begins_at_its_moment_and_ends_with_its_timer() {
    let sandbox = Sandbox::new("dash");
    let before = sandbox.state();
    let late = flip(&sandbox, "c1", 4);
    assert!(late < 1000, "{late}");
    assert_ne!(sandbox.state(), before);
    let begun = Instant::now();
    sandbox.wait_for_state(&before, 20);
    assert!(begun.elapsed() > Duration::from_secs(1));
    // One that comes when the others may have given up does nothing.
    let payload = encode(&files(), &ops());
    assert_eq!(sandbox.host("prepare", &["c2", "60"], &payload), "prepared\n");
    let at = clock(&sandbox).saturating_sub(500).to_string();
    let said = sandbox.host("flip", &["c2", &at, "99999999999"], "");
    assert_eq!(said, "failed - the moment of the group had passed\nreverted\n");
    sandbox.wait_for_state(&before, 5);
}

#[test]
fn what_has_confirmed_can_be_taken_back_until_it_is_released() {
    let sandbox = Sandbox::new("dash");
    let (before, boots) = (sandbox.state(), next_boot(&sandbox));
    flip(&sandbox, "c1", 60);
    let until = (clock(&sandbox) + 6000).to_string();
    assert_eq!(sandbox.host("hold", &["c1", &until], ""), "confirmed\n");
    // The answer was lost.
    assert_eq!(sandbox.host("hold", &["c1", &until], ""), "confirmed\n");
    assert_ne!(next_boot(&sandbox), boots);
    assert_eq!(sandbox.host("apply", &["c2", "60"], &encode(&files(), &ops())), "busy c1\n");
    assert_eq!(sandbox.host("revert", &["c1"], ""), "reverted\n");
    sandbox.wait_for_state(&before, 5);
    assert_eq!(next_boot(&sandbox), boots);

    flip(&sandbox, "c3", 60);
    let until = (clock(&sandbox) + 6000).to_string();
    assert_eq!(sandbox.host("hold", &["c3", &until], ""), "confirmed\n");
    assert_eq!(sandbox.host("release", &["c3"], ""), "released\n");
    assert_eq!(sandbox.host("revert", &["c3"], ""), "gone\n");
    assert_ne!(next_boot(&sandbox), boots);
    sandbox.wait_until_quiet();
}

#[test]
fn what_is_never_released_is_kept() {
    let sandbox = Sandbox::new("dash");
    let boots = next_boot(&sandbox);
    flip(&sandbox, "c1", 60);
    let until = (clock(&sandbox) + 150).to_string();
    assert_eq!(sandbox.host("hold", &["c1", &until], ""), "confirmed\n");
    let confirmed = next_boot(&sandbox);
    assert_ne!(confirmed, boots);
    sleep(Duration::from_secs(4));
    sandbox.wait_until_quiet();
    assert_eq!(sandbox.host("revert", &["c1"], ""), "gone\n");
    assert_same(&next_boot(&sandbox), &confirmed, "after the deadline");
    assert!(!sandbox.sh("ls /run/wgfleet/held.c1 /run/wgfleet/armed").status.success());
}

#[test]
fn of_a_release_and_a_rollback_one_wins() {
    let sandbox = Sandbox::new("dash");
    let before = sandbox.state();
    flip(&sandbox, "c1", 60);
    let until = (clock(&sandbox) + 6000).to_string();
    assert_eq!(sandbox.host("hold", &["c1", &until], ""), "confirmed\n");
    let children =
        ["release", "revert", "release", "revert"].map(|verb| sandbox.start(verb, &["c1"], ""));
    let said = children.map(|child| {
        String::from_utf8(child.wait_with_output().expect("it ends").stdout).expect("text")
    });
    assert_eq!(said.iter().filter(|said| *said != "gone\n").count(), 1, "{said:?}");
    if said.contains(&"reverted\n".to_owned()) {
        assert_same(&sandbox.state(), &before, "after the rollback");
    }
    sandbox.wait_until_quiet();
}
