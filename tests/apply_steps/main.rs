//! The host's side of an apply, made to fail at every step: what is there afterwards is what was
//! there before, or what was wanted, never a mixture.
//!
//! Runs the real script with the real tools in namespaces of its own. Needs root, /dev/net/tun,
//! wireguard-tools, wireguard-go, iproute2 and nftables.

mod agreement;
mod claim;
mod disk;
mod group;
mod hanging;
mod lock;
#[path = "../scripted/machine.rs"]
#[expect(dead_code, reason = "nothing goes wrong on the way to this host")]
mod machine;
mod observing;
mod pushing;
mod sandbox;
#[path = "../scripted/state.rs"]
#[expect(dead_code, reason = "tests/failures compares what hosts have")]
mod state;
mod telling;
#[path = "../scripted/told.rs"]
mod told;

use std::fmt::Write as _;
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use sandbox::{KEYS, Sandbox, assert_same};

/// The payload of a change that keeps what [`KEEP`] says.
fn encode(files: &[(&str, String)], ops: &[String]) -> String {
    payload(files, ops, &KEEP, &[])
}

/// The payload of a change, as wgfleet writes it.
fn payload(files: &[(&str, String)], ops: &[String], keep: &[&str], undo: &[&str]) -> String {
    let mut out = format!("=== protocol\n {}\n", wgfleet::observed::PROTOCOL);
    let ops = ops.join("\n") + "\n";
    let lists = [("ops", ops), ("keep", keep.join("\n")), ("undo", undo.join("\n"))];
    for (name, text) in
        files.iter().map(|(name, text)| (*name, text)).chain(lists.iter().map(|(n, t)| (*n, t)))
    {
        let _ = writeln!(out, "=== {name}");
        for line in text.lines() {
            let _ = writeln!(out, " {line}");
        }
    }
    out + "=== end\n"
}

fn files() -> Vec<(&'static str, String)> {
    let k = KEYS;
    vec![
        ("wg0.add", format!(
            "[Peer]\nPublicKey = {}\nAllowedIPs = 10.9.0.2/32\nEndpoint = 127.0.0.1:51999\nPersistentKeepalive = 5\n\
             [Peer]\nPublicKey = {}\nPresharedKey = {}\nAllowedIPs = 192.168.50.0/24,10.9.0.9/32\n", k[1], k[3], k[4])),
        ("wg0.key", format!("{}\n", k[3])),
        ("wg0.link", "link set dev wg0 mtu 1300\n".into()),
        ("wg0.drop", "route del ::/0 dev wg0 table 78\nroute del 192.168.50.0/24 dev wg0 table 254\n\
                      address del 10.9.0.1/24 dev wg0\naddress del 10.9.0.7/24 dev wg0\naddress del fd09::1/64 dev wg0\n".into()),
        ("wg0.net", "address replace 10.9.0.8/24 dev wg0\naddress replace fd09::2/64 dev wg0\n\
                     route replace 192.168.60.0/24 dev wg0 table 254\n".into()),
        ("half", "route replace 192.168.70.0/24 dev wg0 table 254\nroute replace nonsense dev wg0\n".into()),
        ("wg2.set", format!("[Interface]\nPrivateKey = {}\nListenPort = 51902\n[Peer]\nPublicKey = {}\nAllowedIPs = 10.6.0.0/24\n", k[4], k[2])),
        ("wg2.up", "address add 10.6.0.1/24 dev wg2\nlink set dev wg2 mtu 1420 up\nroute replace 10.66.0.0/16 dev wg2 table 254\n".into()),
        ("f0", format!("[Interface]\n# Managed by wgfleet\nPrivateKey = {}\n", k[3])),
        ("f1", "# Managed by wgfleet\n[Service]\n".into()),
        ("f2", format!("[Interface]\nPrivateKey = {}\nAddress = 10.5.0.1/24\nPreUp = sleep 4\nTable = off\n", k[4])),
        ("rules.nft", "table inet wgfleet\ndelete table inet wgfleet\ntable inet wgfleet-f4\n\
                         delete table inet wgfleet-f4\ntable inet wgfleet-f4 {\n chain postrouting {\n  \
                         type nat hook postrouting priority srcnat; policy accept;\n  oifname != \"wg0\" ip saddr 10.9.9.0/24 \
                         masquerade comment \"wgfleet-4567\"\n }\n}\n".into()),
    ]
}

fn ops() -> Vec<String> {
    let [_, k1, k2, k3, _] = KEYS;
    [
        "touch wg0",
        "touch wg1",
        "touch wg2",
        "touch wg5",
        "sysctl net/ipv4/ip_forward 1",
        "sysctl net/ipv6/conf/all/forwarding 1",
        "nft rules.nft wgfleet-f4 wgfleet",
        "addconf wg0 wg0.add",
        &format!("forget wg0 {k2}"),
        &format!("no-psk wg0 {k1}"),
        &format!("endpoint wg0 {k1} 127.0.0.1:51903"),
        &format!("psk wg0 {k3} wg0.key"),
        "private wg0 wg0.key",
        "port wg0 51950",
        "fwmark wg0 77",
        &format!("keepalive wg0 {k1} off"),
        "batch wg0.link",
        "drop wg0.drop",
        "batch wg0.net",
        "quick-down wg1",
        "delete wg5",
        "create wg2 userspace",
        "setconf wg2 wg2.set",
        "batch wg2.up",
        "prepare f0 600 /etc/wireguard/wg0.conf",
        "prepare f0 600 /etc/wireguard/deep/new.conf",
        "file f0 600 /etc/wireguard/wg1.conf",
        "remove /etc/wireguard/link.conf",
        "protect 600 /etc/wireguard/loose.conf",
        "file f1 644 /etc/systemd/system/wg-quick@wg2.service.d/wgfleet.conf",
        "prepare f1 644 /etc/sysctl.d/60-wgfleet-f4.conf",
        "remove /etc/systemd/system/kept.service.d/none.conf",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// What is done with the confirmation.
const KEEP: [&str; 4] = [
    "remove /etc/wireguard/old.conf",
    "keep f0 600 /etc/wireguard/wg0.conf",
    "keep f0 600 /etc/wireguard/deep/new.conf",
    "keep f1 644 /etc/sysctl.d/60-wgfleet-f4.conf",
];

/// What the next boot would read of all that [`KEEP`] changes.
const NEXT_BOOT: &str = "cd /etc/wireguard; sha256sum wg0.conf old.conf deep/new.conf /etc/sysctl.d/60-wgfleet-f4.conf 2>&1";

/// Puts an operation that fails at each of some places in turn, and expects what was there before.
fn fails_at(shell: &'static str, bad: &str, steps: impl IntoIterator<Item = usize>) {
    let sandbox = Sandbox::new(shell);
    let before = sandbox.state();
    for step in steps {
        let mut ops = ops();
        ops.insert(step, bad.to_owned());
        let id = format!("s{step}");
        let said = sandbox.host("apply", &[&id, "60"], &encode(&files(), &ops));
        let lines: Vec<&str> = said.lines().collect();
        let name = bad.split(' ').next().unwrap_or_default();
        assert!(
            lines.len() == 2 && lines[0].starts_with(&format!("failed {} {name}: ", step + 1)),
            "{said}"
        );
        assert_same(&sandbox.state(), &before, &format!("{bad} at {step}: {said}"));
        assert_eq!(lines[1], "reverted", "{bad} at {step}");
        sandbox.wait_until_quiet();
    }
}

/// Every so many-th place of the operations, and always the last. The shells run one and the same
/// script: the others take thirds of what the first one takes whole.
fn every(many: usize, first: usize) -> impl Iterator<Item = usize> {
    let last = ops().len();
    (first..last).step_by(many).chain([last])
}

#[test]
fn a_failure_at_any_step_leaves_what_was_there() {
    fails_at("dash", "explode", every(1, 0));
}

#[test]
fn also_where_half_of_an_operation_was_done() {
    fails_at("dash", "batch half", every(3, 1));
}

#[test]
fn also_with_busybox() {
    fails_at("busybox sh", "explode", every(3, 0));
}

#[test]
fn also_with_bash() {
    fails_at("bash --posix", "batch half", every(3, 2));
}

#[test]
fn what_is_not_confirmed_is_rolled_back_by_the_host() {
    let sandbox = Sandbox::new("dash");
    let before = sandbox.state();
    assert_eq!(sandbox.host("apply", &["a1", "2"], &encode(&files(), &ops())), "done\n");
    assert_ne!(sandbox.state(), before);
    sandbox.wait_for_state(&before, 6);
    assert_eq!(sandbox.host("confirm", &["a1"], ""), "gone\n");
    let said = sandbox.sh("cat /run/wgfleet/reverted.a1").stdout;
    assert_eq!(said, b"reverted\n");
}

#[test]
fn what_is_confirmed_stays() {
    let sandbox = Sandbox::new("dash");
    let before = sandbox.state();
    assert_eq!(sandbox.host("apply", &["a1", "2"], &encode(&files(), &ops())), "done\n");
    let payload = encode(&files(), &ops());
    assert_eq!(sandbox.host("apply", &["a2", "2"], &payload), "busy a1\n");
    assert_eq!(sandbox.host("confirm", &["a2"], ""), "gone\n");
    assert_eq!(sandbox.host("confirm", &["a1"], ""), "confirmed\n");
    sandbox.wait_until_quiet();
    let after = sandbox.state();
    assert_ne!(after, before);
    sleep(Duration::from_secs(3));
    assert_same(&sandbox.state(), &after, "after the deadline");
    assert_eq!(sandbox.host("revert", &["a1"], ""), "gone\n");
    for gone in ["wg1", "wg5"] {
        assert!(!after.contains(&format!("== {gone}\n")), "{gone} is gone");
    }
    assert!(after.contains("ListenPort = 51950") && after.contains("10.66.0.0/16"), "{after}");
}

#[test]
fn the_next_boot_changes_with_the_confirmation_and_not_before() {
    let sandbox = Sandbox::new("dash");
    let boot = || String::from_utf8(sandbox.sh(NEXT_BOOT).stdout).expect("text");
    let before = boot();
    assert_eq!(sandbox.host("apply", &["a1", "60"], &encode(&files(), &ops())), "done\n");
    assert_same(&boot(), &before, "a power cut now");
    assert_eq!(sandbox.host("confirm", &["a1"], ""), "confirmed\n");
    let after = boot();
    assert!(after.contains("old.conf: No such file"), "{after}");
    assert_eq!(after.matches("No such file").count(), 1, "{after}");
    assert!(!after.contains(before.lines().next().expect("wg0.conf")), "{after}");
    let left = sandbox.sh("find /etc -name '.*.wgfleet*'").stdout;
    assert_eq!(String::from_utf8_lossy(&left), "");

    // A confirmation that was killed half-way is finished by the next apply.
    let sandbox = Sandbox::new("busybox sh");
    let boot = || String::from_utf8(sandbox.sh(NEXT_BOOT).stdout).expect("text");
    assert_eq!(sandbox.host("apply", &["b1", "60"], &encode(&files(), &ops())), "done\n");
    sandbox.sh(
        "cd /run/wgfleet; read pid <timer.b1; kill -9 -$pid; mv armed.b1 confirmed.b1.999999-1; rm timer.b1",
    );
    assert_same(&boot(), &before, "killed before the first file");
    let none = encode(&[], &["sysctl net/ipv4/ip_forward 1".to_owned()]);
    assert_eq!(sandbox.host("apply", &["b2", "60"], &none), "done\n");
    assert_same(&boot(), &after, "after the next apply");

    // What cannot be kept is said.
    let sandbox = Sandbox::new("dash");
    assert_eq!(sandbox.host("apply", &["c1", "60"], &encode(&files(), &ops())), "done\n");
    sandbox.sh("rm /etc/sysctl.d/.60-wgfleet-f4.conf.wgfleet; mount -o remount,ro /etc/sysctl.d");
    assert_eq!(
        sandbox.host("confirm", &["c1"], ""),
        "confirmed, but not for the next boot: /etc/sysctl.d/60-wgfleet-f4.conf\n"
    );
}

#[test]
fn a_change_is_taken_back_when_asked() {
    let sandbox = Sandbox::new("dash");
    let before = sandbox.state();
    assert_eq!(sandbox.host("apply", &["a1", "60"], &encode(&files(), &ops())), "done\n");
    assert_eq!(sandbox.host("revert", &["a1"], ""), "reverted\n");
    assert_same(&sandbox.state(), &before, "after revert");
    sandbox.wait_until_quiet();
}

#[test]
fn a_payload_that_is_truncated_touches_nothing() {
    let sandbox = Sandbox::new("dash");
    let before = sandbox.state();
    let payload = encode(&files(), &ops());
    for cut in [0, 1, 40, payload.len() / 2, payload.len() - 9, payload.len() - 2] {
        let child = sandbox.start("apply", &["a1", "60"], &payload[..cut]);
        let said = child.wait_with_output().expect("it ends").stdout;
        let said = String::from_utf8(said).expect("text");
        assert!(said.starts_with("failed 0 stage: ") && said.lines().count() == 1, "{cut}: {said}");
        assert_same(&sandbox.state(), &before, "after a cut");
    }
    sandbox.wait_until_quiet();
}

#[test]
fn a_payload_of_another_protocol_touches_nothing() {
    let sandbox = Sandbox::new("dash");
    let before = sandbox.state();
    let payload = encode(&files(), &ops());
    let own = format!("=== protocol\n {}\n", wgfleet::observed::PROTOCOL);
    for (other, named) in [("=== protocol\n 0\n", "0"), ("=== protocol\n 99\n", "99"), ("", "none")]
    {
        let said = sandbox.host("apply", &["a1", "60"], &payload.replace(&own, other));
        let head = format!("failed 0 stage: the payload has protocol {named}, and ");
        assert!(said.starts_with(&head) && said.lines().count() == 1, "{said}");
        assert_same(&sandbox.state(), &before, &said);
    }
    sandbox.wait_until_quiet();
}

/// The operations of a change that hangs after some of them for longer than its deadline.
fn hanging() -> Vec<String> {
    let mut ops = ops();
    ops.insert(3, "touch wg3".to_owned());
    ops.extend(
        ["file f2 600 /etc/wireguard/wg3.conf", "quick-up wg3 userspace", "port wg0 51951"]
            .map(str::to_owned),
    );
    ops
}

#[test]
fn a_killed_apply_is_rolled_back_by_the_host() {
    let sandbox = Sandbox::new("dash");
    let before = sandbox.state();
    let mut child = sandbox.start("apply", &["a1", "3"], &encode(&files(), &hanging()));
    let end = Instant::now() + Duration::from_secs(3);
    while !sandbox.state().contains("wg3") && Instant::now() < end {
        sleep(Duration::from_millis(50));
    }
    // nsenter forks for the PID namespace: the shell is its child.
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    let shell = std::fs::read_to_string(children).expect("it runs");
    let killed = Command::new("kill").arg("-9").args(shell.split_whitespace()).status();
    assert!(killed.expect("kill runs").success());
    child.wait().expect("it ends");
    assert_ne!(sandbox.state(), before);
    sandbox.wait_for_state(&before, 8);
}

#[test]
fn a_deadline_in_the_midst_of_an_operation_ends_it() {
    let sandbox = Sandbox::new("dash");
    let before = sandbox.state();
    let child = sandbox.start("apply", &["a1", "2"], &encode(&files(), &hanging()));
    let said = child.wait_with_output().expect("it ends").stdout;
    let said = String::from_utf8(said).expect("text");
    assert_eq!(said, "failed - the operations were interrupted\n");
    sandbox.wait_for_state(&before, 5);
    // Nothing of the operation goes on behind its back.
    sleep(Duration::from_secs(4));
    assert_same(&sandbox.state(), &before, "later");
}

#[test]
fn the_next_apply_finishes_what_a_killed_timer_did_not() {
    let sandbox = Sandbox::new("dash");
    let before = sandbox.state();
    let payload = encode(&files(), &ops());
    assert_eq!(sandbox.host("apply", &["a1", "60"], &payload), "done\n");
    let key = "00".repeat(32) + "\n";
    assert!(sandbox.host("observe", &[], &key).contains("\narmed a1\n"));
    sandbox.sh("read pid < /run/wgfleet/timer.a1; kill -9 -$pid");
    sleep(Duration::from_millis(100));
    assert!(!sandbox.host("observe", &[], &key).contains("\narmed "));
    let said = sandbox.host("apply", &["a2", "60"], &payload);
    assert!(
        said.starts_with("failed 0 an unconfirmed change (a1)") && said.contains("(reverted)"),
        "{said}"
    );
    assert_same(&sandbox.state(), &before, "after the second apply");
    // A rollback that was killed itself is done again.
    assert_eq!(sandbox.host("apply", &["a3", "60"], &payload), "done\n");
    sandbox.sh("read pid < /run/wgfleet/timer.a3; kill -9 -$pid; mv /run/wgfleet/armed.a3 /run/wgfleet/reverting.a3.999999-1");
    sleep(Duration::from_millis(100));
    let said = sandbox.host("apply", &["a4", "60"], &payload);
    assert!(
        said.starts_with("failed 0 an unconfirmed change (a3)") && said.contains("(reverted)"),
        "{said}"
    );
    assert_same(&sandbox.state(), &before, "after the fourth apply");
    assert_eq!(sandbox.host("apply", &["a5", "60"], &payload), "done\n");
    assert_eq!(sandbox.host("confirm", &["a5"], ""), "confirmed\n");
}

#[test]
fn of_two_at_the_same_time_one_wins() {
    let sandbox = Sandbox::new("dash");
    let before = sandbox.state();
    let payload = encode(&files(), &ops());
    for round in 0..4 {
        let ids: Vec<String> = (0..3).map(|index| format!("r{round}-{index}")).collect();
        let children: Vec<Child> =
            ids.iter().map(|id| sandbox.start("apply", &[id, "60"], &payload)).collect();
        let said: Vec<String> = children
            .into_iter()
            .map(|child| {
                String::from_utf8(child.wait_with_output().expect("it ends").stdout).expect("text")
            })
            .collect();
        let winner =
            said.iter().position(|said| said == "done\n").unwrap_or_else(|| panic!("{said:?}"));
        let losers = said.iter().filter(|said| **said == format!("busy {}\n", ids[winner])).count();
        assert_eq!(losers, 2, "{said:?}");
        assert_eq!(sandbox.host("revert", &[&ids[winner]], ""), "reverted\n");
        assert_same(&sandbox.state(), &before, "after revert");
    }
}

#[test]
fn every_shell_sees_the_same() {
    let key = "ab".repeat(32) + "\ninterface wg0\ninterface wg1\n";
    let seen: Vec<String> = ["dash", "busybox sh", "bash --posix"]
        .into_iter()
        .map(|shell| {
            let sandbox = Sandbox::new(shell);
            let said = sandbox.host("observe", &[], &key);
            // Userspace lists its peers in any order.
            let mut lines: Vec<&str> = said
                .lines()
                .filter(|line| !line.starts_with("now ") && !line.contains("fe80:"))
                .collect();
            lines.sort_unstable();
            lines.join("\n")
        })
        .collect();
    assert!(
        seen[0].contains(&format!("peer\twg0\t{}\tas-file\t127.0.0.1:51901\t", KEYS[1])),
        "{}",
        seen[0]
    );
    assert!(
        seen[0]
            .contains(&format!("peer\twg0\t{}\tnone\t(none)\t10.9.0.3/32\t0\t0\t0\t25", KEYS[2])),
        "{}",
        seen[0]
    );
    for key in [KEYS[0], KEYS[3], KEYS[4]] {
        assert!(!seen[0].contains(key), "a secret leaves the host:\n{}", seen[0]);
    }
    assert_same(&seen[1], &seen[0], "busybox");
    assert_same(&seen[2], &seen[0], "bash");
}

/// What other hands made on a host is read past, and their secrets stay there.
#[test]
fn what_others_made_makes_no_host_unreadable() {
    let key = "ab".repeat(32) + "\ninterface wg0\ninterface wg1\n";
    for shell in ["dash", "busybox sh", "bash --posix"] {
        let sandbox = Sandbox::new(shell);
        let made = sandbox.sh(&format!(
            "set -e
            mkdir -p /etc/iproute2; mount -t tmpfs none /etc/iproute2
            printf '255 local\\n254 main\\n253 default\\n0 unspec\\n4711 uplink\\n' > /etc/iproute2/rt_tables
            ip route add 10.5.0.0/16 dev wg5 table 4711
            ip route add 10.6.0.0/16 dev wg0 table 4711
            ip addr add 10.7.1.1 peer 10.7.1.2/32 dev wg5
            ip route add 10.44.0.0/16 nexthop dev wg0 nexthop dev wg1
            wireguard-go wg7 2>/dev/null
            printf '# Managed by wgfleet.\\n' >/etc/wireguard/$(head -c 240 /dev/zero | tr '\\0' a).conf
            unshare --net sleep infinity >/dev/null 2>&1 & other=$!
            sleep 0.3; ip link set wg7 netns $other
            printf '# PrivateKey = {0}\\n#old: pre-shared key: {1}\\n# PrivateKey: {0}\\nPublicKey = p # PresharedKey={1}\\n' >> /etc/wireguard/wg0.conf",
            KEYS[3], KEYS[4]
        ));
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let said = sandbox.host("observe", &[], &key);
        let seen =
            wgfleet::observed::parse(&said).unwrap_or_else(|error| panic!("{error}\n{said}"));
        let named = |name: &str| seen.interfaces.get(&name.parse().expect("a name"));
        let routes = |name: &str| named(name).expect("it is there").routes.clone();
        assert!(routes("wg5").contains(&(4711, "10.5.0.0/16".parse().unwrap())), "{said}");
        assert!(routes("wg0").contains(&(4711, "10.6.0.0/16".parse().unwrap())), "{said}");
        assert!(named("wg7").is_none() && !said.contains("wg7"), "{said}");
        let long = format!("/etc/wireguard/{}.conf", "a".repeat(240));
        assert!(seen.files.contains_key(long.as_str()), "{said}");
        for key in [KEYS[0], KEYS[3], KEYS[4]] {
            assert!(!said.contains(key), "a secret leaves the host:\n{said}");
        }
        assert!(said.contains("\n| #old: pre-shared key: (key)\n"), "{said}");
    }
}

/// A host that hears routers hears them also when it forwards, and as before when it does not.
#[test]
fn a_router_that_is_heard_is_reported() {
    let sandbox = Sandbox::new("dash");
    let key = "ab".repeat(32) + "\n";
    let made = sandbox.sh("set -e
        ip link add up0 type veth peer name up1; ip link set up0 up; ip link set up1 up
        ip link add up2 type veth peer name up3; ip link set up2 up; ip link set up3 up
        echo 1 > /proc/sys/net/ipv6/conf/up0/accept_ra
        echo 0 > /proc/sys/net/ipv6/conf/up2/accept_ra
        ip -6 route add default via fe80::1 dev up0 proto ra metric 1024
        ip -6 route add default via fe80::2 dev up2 proto ra metric 1025");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let said = sandbox.host("observe", &[], &key);
    // The other is some program's, that hears for itself.
    assert!(said.contains("\nadvertised up0\n") && !said.contains("advertised up2"), "{said}");
}
