//! Exports: what is written, where not, and what the programs say that read it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::bench::{Bench, Ran, files};
use crate::documents::document;

/// Two networks, a site, a group, and peers of each kind.
const FLEET: &str = "fleet: acme
networks:
  n: { interface: wg0, prefixes: [10.9.0.0/24, 'fd09::/64'], psk: pairwise }
  other: { interface: wg-x, prefixes: 10.8.0.0/24 }
groups: { edge-x: {} }
sites:
  paris:
    subnets: 192.168.1.0/24
    hosts:
      a: { ssh: 'root@a.example.com:2222', networks: { n: { endpoint: 'a.example.com:51820' }, other: { endpoint: 'a.example.com:51821' } }, groups: edge-x, exit: true, transit: true, masquerade: true, gateway: true }
hosts:
  b: { networks: { n: { endpoint: '[2001:db8::b]:51820' } }, post_up: 'echo x', post_down: 'echo y' }
peers:
  phone: { network: n, via: a, keepalive: 25 }
  tablet: { network: n, via: a, full_tunnel: true, dns: [10.9.0.1, corp.example] }
  partner: { network: n, via: a, public_key: hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo= }
";

/// Exports of one device, and the files that they write for an interface `wg0`.
const DEVICE: [(&str, &[&str]); 6] = [
    ("networkmanager", &["wg0.nmconnection"]),
    ("networkd", &["wg0.netdev", "wg0.network"]),
    ("openwrt", &["wg0-openwrt.sh"]),
    ("routeros", &["wg0.rsc"]),
    ("compose", &["compose.yaml", "wg0.conf"]),
    ("app", &["wg0.conf"]),
];

/// A text with what no two runs have in common replaced.
fn steady(text: &str) -> String {
    let mut steady = String::with_capacity(text.len());
    let is_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/');
    let mut rest = text;
    while let Some(end) = rest.find('=') {
        let start = rest[..end].rfind(|c| !is_key(c)).map_or(0, |at| at + 1);
        let key = &rest[start..end];
        let known = key == "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo";
        if key.len() == 43 && !known {
            steady.push_str(&rest[..start]);
            steady.push_str("KEY");
        } else {
            steady.push_str(&rest[..=end]);
        }
        rest = &rest[end + 1..];
    }
    steady + rest
}

fn export(bench: &Bench, name: &str, to: &str) -> (std::path::PathBuf, Ran) {
    let out = bench.outside(&format!("{to}-{name}"));
    let ran = bench.done(&["export", name, "--to", to, "-o", out.to_str().expect("a name")]);
    (out, ran)
}

/// Every file of a folder, each under its name.
fn shown(folder: &std::path::Path) -> String {
    let text = |name: &String| {
        let text = fs::read_to_string(folder.join(name)).expect("it is there");
        format!("==> {name} <==\n{}", steady(&text))
    };
    files(folder).iter().map(text).collect()
}

#[test]
fn each_export_of_a_device_is_what_it_was() {
    let bench = Bench::new(FLEET);
    for (to, wanted) in DEVICE {
        let (out, ran) = export(&bench, "tablet", to);
        assert_eq!(files(&out), wanted);
        assert!(ran.stderr.contains("they hold its private key"), "{ran:?}");
        let conf = bench.done(&["peer", "show", "tablet", "--conf"]).stdout;
        let private =
            conf.lines().find_map(|line| line.strip_prefix("PrivateKey = ")).expect("a key");
        let mut holders = 0;
        for name in files(&out) {
            let path = out.join(&name);
            let text = fs::read_to_string(&path).expect("it is there");
            holders += usize::from(text.contains(private));
            assert!(!text.contains('\u{1}') && !text.contains("\n\n\n"), "{name}: {text}");
            assert_eq!(
                fs::metadata(&path).expect("it is there").permissions().mode() & 0o777,
                0o600
            );
        }
        assert_eq!(holders, 1, "{to}");
        insta::assert_snapshot!(format!("tablet-{to}"), shown(&out));
        // A host has several interfaces, each in files of its own.
        if to != "compose" {
            let (out, ran) = export(&bench, "a", to);
            assert_eq!(files(&out).len(), 2 * wanted.len(), "{to}");
            assert!(ran.stderr.contains("masquerading of `a` are not part"), "{ran:?}");
            insta::assert_snapshot!(format!("host-{to}"), shown(&out));
        }
    }
}

#[test]
fn a_partner_sees_our_side_and_no_private_key() {
    let bench = Bench::new(FLEET);
    let (out, _) = export(&bench, "partner", "partner");
    insta::assert_snapshot!("partner-with-its-key", shown(&out));
    // The vault's key stands in until theirs has come: nothing derived from it is told.
    let (out, ran) = export(&bench, "phone", "partner");
    let text = fs::read_to_string(out.join("phone.txt")).expect("it is there");
    let conf = bench.done(&["peer", "show", "phone", "--conf"]).stdout;
    for secret in ["PrivateKey = ", "PresharedKey = "] {
        let secret = conf.lines().find_map(|line| line.strip_prefix(secret)).expect("a secret");
        assert!(!text.contains(secret), "{text}");
    }
    assert!(text.contains("wg pubkey") && ran.stderr.contains("no private key"), "{text}");
    let out = bench.outside("none");
    let words = ["export", "partner", "--to", "app", "-o", out.to_str().expect("a name")];
    let said = bench.fails(&words, 10);
    assert!(said.contains("wgfleet export partner --to partner"), "{said}");
    assert!(!out.exists());
}

#[test]
fn each_export_of_the_fleet_is_what_it_was_and_holds_no_secret() {
    let bench = Bench::new(FLEET);
    let conf = bench.done(&["peer", "show", "phone", "--conf"]).stdout;
    let private = conf.lines().find_map(|line| line.strip_prefix("PrivateKey = ")).expect("a key");
    // No identity is needed.
    fs::rename(bench.outside("home"), bench.outside("elsewhere")).expect("it moves");
    for to in ["ansible", "hosts", "dns-zone", "prometheus-targets"] {
        let ran = bench.done(&["export", "--to", to]);
        assert!(!ran.stdout.contains(private) && !ran.stdout.contains("==>"), "{ran:?}");
        insta::assert_snapshot!(format!("fleet-{to}"), ran.stdout);
        let out = bench.outside(to);
        bench.done(&["export", "--to", to, "-o", out.to_str().expect("a name")]);
        let [name] = &files(&out)[..] else { panic!("one file of {to}") };
        assert_eq!(fs::read_to_string(out.join(name)).expect("it is there"), ran.stdout);
    }
    let whole = document(bench.done(&["export", "--to", "json"]).stdout.as_bytes());
    assert_eq!(whole["kind"], "fleet-export");
    assert_eq!(whole["hosts"][0]["ssh_port"], 2222);
    assert_eq!(whole["peers"].as_array().expect("a list").len(), 3);
    assert_eq!(
        whole["peers"][2]["interfaces"][0]["public_key"],
        "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="
    );
    // Targets are JSON, too.
    let targets = bench.done(&["export", "--to", "prometheus-targets"]).stdout;
    let targets: serde_json::Value = serde_json::from_str(&targets).expect("JSON");
    assert_eq!(targets[0]["targets"][0], "10.9.0.1:9100");
    assert_eq!(targets[1]["labels"]["host"], "b");
}

#[test]
fn bind_takes_the_records() {
    let bench = Bench::new(FLEET);
    let out = bench.outside("zone");
    bench.done(&["export", "--to", "dns-zone", "-o", out.to_str().expect("a name")]);
    let zone = "$TTL 300\n@ IN SOA ns admin 1 3600 600 86400 300\n@ IN NS ns\nns IN A 192.0.2.1\n$INCLUDE acme.zone\n";
    fs::write(out.join("zone"), zone).expect("it can be written");
    let output = Command::new("named-checkzone")
        .args(["-D", "-w"])
        .arg(&out)
        .args(["acme.example", "zone"])
        .output()
        .expect("this test needs named-checkzone: run `make test`, which installs it");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    for (name, record) in
        [("a", "10.9.0.1"), ("a.other", "10.8.0.1"), ("b.n", "fd09::2"), ("tablet", "fd09::4")]
    {
        let found = said.lines().any(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            words.first() == Some(&format!("{name}.acme.example.").as_str())
                && words.last() == Some(&record)
        });
        assert!(found, "{name} {record}: {said}");
    }
}

#[test]
fn wg_quick_takes_what_the_apps_take() {
    let bench = Bench::new(FLEET);
    for to in ["app", "compose"] {
        let (out, _) = export(&bench, "tablet", to);
        let output = Command::new("wg-quick").arg("strip").arg(out.join("wg0.conf")).output();
        let output = output.expect("this test needs wg-quick: run `make test`, which installs it");
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("AllowedIPs = 0.0.0.0/0, ::/0") && !text.contains("MTU"), "{text}");
    }
}

#[test]
fn a_shell_takes_the_script_for_openwrt() {
    let bench = Bench::new(FLEET);
    let (out, _) = export(&bench, "a", "openwrt");
    for name in files(&out) {
        let output = Command::new("sh").arg("-n").arg(out.join(&name)).output().expect("a shell");
        assert!(output.status.success(), "{output:?}");
    }
}

/// What systemd-networkd says of the files of a folder, in namespaces of its own. The kernel of a test has no
/// WireGuard, so it ends when it would make the interface.
fn networkd(folder: &std::path::Path) -> String {
    const RUN: &str = "mount -t tmpfs none /run && mkdir -p /run/systemd/network /run/systemd/netif/links \
        /run/systemd/netif/leases /run/systemd/netif/lldp && chown -R systemd-network /run/systemd/netif && \
        mount -t tmpfs none /etc/systemd/network && cp \"$1\"/* /etc/systemd/network && \
        chgrp systemd-network /etc/systemd/network/* && chmod 640 /etc/systemd/network/* && \
        SYSTEMD_LOG_LEVEL=debug SYSTEMD_LOG_TARGET=console timeout 2 /lib/systemd/systemd-networkd 2>&1 || :";
    let mut command = Command::new("unshare");
    command.args(["--mount", "--net", "sh", "-c", RUN, "sh"]).arg(folder);
    let output = command.output().expect("unshare runs");
    assert!(output.status.success(), "needs root: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Lines in which networkd complains about a file.
fn complaints(said: &str) -> Vec<&str> {
    let words = [
        "Unknown",
        "ailed to parse",
        "nvalid",
        "gnoring",
        "ignored",
        "too permissive",
        "Permission",
    ];
    let of_files = said.lines().filter(|line| line.contains("/etc/systemd/network/"));
    of_files.filter(|line| words.iter().any(|word| line.contains(word))).collect()
}

#[test]
fn networkd_takes_its_files() {
    let bench = Bench::new(FLEET);
    for (name, interfaces) in [("tablet", &["wg0"][..]), ("a", &["wg0", "wg-x"])] {
        let (out, _) = export(&bench, name, "networkd");
        let said = networkd(&out);
        for interface in interfaces {
            assert!(said.contains(&format!("{interface}: loaded \"wireguard\"")), "{said}");
        }
        assert!(complaints(&said).is_empty(), "{:?}", complaints(&said));
    }
    // It does say what it does not take.
    let (out, _) = export(&bench, "phone", "networkd");
    for file in ["wg0.netdev", "wg0.network"] {
        let path = out.join(file);
        let text =
            fs::read_to_string(&path).expect("it is there").replace("\n[", "\nNonsense=1\n[");
        fs::write(&path, text).expect("it can be written");
    }
    assert!(!complaints(&networkd(&out)).is_empty());
}

#[test]
fn a_template_of_the_fleet_takes_the_place_of_another_or_adds_one() {
    let bench = Bench::new(FLEET);
    let folder = bench.folder().join("templates/export");
    fs::create_dir_all(&folder).expect("a folder");
    let write =
        |name: &str, text: &str| fs::write(folder.join(name), text).expect("it can be written");
    write("hosts.j2", "==> mine <==\n{% for host in hosts %}{{ host.name }}\n{% endfor %}");
    assert_eq!(bench.done(&["export", "--to", "hosts"]).stdout, "a\nb\n");
    write(
        "toy.j2",
        "==> {{ name }}.toy <==\n{{ private_key }}\n{% for peer in peers %}{{ peer.preshared_key }}\n{% endfor %}",
    );
    let (out, _) = export(&bench, "phone", "toy");
    let text = fs::read_to_string(out.join("phone.toy")).expect("it is there");
    let conf = bench.done(&["peer", "show", "phone", "--conf"]).stdout;
    assert!(text.lines().count() == 2 && text.lines().all(|key| conf.contains(key)), "{text}");

    let failing = [
        ("{{ nothing }}", "toy"),
        ("==> x <==\n{% for", "syntax error"),
        ("text\n==> x <==\n", "before its first line"),
        ("==> ../x <==\n", "names a file"),
        ("==> x <==\n==> x <==\n", "names a file"),
        ("==> x <==\na\u{202e}b", "hides what stands there"),
        (
            "==> x <==\n{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
            "steps",
        ),
    ];
    for (text, why) in failing {
        write("toy.j2", text);
        let out = bench.outside("failed");
        let words = ["export", "phone", "--to", "toy", "-o", out.to_str().expect("a name")];
        let said = bench.fails(&words, 3);
        assert!(said.contains(why) && said.contains("templates/export/toy.j2"), "{text}: {said}");
        assert!(!out.exists(), "{text}");
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let bench = Bench::new(FLEET);
    for (words, why) in [
        (&["--to", "ansibel"][..], "did you mean `ansible`?"),
        (&["--to", "../hosts"], "no export is named"),
        (&["--to", "app"], "wgfleet export NAME --to app"),
        (&["phone", "--to", "hosts"], "leave out the name"),
        (&["phone", "--to", "app"], "-o DIR"),
        (&["phome", "--to", "app", "-o", "../x"], "did you mean `phone`?"),
        (&["a", "--to", "app", "--split-tunnel", "-o", "../x"], "unmanaged peers"),
        (&["--to", "hosts", "--format", "json"], "-o DIR"),
    ] {
        let said = bench.fails(&[&["export"][..], words].concat(), 64);
        assert!(said.contains(why), "{words:?}: {said}");
    }
    Command::new("git").arg("-C").arg(bench.folder()).args(["init", "-q"]).status().expect("git");
    let said = bench.fails(&["export", "phone", "--to", "app", "-o", "out"], 10);
    assert!(said.contains("work tree"), "{said}");
    assert!(!bench.folder().join("out").exists());
    // What holds no secret may lie there.
    bench.done(&["export", "--to", "hosts", "-o", "out"]);
    let (out, _) = export(&bench, "tablet", "app");
    let said =
        bench.fails(&["export", "tablet", "--to", "app", "-o", out.to_str().expect("a name")], 1);
    assert!(said.contains("remove it first"), "{said}");
    let split = bench.outside("split");
    bench.done(&[
        "export",
        "tablet",
        "--to",
        "app",
        "--split-tunnel",
        "-o",
        split.to_str().expect("a name"),
    ]);
    let text = fs::read_to_string(split.join("wg0.conf")).expect("it is there");
    assert!(!text.contains("/0"), "{text}");
}
