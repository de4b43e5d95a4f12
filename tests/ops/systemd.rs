//! A real systemd as PID 1, and what is there again after a power cut.

use std::time::Duration;

use crate::fleet::Fleet;

const BOOT: Duration = Duration::from_secs(60);

fn up() -> Fleet {
    let bare = "bare=wg,wg-quick,wireguard-go";
    let fleet = Fleet::up(
        "fleet: ops
networks:
  net: { interface: wg0, prefixes: [10.90.0.0/24, 'fd90::/64'], psk: pairwise }
sites:
  centre:
    subnets: [192.168.1.0/24, 'fd01::/64']
    hosts:
      tools: { ssh: root@tools.example.com, address: 10.90.0.1, endpoint: 'tools.example.com:51820', gateway: true, masquerade: true }
  north:
    hosts:
      bare: { ssh: root@bare.example.com, address: 10.90.0.2, nat: true, backend: embedded }
  south:
    hosts:
      go: { ssh: root@go.example.com, address: 10.90.0.3, nat: true, backend: wireguard-go }
",
        &["--systemd", "tools", "--systemd", "bare", "--systemd", "go", "--without", bare],
    );
    for host in ["tools", "bare", "go"] {
        let booted = "systemctl is-system-running --wait | grep -q running";
        fleet.until(host, BOOT, booted);
    }
    fleet.apply();
    fleet
}

const UNITS: [(&str, &str); 3] = [
    ("tools", "wg-quick@wg0.service"),
    ("bare", "wgfleet-wg0.service"),
    ("go", "wg-quick@wg0.service"),
];

fn runs(fleet: &Fleet) {
    for (host, unit) in UNITS {
        fleet.until(host, BOOT, &format!("systemctl -q is-active {unit}"));
        assert_eq!(fleet.sh(host, &format!("systemctl is-enabled {unit}")), "enabled");
        assert_eq!(fleet.sh(host, "systemctl --failed --plain --no-legend"), "", "{host}");
    }
    for host in ["bare", "go"] {
        fleet.reaches(host, "10.90.0.1");
        // Through the gateway to a machine of its LAN.
        fleet.reaches(host, &fleet.address("lan-centre-1"));
    }
    let forward = "cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding";
    assert_eq!(fleet.sh("tools", forward), "1\n1");
    let rules = fleet.sh("tools", "nft list table inet wgfleet");
    assert!(rules.contains("masquerade"), "{rules}");
}

#[test]
fn the_interface_is_back_by_itself_after_a_power_cut() {
    let fleet = up();
    runs(&fleet);
    for (host, unit) in UNITS {
        fleet.sh(host, &format!("systemctl restart {unit}"));
    }
    runs(&fleet);
    fleet.in_order();
    for host in ["tools", "bare", "go"] {
        fleet.twin.lab("stop", &[host]);
    }
    for host in ["tools", "bare", "go"] {
        fleet.twin.lab("start", &[host]);
    }
    runs(&fleet);
    fleet.in_order();
    // Peers that learn of the boot through their keepalive only.
    fleet.reaches("tools", "10.90.0.2");
    fleet.reaches("tools", "10.90.0.3");
}

#[test]
fn an_interface_that_went_away_or_is_not_wanted_is_put_right_with_its_unit() {
    let fleet = up();
    fleet.sh("go", "ip link del wg0");
    fleet.sh("bare", "systemctl disable --now wgfleet-wg0");
    fleet.until("go", BOOT, "! ip link show wg0 2>/dev/null");
    let changes = fleet.changes();
    assert!(changes["go"].contains(&"create".to_owned()), "{changes:?}");
    assert!(changes["bare"].contains(&"unit".to_owned()), "{changes:?}");
    fleet.apply();
    runs(&fleet);
    // Another name: the old interface goes with its unit and files.
    fleet.edit("interface: wg0", "interface: wg7");
    fleet.apply();
    for (host, unit) in UNITS {
        let old = format!(
            "systemctl is-active {unit}; ls -d /sys/class/net/wg0 /etc/wireguard/wg0.conf 2>&1 | grep -c '^/'"
        );
        let left = fleet.sh(host, &format!("{old} || :"));
        assert_eq!(left, "inactive\n0", "{host}");
        let new = unit.replace("wg0", "wg7");
        assert_eq!(fleet.sh(host, &format!("systemctl is-active {new}")), "active");
    }
    fleet.reaches("go", "10.90.0.1");
    fleet.reaches("bare", "10.90.0.1");
}
