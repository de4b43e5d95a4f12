//! Rotations that are interrupted or refused: nobody loses a session, whatever runs next.

use std::fs;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::fleet::Fleet;
use crate::rotation::{DEADLINE, index, keys};
use crate::support::lab::WGFLEET;

/// Two spokes that have nobody but the hub.
const SPOKES: &str = "fleet: ops
networks:
  net: { interface: wg0, prefixes: [10.90.0.0/24], psk: pairwise, links: { hub: a } }
hosts:
  a: { ssh: root@a.example.com, address: 10.90.0.1, endpoint: 'a.example.com:51820', backend: embedded }
  b: { ssh: root@b.example.com, address: 10.90.0.2, nat: true, backend: embedded }
  c: { ssh: root@c.example.com, address: 10.90.0.3, nat: true, backend: embedded }
";

const HUB: &str = "10.90.0.1";

fn up() -> Fleet {
    let fleet = Fleet::up(SPOKES, &[]);
    fleet.apply();
    both_reach(&fleet);
    fleet
}

fn both_reach(fleet: &Fleet) {
    fleet.reaches("b", HUB);
    fleet.reaches("c", HUB);
}

/// Does something under 50 pings a second from both spokes, and expects no session to be cut: that
/// would lose all of them. How few are lost is counted in `rotation`.
fn quietly(fleet: &Fleet, what: impl FnOnce()) {
    let pings = ["b", "c"].map(|spoke| fleet.lab.ping_on(spoke, HUB, 0.02));
    std::thread::sleep(Duration::from_millis(500));
    what();
    std::thread::sleep(Duration::from_millis(500));
    for ping in pings {
        let ping = ping.finish();
        assert!(ping.sent > 40 && ping.lost() <= 10, "{ping:?}");
    }
}

fn begun(fleet: &Fleet, args: &[&str]) -> Child {
    fleet.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn until(what: &str, limit: u64, test: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(limit);
    while !test() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn killed(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Waits until no host has a change armed.
fn settled(fleet: &Fleet) {
    for host in ["a", "b", "c"] {
        fleet.until(host, Duration::from_secs(70), "[ ! -e /run/wgfleet/armed ]");
    }
}

/// The vault's key of a host in a state.
fn key_of(fleet: &Fleet, host: &str, state: &str) -> Option<String> {
    let index = index(fleet);
    let mut keys = index["keys"].as_array().unwrap().iter();
    let one = keys.find(|one| one["name"] == host && one["state"] == state)?;
    Some(one["public_key"].as_str().unwrap().to_owned())
}

#[test]
fn a_rotation_that_was_interrupted_is_moved_on_by_no_other_command() {
    let fleet = up();
    let before = keys(&fleet);
    // Only the vault knows the new key.
    let child = begun(&fleet, &["rotate", "--yes", "a", "--deadline", DEADLINE]);
    until("a new key", 30, || key_of(&fleet, "a", "next").is_some());
    killed(child);
    quietly(&fleet, || {
        let said = fleet.done(&["apply", "--yes", "--limit", "b"]);
        assert!(said.contains("`wgfleet rotate a`"), "{said}");
        fleet.apply();
        fleet.done(&["rotate", "--yes", "b"]);
    });
    let after = keys(&fleet);
    assert!(after["a"] == before["a"] && after["b"] != before["b"] && after["c"] == before["c"]);
    fleet.in_order();

    // The host has it and has confirmed; of its neighbours nobody knows.
    let next = key_of(&fleet, "a", "next").unwrap();
    let old = &before["a"];
    let changed = format!("[ \"$(wg show wg0 public-key)\" != '{old}' ]");
    let mut watcher = fleet.watch("a", &format!("{changed} && ! [ -e /run/wgfleet/armed ]"));
    let child = begun(&fleet, &["rotate", "--yes", "a", "--deadline", DEADLINE]);
    assert!(watcher.wait().unwrap().success());
    killed(child);
    settled(&fleet);
    fleet.done(&["apply", "--yes", "--limit", "b"]);
    fleet.apply();
    both_reach(&fleet);
    quietly(&fleet, || {
        fleet.done(&["rotate", "--yes", "c"]);
        fleet.apply();
    });
    assert_eq!(keys(&fleet)["a"], next);
    fleet.done(&["rotate", "--yes", "a"]);
    assert_eq!(key_of(&fleet, "a", "current"), Some(keys(&fleet)["a"].clone()));
    assert_eq!(key_of(&fleet, "a", "next"), None);
    fleet.in_order();
    both_reach(&fleet);
}

/// Puts a mv(1) on the hub that does `what` once, when a change is about to be confirmed.
fn at_confirmation(fleet: &Fleet, what: &str) {
    let script = format!(
        "cat >/usr/local/sbin/mv.new <<'END'\n#!/bin/sh\ncase $2 in\n/run/wgfleet/confirmed.*)\n\
         rm -f /usr/local/sbin/mv\n{what}\n;;\nesac\nexec /usr/bin/mv \"$@\"\nEND\n\
         chmod 755 /usr/local/sbin/mv.new && /usr/bin/mv /usr/local/sbin/mv.new /usr/local/sbin/mv"
    );
    fleet.sh("a", &script);
}

#[test]
fn neighbours_keep_a_new_key_only_with_its_host() {
    let fleet = up();
    let before = keys(&fleet);
    // Its timer is first.
    let late =
        "sh /run/wgfleet/*/host.sh '' revert \"$(cat /run/wgfleet/armed)\" >/dev/null; exit 1";
    at_confirmation(&fleet, late);
    let said = fleet.ends(8, &["rotate", "--yes", "a"]);
    assert!(said.contains("a keeps its old key"), "{said}");
    assert_eq!(keys(&fleet), before);
    for spoke in ["b", "c"] {
        assert_eq!(fleet.sh(spoke, "wg show wg0 peers"), before["a"]);
    }
    both_reach(&fleet);
    fleet.in_order();

    // It keeps the key, and its answer is lost with the connection.
    let lost = "/usr/bin/mv \"$@\"; p=$$
while [ $p -gt 1 ]; do
    read -r pid name state p rest </proc/$p/stat
    case $name in '(sshd'*) kill -9 $pid; break ;; esac
done
exit 0";
    at_confirmation(&fleet, lost);
    let args = ["rotate", "--format", "json", "--yes", "a"];
    let output = fleet.command(&args).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let document = crate::documents::document(&output.stdout);
    assert_eq!(document["rotated"], serde_json::json!(["a"]), "{document}");
    assert_eq!(document["failed"], Value::Null);
    assert_eq!(document["outcomes"].as_array().unwrap().len(), 3);
    assert_eq!(fleet.sh("a", "ls /usr/local/sbin/mv || :"), "");
    let after = keys(&fleet);
    assert_ne!(after["a"], before["a"]);
    for spoke in ["b", "c"] {
        assert_eq!(fleet.sh(spoke, "wg show wg0 peers"), after["a"]);
    }
    both_reach(&fleet);
    fleet.apply();
    both_reach(&fleet);
}

#[test]
fn a_rotation_of_all_goes_on_where_it_was_interrupted() {
    let fleet = up();
    let before = keys(&fleet);
    let child = begun(&fleet, &["rotate", "--yes", "--all", "--deadline", DEADLINE]);
    until("a is done", 60, || {
        key_of(&fleet, "a", "next").is_none()
            && key_of(&fleet, "a", "current").as_ref() != Some(&before["a"])
    });
    killed(child);
    settled(&fleet);
    let first = keys(&fleet);
    assert_ne!(first["a"], before["a"]);
    let args = ["rotate", "--format", "json", "--yes", "--all"];
    let output = fleet.command(&args).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("interrupted rotation: 2 hosts left"), "{said}");
    let document = crate::documents::document(&output.stdout);
    assert_eq!(document["rotated"], serde_json::json!(["b", "c"]));
    let after = keys(&fleet);
    assert!(after["a"] == first["a"] && after["b"] != before["b"] && after["c"] != before["c"]);
    // Not even the kill left an old key behind.
    assert_eq!(index(&fleet)["keys"].as_array().unwrap().len(), 3);
    fleet.in_order();
    both_reach(&fleet);

    let args = ["rotate", "--format", "json", "--yes", "--older-than", "1"];
    let output = fleet.command(&args).output().unwrap();
    let document = crate::documents::document(&output.stdout);
    assert!(output.status.success() && document["rotated"].as_array().unwrap().is_empty());
    a_passphrase_is_asked_for_once(&fleet);
}

fn a_passphrase_is_asked_for_once(fleet: &Fleet) {
    let key = fleet.folder().join("config/key");
    let keygen = |args: &[&str]| {
        let status = Command::new("ssh-keygen").args(args).arg("-f").arg(&key).status().unwrap();
        assert!(status.success());
    };
    keygen(&["-q", "-t", "ed25519", "-N", ""]);
    let recipients = fleet.folder().join("vault/recipients.txt");
    let mut text = fs::read_to_string(&recipients).unwrap();
    text.push_str(&fs::read_to_string(key.with_extension("pub")).unwrap());
    fs::write(recipients, text).unwrap();
    fleet.done(&["vault", "rekey", "--yes"]);
    keygen(&["-q", "-p", "-P", "", "-N", "a passphrase"]);

    // A wrong one makes no keys.
    let before = index(fleet);
    let (code, said) = with_passphrase(fleet, "wrong", "--all");
    assert_eq!(code, Some(10), "{said}");
    assert_eq!(index(fleet), before);
    let (code, said) = with_passphrase(fleet, "a passphrase", "b c");
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(said.matches("Passphrase of").count(), 1, "{said}");
    both_reach(fleet);
}

/// Rotates hosts on a terminal, where a passphrase is typed each time that it is asked for.
fn with_passphrase(fleet: &Fleet, passphrase: &str, hosts: &str) -> (Option<i32>, String) {
    let folder = fleet.folder().display();
    let command = format!(
        "{WGFLEET} --file {folder}/fleet.yaml --ssh-config {} --identity {folder}/config/key \
         rotate --yes {hosts}",
        fleet.lab.ssh_config().display()
    );
    let mut child = Command::new("setsid")
        .args(["-w", "timeout", "120", "script", "-qec", &command, "/dev/null"])
        .env("XDG_STATE_HOME", fleet.folder().join("state"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("apt-get install bsdutils util-linux");
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let (mut said, mut answered, mut buffer) = (String::new(), 0, [0; 1024]);
    loop {
        let length = stdout.read(&mut buffer).unwrap();
        if length == 0 {
            break;
        }
        said.push_str(&String::from_utf8_lossy(&buffer[..length]));
        if said.matches("config/key: ").count() > answered {
            answered += 1;
            stdin.write_all(format!("{passphrase}\n").as_bytes()).unwrap();
        }
    }
    (child.wait().unwrap().code(), said)
}
