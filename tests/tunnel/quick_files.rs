//! Files as people have them: `wgfleet quick` makes of each what wg-quick(8) with wireguard-go makes of
//! it, in namespaces of their own.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::namespace::{Folder, Keys, Namespace, WGFLEET, interface, output, require_root};

/// Lines of the `[Interface]` section beside the key and the address, and of the `[Peer]` section
/// beside the key.
const FILES: &[(&str, &str)] = &[
    ("", ""),
    ("PreUp = ", ""),
    ("PostUp =\nPreDown=\nPostDown = # nothing", ""),
    ("PostUp = true\t10.0.0.1", ""),
    ("MTU = ", ""),
    ("MTU = 1300", ""),
    ("MTU = 500", ""),
    ("MTU = 68", ""),
    ("MTU = 60", ""),
    ("MTU = many", ""),
    ("Table =", ""),
    ("Table = default", ""),
    ("Table = main", ""),
    ("Table = 0x1234", ""),
    ("Table = 1234", ""),
    ("Table = off", ""),
    ("Table = auto", ""),
    ("Table = nonesuch", ""),
    ("DNS = 10.0.0.53, ~corp.example", ""),
    ("DNS = fe80::53%eth, 2001:db8::53", ""),
    ("DNS = 10.0.0.53 10.0.0.54,corp.example", ""),
    ("DNS = corp.example", ""),
    ("SaveConfig = False", ""),
    ("saveconfig = FALSE", ""),
    ("SaveConfig = maybe", ""),
    ("Address = 10.3.0.1/255.255.0.0", ""),
    ("Address = 10.3.0.1/33", ""),
    ("Address = 10.3.0.1,fd12::1/64 , 10.4.0.1/24", ""),
    ("PreUp = echo 203.0.113.24 late.example >> /etc/hosts", "Endpoint = late.example:51820"),
    ("PreUp = false", ""),
    ("PostUp = false", ""),
    ("PostUp = test -n \"$INTERFACE\" && ip link show dev $INTERFACE", ""),
    ("PostUp = test %i = \"$INTERFACE\"", ""),
    ("PostUp = cmd ip address add 10.77.0.1/32 dev %i", ""),
    ("PostUp = [[ abc == @(abc|def) ]] && ip address add 10.78.0.1/32 dev %i", ""),
    ("PostUp = case abc in @(abc|x)) ip address add 10.79.0.1/32 dev %i;; esac", ""),
    (
        "PostUp = for a in \"${ADDRESSES[@]}\"; do test -n \"$a\"; done; test ${#ADDRESSES[@]} = 1",
        "",
    ),
    ("MTU = 1333\nPostUp = test \"$MTU\" = 1333", ""),
    ("PostUp = test -e \"$CONFIG_FILE\"", ""),
    ("PostUp = nonesuch-command", ""),
    ("PostUp = die no", ""),
    ("PostUp = set -x; (exit 3)", ""),
    ("PostUp = echo 'a b' \"c  d\" > /dev/null; true", ""),
    ("PreDown = pkill -f my-relay || true", ""),
    ("PostDown = pkill -f my-other-relay || true", ""),
    ("PostDown = false", ""),
    ("PreDown = false", ""),
    (
        "postup = ip address add 10.80.0.1/32 dev %i\nPOSTUP = ip address add 10.81.0.1/32 dev %i",
        "",
    ),
    ("FwMark = 0x99", "AllowedIPs = 0.0.0.0/0, ::/0"),
    ("FwMark = off", "AllowedIPs = 0.0.0.0/0"),
    ("Table = 77", "AllowedIPs = 0.0.0.0/0"),
    ("", "Endpoint = 2001:db8::19:51820"),
    ("", "Endpoint = 203.0.113.38:https"),
    ("", "Endpoint = 203.0.113.38:nonesuch"),
    ("", "Endpoint = [2001:db8::19]:51820\nPersistentKeepalive = off"),
    ("", "Endpoint = 203.0.113.38"),
    ("", "Allowed IPs = 10.5.0.0/16\nPersistent Keepalive = 25"),
    ("", "AllowedIPs = 10.5.0.0/16,10.6.0.0/16 , fd50::/48"),
    ("", "AllowedIPs = 10.5.0.0/99"),
    ("Hello = world", ""),
    (
        "[ Peer ]\nPublicKey = AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\nAllowedIPs = 10.66.0.0/16",
        "",
    ),
    ("ListenPort = 4712 # another", "  allowedips=10.5.0.0/16  # lower"),
];

/// What each side leaves of itself.
fn state(namespace: &Namespace, name: &str) -> Vec<String> {
    let looks = [
        format!("ip -o address show dev {name} | sed 's/.*inet/inet/; s/ tentative//'"),
        "ip -4 route show table all".to_owned(),
        "ip -6 route show table all".to_owned(),
        "ip -4 rule show".to_owned(),
        "ip -6 rule show".to_owned(),
        "nft list ruleset".to_owned(),
        format!("wg showconf {name}"),
        format!("ip -o link show dev {name} | grep -o 'mtu [0-9]*'"),
    ];
    let look = |line: &String| {
        let output = output(namespace.command("sh").args(["-c", line]));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let text = looks.iter().map(look).collect::<String>();
    let mut lines: Vec<String> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.contains("fe80::"))
        .map(str::to_owned)
        .collect();
    lines.sort();
    lines
}

/// Runs both commands of a side: exit codes, the state in between and the state after.
fn life(
    program: &[&str],
    file: &Path,
    name: &str,
    folder: &Folder,
) -> (bool, Vec<String>, bool, Vec<String>) {
    let (namespace, _other) = Namespace::pair();
    let tools = folder.path("tools");
    let (hosts, calls) =
        (folder.write("hosts", "127.0.0.1 localhost\n"), folder.write("calls", ""));
    fs::create_dir_all(&tools).expect("our own folder");
    let resolvconf = tools.join("resolvconf");
    let script =
        format!("#!/bin/sh\necho \"$@\" >> {0}\n[ \"$1\" != -a ] || cat >> {0}\n", calls.display());
    fs::write(&resolvconf, script).expect("our own folder");
    fs::set_permissions(&resolvconf, fs::Permissions::from_mode(0o755)).expect("our own file");
    let run = |verb: &str| {
        let line = format!(
            "mount --bind {} /etc/hosts; PATH={}:$PATH; export PATH; exec {} {verb} {}",
            hosts.display(),
            tools.display(),
            program.join(" "),
            file.display()
        );
        let mut command = namespace.command("sh");
        command.args(["-c", &line]);
        command.env("WG_ENDPOINT_RESOLUTION_RETRIES", "0").env("LOG_LEVEL", "silent");
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        command.stdin(std::process::Stdio::null()).status().expect("sh runs").success()
    };
    let shown = || -> Vec<String> {
        let dns = fs::read_to_string(&calls).expect("our own file");
        let mut lines = state(&namespace, name);
        lines.extend(dns.lines().map(str::to_owned));
        lines
    };
    let up = run("up");
    let running = shown();
    let down = run("down");
    if up && down {
        namespace.wait_until_empty();
    }
    (up, running, down, shown())
}

#[test]
fn each_file_makes_what_wg_quick_makes_of_it() {
    require_root();
    let folder = Folder::new();
    let [own, peer] = [Keys::new(&folder), Keys::new(&folder)];
    let name = interface();
    let file = folder.path(&format!("{name}.conf"));
    let mut wrong = Vec::new();
    let mut started = 0;
    for (interface_lines, peer_lines) in FILES {
        let nets =
            if peer_lines.to_lowercase().contains("ips") { "" } else { "AllowedIPs = 10.5.0.0/16" };
        let text = format!(
            "[Interface]\nPrivateKey = {}\nAddress = 10.0.0.1/24\nListenPort = 4711\n{interface_lines}\n\
             [Peer]\nPublicKey = {}\n{nets}\n{peer_lines}\n",
            own.private, peer.public
        );
        fs::write(&file, text).expect("our own folder");
        let ours = life(&[WGFLEET, "quick"], &file, &name, &folder);
        let theirs = life(&["wg-quick"], &file, &name, &folder);
        started += usize::from(theirs.0);
        if ours != theirs {
            let only = |a: &[String], b: &[String]| -> Vec<String> {
                a.iter().filter(|line| !b.contains(line)).cloned().collect()
            };
            wrong.push(format!(
                "{interface_lines:?} {peer_lines:?}: up {} {}, down {} {}\n  ours {:?} then {:?}\n  theirs {:?} then {:?}",
                ours.0, theirs.0, ours.2, theirs.2,
                only(&ours.1, &theirs.1), only(&ours.3, &theirs.3),
                only(&theirs.1, &ours.1), only(&theirs.3, &ours.3),
            ));
        }
    }
    // Most are such that wg-quick takes them; what it refuses, nobody else has to take.
    assert!((40..FILES.len()).contains(&started), "{started}");
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), FILES.len(), wrong.join("\n"));
}

#[test]
fn hooks_are_bytes_and_files_that_became_wrong_are_no_reason_to_go_on() {
    require_root();
    let folder = Folder::new();
    let namespace = Namespace::new();
    let name = interface();
    let file = folder.path(&format!("{name}.conf"));
    let heard = folder.path("heard");
    let key = Keys::new(&folder).private;
    let mut text = format!("[Interface]\nPrivateKey = {key}\nPostUp = printf 'B").into_bytes();
    text.extend(b"\xfcro' > ");
    text.extend(heard.to_string_lossy().as_bytes());
    text.extend(format!("; : {}\n", "x".repeat(9000)).as_bytes());
    fs::write(&file, &text).expect("our own folder");
    let path = file.to_string_lossy();
    namespace.run(WGFLEET, ["quick", "up", &path]);
    assert_eq!(fs::read(&heard).expect("the hook wrote it"), b"B\xfcro");
    text.extend(b"PrivateKey = nonsense\nHello = world\n[Peer]\nEndpoint = ?\n");
    fs::write(&file, &text).expect("our own folder");
    namespace.fails(WGFLEET, ["quick", "up", &path]);
    namespace.run(WGFLEET, ["quick", "down", &path]);
    namespace.wait_until_empty();
}
