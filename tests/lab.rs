//! The lab itself: what a twin's hosts, LANs and underlay do, and that nothing of it is left.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::lab::{Ping, Twin, WGFLEET};

/// Paris (`PPPoE`, IPv4 and IPv6 LAN), Oslo (literal endpoint) and a branch behind NAT.
fn three_sites() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/three-sites.json")
}

fn succeeds(twin: &Twin, target: &str, command: &str) -> String {
    let output = twin.ssh(target, command);
    assert!(output.status.success(), "{target}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn ssh_reaches_every_host_by_name_and_by_alias_as_root_and_as_ops() {
    let twin = Twin::of_spec(&three_sites(), &[]);
    for host in ["paris-gw", "oslo-gw", "branch-gw"] {
        assert_eq!(succeeds(&twin, host, "hostname"), host);
        assert_eq!(
            succeeds(&twin, &format!("{host}.example.com"), "hostname; id -u"),
            format!("{host}\n0")
        );
    }
    assert_eq!(succeeds(&twin, "ops@paris-gw", "id -un"), "ops");
    for elevate in ["sudo", "doas"] {
        if Path::new("/usr/bin").join(elevate).exists() {
            assert_eq!(succeeds(&twin, "ops@paris-gw", &format!("{elevate} -n id -u")), "0");
        }
    }
    // Through another host, whose sshd opens the connection.
    let config = std::env::temp_dir().join(format!("{}-jump", twin.name()));
    let lab = twin.ssh_config();
    fs::write(
        &config,
        format!("Host paris-gw\nProxyJump oslo-gw\nHost *\nInclude {}\n", lab.display()),
    )
    .unwrap();
    let output = Command::new("ssh")
        .arg("-F")
        .arg(&config)
        .args(["paris-gw", "echo $SSH_CLIENT"])
        .output()
        .unwrap();
    fs::remove_file(&config).unwrap();
    assert!(output.stdout.starts_with(b"100.127.0.3 "), "{output:?}");
    // A host that is not in the lab is never looked for outside it.
    assert!(!twin.ssh("localhost", "true").status.success());
}

#[test]
fn the_underlay_carries_both_families_and_the_nat_hides_what_is_behind_it() {
    let twin = Twin::of_spec(&three_sites(), &[]);
    let all = Ping { sent: 3, received: 3 };
    for (from, to) in [
        ("lan-paris-1", "192.168.1.1"),
        ("lan-paris-2", "fd01::1"),
        ("oslo-gw", "paris.example.com"),
        ("oslo-gw", "fd00:5a::5"),
        ("branch-gw", "203.0.113.5"),
        ("branch-gw", "fd00:5a::5"),
        ("branch-gw", "192.0.2.1"),
        ("branch-gw", "2001:db8:ffff::1"),
    ] {
        assert_eq!(twin.ping(from, to, 3, 0.01), all, "{from} to {to}");
    }
    // Paris is behind PPPoE: a full-sized packet does not get there in one piece.
    let big = twin
        .exec("oslo-gw", &["ping", "-M", "do", "-s", "1472", "-c", "1", "-W", "1", "198.18.0.5"]);
    assert!(String::from_utf8_lossy(&big.stdout).contains("mtu = 1492"), "{big:?}");

    // What the branch sends comes from its router, with a port of the router's choice.
    let dial = "exec 3<>/dev/tcp/203.0.113.5/22; echo up; sleep 60";
    let mut dialer = twin.spawn("branch-gw", &["bash", "-c", dial]);
    let mut up = [0; 3];
    std::io::Read::read_exact(dialer.stdout.as_mut().unwrap(), &mut up).unwrap();
    let seen = twin.ok("oslo-gw", &["ss", "-Htn"]);
    assert!(seen.contains("198.18.0.4:") && !seen.contains("100.64."), "{seen}");
    dialer.kill().unwrap();
    dialer.wait().unwrap();
    // Nobody asked for these: they vanish, rather than being refused.
    for to in ["198.18.0.4", "100.64.0.2", "fd00:5a::4", "fd00:64::2"] {
        let script = format!("exec 3<>/dev/tcp/{to}/22");
        let output = twin.exec("oslo-gw", &["timeout", "0.5", "bash", "-c", &script]);
        assert_eq!(output.status.code(), Some(124), "{to}: {output:?}");
    }
}

#[test]
fn a_power_cut_takes_memory_and_network_and_leaves_the_disk() {
    let twin = Twin::of_spec(&three_sites(), &[]);
    twin.ok(
        "oslo-gw",
        &["sh", "-c", "echo kept >/etc/kept; echo lost >/run/lost; ip tuntap add wg9 mode tun"],
    );
    twin.lab("stop", &["oslo-gw"]);
    assert!(!twin.ssh("oslo-gw", "true").status.success());
    assert_eq!(twin.exec("oslo-gw", &["true"]).status.code(), Some(1));
    assert_eq!(twin.ping("paris-gw", "203.0.113.5", 1, 0.01).received, 0);
    assert_eq!(succeeds(&twin, "paris-gw", "hostname"), "paris-gw");
    twin.lab("start", &["oslo-gw"]);
    let left =
        succeeds(&twin, "oslo-gw", "cat /etc/kept; ls /run/lost /sys/class/net/wg9 2>&1 | wc -l");
    assert_eq!(left, "kept\n2");
    assert_eq!(twin.ping("branch-gw", "203.0.113.5", 3, 0.01).received, 3);
    // Once more, and by raising the lab again.
    twin.lab("stop", &["oslo-gw"]);
    twin.lab("up", &["--spec", three_sites().to_str().unwrap()]);
    assert_eq!(succeeds(&twin, "oslo-gw", "cat /etc/kept"), "kept");
}

#[test]
fn a_pulled_cable_cuts_the_underlay_but_not_the_management() {
    let twin = Twin::of_spec(&three_sites(), &[]);
    for node in ["oslo-gw", "router-oslo"] {
        for to in ["203.0.113.5", "fd00:5a::6"] {
            let ping = twin.ping_on("paris-gw", to, 0.02);
            twin.lab("cable", &[node, "down"]);
            std::thread::sleep(Duration::from_millis(300));
            assert_eq!(succeeds(&twin, "oslo-gw", "hostname"), "oslo-gw");
            twin.lab("cable", &[node, "up"]);
            std::thread::sleep(Duration::from_millis(100));
            let ping = ping.finish();
            assert!(ping.lost() > 5 && ping.received > 0, "{node}, {to}: {ping:?}");
            assert_eq!(twin.ping("paris-gw", to, 3, 0.01).received, 3, "{node}, {to}");
        }
    }
}

#[test]
fn a_host_is_a_machine_of_its_own() {
    let without = "branch-gw=wg,wg-quick,wireguard-go";
    let twin = Twin::of_spec(&three_sites(), &["--systemd", "oslo-gw", "--without", without]);
    assert_eq!(twin.exec("branch-gw", &["sh", "-c", "exit 7"]).status.code(), Some(7));
    assert_eq!(
        succeeds(&twin, "branch-gw", "command -v wg wg-quick wireguard-go || echo none"),
        "none"
    );
    assert_eq!(succeeds(&twin, "oslo-gw", "systemctl is-system-running --wait"), "running");
    assert_eq!(succeeds(&twin, "oslo-gw", "systemctl is-active lab-sshd"), "active");
    // Nothing of the machine's own leaks in, and nothing leaks out.
    let view = "ls /etc/wireguard /root /tmp /home /etc/sudoers.d; ps -e -o comm= | sort -u";
    let seen = succeeds(&twin, "branch-gw", view);
    for mine in ["cargo", ".conf"] {
        assert!(!seen.contains(mine), "{seen}");
    }
    let write = "echo 1 >/proc/sys/kernel/panic || echo refused";
    assert_eq!(succeeds(&twin, "branch-gw", write), "refused");
    succeeds(&twin, "branch-gw", "echo 1 >/proc/sys/net/ipv4/ip_forward; touch /etc/only-here");
    assert!(!Path::new("/etc/only-here").exists());
    // Tunnels work: a TUN device can be made.
    succeeds(&twin, "branch-gw", "ip tuntap add tun9 mode tun && ip link del tun9");
}

/// Network namespaces that a lab has pinned.
fn namespaces(name: &str) -> BTreeSet<(u64, u64)> {
    let pins = fs::read_dir(Path::new(wgfleet::lab::STATE_ROOT).join(name).join("ns"));
    let pins = pins.into_iter().flatten().flatten();
    let ids = pins.filter_map(|pin| fs::metadata(pin.path()).ok());
    ids.map(|there| (there.dev(), there.ino())).collect()
}

/// Everything that is left of a lab, in words.
fn remains(name: &str, networks: &BTreeSet<(u64, u64)>) -> Vec<String> {
    let mut remains = Vec::new();
    let folder = Path::new(wgfleet::lab::STATE_ROOT).join(name);
    if folder.exists() {
        remains.push(format!("{} exists", folder.display()));
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let word = format!("/{name} ");
    remains.extend(mounts.lines().filter(|line| line.contains(&word)).map(str::to_owned));
    for root in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"] {
        let branch = Path::new(root).join("wgfleet-lab").join(name);
        if branch.exists() {
            remains.push(format!("{} exists", branch.display()));
        }
    }
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let path = entry.path();
        let network = fs::metadata(path.join("ns/net")).map(|there| (there.dev(), there.ino()));
        let cgroup = fs::read_to_string(path.join("cgroup")).unwrap_or_default();
        let status = fs::read_to_string(path.join("status")).unwrap_or_default();
        // Dead, and only to be reaped by the machine's PID 1.
        if status.contains("State:\tZ") || status.contains("State:\tX") {
            continue;
        }
        if network.is_ok_and(|network| networks.contains(&network))
            || cgroup.contains(&format!("/wgfleet-lab/{name}/"))
        {
            let comm = fs::read_to_string(path.join("comm")).unwrap_or_default();
            remains.push(format!("{} {}", path.display(), comm.trim()));
        }
    }
    remains
}

/// The limits that labs raise, as they were before the first lab of this moment.
fn limits_before() -> Vec<(String, u64)> {
    let path = Path::new(wgfleet::lab::STATE_ROOT).join(".limits");
    let text = fs::read_to_string(path).unwrap_or_else(|_| r#"{"before":{}}"#.into());
    let record: serde_json::Value = serde_json::from_str(&text).unwrap();
    let before = record["before"].as_object().unwrap();
    before.iter().map(|(name, value)| (name.clone(), value.as_u64().unwrap())).collect()
}

#[test]
fn nothing_is_left_after_down() {
    let twin = Twin::of_spec(&three_sites(), &["--systemd", "oslo-gw"]);
    let (networks, limits) = (namespaces(twin.name()), limits_before());
    assert_eq!(networks.len(), 3 + 4 + 4 + 1);
    // Something that does not want to go.
    let mut stubborn =
        twin.spawn("paris-gw", &["sh", "-c", "trap '' TERM INT HUP; echo on; sleep 600"]);
    std::io::Read::read_exact(stubborn.stdout.as_mut().unwrap(), &mut [0; 3]).unwrap();
    let output = twin.down();
    assert!(output.status.success(), "{output:?}");
    stubborn.wait().unwrap();
    assert_eq!(remains(twin.name(), &networks), [""; 0]);
    // Limits stay raised while labs of other tests are up.
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let put_back = limits.iter().all(|(name, before)| {
            let now = fs::read_to_string(Path::new("/proc/sys").join(name)).unwrap();
            now.trim() == before.to_string()
        });
        if put_back || Path::new(wgfleet::lab::STATE_ROOT).join(".limits").exists() {
            break;
        }
        assert!(Instant::now() < deadline, "{limits:?} are not back");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn nothing_is_left_of_a_lab_whose_start_was_killed() {
    for step in 0..10_u32 {
        let name = Twin::unique_name();
        let twin = Twin::guard(name.clone());
        let mut up = Command::new(WGFLEET)
            .args(["lab", "up", "--name", &name, "--spec"])
            .arg(three_sites())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(25) * step);
        up.kill().unwrap();
        up.wait().unwrap();
        let networks = namespaces(&name);
        if step % 2 == 0 {
            let output = twin.down();
            assert!(output.status.success(), "step {step}: {output:?}");
            assert_eq!(remains(&name, &networks), [""; 0], "step {step}");
        } else {
            // Raising it again needs no `down` in between.
            twin.lab("up", &["--spec", three_sites().to_str().unwrap()]);
            assert_eq!(succeeds(&twin, "paris-gw", "hostname"), "paris-gw");
        }
    }
}

#[test]
fn what_is_not_there_is_named() {
    let twin = Twin::of_spec(&three_sites(), &[]);
    let output = twin.exec("rome-gw", &["true"]);
    assert_eq!(output.status.code(), Some(64));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("has no node `rome-gw`"), "{said}");
    let none = Twin::guard(Twin::unique_name());
    let output = none.exec("paris-gw", &["true"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("there is no lab"), "{output:?}");
}

#[test]
fn programs_are_told_what_is_up_and_what_is_gone() {
    let name = Twin::unique_name();
    let twin = Twin::guard(name.clone());
    let said = |words: &[&str]| {
        let output = Command::new(WGFLEET).args(words).args(["--name", &name]).output().unwrap();
        assert!(output.status.success(), "{words:?}: {output:?}");
        support::documents::document(&output.stdout)
    };
    let spec = three_sites();
    let up = said(&["lab", "up", "--format", "json", "--spec", spec.to_str().unwrap()]);
    assert_eq!((&up["kind"], &up["lab"]), (&"lab".into(), &name.as_str().into()));
    twin.lab("stop", &["oslo-gw"]);
    let status = said(&["lab", "status", "--format", "json"]);
    let nodes = status["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), up["nodes"].as_array().unwrap().len());
    let off: Vec<_> = nodes.iter().filter(|node| node["on"] == false).collect();
    assert_eq!((off.len(), &off[0]["name"]), (1, &"oslo-gw".into()));
    let down = said(&["lab", "down", "--format", "json"]);
    assert_eq!((&down["kind"], &down["labs"]), (&"lab-down".into(), &serde_json::json!([name])));
    let again = said(&["lab", "down", "--format", "json"]);
    assert_eq!(again["labs"], serde_json::json!([]));
}
