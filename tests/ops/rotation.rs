//! New keys while traffic runs, and while wgfleet is killed.

use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::fleet::Fleet;

/// wgfleet's own tunnel, Debian's wireguard-go, and a host behind NAT.
const MIXED: &str = "fleet: ops
networks:
  net: { interface: wg0, prefixes: [10.90.0.0/24, 'fd90::/64'], psk: pairwise }
hosts:
  a: { ssh: root@a.example.com, address: 10.90.0.1, endpoint: 'a.example.com:51820', backend: embedded }
  b: { ssh: root@b.example.com, address: 10.90.0.2, endpoint: 'b.example.com:51820', backend: wireguard-go }
  c: { ssh: root@c.example.com, address: 10.90.0.3, nat: true, backend: embedded }
";

/// Every link, with the address that the first end pings.
const LINKS: [(&str, &str, &str); 3] =
    [("a", "b", "10.90.0.2"), ("b", "c", "10.90.0.3"), ("c", "a", "10.90.0.1")];

/// Of changes that nobody will confirm, in seconds: it is waited for, and `rotate` takes no less.
pub(crate) const DEADLINE: &str = "30";

fn up() -> Fleet {
    let fleet = Fleet::up(MIXED, &[]);
    fleet.apply();
    for (from, _, to) in LINKS {
        fleet.reaches(from, to);
    }
    fleet
}

pub(crate) fn index(fleet: &Fleet) -> Value {
    let text = fs::read(fleet.folder().join("vault/index.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// The public keys that the hosts use now.
pub(crate) fn keys(fleet: &Fleet) -> BTreeMap<&'static str, String> {
    ["a", "b", "c"].map(|host| (host, fleet.sh(host, "wg show wg0 public-key"))).into()
}

/// Rotates under 50 pings a second on every link, and expects hardly any to be lost.
fn rotates_quietly(fleet: &Fleet, args: &[&str]) {
    let pings = LINKS.map(|(from, _, to)| fleet.lab.ping_on(from, to, 0.02));
    std::thread::sleep(Duration::from_millis(500));
    fleet.done(args);
    std::thread::sleep(Duration::from_millis(500));
    for (ping, (from, to, _)) in pings.into_iter().zip(LINKS) {
        let ping = ping.finish();
        assert!(ping.sent > 40 && ping.lost() <= 2, "{args:?}: {from} to {to}: {ping:?}");
    }
}

#[test]
fn keys_change_under_fifty_pings_a_second_on_every_link() {
    let fleet = up();
    let before = keys(&fleet);
    rotates_quietly(&fleet, &["rotate", "--yes", "c"]);
    let after = keys(&fleet);
    assert!(after["c"] != before["c"] && after["a"] == before["a"] && after["b"] == before["b"]);
    fleet.in_order();
    // The new key is proven: nothing of the old one is kept.
    let vault = index(&fleet).to_string();
    assert!(!vault.contains(&before["c"]) && vault.contains(&after["c"]), "{vault}");

    // None is a day old; every one is older than no day at all.
    let said = fleet.done(&["rotate", "--yes", "--older-than", "1"]);
    assert!(said.contains("nothing to do"), "{said}");
    assert_eq!(keys(&fleet), after);
    rotates_quietly(&fleet, &["rotate", "--yes", "--all"]);
    let all = keys(&fleet);
    assert!(all.iter().all(|(host, key)| after[host] != *key), "{after:?}, {all:?}");
    fleet.in_order();
    fleet.done(&["vault", "status", "--verify"]);
}

#[test]
fn a_neighbour_that_is_down_stops_a_rotation_before_anything_is_touched() {
    let fleet = up();
    let (before, vault) = (keys(&fleet), index(&fleet));
    fleet.lab.lab("stop", &["b"]);
    let said = fleet.ends(4, &["rotate", "--yes", "a", "--connect-timeout", "3"]);
    assert!(said.contains("nothing was touched"), "{said}");
    assert_eq!(index(&fleet), vault);
    for host in ["a", "c"] {
        assert_eq!(fleet.sh(host, "wg show wg0 public-key"), before[host]);
        assert_eq!(fleet.sh(host, "ls /run/wgfleet | grep -c '^c\\|armed' || :"), "0");
    }
    // With leave to lose it, the others go on, and the host is told later.
    let args = ["rotate", "--yes", "a", "--allow-unreachable", "--connect-timeout", "3"];
    fleet.done(&args);
    assert_ne!(fleet.sh("a", "wg show wg0 public-key"), before["a"]);
    fleet.reaches("c", "10.90.0.1");
    fleet.lab.lab("start", &["b"]);
    fleet.apply();
    fleet.reaches("b", "10.90.0.1");
}

/// Where a rotation of `a` is interrupted.
#[derive(Debug, Clone, Copy)]
enum Cut {
    /// The new key is in the vault only.
    Begun,
    /// The host has it, its neighbours do not.
    HostChanged,
    /// All have it, nobody has confirmed.
    NeighboursChanged,
    /// The host has confirmed, the vault does not know.
    Confirmed,
}

fn killed_at(fleet: &Fleet, cut: Cut) {
    let before = keys(fleet);
    let old = &before["a"];
    let vault = index(fleet);
    let armed = "[ -e /run/wgfleet/armed ]";
    let watchers: Vec<_> = match cut {
        Cut::Begun => Vec::new(),
        Cut::HostChanged => {
            vec![fleet.watch("a", &format!("[ \"$(wg show wg0 public-key)\" != '{old}' ]"))]
        }
        Cut::NeighboursChanged => ["b", "c"]
            .map(|host| {
                // Something is armed, and the old key is gone.
                let gone = format!("{armed} && ! wg show wg0 peers | grep -qF '{old}'");
                fleet.watch(host, &gone)
            })
            .into(),
        Cut::Confirmed => {
            let changed = format!("[ \"$(wg show wg0 public-key)\" != '{old}' ]");
            vec![fleet.watch("a", &format!("{changed} && ! {armed}"))]
        }
    };
    let mut command = fleet.command(&["rotate", "--yes", "a", "--deadline", DEADLINE]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    if watchers.is_empty() {
        let end = Instant::now() + Duration::from_secs(30);
        while index(fleet) == vault {
            assert!(Instant::now() < end, "{cut:?}: no rotation began");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    for mut watcher in watchers {
        while watcher.try_wait().unwrap().is_none() {
            let ended = child.try_wait().unwrap();
            // What is waited for comes just before a rotation ends well.
            let in_vain = ended.is_some_and(|status| !status.success());
            assert!(!in_vain, "{cut:?}: the rotation was over before: {ended:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();

    // Until the new key is proven, both are kept.
    if !matches!(cut, Cut::Confirmed) {
        assert!(index(fleet).to_string().contains(old), "{cut:?}");
        fleet.done(&["vault", "status", "--verify"]);
    }
    // Whatever was not confirmed is rolled back by the host itself.
    for host in ["a", "b", "c"] {
        fleet.until(host, Duration::from_mins(1), "[ ! -e /run/wgfleet/armed ]");
    }
    for (from, _, to) in LINKS {
        if !matches!(cut, Cut::Confirmed) {
            fleet.reaches(from, to);
        }
    }
    fleet.done(&["rotate", "--yes", "a"]);
    for (from, _, to) in LINKS {
        fleet.reaches(from, to);
    }
    fleet.in_order();
    let after = keys(fleet);
    assert!(
        after["a"] != *old && after["b"] == before["b"] && after["c"] == before["c"],
        "{cut:?}"
    );
    let used = fleet.done(&["vault", "status", "--verify"]);
    assert!(used.contains('a'), "{cut:?}: {used}");
}

#[test]
fn a_rotation_that_is_killed_before_a_host_knows_is_finished_by_the_next() {
    let fleet = up();
    killed_at(&fleet, Cut::Begun);
    killed_at(&fleet, Cut::HostChanged);
}

#[test]
fn a_rotation_that_is_killed_after_the_hosts_know_is_finished_by_the_next() {
    let fleet = up();
    killed_at(&fleet, Cut::NeighboursChanged);
    killed_at(&fleet, Cut::Confirmed);
}

#[test]
fn an_interrupt_ends_a_rotation_with_130() {
    let fleet = up();
    // Ctrl-C, and what a cancelled CI job gets.
    let [ctrl_c, cancelled] = [rustix::process::Signal::INT, rustix::process::Signal::TERM];
    // While hosts are only being read, there is nothing to finish.
    let vault = index(&fleet);
    for signal in [ctrl_c, cancelled] {
        interrupted_by(&fleet, signal, |fleet| {
            let end = Instant::now() + Duration::from_secs(30);
            while index(fleet) == vault {
                assert!(Instant::now() < end, "no rotation began");
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_millis(20));
        });
        assert_eq!(index(&fleet), vault);
        fleet.in_order();
    }
    // Afterwards the next run finishes; it waits for what is armed.
    let before = keys(&fleet);
    // Nobody hears of the new key, so the run waits for a handshake when it is interrupted.
    fleet.sh(
        "c",
        "nft add table inet deaf; nft add chain inet deaf in '{ type filter hook input priority 0; }'; \
         nft add rule inet deaf in meta l4proto udp drop",
    );
    interrupted_by(&fleet, ctrl_c, |fleet| {
        let changed = format!("[ \"$(wg show wg0 public-key)\" != '{}' ]", before["c"]);
        assert!(fleet.watch("c", &changed).wait().unwrap().success());
    });
    fleet.sh("c", "nft delete table inet deaf");
    fleet.done(&["rotate", "--yes", "c"]);
    assert_ne!(keys(&fleet)["c"], before["c"]);
    fleet.in_order();
    for (from, _, to) in LINKS {
        fleet.reaches(from, to);
    }
}

fn interrupted_by(fleet: &Fleet, signal: rustix::process::Signal, at: impl FnOnce(&Fleet)) {
    let mut command = fleet.command(&["rotate", "--yes", "c", "--deadline", DEADLINE]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    at(fleet);
    let pid = i32::try_from(child.id()).unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
}
