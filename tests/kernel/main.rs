//! Fleets on a kernel that has `WireGuard`. `make test-kernel` runs them in an emulated machine.
//! Needs root.

#[path = "../tunnel/ends.rs"]
#[expect(dead_code, reason = "each test program uses its own part of it")]
mod ends;
#[path = "../ops/fleet.rs"]
#[expect(dead_code, reason = "each test program uses its own part of it")]
mod fleet;
mod interop;
#[path = "../tunnel/namespace.rs"]
#[expect(dead_code, reason = "each test program uses its own part of it")]
mod namespace;
#[path = "../support/mod.rs"]
mod support;

use std::path::Path;

use fleet::Fleet;
use support::lab::WGFLEET;

const FLEET: &str = "fleet: ops
networks:
  vpn: { interface: wg0, prefixes: [10.90.0.0/24, 'fd90::/64'], links: mesh, psk: pairwise }
defaults: { gateway: true }
sites:
  west: { subnets: [192.168.1.0/24, 'fd01::/64'], hosts: { a: { ssh: root@a.example.com, address: [10.90.0.1, 'fd90::1'], endpoint: 'a.example.com:51820' } } }
  east: { subnets: [192.168.2.0/24, 'fd02::/64'], hosts: { b: { ssh: root@b.example.com, address: [10.90.0.2, 'fd90::2'], endpoint: 'b.example.com:51820' B } } }
  branch: { subnets: [192.168.3.0/24], hosts: { c: { ssh: root@c.example.com, address: [10.90.0.3, 'fd90::3'], nat: true C } } }
";

/// Every pair of tunnel addresses, and two of LANs.
const PAIRS: [(&str, &str); 8] = [
    ("a", "10.90.0.2"),
    ("b", "fd90::1"),
    ("b", "10.90.0.3"),
    ("c", "fd90::2"),
    ("c", "10.90.0.1"),
    ("a", "fd90::3"),
    ("lan-west-1", "192.168.2.100"),
    ("lan-branch-1", "192.168.1.100"),
];

fn fleet(b: &str, c: &str, options: &[&str]) -> Fleet {
    assert!(
        Path::new("/sys/module/wireguard").exists(),
        "this kernel has no WireGuard: run these tests with `make test-kernel`"
    );
    Fleet::up(&FLEET.replace(" B ", &format!("{b} ")).replace(" C ", &format!("{c} ")), options)
}

fn backend(fleet: &Fleet, host: &str) -> String {
    let link = fleet.sh(host, "ip -d -o link show dev wg0");
    if link.contains(" wireguard ") { "kernel" } else { "userspace" }.to_owned()
}

/// From nothing to traffic, a change beside it, new keys, and away again.
fn lives(fleet: &Fleet) {
    fleet.apply();
    for (from, to) in PAIRS {
        fleet.reaches(from, to);
    }
    let status = fleet.done(&["status"]);
    assert!(status.contains("kernel") && !status.contains("never"), "{status}");

    let paths = [("a", "10.90.0.2"), ("lan-branch-1", "192.168.1.100")];
    let pings: Vec<_> = paths.iter().map(|(from, to)| fleet.lab.ping_on(from, to, 0.02)).collect();
    fleet.edit("[192.168.2.0/24, ", "[192.168.2.0/24, 192.168.20.0/24, ");
    fleet.apply();
    fleet.done(&["rotate", "--yes", "b"]);
    fleet.in_order();
    for (ping, path) in pings.into_iter().zip(paths) {
        let ping = ping.finish();
        assert!(ping.sent > 20 && ping.lost() <= 2, "{path:?}: {ping:?}");
    }
    assert!(fleet.sh("a", "ip route show dev wg0").contains("192.168.20.0/24"));
    for (from, to) in PAIRS {
        fleet.reaches(from, to);
    }
    // An interface that leaves the file leaves the host.
    fleet.edit("links: mesh", "links: [[a, c]]");
    fleet.apply();
    fleet.reaches("a", "10.90.0.3");
}

#[test]
fn a_fleet_on_kernel_wireguard_with_its_own_tools() {
    let fleet = fleet("", "", &[]);
    lives(&fleet);
    for host in ["a", "c"] {
        assert_eq!(backend(&fleet, host), "kernel", "{host}");
    }
}

#[test]
fn kernel_wireguard_without_any_tool_is_driven_by_wgfleet_itself() {
    let without = "wg,wg-quick,wireguard-go";
    let options: Vec<String> = ["a", "b", "c"]
        .iter()
        .flat_map(|host| ["--without".to_owned(), format!("{host}={without}")])
        .collect();
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let fleet = fleet("", "", &options);
    lives(&fleet);
    for host in ["a", "c"] {
        assert_eq!(backend(&fleet, host), "kernel", "{host}");
    }
}

#[test]
fn the_embedded_tunnel_talks_with_the_kernel() {
    let fleet = fleet(", backend: embedded", ", backend: wireguard-go", &[]);
    lives(&fleet);
    assert_eq!(backend(&fleet, "a"), "kernel");
}

#[test]
fn both_sides_begin_the_handshake() {
    let fleet = fleet(", backend: embedded", "", &[]);
    fleet.apply();
    for (first, second, to) in [("a", "b", "10.90.0.2"), ("b", "a", "10.90.0.1")] {
        // Nobody remembers a session, and nobody but the first speaks. (IPv6 addresses go with a
        // link that goes down.)
        for host in [first, second] {
            fleet.sh(host, "ip link set wg0 down; ip link set wg0 up");
        }
        fleet.reaches(first, to);
    }
}

#[test]
fn a_session_is_renewed_after_two_minutes() {
    let fleet = fleet(", backend: embedded", ", backend: embedded", &[]);
    fleet.apply();
    for (from, to) in PAIRS {
        fleet.reaches(from, to);
    }
    let shaken = "wg show wg0 latest-handshakes | cut -f 2 | sort | head -n 1";
    let before: u64 = fleet.sh("a", shaken).parse().unwrap();
    let pings = [("a", "10.90.0.2"), ("b", "10.90.0.1"), ("c", "10.90.0.1")]
        .map(|(from, to)| fleet.lab.ping_on(from, to, 0.1));
    std::thread::sleep(std::time::Duration::from_secs(135));
    for ping in pings {
        let ping = ping.finish();
        assert!(ping.sent > 1000 && ping.lost() == 0, "{ping:?}");
    }
    let after: u64 = fleet.sh("a", shaken).parse().unwrap();
    // No session is older than the 120 s after which it is renewed; on a machine that is starved one
    // may have been renewed before.
    let now: u64 = fleet.sh("a", "date +%s").parse().unwrap();
    assert!(after > before && now - after <= 125, "{before} {after} {now}");
}

#[test]
fn wg_of_wgfleet_says_what_the_kernels_own_says() {
    let fleet = fleet("", "", &[]);
    fleet.apply();
    fleet.reaches("a", "10.90.0.2");
    let helper = std::fs::read(WGFLEET).unwrap();
    std::fs::write(fleet.root("a").join("run/wgfleet-under-test"), helper).unwrap();
    fleet.sh("a", "chmod 755 /run/wgfleet-under-test");
    for words in [
        "show wg0 dump",
        "show all dump",
        "showconf wg0",
        "show interfaces",
        "show wg0 allowed-ips",
    ] {
        let script = format!("wg {words} | sed 's/\\t[0-9]*\\t[0-9]*\\t[0-9]*\\t/ - /'");
        let theirs = fleet.sh("a", &script);
        let ours = fleet.sh("a", &script.replacen("wg", "/run/wgfleet-under-test wg", 1));
        assert_eq!(ours, theirs, "wg {words}");
    }
}
