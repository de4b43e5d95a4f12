//! Changes that lock everybody out, cables that are pulled and a wgfleet that is killed: the host
//! rolls back by itself.

use std::process::Child;
use std::time::Duration;

use crate::fleet::{Fleet, ends};

const TWO: &str = "fleet: ops
networks:
  net: { interface: wg0, prefixes: [10.90.0.0/24, 'fd90::/64'], psk: pairwise }
hosts:
  a: { ssh: root@a.example.com, address: 10.90.0.1, endpoint: 'a.example.com:51820', backend: wireguard-go }
  b: { ssh: root@b.example.com, address: 10.90.0.2, endpoint: 'b.example.com:51820', backend: wireguard-go, subnets: 172.20.0.0/24 }
";

/// Ends the armed wait of a change that nobody will confirm.
const LIMIT: Duration = Duration::from_mins(1);

fn up() -> Fleet {
    let fleet = Fleet::up(TWO, &[]);
    fleet.apply();
    fleet.reaches("a", "10.90.0.2");
    fleet
}

/// The device of the management segment, through which ssh comes.
fn management(fleet: &Fleet, host: &str) -> String {
    fleet.sh(host, "ip -4 -o addr show | awk '$4 ~ /^100[.]127[.]/ { print $2 }'")
}

#[test]
fn a_route_that_takes_ssh_away_is_taken_back_by_the_host() {
    let fleet = up();
    let before = fleet.state("a");
    // More specific than the management segment: answers to ssh go into the tunnel.
    let lan = "subnets: 172.20.0.0/24";
    let wide = "subnets: [172.20.0.0/24, 100.127.0.0/17, 100.127.128.0/17]";
    fleet.edit(lan, wide);
    let said = fleet
        .ends(8, &["apply", "--yes", "--limit", "a", "--deadline", "5", "--connect-timeout", "2"]);
    assert!(said.contains("rolled back"), "{said}");
    assert_eq!(fleet.state("a"), before);
    fleet.edit(wide, lan);
    fleet.in_order();
    fleet.reaches("a", "10.90.0.2");
}

#[test]
fn a_hook_that_closes_the_ssh_port_is_taken_back_by_the_host() {
    let fleet = up();
    let before = fleet.state("a");
    assert_eq!(fleet.changes()["a"], [""; 0]);
    let lock = "nft add table inet lock; nft add chain inet lock in '{ type filter hook input priority 0; }'; \
                nft add rule inet lock in tcp dport 22 drop";
    let text =
        format!("address: 10.90.0.1, post_up: \"{lock}\", post_down: nft delete table inet lock");
    fleet.edit("address: 10.90.0.1", &text);
    let (_, plan) = fleet.plan(&["--limit", "a"]);
    assert_eq!(plan["hosts"][0]["disruption"], "restart", "{plan}");
    let said = fleet
        .ends(8, &["apply", "--yes", "--limit", "a", "--deadline", "6", "--connect-timeout", "2"]);
    assert!(said.contains("rolled back"), "{said}");
    assert_eq!(fleet.state("a"), before);
    fleet.reaches("b", "10.90.0.1");
}

/// Makes `a` take two seconds for its change, so that something can happen meanwhile.
fn slow_change(fleet: &Fleet) {
    fleet.edit("address: 10.90.0.1", "address: 10.90.0.1, mtu: 1300, post_up: sleep 2");
}

/// Begins an apply to `a` and waits until the host is in the middle of it.
fn begin(fleet: &Fleet, deadline: &str) -> Child {
    let mut armed = fleet.watch("a", "[ -e /run/wgfleet/armed ]");
    let args = ["apply", "--yes", "--limit", "a", "--deadline", deadline, "--connect-timeout", "2"];
    let child = fleet
        .command(&args)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    assert!(armed.wait().unwrap().success());
    child
}

#[test]
fn a_cable_that_is_pulled_in_mid_apply_never_ends_well_and_the_host_is_back() {
    let fleet = up();
    let before = fleet.state("a");
    slow_change(&fleet);
    let device = management(&fleet, "a");
    // Pulled for good, then pulled for a while.
    let child = begin(&fleet, "5");
    fleet.sh("a", &format!("ip link set {device} down"));
    let output = child.wait_with_output().unwrap();
    let said = ends(&output, 9, &["apply"]);
    assert!(said.contains("state unknown"), "{said}");
    fleet.sh("a", &format!("ip link set {device} up"));
    fleet.until("a", LIMIT, "[ ! -e /run/wgfleet/armed ] && ! ls /run/wgfleet/c* 2>/dev/null");
    assert_eq!(fleet.state("a"), before);

    let child = begin(&fleet, "5");
    fleet.sh("a", &format!("ip link set {device} down"));
    std::thread::sleep(Duration::from_secs(7));
    fleet.sh("a", &format!("ip link set {device} up"));
    let output = child.wait_with_output().unwrap();
    let code = output.status.code();
    assert!(matches!(code, Some(8 | 9)), "{output:?}");
    fleet.until("a", LIMIT, "[ ! -e /run/wgfleet/armed ] && ! ls /run/wgfleet/c* 2>/dev/null");
    assert_eq!(fleet.state("a"), before);
    fleet.apply();
    fleet.reaches("a", "10.90.0.2");
}

#[test]
fn a_wgfleet_that_is_killed_in_mid_apply_leaves_a_host_that_rolls_back() {
    let fleet = up();
    let before = fleet.state("a");
    slow_change(&fleet);
    let mut child = begin(&fleet, "15");
    child.kill().unwrap();
    child.wait().unwrap();
    // While it is armed, nobody else changes it.
    let said = fleet.ends(5, &["apply", "--yes", "--limit", "a"]);
    assert!(said.contains("armed"), "{said}");
    fleet.until("a", LIMIT, "[ ! -e /run/wgfleet/armed ] && ! ls /run/wgfleet/c* 2>/dev/null");
    assert_eq!(fleet.state("a"), before);
    let said = fleet.ends(0, &["history", "--last", "1"]);
    assert!(said.contains(" 1 open, interrupted"), "{said}");
    fleet.apply();
    let said = fleet.ends(0, &["history", "--last", "1"]);
    assert!(said.ends_with(" 1 applied\n"), "{said}");
    assert_eq!(fleet.sh("a", "ip -o link show wg0 | grep -o 'mtu [0-9]*'"), "mtu 1300");
    fleet.reaches("a", "10.90.0.2");
}
