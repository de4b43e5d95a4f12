//! Login users that are not root, and hosts behind other hosts.

use std::fs;

use crate::fleet::{Fleet, ends};

#[test]
fn a_login_user_becomes_root_by_sudo_by_doas_or_by_what_is_there() {
    let fleet = Fleet::up(
        "fleet: ops
networks:
  net: { prefixes: [10.90.0.0/24, 'fd90::/64'], psk: pairwise, links: { hub: with-sudo } }
hosts:
  with-sudo: { ssh: ops@with-sudo.example.com, become: sudo, address: 10.90.0.1, endpoint: 'with-sudo.example.com:51820' }
  with-doas: { ssh: ops@with-doas.example.com, become: doas, address: 10.90.0.2, endpoint: 'with-doas.example.com:51820' }
  only-doas: { ssh: ops@only-doas.example.com, address: 10.90.0.3, backend: wireguard-go, nat: true }
  neither: { ssh: ops@neither.example.com, address: 10.90.0.4, nat: true }
",
        &["--without", "only-doas=sudo", "--without", "neither=sudo,doas", "--without", "with-doas=sudo"],
    );
    let said = fleet.ends(4, &["plan"]);
    assert!(said.contains("neither sudo nor doas"), "{said}");
    let said = fleet.ends(7, &["apply", "--yes"]);
    assert!(said.contains("neither sudo nor doas"), "{said}");
    assert_eq!(
        fleet.sh("neither", "find /etc/wireguard /run/wgfleet -type f 2>/dev/null | wc -l"),
        "0"
    );
    let (code, plan) = fleet.plan(&["--limit", "with-sudo,with-doas,only-doas"]);
    assert!(code == 0 && plan["hosts"].as_array().unwrap().len() == 3);
    fleet.done(&["plan", "--detailed-exitcode", "--limit", "with-sudo,with-doas,only-doas"]);
    fleet.reaches("with-sudo", "10.90.0.2");
    fleet.reaches("only-doas", "10.90.0.1");
    fleet.reaches("with-doas", "10.90.0.1");
    let modes = "stat -c '%a %U' /etc/wireguard/wg0.conf";
    for host in ["with-sudo", "with-doas", "only-doas"] {
        assert_eq!(fleet.sh(host, modes), "600 root", "{host}");
    }
    // A program that is named but not there is said to be missing.
    fleet.edit("become: doas", "become: sudo");
    let said = fleet.ends(4, &["plan", "--limit", "with-doas"]);
    assert!(said.contains("there is no sudo"), "{said}");
}

#[test]
fn a_host_behind_a_jump_host_is_planned_and_applied_through_it() {
    let fleet = Fleet::up(
        "fleet: ops
networks:
  net: { prefixes: 10.90.0.0/24 }
hosts:
  jump: { ssh: ops@jump.example.com, address: 10.90.0.1, endpoint: 'jump.example.com:51820' }
  inner: { ssh: root@inner.example.com, address: 10.90.0.2, nat: true }
",
        &[],
    );
    let config = fleet.folder().join("ssh_config");
    let lab = fleet.lab.ssh_config();
    let text = format!(
        "Host inner.example.com\n  ProxyJump ops@jump.example.com\nHost *\nInclude {}\n",
        lab.display()
    );
    fs::write(&config, text).unwrap();
    // Whoever comes without the jump host is turned away.
    let jump = fleet.sh("jump", "ip -4 -o addr show | grep -o '100[.]127[.][0-9.]*' | head -n 1");
    let only = format!(
        "nft 'add table inet guard; add chain inet guard input {{ type filter hook input priority 0; }}; \
         add rule inet guard input tcp dport 22 ip saddr != {jump} drop'"
    );
    fleet.sh("inner", &only);
    let run = |code: i32, args: &[&str]| {
        ends(&fleet.command_through(&config, args).output().unwrap(), code, args)
    };
    run(0, &["plan"]);
    run(0, &["apply", "--yes"]);
    run(0, &["plan", "--detailed-exitcode"]);
    fleet.reaches("inner", "10.90.0.1");
    let said = run(0, &["status"]);
    assert!(said.contains("inner"), "{said}");
    // Without the jump host nobody gets there.
    fleet.ends(4, &["plan", "--connect-timeout", "2", "--limit", "inner"]);
}
