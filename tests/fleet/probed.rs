//! After a change, traffic through the tunnels says whether sessions work.

use serde_json::{Value, json};

use crate::yard::{Yard, outcome};

const MESH: &str = r#"
fleet: test
networks: { net: { interface: wg0, prefixes: [10.5.0.0/24] } }
hosts:
  h1: { address: 10.5.0.1, endpoint: "203.0.113.1:51820" }
  h2: { address: 10.5.0.2, endpoint: "203.0.113.2:51820" }
  h3: { address: 10.5.0.3, endpoint: "203.0.113.3:51820" }
"#;

/// The sessions of a host that nothing proved.
fn unverified(applied: &Value, host: &str) -> Value {
    let outcomes = applied["outcomes"].as_array().unwrap();
    outcomes.iter().find(|one| one["host"] == host).unwrap()["unverified"].clone()
}

#[test]
fn a_session_that_nothing_proves_is_told() {
    let yard = Yard::up(MESH);
    yard.settle();
    for (from, to) in [("h1", "10.5.0.2"), ("h1", "10.5.0.3"), ("h2", "10.5.0.3")] {
        yard.reaches(from, to);
    }
    // A host that changes alone, and all whose addresses change together.
    let alone = MESH.replace("10.5.0.1,", "10.5.0.1, keepalive: 9,");
    let together = alone.replace("10.5.0.3,", "10.5.0.33,");
    yard.write(&alone);
    let applied = yard.apply(0);
    assert_eq!(outcome(&applied, "h1"), "applied", "{applied}");
    assert_eq!(unverified(&applied, "h1"), Value::Null, "{applied}");
    // Who answers no ping sends some: of a group each probes the others.
    yard.sh("h2", "echo 1 > /proc/sys/net/ipv4/icmp_echo_ignore_all");
    yard.write(&together);
    let applied = yard.apply(0);
    for host in ["h1", "h2", "h3"] {
        assert_eq!(outcome(&applied, host), "applied", "{applied}");
        assert_eq!(unverified(&applied, host), Value::Null, "{host}: {applied}");
    }
    // A host that changes alone hears nothing through a cable that is out.
    yard.sh("h2", "ip route add blackhole 203.0.113.1");
    yard.write(&together.replace("keepalive: 9", "keepalive: 10"));
    let applied = yard.apply(0);
    let silent = json!([{ "interface": "wg0", "peer": "h2" }]);
    assert_eq!(unverified(&applied, "h1"), silent, "{applied}");
    yard.write(&together.replace("keepalive: 9", "keepalive: 11"));
    let told = yard.run(&["apply", "--yes"]).ends(0, &["apply"]);
    assert!(told.contains("h1: not verified: no packet came from h2 since the change"), "{told}");
    yard.write(&together);
    let told = yard.run(&["apply", "--yes", "--no-probe"]).ends(0, &["apply"]);
    assert!(!told.contains("not verified"), "{told}");
}
