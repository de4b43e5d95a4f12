//! Logging in: through a jump host that takes few at a time, and host keys that are not known.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::fleet::{Fleet, ends};

/// Hosts behind the jump host: more than its sshd takes at a time by default.
const BEHIND: usize = 16;

#[test]
fn many_hosts_behind_one_jump_host_are_all_read_and_changed() {
    let mut text = "fleet: ops
networks:
  net: { interface: wg0, prefixes: 10.90.0.0/24, links: { hub: jump } }
hosts:
  jump: { ssh: root@jump.example.com, address: 10.90.0.1, endpoint: 'jump.example.com:51820' }
"
    .to_owned();
    for host in 0..BEHIND {
        let _ = writeln!(
            text,
            "  h{host}: {{ ssh: root@h{host}.example.com, address: 10.90.0.{}, nat: true }}",
            host + 10
        );
    }
    let fleet = Fleet::up(&text, &[]);
    let takes = |startups: &str| {
        let set = format!("s/^MaxStartups .*/MaxStartups {startups}/");
        fleet.sh(
            "jump",
            &format!("sed -i '{set}' /etc/ssh/sshd_config && kill -HUP $(cat /run/sshd.pid)"),
        );
    };
    let config = fleet.folder().join("ssh_config");
    let lab = fleet.lab.ssh_config();
    let through = "Host h*.example.com\n  ProxyJump root@jump.example.com\n";
    fs::write(&config, format!("{through}Host *\nInclude {}\n", lab.display())).unwrap();
    let run =
        |args: &[&str]| ends(&fleet.command_through(&config, args).output().unwrap(), 0, args);
    // The first is sshd's default; the second refuses each login beside two others.
    for (startups, keepalive) in [("10:30:100", ""), ("2:100:4", ", keepalive: 9")] {
        takes(startups);
        let (from, to) =
            ("links: { hub: jump } }", format!("links: {{ hub: jump }}{keepalive} }}"));
        let file = fleet.folder().join("fleet.yaml");
        fs::write(file, text.replace(from, &to)).unwrap();
        let said = run(&["apply", "--yes"]);
        for host in 0..BEHIND {
            assert!(said.contains(&format!("h{host}: applied")), "{said}");
        }
    }
    run(&["plan", "--detailed-exitcode"]);
}

/// An `ssh_config` for the lab with host keys of its own.
fn config(fleet: &Fleet, check: &str, more: &str) -> (PathBuf, PathBuf) {
    let (config, known) = (fleet.folder().join("ssh_config"), fleet.folder().join("known_hosts"));
    let text = format!(
        "{more}Host *\n  UserKnownHostsFile {}\n  StrictHostKeyChecking {check}\nInclude {}\n",
        known.display(),
        fleet.lab.ssh_config().display()
    );
    fs::write(&config, text).unwrap();
    (config, known)
}

fn plan(fleet: &Fleet, config: &Path, code: i32, host: &str) -> String {
    let args = ["plan", "--limit", host];
    ends(&fleet.command_through(config, &args).output().unwrap(), code, &args)
}

#[test]
fn host_keys_are_checked_as_the_user_says_and_never_less_than_accept_new() {
    let fleet = Fleet::up(
        "fleet: ops
networks:
  net: { interface: wg0, prefixes: 10.90.0.0/24 }
hosts:
  a: { ssh: root@a.example.com, address: 10.90.0.1, endpoint: 'a.example.com:51820' }
  b: { ssh: root@b.example.com, address: 10.90.0.2, endpoint: 'b.example.com:51820' }
",
        &[],
    );
    let lab = fs::read_to_string(fleet.lab.ssh_config().with_file_name("known_hosts")).unwrap();
    let key = |host: &str| {
        let line = lab.lines().find(|line| line.starts_with(&format!("{host} "))).unwrap();
        line.split_once(' ').unwrap().1.to_owned()
    };
    // Nobody is asked, and a key is believed only where the user says so.
    for check in ["yes", "ask"] {
        let (config, known) = config(&fleet, check, "");
        let said = plan(&fleet, &config, 4, "a");
        let words =
            "the ssh host key of `a` is not known; run `ssh -o StrictHostKeyChecking=ask -F ";
        assert!(said.contains(words) && said.contains("root@a.example.com true`"), "{said}");
        assert!(!known.exists());
    }
    let (accepting, known) = config(&fleet, "accept-new", "");
    plan(&fleet, &accepting, 0, "a");
    assert!(fs::read_to_string(&known).unwrap().contains(&key("a")));
    // A pull request sends a to another machine.
    fleet.edit("root@a.example.com", "root@b.example.com");
    let said = plan(&fleet, &accepting, 4, "a");
    assert!(said.contains("the last login to this host went to `root@a.example.com`"), "{said}");
    assert!(!fs::read_to_string(&known).unwrap().contains(&key("b")));
    fleet.edit("  a: { ssh: root@b.example.com", "  a: { ssh: root@a.example.com");
    plan(&fleet, &accepting, 0, "a");
    // Another machine answers in a's place.
    for check in ["accept-new", "no", "off", "yes"] {
        let (config, known) = config(&fleet, check, "");
        fs::write(&known, format!("a {}\n", key("b"))).unwrap();
        let said = plan(&fleet, &config, 4, "a");
        assert!(
            said.contains("the ssh host key of `a` is not the one that is known"),
            "{check}: {said}"
        );
        assert!(said.contains(&format!("`ssh-keygen -f {} -R a`", known.display())), "{said}");
    }
    // The same holds for a jump host.
    let jump = "Host b.example.com\n  ProxyJump root@a.example.com\n";
    let (config_, known) = config(&fleet, "yes", jump);
    fs::write(&known, format!("b {}\n", key("b"))).unwrap();
    let said = plan(&fleet, &config_, 4, "b");
    let words =
        "the ssh host key of jump host `a` is not known; run `ssh -o StrictHostKeyChecking=ask";
    assert!(said.contains(words) && said.contains("root@a.example.com true`"), "{said}");
    let (config_, _) = config(&fleet, "no", jump);
    fs::write(&known, format!("a {}\nb {}\n", key("b"), key("b"))).unwrap();
    let said = plan(&fleet, &config_, 4, "b");
    assert!(said.contains("of jump host `a` is not the one that is known"), "{said}");
    fs::remove_file(&known).unwrap();
    plan(&fleet, &config_, 0, "b");
    let text = fs::read_to_string(&known).unwrap();
    assert!(text.contains(&key("a")) && text.contains(&key("b")), "{text}");
}
