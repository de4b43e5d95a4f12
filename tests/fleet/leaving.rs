//! What leaves the inventory leaves the hosts.

use crate::yard::{Yard, changes};

/// Two networks; frankfurt is in both, and so is paris until it leaves.
const TWO: &str = r#"
fleet: two
networks:
  blue: { interface: wg0, prefixes: [10.10.0.0/24] }
  red: { interface: wg1, prefixes: [10.20.0.0/24] }
sites:
  paris:
    hosts:
      paris-gw:
        masquerade: true
        networks: { blue: { endpoint: "203.0.113.5:51820" }, red: { endpoint: "203.0.113.5:51821" } }
        address: [10.10.0.1, 10.20.0.1]
  frankfurt:
    hosts:
      frankfurt-gw:
        networks: { blue: { endpoint: "203.0.113.9:51820" }, red: { endpoint: "203.0.113.9:51821" } }
        address: [10.10.0.2, 10.20.0.2]
"#;

const BRANCH: &str = r"  branch:
    hosts:
      branch-gw: { nat: true, networks: [blue], address: 10.10.0.3 }
";

#[test]
fn hosts_networks_and_rules_go_from_where_they_are_not_wanted() {
    let world = format!("{TWO}{BRANCH}");
    let yard = Yard::within(&world, &world, &["--systemd", "frankfurt-gw"]);
    yard.settle();
    yard.reaches("branch-gw", "10.10.0.1");
    yard.reaches("paris-gw", "10.20.0.2");
    yard.sh("frankfurt-gw", "systemctl is-active wg-quick@wg0 wg-quick@wg1");
    yard.sh("paris-gw", "nft list table inet wgfleet-two");

    // A host goes.
    yard.write(TWO);
    let plan = yard.plan(2);
    assert_eq!(changes(&plan, "paris-gw"), ["remove-peer", "file"], "{plan}");
    assert_eq!(crate::yard::of(&plan, "paris-gw")["drift"], serde_json::json!([]), "{plan}");
    let orphan =
        serde_json::json!([{ "kind": "host", "name": "branch-gw", "host": null, "runs": null }]);
    assert_eq!(plan["orphans"], orphan, "{plan}");
    yard.settle();
    let key = yard.key("branch-gw");
    for host in ["paris-gw", "frankfurt-gw"] {
        assert!(!yard.sessions(host, "wg0").contains_key(&key), "{host}");
        assert!(!yard.sh(host, "cat /etc/wireguard/wg0.conf").contains(&key), "{host}");
    }

    // A host leaves a network.
    let only_blue = TWO
        .replace(r#", red: { endpoint: "203.0.113.5:51821" } }"#, " }")
        .replace("[10.10.0.1, 10.20.0.1]", "10.10.0.1");
    yard.write(&only_blue);
    let plan = yard.plan(2);
    assert!(changes(&plan, "paris-gw").contains(&"delete".to_owned()), "{plan}");
    let paris = crate::yard::of(&plan, "paris-gw");
    assert_eq!(paris["disruption"], "flows", "{plan}");
    assert_eq!(paris["feels"]["removals"], serde_json::json!(["wg1"]), "{plan}");
    yard.settle();
    assert!(
        yard.holds("paris-gw", "test ! -e /sys/class/net/wg1 && test ! -e /etc/wireguard/wg1.conf")
    );
    assert!(yard.holds("paris-gw", "test ! -e /run/wireguard/wg1.sock"));
    assert!(yard.sessions("frankfurt-gw", "wg1").is_empty());
    yard.reaches("paris-gw", "10.10.0.2");

    // A network goes, and with it its units; so does the masquerading.
    let one = only_blue
        .replace("  red: { interface: wg1, prefixes: [10.20.0.0/24] }\n", "")
        .replace(r#", red: { endpoint: "203.0.113.9:51821" } }"#, " }")
        .replace("[10.10.0.2, 10.20.0.2]", "10.10.0.2")
        .replace("        masquerade: true\n", "");
    yard.write(&one);
    let plan = yard.plan(2);
    let red = &plan["orphans"][1];
    assert_eq!((&red["kind"], &red["name"]), (&"network".into(), &"red".into()), "{plan}");
    assert_eq!(red["runs"], serde_json::json!(["wg1"]), "{plan}");
    yard.settle();
    // Nothing of it is left, and the host that went is still told.
    assert_eq!(yard.plan(0)["orphans"], orphan);
    let gone = "test ! -e /sys/class/net/wg1 && test ! -e /etc/wireguard/wg1.conf &&
        test ! -e /etc/systemd/system/wg-quick@wg1.service.d/wgfleet.conf &&
        ! systemctl is-enabled -q wg-quick@wg1 && ! systemctl is-active -q wg-quick@wg1 &&
        systemctl is-active -q wg-quick@wg0";
    assert!(yard.holds("frankfurt-gw", gone));
    assert!(yard.holds(
        "paris-gw",
        "! nft list table inet wgfleet-two 2>/dev/null && test ! -e /etc/wireguard/wgfleet-two.nft"
    ));
    yard.reaches("paris-gw", "10.10.0.2");
}
