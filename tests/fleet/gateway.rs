//! Forwarding and masquerading, and what is left of them afterwards.

use crate::yard::{Yard, changes};

const PAIR: &str = r#"
fleet: pair
networks:
  backbone: { interface: wg0, prefixes: [10.10.0.0/24] }
sites:
  paris:
    subnets: [192.168.1.0/24]
    hosts:
      paris-gw: { gateway: true, masquerade: true, endpoint: "203.0.113.5:51820", address: 10.10.0.1 }
  oslo:
    subnets: [192.168.2.0/24]
    hosts:
      oslo-gw: { gateway: true, endpoint: "203.0.113.9:51820", address: 10.10.0.2 }
"#;

const FORWARDS: &str = "cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding";

#[test]
fn forwarding_and_masquerade_come_and_go() {
    let yard = Yard::up(PAIR);
    // Oslo routed before wgfleet came, paris did not.
    yard.sh(
        "paris-gw",
        "echo 0 >/proc/sys/net/ipv4/ip_forward; echo 0 >/proc/sys/net/ipv6/conf/all/forwarding",
    );
    yard.sh(
        "oslo-gw",
        "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 0 >/proc/sys/net/ipv6/conf/all/forwarding",
    );
    yard.settle();
    // One family only is needed.
    assert_eq!(yard.sh("paris-gw", FORWARDS), "1\n0\n");
    // A machine in the LAN of paris that has no return path.
    yard.sh("lan-paris-1", "ip route del default");
    yard.reaches("lan-oslo-1", "192.168.1.100");
    yard.reaches("oslo-gw", "192.168.1.100");
    // Whoever else has rules keeps them.
    yard.sh("paris-gw", "nft add table inet mine");

    let plain = PAIR.replace("masquerade: true, ", "");
    yard.write(&plain);
    let shown = yard.plan(2);
    assert!(changes(&shown, "paris-gw").contains(&"firewall".to_owned()), "{shown}");
    yard.settle();
    yard.misses("lan-oslo-1", "192.168.1.100");
    assert!(yard.holds(
        "paris-gw",
        "! nft list table inet wgfleet-pair 2>/dev/null && nft list table inet mine"
    ));
    yard.sh("lan-paris-1", "ip route add default via 192.168.1.1");
    yard.reaches("lan-oslo-1", "192.168.1.100");
    yard.reaches("lan-paris-1", "192.168.2.100");

    yard.write(&plain.replace("gateway: true, ", "gateway: false, "));
    yard.settle();
    assert_eq!(yard.sh("paris-gw", FORWARDS), "0\n0\n");
    assert_eq!(yard.sh("oslo-gw", FORWARDS), "1\n0\n");
    assert!(yard.holds("paris-gw", "test ! -e /etc/sysctl.d/60-wgfleet-pair.conf"));
    yard.reaches("oslo-gw", "10.10.0.1");
    yard.misses("oslo-gw", "192.168.1.100");
}
