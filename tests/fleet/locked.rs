//! Two checkouts that change one fleet.

use crate::yard::{Yard, outcome};

const PAIR: &str = r#"
fleet: test
networks: { net: { interface: wg0, prefixes: [10.5.0.0/24] } }
hosts:
  h1: { address: 10.5.0.1, endpoint: "203.0.113.1:51820" }
  h2: { address: 10.5.0.2, endpoint: "203.0.113.2:51820" }
"#;

#[test]
fn a_run_that_meets_another_changes_nothing_and_says_whose_the_host_is() {
    let yard = Yard::up(PAIR);
    yard.settle();
    // Of another controller: no journal here knows it.
    yard.sh("h2", "read up _ </proc/uptime; echo \"r0 $((${up%.*} * 100 + 30000)) ann@laptop 2026-11-27T19:00:00Z apply 0123456789ab\" >/run/wgfleet/lock");
    yard.write(&PAIR.replace("prefixes: [10.5.0.0/24]", "prefixes: [10.5.0.0/24], mtu: 1300"));
    let applied = yard.apply(5);
    for host in ["h1", "h2"] {
        assert_eq!(outcome(&applied, host), "skipped", "{applied}");
        assert!(!yard.holds(host, "ip link show wg0 | grep -q 'mtu 1300'"), "{host}");
    }
    let told = yard.run(&["apply", "--yes"]).ends(5, &["apply"]);
    assert!(
        told.contains("h2: not begun: locked by `wgfleet apply` of ann@laptop since"),
        "{told}"
    );
    assert!(told.contains("h1: not begun: another run changes `h2`"), "{told}");
    assert!(!yard.holds("h1", "[ -e /run/wgfleet/lock ]"));
    let told = yard.run(&["rotate", "--yes", "h1"]).ends(5, &["rotate"]);
    assert!(told.contains("ann@laptop"), "{told}");
    let listed = yard.run(&["lock", "list"]).ends(0, &["lock"]);
    assert!(listed.contains("h1: free\n") && listed.contains("h2: locked by"), "{listed}");
    let broken = yard.run(&["lock", "break", "h2"]).ends(0, &["lock"]);
    assert_eq!(broken, "h2: the lock was broken\n");
    yard.settle();
    for host in ["h1", "h2"] {
        assert!(yard.holds(host, "ip link show wg0 | grep -q 'mtu 1300'"), "{host}");
        assert!(!yard.holds(host, "[ -e /run/wgfleet/lock ]"), "{host}");
    }
}
