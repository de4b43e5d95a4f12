//! Changes by hand: seen by `plan`, corrected by `apply`.

use crate::yard::{THREE, Yard, changes};

#[test]
fn what_a_hand_changed_is_seen_and_corrected() {
    let text = THREE.replace(
        "endpoint: 203.0.113.5:51820",
        "endpoint: 203.0.113.5:51820\n        masquerade: true",
    );
    let yard = Yard::up(&text);
    // Someone else's interface, with a file of its own.
    let foreign = "umask 077; wireguard-go wgx >/dev/null 2>&1; wg genkey >/etc/wireguard/wgx.key
        wg set wgx private-key /etc/wireguard/wgx.key listen-port 4444 peer \
        hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo= allowed-ips 10.77.0.0/24
        ip address add 10.77.0.1/24 dev wgx; ip link set wgx up
        wg showconf wgx >/etc/wireguard/wgx.conf";
    yard.sh("paris-gw", foreign);
    let shown = "wg showconf wgx | sort; ip -o address show dev wgx; ip route show dev wgx
        cat /etc/wireguard/wgx.conf; stat -c %Y-%i /etc/wireguard/wgx.conf";
    let before = yard.sh("paris-gw", shown);
    yard.settle();
    let frankfurt = yard.key("frankfurt-gw");
    let stranger = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";
    // Each hand of a group shows as a change of another kind.
    let groups: [&[(&str, String)]; 9] = [
        &[
            ("add-peer", format!("wg set wg0 peer {frankfurt} remove")),
            ("remove-peer", format!("wg set wg0 peer {stranger} allowed-ips 10.66.0.0/24")),
            ("device", "ip link set wg0 mtu 1290".to_owned()),
            ("remove-address", "ip address add 10.66.0.1/24 dev wg0".to_owned()),
            ("add-route", "ip -6 route del fd02::/64 dev wg0".to_owned()),
            ("file", "echo '# by hand' >>/etc/wireguard/wg0.conf".to_owned()),
            ("firewall", "nft flush table inet wgfleet-three".to_owned()),
            ("forward", "echo 0 >/proc/sys/net/ipv4/ip_forward".to_owned()),
        ],
        &[
            ("change-peers", format!("wg set wg0 peer {frankfurt} allowed-ips 10.10.0.2/32")),
            ("device", "wg set wg0 listen-port 5555".to_owned()),
            ("add-address", "ip address del 10.10.0.1/24 dev wg0".to_owned()),
            ("file", "chmod 644 /etc/wireguard/wg0.conf".to_owned()),
            ("firewall", "nft delete table inet wgfleet-three".to_owned()),
            ("forward", "echo 0 >/proc/sys/net/ipv6/conf/all/forwarding".to_owned()),
        ],
        &[
            ("change-peers", format!("wg set wg0 peer {frankfurt} preshared-key /dev/null")),
            ("device", "wg genkey >/run/k; wg set wg0 private-key /run/k; rm /run/k".to_owned()),
            ("add-address", "ip -6 address del fd10::1/64 dev wg0".to_owned()),
            ("file", "rm /etc/sysctl.d/60-wgfleet-three.conf".to_owned()),
            ("firewall", "nft flush ruleset".to_owned()),
        ],
        &[
            ("change-peers", format!("wg set wg0 peer {frankfurt} persistent-keepalive 3")),
            ("device", "wg set wg0 fwmark 7".to_owned()),
            ("add-route", "ip route del 192.168.2.0/24 dev wg0".to_owned()),
            ("remove-route", "ip route add 10.66.0.0/24 dev wg0 metric 77".to_owned()),
            ("file", "chown 12:12 /etc/wireguard/wg0.conf".to_owned()),
        ],
        &[
            ("remove-route", "ip route add 10.66.0.0/24 dev wg0".to_owned()),
            ("file", "rm /etc/wireguard/wg0.conf".to_owned()),
        ],
        &[
            ("add-route", "ip route del 10.10.0.0/24 dev wg0".to_owned()),
            ("add-route", "ip -6 route del fd10::/64 dev wg0".to_owned()),
            ("firewall", "nft insert rule inet wgfleet-three postrouting accept".to_owned()),
            (
                "file",
                "mv /etc/wireguard/wg0.conf /run/c; ln -s /run/c /etc/wireguard/wg0.conf"
                    .to_owned(),
            ),
        ],
        // Takes routes and IPv6 addresses along.
        &[("device", "ip link set wg0 down".to_owned())],
        &[("create", "ip link del wg0; sleep 0.5".to_owned())],
        &[(
            "create",
            "kill -9 $(cut -d ' ' -f 1 /run/wireguard/wg0.wgfleet); sleep 0.5".to_owned(),
        )],
    ];
    for group in groups {
        for (_, hand) in group {
            yard.sh("paris-gw", hand);
        }
        let plan = yard.plan(2);
        let seen = changes(&plan, "paris-gw");
        for (kind, hand) in group {
            assert!(seen.iter().any(|seen| seen == kind), "{hand}: {plan}");
        }
        let drift = crate::yard::of(&plan, "paris-gw")["drift"].as_array().map_or(0, Vec::len);
        assert!(drift > 0, "{group:?}: {plan}");
        for other in ["frankfurt-gw", "branch-gw"] {
            assert!(changes(&plan, other).is_empty(), "{group:?}: {plan}");
        }
        let ran = yard.run(&["apply", "--yes"]);
        assert_eq!(ran.code, 0, "{group:?}: {}{}", ran.stdout, ran.stderr);
        let ran = yard.run(&["plan", "--detailed-exitcode"]);
        assert_eq!(ran.code, 0, "{group:?}: {}{}", ran.stdout, ran.stderr);
        assert_eq!(yard.sh("paris-gw", "stat -c '%a %u' /etc/wireguard/wg0.conf"), "600 0\n");
    }
    yard.reaches("lan-paris-1", "192.168.2.100");
    yard.reaches("lan-branch-2", "fd01::64");
    assert_eq!(yard.sh("paris-gw", shown), before);
}
