//! What a host says about itself, under every shell: the digest of its state, its identity, and the
//! records that fleets keep there.

use wgfleet::model::{FingerprintKey, HostPath, InterfaceName};
use wgfleet::observed::{LiveBackend, ObservedHost};
use zeroize::Zeroizing;

use crate::encode;
use crate::sandbox::{KEYS, Sandbox};

/// What `observe` reads: a fingerprint key, and the interfaces of the inventory.
fn question(key: &str) -> String {
    format!("{}\ninterface wg0\ninterface wg1\n", key.repeat(32))
}

fn observe(sandbox: &Sandbox) -> ObservedHost {
    observe_with(sandbox, 0xa5)
}

fn observe_with(sandbox: &Sandbox, byte: u8) -> ObservedHost {
    let text = sandbox.host("observe", &[], &question(&format!("{byte:02x}")));
    let key = FingerprintKey::from_bytes(Zeroizing::new([byte; 32]));
    ObservedHost::read(&text, &key).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn digest_says_what_moved(shell: &'static str) {
    let sandbox = Sandbox::new(shell);
    let digest = || observe(&sandbox).digest.expect("a digest").to_string();
    let first = digest();
    let other_key = observe_with(&sandbox, 0xa6).digest.expect("a digest");
    assert_ne!(other_key.to_string(), first);

    // What changes by itself is no part of it.
    for command in [
        ":",
        "wg set wg0 peer $K1 endpoint 127.0.0.1:51777",
        "mkdir -p /var/lib/wgfleet; echo '{}' >/var/lib/wgfleet/east.json",
        "mkdir -p /usr/local/lib/wgfleet; cp /bin/true /usr/local/lib/wgfleet/wgfleet",
    ] {
        run(&sandbox, command);
        assert_eq!(digest(), first, "{command}");
    }
    assert_eq!(observe(&sandbox).records["east"], "{}\n");
    assert!(observe(&sandbox).facts.helper.is_none(), "nothing says which binary it is");

    // All else is, and what was put back is as it was.
    for (command, back) in [
        ("wg set wg0 listen-port 51977", "wg set wg0 listen-port 51900"),
        (
            "wg set wg0 peer $K2 persistent-keepalive 24",
            "wg set wg0 peer $K2 persistent-keepalive 25",
        ),
        (
            "wg set wg0 peer $K2 allowed-ips 10.9.0.4/32",
            "wg set wg0 peer $K2 allowed-ips 10.9.0.3/32",
        ),
        ("ip link set wg0 mtu 1401", "ip link set wg0 mtu 1400"),
        (
            "ip route del 192.168.50.0/24 dev wg0 metric 7",
            "ip route add 192.168.50.0/24 dev wg0 metric 7",
        ),
        ("ip addr add 10.9.0.66/24 dev wg0", "ip addr del 10.9.0.66/24 dev wg0"),
        ("echo '#' >>/etc/wireguard/wg0.conf", "sed -i '$d' /etc/wireguard/wg0.conf"),
        ("chmod 644 /etc/wireguard/wg0.conf", "chmod 600 /etc/wireguard/wg0.conf"),
        ("echo 1 >/proc/sys/net/ipv4/ip_forward", "echo 0 >/proc/sys/net/ipv4/ip_forward"),
    ] {
        run(&sandbox, command);
        assert_ne!(digest(), first, "{command}");
        run(&sandbox, back);
        assert_eq!(digest(), first, "{back}");
    }

    // The host compares it, and does nothing where it differs.
    let port = || String::from_utf8(sandbox.sh("wg show wg0 listen-port").stdout).expect("text");
    let change = |id: &str, expect: &str| {
        let files = [("observe", question("a5")), ("expect", expect.to_owned())];
        let payload = encode(&files, &["touch wg0".to_owned(), "port wg0 51930".to_owned()]);
        sandbox.host("apply", &[id, "60"], &payload)
    };
    assert_eq!(change("a1", &"00".repeat(32)), format!("moved {first}\n"));
    assert_eq!(port(), "51900\n");
    assert_eq!(change("a2", &first), "done\n");
    assert_eq!(port(), "51930\n");
    // A change that is armed is told, and is no part of it either.
    assert_eq!(observe(&sandbox).armed.as_deref(), Some("a2"));
    run(&sandbox, "wg set wg0 listen-port 51900");
    assert_eq!(digest(), first);
}

/// What a mark names is believed only where it is wgfleet's own tunnel, and is never run for it.
fn marks_are_checked(shell: &'static str) {
    let sandbox = Sandbox::new(shell);
    let backend = |name: &str| {
        let name: InterfaceName = name.parse().expect("a name");
        observe(&sandbox).interfaces.get(&name).map(|live| live.backend)
    };
    // A program of another user, and one of root's, with the process id of a tunnel that has died.
    run(
        &sandbox,
        "mkdir /run/lure; chmod 755 /run /run/lure
         printf '#!/bin/sh\nid -u >>/run/lure/ran\nexec sleep 1000\n' >/run/lure/wgfleet; chmod 755 /run/lure/wgfleet
         cp /bin/sleep /run/lure/asleep; touch /run/lure/ran; chmod 666 /run/lure/ran
         setpriv --reuid 65534 --clear-groups /run/lure/wgfleet >/dev/null 2>&1 & echo $! >/run/lure/theirs
         /run/lure/asleep 1000 >/dev/null 2>&1 & echo $! >/run/lure/roots
         until grep -q 65534 /run/lure/ran; do sleep 0.05; done; : >/run/lure/ran",
    );
    let start = "$(sed 's/.*) //' /proc/$p/stat | cut -d ' ' -f 20)";
    for mark in [
        "p=$(cat /run/lure/theirs); echo $p",
        &format!("p=$(cat /run/lure/theirs); echo $p {start}"),
        "p=$(cat /run/lure/roots); echo $p",
        "p=$(cat /run/lure/roots); echo $p 1",
        "echo 1",
        "echo",
        "printf '../../run/lure'",
        "echo 4194303 7",
        &format!("echo $$ {}", "9".repeat(300)),
    ] {
        run(
            &sandbox,
            &format!("mark=$({mark}); printf '%s\\n' \"$mark\" >/run/wireguard/wg0.wgfleet"),
        );
        assert_eq!(backend("wg0"), Some(LiveBackend::Userspace), "{mark}");
    }
    assert_eq!(text(&sandbox, "cat /run/lure/ran"), "");
    // The operations that make or end an interface remove a mark that nobody has.
    let ops = ["touch wg0", "touch wg5", "delete wg5", "create wg5 userspace"].map(str::to_owned);
    run(&sandbox, "echo 4194303 7 >/run/wireguard/wg5.wgfleet");
    assert_eq!(sandbox.host("apply", &["a1", "60"], &encode(&[], &ops)), "done\n");
    assert_eq!(text(&sandbox, "ls /run/wireguard"), "wg0.sock\nwg0.wgfleet\nwg1.sock\nwg5.sock\n");

    // A real one says who it is.
    let wgfleet = env!("CARGO_BIN_EXE_wgfleet");
    run(&sandbox, &format!("echo 7 >/run/wireguard/wg6.wgfleet; {wgfleet} tunnel wg6 </dev/null"));
    assert_eq!(backend("wg6"), Some(LiveBackend::Embedded));
    let mark = "read -r p s </run/wireguard/wg6.wgfleet";
    let words = text(&sandbox, &format!("{mark}; echo $s; p=$p; echo {start}"));
    let words: Vec<&str> = words.lines().collect();
    assert!(words.len() == 2 && words[0] == words[1] && !words[0].is_empty(), "{words:?}");
    // So does one of version 0.1.0.
    run(&sandbox, &format!("{mark}; echo $p >/run/wireguard/wg6.wgfleet"));
    assert_eq!(backend("wg6"), Some(LiveBackend::Embedded));
    // Another took over after it was killed.
    run(
        &sandbox,
        &format!(
            "{mark}; kill -9 $p; until ! ip link show wg6 >/dev/null 2>&1; do sleep 0.05; done"
        ),
    );
    run(&sandbox, "rm -f /run/wireguard/wg6.sock; wireguard-go wg6 2>/dev/null");
    assert_eq!(backend("wg6"), Some(LiveBackend::Userspace));
}

#[test]
fn marks_are_checked_under_dash() {
    marks_are_checked("dash");
}

#[test]
fn marks_are_checked_under_busybox() {
    marks_are_checked("busybox sh");
}

/// Where wgfleet's file is damaged, a copy of what still runs of it tells; what runs is never started.
fn a_copy_tells(shell: &'static str) {
    let sandbox = Sandbox::new(shell);
    let wgfleet = env!("CARGO_BIN_EXE_wgfleet");
    // Nothing can be started from where it lies, so nothing can be through /proc.
    run(
        &sandbox,
        &format!(
            "mkdir /run/pushed /usr/local/lib/wgfleet; mount -t tmpfs none /run/pushed
             cp {wgfleet} /run/pushed/wgfleet; /run/pushed/wgfleet tunnel wg6 </dev/null
             mount -o remount,noexec /run/pushed; ! /run/pushed/wgfleet --version 2>/dev/null
             cd /usr/local/lib/wgfleet; printf damaged >wgfleet; chmod 755 wgfleet
             mount --bind /dev/null \"$(readlink -f \"$(command -v wg)\")\""
        ),
    );
    let wg6: InterfaceName = "wg6".parse().expect("a name");
    let told = || {
        let seen = observe(&sandbox);
        seen.interfaces.get(&wg6).map(|live| live.backend)
    };
    let state = "ls -A /usr/local/lib/wgfleet; find /run/wgfleet -name '.obs*' 2>/dev/null";
    let digest = |of: &str| {
        let write = "cut -d ' ' -f 1 >/usr/local/lib/wgfleet/wgfleet.sha256";
        run(&sandbox, &format!("{of} | sha256sum | {write}"));
    };
    assert_eq!(told(), None, "nobody knows what was pushed");
    digest("echo another");
    assert_eq!(told(), None, "it is not what was pushed");
    digest("cat /run/pushed/wgfleet");
    assert_eq!(told(), Some(LiveBackend::Embedded));
    assert_eq!(text(&sandbox, state), "wgfleet\nwgfleet.sha256\n");
    // A read-only folder, and what a killed run has left in the other one.
    run(
        &sandbox,
        "mkdir -p /run/wgfleet/.observing.4194303-7; touch /run/wgfleet/.observing.4194303-7/x",
    );
    run(&sandbox, "mount -o remount,ro /usr/local/lib");
    assert_eq!(told(), Some(LiveBackend::Embedded));
    assert_eq!(text(&sandbox, state), "wgfleet\nwgfleet.sha256\n");
}

#[test]
fn a_copy_tells_under_dash() {
    a_copy_tells("dash");
}

#[test]
fn a_copy_tells_under_busybox() {
    a_copy_tells("busybox sh");
}

fn text(sandbox: &Sandbox, command: &str) -> String {
    String::from_utf8(sandbox.sh(command).stdout).expect("text")
}

fn run(sandbox: &Sandbox, command: &str) {
    let [_, k1, k2, _, _] = KEYS;
    let done = sandbox.sh(&format!("K1={k1} K2={k2}; {command}"));
    assert!(done.status.success(), "{command}: {}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn a_digest_says_what_moved() {
    digest_says_what_moved("dash");
}

#[test]
fn a_digest_says_what_moved_with_busybox() {
    digest_says_what_moved("busybox sh");
}

#[test]
fn a_digest_says_what_moved_with_bash() {
    digest_says_what_moved("bash --posix");
}

#[test]
fn a_machine_says_which_it_is() {
    let sandbox = Sandbox::new("dash");
    run(
        &sandbox,
        "mount -t tmpfs none /etc/ssh; ssh-keygen -q -t ed25519 -N '' -C one -f /etc/ssh/ssh_host_ed25519_key; \
         ssh-keygen -q -t ecdsa -N '' -C one -f /etc/ssh/ssh_host_ecdsa_key; \
         echo 0123456789abcdef0123456789abcdef >/run/id; touch /etc/machine-id; mount --bind /run/id /etc/machine-id",
    );
    let first = observe(&sandbox);
    let sum = "printf 'wgfleet %s\\n' 0123456789abcdef0123456789abcdef | sha256sum | cut -c 1-64";
    let sum = String::from_utf8(sandbox.sh(sum).stdout).expect("text");
    assert_eq!(first.machine_id.expect("an id").to_string(), sum.trim());
    let keys = "cat /etc/ssh/*.pub | cut -d ' ' -f 1,2 | sort | sha256sum | cut -c 1-64";
    let keys = String::from_utf8(sandbox.sh(keys).stdout).expect("text");
    assert_eq!(first.host_key.expect("a key").to_string(), keys.trim());

    // A comment names a machine that was once called so; the key is what ssh knows it by.
    run(&sandbox, "sed -i 's/one$/two/' /etc/ssh/*.pub");
    assert_eq!(observe(&sandbox).host_key, first.host_key);
    // Nor is a line end part of a key.
    run(&sandbox, "cd /etc/ssh; for f in *.pub; do printf %s \"$(cat $f)\" >x; mv x $f; done");
    assert_eq!(observe(&sandbox).host_key, first.host_key);
    run(&sandbox, "rm /etc/ssh/*; : >/run/id");
    let blank = observe(&sandbox);
    assert_eq!((blank.machine_id, blank.host_key), (None, None));
}

#[test]
fn only_a_file_of_roots_own_is_a_record() {
    let sandbox = Sandbox::new("dash");
    run(
        &sandbox,
        "mkdir -p /var/lib/wgfleet; mount -t tmpfs none /var/lib/wgfleet; cd /var/lib/wgfleet
         printf '{\\n\\t\"a\\033[31m\": 1}' >good.json; : >empty.json; echo x >theirs.json; chown 65534 theirs.json
         ln -s good.json link.json; mkfifo fifo.json; mkdir folder.json; echo x >Name.json; echo x >-a.json
         head -c 1048577 /dev/zero | tr '\\0' x >large.json; echo x >'a b.json'; echo x >note.txt",
    );
    let records = observe(&sandbox).records;
    let expected = [("empty", ""), ("good", "{\n?\"a?[31m\": 1}\n")];
    assert_eq!(records, expected.map(|(name, text)| (name.to_owned(), text.to_owned())).into());
}

/// What a failing hook and a file say has backslashes; they arrive as they are.
fn backslashes_arrive(shell: &'static str) {
    let sandbox = Sandbox::new(shell);
    let conf = format!("[Interface]\nPrivateKey = {}\nPreUp = ls 'C:\\new\\table\\cut'\n", KEYS[3]);
    let files = [("f0", conf)];
    let ops = ["touch wg4", "file f0 600 /etc/wireguard/wg4.conf", "quick-up wg4 userspace"];
    let said = sandbox.host("apply", &["a1", "60"], &encode(&files, &ops.map(str::to_owned)));
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines.len() == 2 && lines[0].starts_with("failed 3 quick-up: "), "{said}");
    assert!(lines[0].contains(r"C:\new\table\cut"), "{said}");
    assert_eq!(lines[1], "reverted");

    run(
        &sandbox,
        r"printf '%s\n' '# Managed by wgfleet' 'PostUp = printf a\nb\c' >/etc/wireguard/wg5.conf
        cd /etc/wireguard; cp wg5.conf 'w\tg.conf'; cp wg5.conf 'w g.conf'; cp wg5.conf 'w
g.conf'",
    );
    let seen = observe(&sandbox);
    let file = &seen.files["/etc/wireguard/wg5.conf"];
    assert_eq!(file.public_text, "# Managed by wgfleet\nPostUp = printf a\\nb\\c\n");
    // Names that no interface can have are nobody's here.
    let odd = |path: &&HostPath| path.contains(['\\', ' ', '\n']);
    assert_eq!(seen.files.keys().find(odd), None);
}

#[test]
fn backslashes_arrive_under_dash() {
    backslashes_arrive("dash");
}

#[test]
fn backslashes_arrive_under_busybox() {
    backslashes_arrive("busybox sh");
}

#[test]
fn backslashes_arrive_under_bash() {
    backslashes_arrive("bash --posix");
}
