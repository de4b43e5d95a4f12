//! What leaves the inventory leaves the hosts.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::checkouts::shell;
use crate::yard::{Ran, Yard, changes};

/// Two networks; frankfurt is in both, and so is paris until it leaves.
const TWO: &str = r#"
fleet: two
networks:
  blue: { interface: wg0, prefixes: [10.10.0.0/24] }
  red: { interface: wg1, prefixes: [10.20.0.0/24] }
sites:
  paris:
    hosts:
      paris-gw:
        masquerade: true
        networks: { blue: { endpoint: "203.0.113.5:51820" }, red: { endpoint: "203.0.113.5:51821" } }
        address: [10.10.0.1, 10.20.0.1]
  frankfurt:
    hosts:
      frankfurt-gw:
        networks: { blue: { endpoint: "203.0.113.9:51820" }, red: { endpoint: "203.0.113.9:51821" } }
        address: [10.10.0.2, 10.20.0.2]
"#;

const BRANCH: &str = r"  branch:
    hosts:
      branch-gw: { nat: true, networks: [blue], address: 10.10.0.3 }
";

#[test]
fn hosts_networks_and_rules_go_from_where_they_are_not_wanted() {
    let world = format!("{TWO}{BRANCH}");
    let yard = Yard::within(&world, &world, &["--systemd", "frankfurt-gw"]);
    yard.settle();
    yard.reaches("branch-gw", "10.10.0.1");
    yard.reaches("paris-gw", "10.20.0.2");
    yard.sh("frankfurt-gw", "systemctl is-active wg-quick@wg0 wg-quick@wg1");
    yard.sh("paris-gw", "nft list table inet wgfleet-two");

    // A host goes.
    yard.write(TWO);
    let plan = yard.plan(2);
    assert_eq!(changes(&plan, "paris-gw"), ["remove-peer", "file"], "{plan}");
    assert_eq!(crate::yard::of(&plan, "paris-gw")["drift"], json!([]), "{plan}");
    let orphan = &plan["orphans"][0];
    assert_eq!((&orphan["kind"], &orphan["name"]), (&"host".into(), &"branch-gw".into()), "{plan}");
    assert_eq!(orphan["runs"], json!(["wg0"]), "{plan}");
    assert_eq!(orphan["peer_of"], json!(["paris-gw", "frankfurt-gw"]), "{plan}");
    assert_eq!(orphan["stays_peer_of"], json!([]), "{plan}");
    yard.settle();
    let key = yard.key("branch-gw");
    for host in ["paris-gw", "frankfurt-gw"] {
        assert!(!yard.sessions(host, "wg0").contains_key(&key), "{host}");
        assert!(!yard.sh(host, "cat /etc/wireguard/wg0.conf").contains(&key), "{host}");
    }

    // A host leaves a network.
    let only_blue = TWO
        .replace(r#", red: { endpoint: "203.0.113.5:51821" } }"#, " }")
        .replace("[10.10.0.1, 10.20.0.1]", "10.10.0.1");
    yard.write(&only_blue);
    let plan = yard.plan(2);
    assert!(changes(&plan, "paris-gw").contains(&"delete".to_owned()), "{plan}");
    let paris = crate::yard::of(&plan, "paris-gw");
    assert_eq!(paris["disruption"], "flows", "{plan}");
    assert_eq!(paris["feels"]["removals"], json!(["wg1"]), "{plan}");
    yard.settle();
    assert!(
        yard.holds("paris-gw", "test ! -e /sys/class/net/wg1 && test ! -e /etc/wireguard/wg1.conf")
    );
    assert!(yard.holds("paris-gw", "test ! -e /run/wireguard/wg1.sock"));
    assert!(yard.sessions("frankfurt-gw", "wg1").is_empty());
    yard.reaches("paris-gw", "10.10.0.2");

    // A network goes, and with it its units; so does the masquerading.
    let one = only_blue
        .replace("  red: { interface: wg1, prefixes: [10.20.0.0/24] }\n", "")
        .replace(r#", red: { endpoint: "203.0.113.9:51821" } }"#, " }")
        .replace("[10.10.0.2, 10.20.0.2]", "10.10.0.2")
        .replace("        masquerade: true\n", "");
    yard.write(&one);
    let plan = yard.plan(2);
    let red = &plan["orphans"][1];
    assert_eq!((&red["kind"], &red["name"]), (&"network".into(), &"red".into()), "{plan}");
    assert_eq!(red["runs"], json!(["wg1"]), "{plan}");
    yard.settle();
    // Nothing of it is left, and the host that went is still told.
    let plan = yard.plan(0);
    assert_eq!(plan["orphans"].as_array().unwrap().len(), 1, "{plan}");
    let orphan = &plan["orphans"][0];
    assert_eq!((&orphan["name"], &orphan["peer_of"]), (&"branch-gw".into(), &json!([])), "{plan}");
    assert_eq!(orphan["runs"], json!(["wg0"]), "{plan}");
    let gone = "test ! -e /sys/class/net/wg1 && test ! -e /etc/wireguard/wg1.conf &&
        test ! -e /etc/systemd/system/wg-quick@wg1.service.d/wgfleet.conf &&
        ! systemctl is-enabled -q wg-quick@wg1 && ! systemctl is-active -q wg-quick@wg1 &&
        systemctl is-active -q wg-quick@wg0";
    assert!(yard.holds("frankfurt-gw", gone));
    assert!(yard.holds(
        "paris-gw",
        "! nft list table inet wgfleet-two 2>/dev/null && test ! -e /etc/wireguard/wgfleet-two.nft"
    ));
    yard.reaches("paris-gw", "10.10.0.2");
}

/// What a plan says of the machine of branch-gw; `state` is the controller's memory.
fn branch(yard: &Yard, state: &Path, code: i32) -> Value {
    let args = ["plan", "--format", "json", "--detailed-exitcode", "--connect-timeout", "3"];
    let mut command = yard.command(&args);
    let ran: Ran = command.env("XDG_STATE_HOME", state).output().unwrap().into();
    let plan = ran.json(code);
    let orphans = plan["orphans"].as_array().unwrap();
    let found = orphans.iter().find(|orphan| orphan["name"] == "branch-gw");
    found.unwrap_or_else(|| panic!("{plan}")).clone()
}

#[test]
fn what_runs_on_a_host_that_left_is_read_until_somebody_ends_it() {
    let world = format!("{TWO}{BRANCH}");
    let yard = Yard::within(&world, &world, &["--systemd", "branch-gw"]);
    let commit = "git add fleet.yaml vault && git commit -qm";
    shell(yard.path(), &format!("git init -q && {commit} three"));
    yard.settle();
    yard.reaches("branch-gw", "10.10.0.1");
    // Whatever a pull request makes of its target before, nobody goes there.
    yard.write(&world.replace("branch-gw: { nat", "branch-gw: { ssh: root@frankfurt-gw, nat"));
    shell(yard.path(), &format!("{commit} moved"));
    yard.write(TWO);
    shell(yard.path(), &format!("{commit} gone"));

    // A pipeline, which remembers nothing: a commit that was applied says where it is.
    let fresh = tempfile::tempdir().unwrap();
    let orphan = branch(&yard, &fresh.path().join("1"), 2);
    let remains = &orphan["remains"];
    assert_eq!(remains["login"]["ssh"], "branch-gw", "{orphan}");
    assert!(remains["login"]["commit"].is_string(), "{orphan}");
    let found = &remains["found"];
    assert_eq!((&found["state"], &orphan["runs"]), (&"own".into(), &json!(["wg0"])), "{orphan}");
    let interface = &found["interfaces"][0];
    assert_eq!(interface["addresses"], json!(["10.10.0.3/24"]), "{orphan}");
    assert_eq!(interface["peers"], 2, "{orphan}");
    assert!(interface["sessions"].as_u64() > Some(0), "{orphan}");
    assert_eq!(found["units"], json!(["wg-quick@wg0.service"]), "{orphan}");
    assert!(found["files"].as_array().unwrap().contains(&"/etc/wireguard/wg0.conf".into()));

    // A machine that is down changes no exit code; outside git, the last login counts.
    yard.lab.lab("stop", &["branch-gw"]);
    let orphan = branch(&yard, &fresh.path().join("2"), 2);
    assert_eq!(orphan["remains"]["found"]["state"], "unreadable", "{orphan}");
    yard.lab.lab("start", &["branch-gw"]);
    yard.until("branch-gw", Duration::from_mins(1), "test -e /sys/class/net/wg0");
    yard.settle();
    shell(yard.path(), "mv .git elsewhere");
    let orphan = branch(&yard, &yard.path().join("state"), 0);
    assert_eq!(orphan["remains"]["login"], json!({ "ssh": "branch-gw", "commit": null }));
    assert_eq!((&orphan["runs"], &orphan["peer_of"]), (&json!(["wg0"]), &json!([])), "{orphan}");
    let orphan = branch(&yard, &fresh.path().join("3"), 0);
    let nowhere = json!({ "login": null, "found": { "state": "not-asked", "why": "no-target" } });
    assert_eq!(orphan["remains"], nowhere);

    // What the plan says ends it.
    let said = yard.done(&["plan"]).stdout;
    let line = said.split("to end it by hand, as root there: `").nth(1);
    let line = line.and_then(|rest| rest.split('`').next()).unwrap_or_else(|| panic!("{said}"));
    yard.sh("branch-gw", line);
    assert!(yard.holds(
        "branch-gw",
        "test ! -e /sys/class/net/wg0 && test ! -e /etc/wireguard/wg0.conf &&
            ! systemctl is-enabled -q wg-quick@wg0 && ! systemctl is-active -q wg-quick@wg0"
    ));
    let orphan = branch(&yard, &yard.path().join("state"), 0);
    assert_eq!(orphan["remains"]["found"]["says"], "nothing", "{orphan}");
    assert_eq!(orphan["runs"], Value::Null, "{orphan}");
}
