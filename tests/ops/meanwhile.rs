//! What somebody else does between a plan and its change.

use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use crate::fleet::Fleet;

const TEXT: &str = "fleet: ops
networks: { vpn: { interface: wg0, prefixes: 10.90.0.0/24, links: mesh } }
hosts:
  a: { ssh: root@a.example.com, address: 10.90.0.1, endpoint: 'a.example.com:51820' }
  b: { ssh: root@b.example.com, address: 10.90.0.2, endpoint: 'b.example.com:51820' }
";

#[test]
fn a_host_that_changed_after_the_question_is_left_alone() {
    let fleet = Fleet::up(TEXT, &[]);
    fleet.apply();
    fleet.reaches("a", "10.90.0.2");
    fleet.edit("address: 10.90.0.2", "address: 10.90.0.2, keepalive: 7");
    // Somebody reads the plan on a terminal, and somebody else is quicker.
    let config = fleet.lab.ssh_config();
    let words = fleet.command_through(&config, &["apply"]);
    let line: Vec<String> = std::iter::once(words.get_program())
        .chain(words.get_args())
        .map(|word| format!("'{}'", word.to_str().unwrap()))
        .collect();
    let mut script = std::process::Command::new("script");
    script.args(["-qec", &line.join(" "), "/dev/null"]);
    script.env("XDG_CONFIG_HOME", fleet.folder().join("config"));
    script.env("XDG_STATE_HOME", fleet.folder().join("state"));
    let mut child =
        script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(8));
    fleet.sh("b", "wg set wg0 fwmark 0x55");
    child.stdin.take().unwrap().write_all(b"y\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(6), "{said}");
    assert!(said.contains("somebody changed fwmark of wg0"), "{said}");
    // Nothing was done there, and the next plan sees both.
    assert!(fleet.sh("b", "wg show wg0").contains("fwmark: 0x55"));
    assert!(!fleet.sh("b", "wg show wg0").contains("every 7 seconds"));
    fleet.apply();
    assert!(fleet.sh("b", "wg show wg0").contains("every 7 seconds"));
}
