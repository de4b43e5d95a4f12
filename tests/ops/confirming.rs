//! What can go wrong with the one login that confirms a change: it is refused, or the host's
//! answer is lost before or after the host did what it was told.

use crate::fleet::Fleet;

const THREE: &str = "fleet: ops
networks:
  net: { interface: wg0, prefixes: 10.90.0.0/24 }
hosts:
  a: { ssh: root@a.example.com, address: 10.90.0.1, endpoint: 'a.example.com:51820' }
  b: { ssh: root@b.example.com, address: 10.90.0.2, endpoint: 'b.example.com:51820' }
  c: { ssh: root@c.example.com, address: 10.90.0.3, endpoint: 'c.example.com:51820' }
";

/// Stands before the host's shell: does what `/run/trouble` says as the verb comes by, so many
/// times as the file has lines.
const SHELL: &str = r#"#!/bin/bash
verb=
for word; do
    case $word in confirm | observe) verb=$word ;; esac
done
trouble() {
    [ -z "$TROUBLE" ] && [ "$verb" = "$1" ] && [ "$(head -n 1 /run/trouble 2>/dev/null)" = "$2" ] &&
        { [ "$1" = confirm ] || [ -e /run/wgfleet/armed ]; } && sed -i 1d /run/trouble && export TROUBLE=1
}
hang_up() { pkill -9 -f 'sshd.*@notty'; exit 1; }
if trouble confirm 'before'; then hang_up; fi
if trouble confirm 'after'; then /bin/sh "$@" >/dev/null 2>&1; hang_up; fi
if trouble observe 'login'; then hang_up; fi
if trouble confirm 'read-only'; then
    mount --bind /etc/wireguard /etc/wireguard && mount -o remount,bind,ro /etc/wireguard
fi
exec /bin/sh "$@"
"#;

/// Says what will go wrong on a host, one line for each time.
fn trouble(fleet: &Fleet, host: &str, lines: &str) {
    let script = format!(
        "cat >/usr/local/bin/sh <<'END'\n{SHELL}END\nchmod 755 /usr/local/bin/sh\nprintf '{lines}' >/run/trouble"
    );
    fleet.sh(host, &script);
}

#[test]
fn an_answer_that_was_lost_is_looked_up_and_a_refused_login_is_tried_again() {
    let fleet = Fleet::up(THREE, &[]);
    fleet.apply();
    fleet.reaches("a", "10.90.0.2");
    fleet.edit("prefixes: 10.90.0.0/24 }", "prefixes: 10.90.0.0/24, keepalive: 9 }");
    trouble(&fleet, "a", "after\\n");
    trouble(&fleet, "b", "before\\nbefore\\n");
    trouble(&fleet, "c", "login\\nlogin\\nlogin\\n");
    let said = fleet.done(&["apply", "--yes", "--deadline", "30"]);
    for host in ["a", "b", "c"] {
        assert!(said.contains(&format!("{host}: applied")), "{said}");
        assert_eq!(fleet.sh(host, "cat /run/trouble"), "", "{host} had less trouble than meant");
        assert!(fleet.sh(host, "wg show wg0").contains("every 9 seconds"), "{host}");
    }
    fleet.in_order();
}

#[test]
fn a_change_that_the_next_boot_would_not_have_is_an_outcome_of_its_own() {
    let fleet = Fleet::up(THREE, &[]);
    fleet.apply();
    fleet.edit("prefixes: 10.90.0.0/24 }", "prefixes: 10.90.0.0/24, keepalive: 9 }");
    trouble(&fleet, "a", "read-only\\n");
    let said = fleet.ends(7, &["apply", "--yes"]);
    let line =
        said.lines().find(|line| line.starts_with("a: ")).unwrap_or_else(|| panic!("{said}"));
    assert!(line.contains("next boot") && line.contains("/etc/wireguard/wg0.conf"), "{said}");
    assert!(said.contains("b: applied") && said.contains("c: applied"), "{said}");
    // It is live all the same; only the file is missing, and that the next plan says.
    assert!(fleet.sh("a", "wg show wg0").contains("every 9 seconds"));
    fleet.sh("a", "umount /etc/wireguard");
    assert_eq!(fleet.changes()["a"], ["file"]);
    fleet.apply();
}

#[test]
fn a_host_that_cannot_be_changed_stops_nobody_else() {
    let fleet = Fleet::up(THREE, &[]);
    // No kernel module and no device for a tunnel of its own.
    fleet.sh("b", "rm /dev/net/tun");
    let (code, plan) = fleet.plan(&[]);
    assert_ne!(code, 0, "{plan}");
    let said = fleet.ends(7, &["apply", "--yes"]);
    assert!(said.contains("a: applied") && said.contains("c: applied"), "{said}");
    assert!(said.contains("b: skipped: a userspace tunnel needs /dev/net/tun"), "{said}");
    fleet.reaches("a", "10.90.0.3");
    assert!(!fleet.root("b").join("etc/wireguard/wg0.conf").exists());
    fleet.sh("b", "mkdir -p /dev/net && mknod /dev/net/tun c 10 200");
    fleet.apply();
    fleet.reaches("a", "10.90.0.2");
}
