//! The examples, raised as they are.

use crate::yard::Yard;

#[test]
fn site_to_site() {
    let yard = Yard::example("site-to-site");
    yard.settle();
    let lans = [
        ("lan-paris-1", "192.168.1.100"),
        ("lan-berlin-1", "192.168.2.100"),
        ("lan-branch-1", "192.168.7.100"),
    ];
    for from in lans {
        for to in lans.iter().filter(|to| **to != from) {
            yard.reaches(from.0, to.1);
        }
    }
}

#[test]
fn hub_and_spoke() {
    let yard = Yard::example("hub-and-spoke");
    yard.settle();
    // Spoke to spoke through a hub, and both hubs.
    for (from, to) in [
        ("lan-lyon-1", "192.168.11.100"),
        ("lan-turin-1", "192.168.10.100"),
        ("lan-lyon-1", "10.100.0.100"),
        ("lan-turin-1", "10.101.0.100"),
        ("lan-east-1", "192.168.10.100"),
        ("lan-west-1", "192.168.11.100"),
        ("lan-east-1", "10.101.0.100"),
    ] {
        yard.reaches(from, to);
    }
}

#[test]
fn two_zones_never_meet() {
    let yard = Yard::example("two-zones-one-gateway");
    yard.settle();
    let address = |host: &str, interface: &str| {
        let text = yard.sh(host, &format!("ip -o -4 address show dev {interface}"));
        let word = text.split_whitespace().nth(3).unwrap().to_owned();
        word.split('/').next().unwrap().to_owned()
    };
    let (prod_1, prod_2) = (address("prod-1", "prod"), address("prod-2", "prod"));
    let staging = address("staging-1", "staging");
    yard.reaches("prod-1", &prod_2);
    yard.reaches("prod-2", &prod_1);
    yard.reaches("gate", &staging);
    yard.misses("prod-1", &staging);
    yard.misses("staging-1", &prod_1);
    // Not even where someone inside adds the route.
    yard.sh("prod-1", &format!("ip route add {staging}/32 dev prod"));
    yard.misses("prod-1", &staging);
}

#[test]
fn host_to_host() {
    let yard = Yard::example("host-to-host");
    // What its hook expects to be there.
    yard.sh(
        "db-replica-2",
        "nft 'add table inet filter; add set inet filter trusted { type ifname; }'",
    );
    yard.settle();
    for (from, to) in [("db-replica-1", "db-primary"), ("db-replica-2", "db-primary")] {
        for family in ["-4", "-6"] {
            let script = format!(
                "ip {family} -o address show dev wg0 scope global | awk '{{ print $4 }}' | cut -d / -f 1"
            );
            yard.reaches(from, yard.sh(to, &script).trim());
        }
    }
    assert!(yard.sh("db-replica-2", "nft list set inet filter trusted").contains("wg0"));
}
