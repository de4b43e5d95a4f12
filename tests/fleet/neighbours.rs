//! Two fleets with a host on the same machines.

use crate::yard::{Ran, Yard, changes, of};

const F4: &str = r#"
fleet: f4
networks: { net: { interface: wg0, prefixes: [10.4.0.0/24] } }
sites:
  paris: { hosts: { h1: { ssh: h1, address: 10.4.0.1, endpoint: "203.0.113.5:51820", masquerade: true } } }
  rome: { hosts: { h2: { ssh: h2, address: 10.4.0.2, endpoint: "203.0.113.9:51820" } } }
"#;

#[test]
fn two_fleets_live_side_by_side_on_one_machine() {
    let yard = Yard::up(F4);
    yard.settle();
    yard.reaches("h1", "10.4.0.2");
    // Another fleet, with a vault of its own and a template that names no fleet.
    let other = tempfile::tempdir().unwrap();
    let folder = other.path().join("f6");
    std::fs::create_dir_all(folder.join("templates")).unwrap();
    let run = |code: i32, args: &[&str]| {
        let ran: Ran = yard.command_in(&folder, args).output().unwrap().into();
        assert_eq!(ran.code, code, "{args:?}: {}{}", ran.stdout, ran.stderr);
        ran
    };
    let write = |interface: &str, port: &str| {
        let text = F4.replace("f4", "f6").replace("10.4.", "10.6.");
        let text = text.replace("wg0", interface).replace("51820", port);
        std::fs::write(folder.join("fleet.yaml"), text).unwrap();
    };
    write("wg0", "51820");
    run(0, &["vault", "init", "--fleet", "f6"]);
    run(0, &["vault", "keygen"]);
    let told = "wg0 on this machine is `h1` of fleet `f4`; `h1` of fleet `f6` needs another";
    let plan = run(3, &["plan", "--format", "json"]).json(3);
    assert!(of(&plan, "h1")["state"]["reason"]["text"].as_str().unwrap().contains(told), "{plan}");
    write("wg7", "51820");
    let plan = run(3, &["plan", "--format", "json"]).json(3);
    let reason = of(&plan, "h2")["state"]["reason"]["text"].as_str().unwrap();
    assert!(
        reason.contains("UDP port 51820 on this machine is that of wg0, which is `h2` of"),
        "{plan}"
    );
    run(3, &["apply", "--yes"]);
    yard.settled();

    write("wg7", "51900");
    let plan = run(0, &["plan", "--format", "json"]).json(0);
    for host in ["h1", "h2"] {
        let seen = changes(&plan, host);
        assert!(
            seen.contains(&"create".to_owned()) && !seen.contains(&"delete".to_owned()),
            "{plan}"
        );
    }
    run(0, &["apply", "--yes"]);
    run(0, &["plan", "--detailed-exitcode"]);
    yard.settled();
    yard.reaches("h1", "10.6.0.2");
    yard.reaches("h1", "10.4.0.2");
    assert_eq!(yard.sh("h1", "ls /var/lib/wgfleet"), "f4.json\nf6.json\n");

    // A file that names no fleet is its own as well: the record says so.
    let template = include_str!("../../templates/wg0.conf.j2").replace(" of fleet {{ fleet }}", "");
    std::fs::write(folder.join("templates/wg0.conf.j2"), template).unwrap();
    run(0, &["apply", "--yes"]);
    run(0, &["plan", "--detailed-exitcode"]);
    yard.settled();
    // Each goes without the other.
    let text = std::fs::read_to_string(yard.path().join("fleet.yaml")).unwrap();
    yard.write(&text.replace(", masquerade: true", ""));
    yard.settle();
    run(0, &["plan", "--detailed-exitcode"]);
    yard.reaches("h1", "10.6.0.2");
}
