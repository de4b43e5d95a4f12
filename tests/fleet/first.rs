//! The first apply of a fleet.

use crate::yard::{THREE, Yard, outcome};

#[test]
fn three_sites_reach_one_another_and_the_second_plan_is_empty() {
    let yard = Yard::up(THREE);
    yard.plan(2);
    let applied = yard.apply(0);
    let hosts = ["paris-gw", "frankfurt-gw", "branch-gw"];
    for host in hosts {
        assert_eq!(outcome(&applied, host), "applied", "{applied}");
    }
    yard.settled();

    let lans = [
        [("lan-paris-1", "192.168.1.100"), ("lan-paris-2", "fd01::64")],
        [("lan-frankfurt-1", "192.168.2.100"), ("lan-frankfurt-2", "fd02::64")],
        [("lan-branch-1", "192.168.7.100"), ("lan-branch-2", "fd07::64")],
    ];
    for family in [0, 1] {
        for from in lans {
            for to in lans.iter().filter(|to| **to != from) {
                yard.reaches(from[family].0, to[family].1);
            }
        }
    }
    for host in hosts {
        for to in ["10.10.0.1", "10.10.0.2", "10.10.0.3", "fd10::1", "fd10::2", "fd10::3"] {
            yard.reaches(host, to);
        }
    }
    // The largest packet of the tunnel fits through PPPoE in one piece.
    let mtu = yard.sh("frankfurt-gw", "cat /sys/class/net/wg0/mtu");
    let mtu: u32 = mtu.trim().parse().unwrap();
    let size = (mtu - 28).to_string();
    let big = ["ping", "-M", "do", "-s", &size, "-c", "2", "-i", "0.1", "10.10.0.1"];
    yard.lab.ok("frankfurt-gw", &big);

    let again = yard.apply(0);
    for host in hosts {
        assert_eq!(outcome(&again, host), "unchanged", "{again}");
    }
    // Nothing is left of the change on the host, and nobody else can read its key.
    assert!(yard.holds(
        "paris-gw",
        "test ! -e /run/wgfleet/armed && test -z \"$(ls -d /run/wgfleet/c* 2>/dev/null)\""
    ));
    assert_eq!(yard.sh("paris-gw", "stat -c '%a %u' /etc/wireguard/wg0.conf"), "600 0\n");
}
