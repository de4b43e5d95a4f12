//! Hooks and tunnels that hang: a rollback ends, and leaves nothing running behind it.

use std::time::{Duration, Instant};

use crate::sandbox::{KEYS, Sandbox, assert_same};
use crate::{encode, files, ops, payload};

/// A full tunnel with hooks, started for the first time.
fn first(hooks: &str) -> String {
    let conf = format!(
        "[Interface]\nPrivateKey = {}\nAddress = 10.5.0.1/24\n{hooks}[Peer]\nPublicKey = {}\nAllowedIPs = 0.0.0.0/0\n",
        KEYS[4], KEYS[1]
    );
    let mut files = files();
    files.push(("conf", conf));
    let ops = [
        "touch wg3",
        "try conf wg3",
        "prepare conf 600 /etc/wireguard/wg3.conf",
        "keep conf 600 /etc/wireguard/wg3.conf",
        "quick-up wg3 userspace",
    ]
    .map(str::to_owned);
    payload(&files, &ops, &[], &[])
}

const HOOKS: &str = "PostUp = echo up >>/run/hooks\nPreDown = echo down >>/run/hooks\n";

fn hooks(sandbox: &Sandbox) -> String {
    String::from_utf8(sandbox.sh("cat /run/hooks; rm -f /run/hooks").stdout).expect("text")
}

#[test]
fn a_first_full_tunnel_that_is_rolled_back_leaves_nothing() {
    let sandbox = Sandbox::new("dash");
    let before = sandbox.state();
    assert_eq!(sandbox.host("apply", &["a1", "60"], &first(HOOKS)), "done\n");
    assert!(sandbox.state().contains("lookup 51820"));
    assert_eq!(sandbox.host("revert", &["a1"], ""), "reverted\n");
    assert_same(&sandbox.state(), &before, "after the rollback");
    assert_eq!(hooks(&sandbox), "up\ndown\n");

    // Where its tunnel died before, wg-quick knows nothing of it any more.
    assert_eq!(sandbox.host("apply", &["a2", "60"], &first(HOOKS)), "done\n");
    sandbox.sh("pkill -9 -f 'wireguard-go wg[3]'; while ip link show wg3; do sleep 0.1; done");
    assert_eq!(sandbox.host("revert", &["a2"], ""), "reverted\n");
    assert_same(&sandbox.state(), &before, "after the rollback of a dead tunnel");
}

#[test]
fn a_hook_that_hangs_as_an_interface_goes_down_does_not_hold_up_the_rollback() {
    let sandbox = Sandbox::new("dash");
    let before = sandbox.state();
    let hanging = format!("{HOOKS}PostDown = sleep 600\n");
    assert_eq!(sandbox.host("apply", &["a1", "60"], &first(&hanging)), "done\n");
    let begun = Instant::now();
    assert_eq!(sandbox.host("revert", &["a1"], ""), "reverted\n");
    assert!(begun.elapsed() < Duration::from_secs(40), "{:?}", begun.elapsed());
    assert_same(&sandbox.state(), &before, "after the rollback");
    assert_eq!(hooks(&sandbox), "up\ndown\n");
    sandbox.wait_until_quiet();
}

#[test]
fn a_tunnel_that_answers_nobody_holds_up_no_rollback() {
    let sandbox = Sandbox::new("dash");
    assert_eq!(sandbox.host("apply", &["a1", "60"], &encode(&files(), &ops())), "done\n");
    sandbox.sh("pkill -STOP -f 'wireguard-go wg[0]'");
    let begun = Instant::now();
    assert_eq!(sandbox.host("revert", &["a1"], ""), "unverified wg0\n");
    assert!(begun.elapsed() < Duration::from_mins(1), "{:?}", begun.elapsed());
    sandbox.sh("pkill -CONT -f 'wireguard-go wg[0]'");
    // Nothing is locked for the next one.
    assert_eq!(sandbox.host("apply", &["a2", "60"], &encode(&files(), &ops())), "done\n");
}
