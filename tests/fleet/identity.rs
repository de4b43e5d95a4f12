//! Machines that are not the host that the inventory takes them for.

use serde_json::Value;

use crate::yard::{THREE, Yard, changes, of};

fn reason(plan: &Value, host: &str) -> String {
    let state = &of(plan, host)["state"];
    assert_eq!(state["state"], "blocked", "{plan}");
    state["reason"]["text"].as_str().unwrap().to_owned()
}

#[test]
fn a_wrong_letter_in_ssh_puts_no_host_s_key_on_another() {
    let yard = Yard::up(THREE);
    // Before anything is there: two names for one machine.
    let wrong = THREE.replace(
        "address: [10.10.0.3",
        "ssh: root@frankfurt.example.com\n        address: [10.10.0.3",
    );
    assert_ne!(wrong, THREE);
    yard.write(&wrong);
    let plan = yard.plan(3);
    let same = "`branch-gw` and `frankfurt-gw` reach the same machine";
    assert!(reason(&plan, "branch-gw").starts_with(same), "{plan}");
    assert!(
        reason(&plan, "frankfurt-gw").contains("`frankfurt-gw` and `branch-gw` reach"),
        "{plan}"
    );
    yard.write(THREE);
    yard.settle();

    // The machine says who it is: only the host that is not it is blocked.
    yard.write(&wrong);
    let before = yard.sh("frankfurt-gw", "cat /etc/wireguard/wg0.conf");
    let is_another = "is `frankfurt-gw`, not `branch-gw`: ";
    let by_record = format!("{is_another}so says the record of ");
    let plan = yard.plan(3);
    assert!(reason(&plan, "branch-gw").contains(&by_record), "{plan}");
    assert!(changes(&plan, "frankfurt-gw").is_empty(), "{plan}");
    let ran = yard.run(&["apply", "--yes", "--limit", "branch-gw"]);
    assert_eq!(ran.code, 3, "{}{}", ran.stdout, ran.stderr);
    let ran = yard.run(&["rotate", "branch-gw", "--yes"]);
    assert_eq!(ran.code, 3, "{}{}", ran.stdout, ran.stderr);
    // So it is where version 0.1.0 left no record.
    yard.sh("frankfurt-gw", "rm -r /var/lib/wgfleet");
    let ran = yard.run(&["apply", "--yes", "--limit", "branch-gw"]);
    assert_eq!(ran.code, 3, "{}{}", ran.stdout, ran.stderr);
    let by_key = format!("{is_another}wg0 runs with its key");
    assert!(ran.stdout.contains(&by_key), "{}", ran.stdout);
    assert_eq!(yard.sh("frankfurt-gw", "cat /etc/wireguard/wg0.conf"), before);
    yard.write(THREE);
    yard.settle();
    yard.reaches("branch-gw", "10.10.0.2");

    // A host that got another name takes the machine's place when somebody says so.
    yard.write(&THREE.replace("branch-gw:", "office-gw:\n        ssh: branch-gw"));
    let ends = |code: i32, args: &[&str]| {
        let ran = yard.run(args);
        assert_eq!(ran.code, code, "{args:?}: {}{}", ran.stdout, ran.stderr);
        ran.stdout
    };
    let said = ends(3, &["apply", "--yes", "--limit", "office-gw"]);
    assert!(said.contains("is `branch-gw`, not `office-gw`: so says the record of"), "{said}");
    ends(64, &["apply", "--yes", "--replace", "paris-gw", "--limit", "office-gw"]);
    let said = ends(0, &["apply", "--yes", "--replace", "office-gw"]);
    assert!(said.contains("record of what wgfleet does here"), "{said}");
    yard.settled();
    yard.reaches("branch-gw", "10.10.0.2");
}
