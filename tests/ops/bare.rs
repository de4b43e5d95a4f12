//! Hosts without wireguard-tools and wireguard-go: wgfleet's own binary does their work.

use std::fs;

use crate::fleet::Fleet;

const TOOLS: &str = "wg,wg-quick,wireguard-go";

/// The head of an ELF file for another machine, without anything to load.
fn elf(machine: u16) -> Vec<u8> {
    let mut head = b"\x7fELF\x02\x01\x01".to_vec();
    head.resize(64, 0);
    head[16] = 3;
    head[18..20].copy_from_slice(&machine.to_le_bytes());
    head[52] = 64;
    head[54] = 56;
    head
}

#[test]
fn wgfleet_serves_as_wg_as_wg_quick_and_as_the_data_plane() {
    let without: Vec<String> = ["a", "b", "arm"].map(|host| format!("{host}={TOOLS}")).into();
    let mut options = Vec::new();
    for one in &without {
        options.extend(["--without", one]);
    }
    let fleet = Fleet::up(
        "fleet: ops
networks:
  net: { interface: wg0, prefixes: [10.90.0.0/24, 'fd90::/64'], psk: pairwise, links: { hub: [a, c] } }
hosts:
  a: { ssh: root@a.example.com, address: 10.90.0.1, endpoint: 'a.example.com:51820' }
  b: { ssh: ops@b.example.com, address: 10.90.0.2, nat: true, post_up: 'echo up %i >>/run/hooks', pre_down: 'echo down %i >>/run/hooks' }
  c: { ssh: root@c.example.com, address: 10.90.0.3, backend: wireguard-go, endpoint: 'c.example.com:51820' }
  arm: { ssh: root@arm.example.com, address: 10.90.0.4, nat: true }
",
        &options,
    );
    another_machine(&fleet);
    let three = ["apply", "--yes", "--limit", "a,b,c"];
    let has = |host: &str, what: &str| fleet.changes()[host].iter().any(|change| change == what);
    assert!(has("a", "push-helper") && has("b", "push-helper") && !has("c", "push-helper"));
    fleet.done(&three);
    fleet.done(&["plan", "--detailed-exitcode", "--limit", "a,b,c"]);
    for (from, to) in [("a", "10.90.0.3"), ("b", "10.90.0.1"), ("b", "10.90.0.3")] {
        fleet.reaches(from, to);
    }
    assert_eq!(fleet.sh("b", "cat /run/hooks; command -v wg wg-quick wireguard-go || :"), "up wg0");
    let said = fleet.done(&["status", "--limit", "a,b,c"]);
    assert!(said.contains("embedded"), "{said}");
    // Into the tunnel, to nobody; the kernel's own multicast got lost there, too.
    let before = lost_without_a_peer(&fleet, "b");
    let lose = "ip route add 10.99.0.0/24 dev wg0
        ping -n -c 3 -i 0.2 -W 1 10.99.0.9; ip route del 10.99.0.0/24 dev wg0";
    fleet.sh("b", lose);
    assert!(lost_without_a_peer(&fleet, "b") >= before + 3);
    let said = fleet.done(&["status", "--limit", "a,b,c"]);
    assert!(said.contains("\nb wg0 dropped no_peer "), "{said}");

    // Once per digest: a change that needs no other binary pushes none.
    let stamp = "stat -c '%i %Y' /usr/local/lib/wgfleet/wgfleet";
    let pushed = fleet.sh("a", stamp);
    fleet.edit("10.90.0.1, endpoint", "10.90.0.1, mtu: 1380, endpoint");
    assert_eq!(fleet.changes()["a"], ["device", "file"]);
    fleet.done(&three);
    assert_eq!(fleet.sh("a", stamp), pushed);
    fleet.done(&["plan", "--detailed-exitcode", "--limit", "a,b,c"]);

    // A damaged one is noticed and replaced; the tunnel that runs is not disturbed.
    let damage = "cd /usr/local/lib/wgfleet && cp wgfleet x && printf damage | \
                  dd of=x bs=1 seek=4096 conv=notrunc 2>/dev/null && mv x wgfleet";
    fleet.sh("a", damage);
    assert_eq!(fleet.changes()["a"], ["push-helper"]);
    let ping = fleet.lab.ping_on("b", "10.90.0.1", 0.05);
    fleet.done(&three);
    assert!(ping.finish().lost() <= 1);
    assert_ne!(fleet.sh("a", stamp), pushed);
    fleet.done(&["plan", "--detailed-exitcode", "--limit", "a,b,c"]);
}

/// A host whose machine no binary is there for.
fn another_machine(fleet: &Fleet) {
    // Both the kernel's word and uname(1)'s.
    let other = "echo aarch64 >/run/arch && mount --bind /run/arch /proc/sys/kernel/arch && \
                 printf '#!/bin/sh\\n/usr/bin/uname \"$@\" | sed s/x86_64/aarch64/\\n' \
                 >/usr/local/bin/uname && chmod 755 /usr/local/bin/uname";
    fleet.sh("arm", other);
    let before = fleet.state("arm");
    for args in [["plan", "--limit", "arm,c"].as_slice(), &["apply", "--yes", "--limit", "arm"]] {
        let said = fleet.ends(3, args);
        assert!(said.contains("aarch64") && said.contains("--binaries"), "{said}");
    }
    assert_eq!(fleet.state("arm"), before);
    let binaries = fleet.folder().join("binaries");
    fs::create_dir(&binaries).unwrap();
    fs::write(binaries.join("wgfleet-riscv64"), elf(243)).unwrap();
    let folder = binaries.to_str().unwrap();
    fleet.ends(3, &["plan", "--limit", "arm", "--binaries", folder]);
    fs::write(binaries.join("wgfleet-aarch64"), elf(183)).unwrap();
    let (code, plan) = fleet.plan(&["--limit", "arm", "--binaries", folder]);
    let first = &plan["hosts"][0]["changes"][0];
    assert_eq!(
        (code, &first["change"], &first["machine"]),
        (0, &"push-helper".into(), &"aarch64".into())
    );
    // What does not run there is not kept.
    let args = ["apply", "--yes", "--limit", "arm", "--binaries", folder];
    let said = fleet.ends(7, &args);
    assert!(said.contains("does not run here"), "{said}");
    assert_eq!(
        fleet.sh("arm", "find /usr/local/lib/wgfleet /etc/wireguard -type f 2>/dev/null | wc -l"),
        "0"
    );
}

/// What `status` says of packets that a host's tunnel had no peer for.
fn lost_without_a_peer(fleet: &Fleet, host: &str) -> u64 {
    let args = ["status", "--limit", host, "--format", "json"];
    let output = fleet.command(&args).output().unwrap();
    let status = crate::documents::document(&output.stdout);
    let interfaces = status["dropped"].as_array().unwrap().iter();
    interfaces.filter_map(|one| one["dropped"]["no_peer"].as_u64()).sum()
}
