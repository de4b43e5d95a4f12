//! Hosts that are down or left out: nobody loses them as a peer.

use crate::yard::{ROME, THREE, Yard, of, outcome};

#[test]
fn a_host_is_down_while_the_fleet_changes() {
    let four = format!("{THREE}{ROME}");
    let yard = Yard::within(&four, THREE, &[]);
    yard.settle();
    yard.reaches("lan-branch-1", "192.168.2.100");
    yard.reaches("lan-paris-1", "192.168.2.100");
    let frankfurt = yard.key("frankfurt-gw");
    let before = yard.begun_sessions("paris-gw", "wg0");
    yard.lab.lab("stop", &["frankfurt-gw"]);
    yard.write(&four);
    let plan = yard.plan(4);
    assert_eq!(of(&plan, "frankfurt-gw")["state"]["state"], "unreadable", "{plan}");
    let human = yard.run(&["plan", "--connect-timeout", "3"]);
    assert!(human.stdout.contains("frankfurt-gw") && human.code == 4, "{human:?}");

    let applied = yard.apply(7);
    for (host, word) in [
        ("paris-gw", "applied"),
        ("branch-gw", "applied"),
        ("rome-gw", "applied"),
        ("frankfurt-gw", "skipped"),
    ] {
        assert_eq!(outcome(&applied, host), word, "{host}: {applied}");
    }
    for host in ["paris-gw", "branch-gw", "rome-gw"] {
        let sessions = yard.sessions(host, "wg0");
        assert_eq!(sessions.len(), 3, "{host}: {sessions:?}");
        assert!(sessions[&frankfurt].allowed_ips.contains("192.168.2.0/24"), "{host}");
    }
    let (old, new) = (&before[&frankfurt], &yard.sessions("paris-gw", "wg0")[&frankfurt]);
    assert_eq!((&new.endpoint, new.handshake), (&old.endpoint, old.handshake));
    assert!(new.received >= old.received, "{new:?}, after {old:?}");
    yard.reaches("lan-rome-1", "192.168.1.100");
    yard.reaches("lan-rome-1", "192.168.7.100");

    yard.lab.lab("start", &["frankfurt-gw"]);
    let applied = yard.settle();
    assert_eq!(outcome(&applied, "frankfurt-gw"), "applied", "{applied}");
    assert_eq!(outcome(&applied, "paris-gw"), "unchanged", "{applied}");
    yard.reaches("lan-rome-1", "192.168.2.100");
    // Only the branch can begin their session, and it does once its own packets go unanswered for
    // 15 seconds (keepalive timeout and rekey timeout of the protocol).
    yard.reaches("lan-branch-2", "fd02::64");
    yard.reaches("lan-frankfurt-2", "fd07::64");
}

#[test]
fn a_limit_removes_nobody() {
    let four = format!("{THREE}{ROME}");
    let yard = Yard::up(&four);
    yard.settle();
    yard.write(&four.replace("nat: true", "nat: true\n        keepalive: 9"));
    yard.done(&["apply", "--yes", "--limit", "branch-gw"]);
    for host in ["paris-gw", "frankfurt-gw", "branch-gw", "rome-gw"] {
        assert_eq!(yard.sessions(host, "wg0").len(), 3, "{host}");
    }
    assert!(yard.sh("branch-gw", "wg show wg0 persistent-keepalive").contains("\t9\n"));
    yard.settled();
    // A host that leaves the file stays everywhere but on the host that was named.
    yard.write(THREE);
    let ran = yard.run(&["apply", "--yes", "--limit", "paris-gw,branch-gw"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(yard.sessions("paris-gw", "wg0").len(), 2);
    assert_eq!(yard.sessions("frankfurt-gw", "wg0").len(), 3);
    let unknown = yard.run(&["apply", "--yes", "--limit", "nobody"]);
    assert_eq!(unknown.code, 64, "{unknown:?}");
}
