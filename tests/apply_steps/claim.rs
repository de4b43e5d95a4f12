//! Who decides what becomes of a change, and what others leave behind.

use std::thread::sleep;
use std::time::Duration;

use crate::sandbox::{Sandbox, assert_same};
use crate::{encode, files, ops};

/// Has mv(1) wait for some seconds, once, before it moves the token of a change.
const SLOW: &str = r#"mount -t tmpfs none /usr/local/sbin
cat >/usr/local/sbin/mv <<'END'
#!/bin/sh
case $1 in */armed.c1 | */armed) rm /usr/local/sbin/mv; sleep 15 ;; esac
exec /usr/bin/mv "$@"
END
chmod 755 /usr/local/sbin/mv"#;

#[test]
fn a_late_confirmation_takes_nothing_of_the_next_change() {
    let sandbox = Sandbox::new("dash");
    let before = sandbox.state();
    let payload = encode(&files(), &ops());
    assert_eq!(sandbox.host("apply", &["c1", "7"], &payload), "done\n");
    assert!(sandbox.sh(SLOW).status.success());
    let late = sandbox.start("confirm", &["c1"], "");
    // Meanwhile its timer rolls it back, and another change is armed.
    sandbox.wait_for_files(&before, 12);
    assert_eq!(sandbox.host("apply", &["c2", "60"], &payload), "done\n");
    let said = late.wait_with_output().expect("it ends").stdout;
    assert_eq!(String::from_utf8_lossy(&said), "gone\n");
    // The other one still has its timer, and is still to be confirmed.
    let key = "00".repeat(32) + "\n";
    assert!(sandbox.host("observe", &[], &key).contains("\narmed c2\n"));
    assert_eq!(sandbox.host("confirm", &["c2"], ""), "confirmed\n");
    sandbox.wait_until_quiet();
}

#[test]
fn of_a_confirmation_and_a_rollback_one_wins() {
    let sandbox = Sandbox::new("dash");
    let before = sandbox.state();
    let payload = encode(&files(), &ops());
    for round in 0..6 {
        let id = format!("c{round}");
        assert_eq!(sandbox.host("apply", &[&id, "60"], &payload), "done\n");
        let verbs = ["confirm", "revert", "confirm", "revert"];
        let children = verbs.map(|verb| sandbox.start(verb, &[&id], ""));
        let said = children.map(|child| {
            String::from_utf8(child.wait_with_output().expect("it ends").stdout).expect("text")
        });
        assert_eq!(said.iter().filter(|said| *said != "gone\n").count(), 1, "{said:?}");
        if said.contains(&"reverted\n".to_owned()) {
            assert_same(&sandbox.state(), &before, "after the rollback");
        } else {
            assert!(said.contains(&"confirmed\n".to_owned()), "{said:?}");
            // What was confirmed is there: a host for the next round.
            return;
        }
    }
}

#[test]
fn a_lock_that_names_no_change_is_explained_and_removed() {
    for shell in ["dash", "busybox sh", "bash --posix"] {
        let sandbox = Sandbox::new(shell);
        let before = sandbox.state();
        let payload = encode(&files(), &ops());
        let damages = [
            ": >armed",
            "printf '\\0\\0' >armed",
            "echo c9 >armed",
            "echo 'a /b' >armed",
            "mkdir armed",
        ];
        for (round, damage) in damages.into_iter().enumerate() {
            sandbox.sh(&format!("mkdir -p /run/wgfleet; cd /run/wgfleet; {damage}"));
            let said = sandbox.host("apply", &[&format!("a{round}"), "60"], &payload);
            let explained = said.starts_with("failed 0 /run/wgfleet/armed named no change");
            assert!(explained && said.contains("apply again"), "{damage}: {said}");
            assert_same(&sandbox.state(), &before, damage);
            let id = format!("b{round}");
            assert_eq!(sandbox.host("apply", &[&id, "60"], &payload), "done\n", "{damage}");
            assert_eq!(sandbox.host("revert", &[&id], ""), "reverted\n");
        }
    }
}

/// What version 0.1.0 armed has one name only, and its timer may be dead.
#[test]
fn a_change_of_an_older_version_is_rolled_back_too() {
    let sandbox = Sandbox::new("dash");
    let before = sandbox.state();
    // Its one table had no fleet in its name.
    let payload = encode(&files(), &ops());
    let payload = payload.replace("wgfleet-f4 wgfleet", "wgfleet").replace("wgfleet-f4", "wgfleet");
    assert_eq!(sandbox.host("apply", &["a1", "60"], &payload), "done\n");
    sandbox.sh(
        "cd /run/wgfleet; rm armed.a1 a1/room a1/host.sh a1/begun; mv a1/old/nft.wgfleet a1/old/nft",
    );
    assert_eq!(sandbox.host("apply", &["a2", "60"], &payload), "busy a1\n");
    sandbox.sh("cd /run/wgfleet; read pid <timer.a1; kill -9 -$pid");
    sleep(Duration::from_millis(100));
    let said = sandbox.host("apply", &["a3", "60"], &payload);
    assert!(said.contains("(a1) without a timer was rolled back only now (reverted)"), "{said}");
    assert_same(&sandbox.state(), &before, "after the rollback");
    assert_eq!(sandbox.host("apply", &["a4", "60"], &payload), "done\n");
}

#[test]
fn the_next_change_removes_what_others_left_and_nothing_that_lives() {
    let sandbox = Sandbox::new("dash");
    let payload = encode(&files(), &ops());
    let litter = "mkdir -p /run/wgfleet /etc/systemd/system/wg-quick@wg9.service.d; cd /etc/wireguard
        touch .wg0.conf.wgfleet wg0.conf.wgfleet-old /etc/sysctl.d/.60-wgfleet-f4.conf.wgfleet
        touch /etc/systemd/system/wg-quick@wg9.service.d/.wgfleet.conf.wgfleet
        cd /run/wgfleet; touch reverted.c0 arming.c0 armed.c0 host.sh host.sh.c0; mkdir c0; touch c0/ops c0/undo";
    assert!(sandbox.sh(litter).status.success());
    assert_eq!(sandbox.host("apply", &["a1", "60"], &payload), "done\n");
    let find = "find /run/wgfleet -maxdepth 1 -mindepth 1 -printf '%f\\n' | sort
        find /etc -name '*.wgfleet-old'; find /etc/systemd -name '.*.wgfleet'";
    let left = sandbox.sh(find).stdout;
    assert_eq!(String::from_utf8_lossy(&left), "a1\narmed\narmed.a1\ntimer.a1\n");
    // What a change prepared stays while it is armed, whoever else is refused.
    let prepared = "ls /etc/wireguard/.wg0.conf.wgfleet";
    assert!(sandbox.sh(prepared).status.success());
    assert_eq!(sandbox.host("apply", &["a2", "60"], &payload), "busy a1\n");
    assert!(sandbox.sh(prepared).status.success());
    assert_eq!(sandbox.host("confirm", &["a1"], ""), "confirmed\n");
    let left = sandbox.sh("ls -A /run/wgfleet; find /etc -name '*.wgfleet'").stdout;
    assert_eq!(String::from_utf8_lossy(&left), "");
}

/// Between the plan and the change somebody else may have been there.
#[test]
fn a_host_that_is_not_what_the_plan_saw_is_not_touched() {
    let sandbox = Sandbox::new("dash");
    let before = sandbox.state();
    let mut files = files();
    files.push(("observe", "ab".repeat(32) + "\ninterface wg0\ninterface wg1\n"));
    files.push(("expect", "00".repeat(32)));
    let said = sandbox.host("apply", &["a1", "60"], &encode(&files, &ops()));
    assert!(said.starts_with("moved ") && said.lines().count() == 1, "{said}");
    assert_same(&sandbox.state(), &before, "it has moved");
    sandbox.wait_until_quiet();
    // Nothing of it keeps the next one out.
    files.truncate(files.len() - 2);
    assert_eq!(sandbox.host("apply", &["a2", "60"], &encode(&files, &ops())), "done\n");
}
