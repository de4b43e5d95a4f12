//! A real systemd as PID 1, and what is there again after a power cut.

use std::time::Duration;

use crate::fleet::Fleet;

const BOOT: Duration = Duration::from_mins(1);

fn up() -> Fleet {
    let bare = "bare=wg,wg-quick,wireguard-go";
    let fleet = Fleet::up(
        "fleet: ops
networks:
  net: { interface: wg0, prefixes: [10.90.0.0/24, 'fd90::/64'], psk: pairwise, links: { hub: tools } }
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
    let rules = fleet.sh("tools", "nft list table inet wgfleet-ops");
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
        fleet.lab.lab("stop", &[host]);
    }
    for host in ["tools", "bare", "go"] {
        fleet.lab.lab("start", &[host]);
    }
    runs(&fleet);
    fleet.in_order();
    // Peers that learn of the boot through their keepalive only.
    fleet.reaches("tools", "10.90.0.2");
    fleet.reaches("tools", "10.90.0.3");
}

#[test]
fn a_tunnel_that_died_is_back_with_all_that_it_had() {
    let fleet = up();
    runs(&fleet);
    for host in ["tools", "bare"] {
        let tunnel = || fleet.sh(host, "cut -d ' ' -f 1 /run/wireguard/wg0.wgfleet");
        let first = tunnel();
        let group = fleet.sh(host, &format!("cat /proc/{first}/cgroup"));
        assert!(group.ends_with("/wgfleet-userspace@wg0.service"), "{host}: {group}");
        fleet.sh(host, &format!("kill -ABRT {first}"));
        let again = "p=$(cut -d ' ' -f 1 /run/wireguard/wg0.wgfleet 2>/dev/null) && [ \"$p\" != ";
        fleet.until(host, BOOT, &format!("{again}{first} ] && [ -d /proc/$p ]"));
        // In a service of its own once more.
        let group = fleet.sh(host, &format!("cat /proc/{}/cgroup", tunnel()));
        assert!(group.ends_with("/wgfleet-userspace@wg0.service"), "{host}: {group}");
    }
    runs(&fleet);
    fleet.in_order();
    // One that is told to end does not come back.
    fleet.sh("bare", "systemctl stop wgfleet-wg0");
    assert_eq!(fleet.sh("bare", "ls /run/wireguard"), "");
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

#[test]
fn what_hands_changed_under_systemd_is_seen_and_put_right() {
    let fleet = up();
    runs(&fleet);
    let [tools, go, bare] = ["tools", "go", "bare"];
    let folder = "mv /etc/wireguard/wg0.conf /run/kept; mkdir /etc/wireguard/wg0.conf";
    let link = "mv /etc/wireguard/wg0.conf /run/kept; ln -s /run/kept /etc/wireguard/wg0.conf";
    let pipe = "mv /etc/wireguard/wg0.conf /run/kept; mkfifo /etc/wireguard/wg0.conf";
    // A hand on each host at a time, and the change that is to undo it.
    let rounds: [[(&str, &str, &str); 3]; 4] = [
        [
            (tools, "systemctl -q mask wg-quick@wg0", "unit"),
            (go, "systemctl -q mask --runtime wg-quick@wg0", "unit"),
            (bare, "systemctl -q disable wgfleet-wg0", "unit"),
        ],
        [
            (tools, "ip route del 10.90.0.0/24 dev wg0", "add-route"),
            (go, "ip link set wg0 mtu 1300", "device"),
            (bare, "ip addr del 10.90.0.2/24 dev wg0", "add-address"),
        ],
        [
            (tools, "nft add rule inet wgfleet-ops postrouting oifname lo accept", "firewall"),
            (go, link, "file"),
            (bare, "ip -6 route del fd90::/64 dev wg0", "add-route"),
        ],
        [
            (
                tools,
                "nft -a list table inet wgfleet-ops | sed -n 's/.*masquerade.*handle /delete rule inet wgfleet-ops postrouting handle /p' | head -n 1 | nft -f -",
                "firewall",
            ),
            (
                go,
                "ip route del 10.90.0.0/24 dev wg0; ip route add 10.90.0.0/24 dev wg0",
                "add-route",
            ),
            (bare, "systemctl -q mask wg-quick@wg0; ip link set wg0 down", "device"),
        ],
    ];
    for round in rounds {
        for (host, hand, _) in round {
            fleet.sh(host, hand);
        }
        let changes = fleet.changes();
        for (host, hand, change) in round {
            assert!(changes[host].iter().any(|seen| seen == change), "{hand}: {changes:?}");
        }
        fleet.apply();
        runs(&fleet);
    }
    let table = fleet.sh(tools, "nft list table inet wgfleet-ops");
    assert!(!table.contains("accept\n\t\toifname lo") && table.contains("masquerade"), "{table}");
    assert!(!fleet.sh(go, "stat -c %F /etc/wireguard/wg0.conf").contains("link"));

    // What wgfleet does not remove is named, and stops no other host.
    for (hand, kind) in [(folder, "a folder"), (pipe, "a named pipe")] {
        fleet.sh(go, hand);
        fleet.sh(bare, "ip link set wg0 mtu 1300");
        let said = fleet.ends(3, &["plan"]);
        assert!(said.contains(&format!("/etc/wireguard/wg0.conf is {kind} there")), "{said}");
        let said = fleet.ends(7, &["apply", "--yes"]);
        assert!(
            said.contains("mv /etc/wireguard/wg0.conf /etc/wireguard/wg0.conf.moved"),
            "{said}"
        );
        fleet.sh(go, "mv /etc/wireguard/wg0.conf /etc/wireguard/wg0.conf.moved; rm -r /etc/wireguard/wg0.conf.moved; mv /run/kept /etc/wireguard/wg0.conf");
        fleet.in_order();
    }
}

#[test]
fn a_unit_that_could_not_start_again_by_itself_runs_after_a_rollback() {
    let fleet = up();
    // Masked, and without the file that it starts its interface from.
    fleet.sh("tools", "systemctl -q mask wg-quick@wg0");
    fleet.sh("go", "rm /etc/wireguard/wg0.conf");
    // Both interfaces are started anew, and the hook lets that fail.
    fleet.edit("gateway: true,", "gateway: true, post_up: /bin/false,");
    fleet.edit("backend: wireguard-go }", "backend: embedded, post_up: /bin/false }");
    let said = fleet.ends(8, &["apply", "--yes", "--limit", "tools,go"]);
    let state = "systemctl is-active wg-quick@wg0; systemctl is-enabled wg-quick@wg0 || :";
    for (host, was) in [("tools", "active\nmasked"), ("go", "active\nenabled")] {
        assert!(said.contains(&format!("{host}: rolled back: ")), "{said}");
        assert_eq!(fleet.sh(host, state), was, "{host}");
    }
}

/// What a process of a host may still do.
fn privileges(fleet: &Fleet, host: &str, interface: &str) -> String {
    let fields = "CapEff|CapPrm|CapBnd|NoNewPrivs|Seccomp";
    let script = format!(
        "read -r p _ </run/wireguard/{interface}.wgfleet; cat /proc/$p/task/*/status | \
         grep -E '^({fields}):' | tr '\\t' ' ' | sort -u"
    );
    fleet.sh(host, &script)
}

const CONFINED: &str = "CapBnd: 0000000000001400\nCapEff: 0000000000001400\n\
                        CapPrm: 0000000000001400\nNoNewPrivs: 1\nSeccomp: 2";

#[test]
fn a_unit_confines_the_tunnel_and_waits_until_it_is_ready() {
    let fleet = up();
    runs(&fleet);
    // Started by `apply` in place, and by its unit.
    assert_eq!(privileges(&fleet, "bare", "wg0"), CONFINED);
    fleet.sh("bare", "systemctl restart wgfleet-wg0.service");
    runs(&fleet);
    assert_eq!(privileges(&fleet, "bare", "wg0"), CONFINED);
    let shown = fleet.sh("bare", "systemctl show -p NoNewPrivileges -p LimitCORE wgfleet-wg0");
    assert_eq!(shown, "LimitCORE=0\nNoNewPrivileges=yes");
    fleet.in_order();

    // The example: a tunnel in the foreground, of type notify.
    let unit = include_str!("../../examples/wgfleet-tunnel@.service");
    let unit = unit.replace("/usr/local/bin/wgfleet", "/usr/local/lib/wgfleet/wgfleet");
    let path = fleet.root("bare").join("etc/systemd/system/wgfleet-tunnel@.service");
    std::fs::write(path, unit).unwrap();
    let start = "set -e; w=/usr/local/lib/wgfleet/wgfleet; umask 077
        printf '[Interface]\\nPrivateKey = %s\\nListenPort = 443\\n' \"$($w wg genkey)\" >/etc/wireguard/wg9.conf
        systemctl daemon-reload; systemctl start wgfleet-tunnel@wg9
        $w wg show wg9 listen-port; systemctl show -p StatusErrno -p SubState wgfleet-tunnel@wg9";
    assert_eq!(fleet.sh("bare", start), "443\nStatusErrno=0\nSubState=running");
    assert_eq!(privileges(&fleet, "bare", "wg9"), CONFINED);
    let stop = "systemctl stop wgfleet-tunnel@wg9; ip link show wg9 2>&1 | grep -c 'does not exist'
        ls /run/wireguard; systemctl --failed --plain --no-legend";
    assert_eq!(fleet.sh("bare", stop), "1\nwg0.sock\nwg0.wgfleet");
    runs(&fleet);
    fleet.in_order();
}
