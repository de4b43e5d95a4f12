//! What goes is told with what it costs: with every host there, with one down, and with `--limit`.

use serde_json::Value;

use crate::yard::{Yard, disruptions, of};

/// Two sites and a host behind a hub.
const HUB: &str = r#"
fleet: hub
networks:
  backbone:
    interface: wg0
    prefixes: [10.10.0.0/24]
    links: { hub: middle }
sites:
  left:
    subnets: [192.168.1.0/24]
    hosts: { left-gw: { address: 10.10.0.1, endpoint: "203.0.113.5:51820", gateway: true } }
  right:
    subnets: [192.168.2.0/24, 192.168.3.0/24]
    hosts: { right-gw: { address: 10.10.0.2, endpoint: "203.0.113.6:51820", gateway: true } }
hosts:
  middle: { address: 10.10.0.3, endpoint: "203.0.113.9:51820" }
  spare: { address: 10.10.0.4, endpoint: "203.0.113.8:51820" }
"#;

/// How many flows a plan makes cease to work.
fn lost(plan: &Value) -> u64 {
    let rows = plan["reachability"]["lost"].as_array().unwrap_or_else(|| panic!("{plan}"));
    rows.iter().map(|row| row["flows"].as_u64().unwrap()).sum()
}

/// The plan of some hosts.
fn limited(yard: &Yard, hosts: &str, code: i32) -> Value {
    let args = ["plan", "--format", "json", "--detailed-exitcode", "--limit", hosts];
    yard.run(&args).json(code)
}

#[test]
fn what_goes_is_told_with_the_flows_that_it_costs() {
    let yard = Yard::up(HUB);
    yard.settle();
    yard.reaches("lan-left-1", "192.168.2.100");
    yard.reaches("spare", "192.168.2.100");

    // The gateway goes: two LANs, to and from the left, its LAN, the hub and the spare.
    yard.write(&HUB.replacen("51820\", gateway: true } }\nhosts", "51820\" } }\nhosts", 1));
    let plan = yard.plan(2);
    assert_eq!(lost(&plan), 2 * 2 * 4, "{plan}");
    assert_eq!(of(&plan, "left-gw")["disruption"], "flows", "{plan}");
    let human = yard.done(&["plan"]).stdout;
    assert!(human.contains("16 flows cease to work:"), "{human}");
    assert!(!human.contains("disrupts nothing"), "{human}");

    // A subnet goes.
    let narrow = HUB.replace(", 192.168.3.0/24]", "]");
    yard.write(&narrow);
    let plan = yard.plan(2);
    assert_eq!(lost(&plan), 2 * 4, "{plan}");
    // Its gateway alone has nothing to do, and the others still send to it: nothing is lost.
    let plan = limited(&yard, "right-gw", 0);
    assert_eq!(lost(&plan), 0, "{plan}");
    assert_eq!(plan["reachability"]["assumed"][0]["why"], "outside-limit", "{plan}");

    // A host goes: to and from two hosts with three LANs, and the hub.
    let (before, after) = HUB.split_once("  spare:").unwrap();
    let without = format!("{before}{}", after.split_once('\n').unwrap().1);
    yard.write(&without);
    let plan = yard.plan(2);
    assert_eq!(lost(&plan), 2 * 6, "{plan}");
    assert_eq!(of(&plan, "middle")["feels"]["ends"][0]["name"], "spare", "{plan}");
    // The hub's part of it alone costs as much.
    let plan = limited(&yard, "middle", 2);
    assert_eq!(lost(&plan), 2 * 6, "{plan}");

    // With a host down, the rest is told all the same, and what was assumed of it.
    yard.lab.lab("stop", &["left-gw"]);
    let plan = yard.plan(4);
    assert_eq!(lost(&plan), 2 * 6, "{plan}");
    let human = yard.run(&["plan", "--connect-timeout", "3"]);
    for words in [
        "12 flows cease to work",
        "`left-gw` could not be read, and no commit of it is known: its flows are unknown",
        "`spare` is not in the inventory any more: its flows are counted from what \
         other hosts have of it",
    ] {
        assert!(human.stdout.contains(words), "{words}: {human:?}");
    }
    yard.lab.lab("start", &["left-gw"]);
    yard.settle();
    yard.misses("left-gw", "10.10.0.4");

    // From a hub to a mesh: no flow is lost, but traffic waits for sessions that are new.
    yard.write(&without.replace("{ hub: middle }", "mesh"));
    let plan = yard.plan(2);
    // The hub no longer forwards.
    let felt = vec!["handshake", "handshake", "routes"];
    assert_eq!((lost(&plan), disruptions(&plan)), (0, felt), "{plan}");
    assert_eq!(of(&plan, "left-gw")["feels"]["handshakes"][0]["name"], "right-gw", "{plan}");
    let human = yard.done(&["plan"]).stdout;
    assert!(human.contains("left-gw  up to 3 s: new handshake with right-gw"), "{human}");
    yard.settle();
}

#[test]
fn hosts_that_are_down_are_counted_from_the_commit_that_others_recorded() {
    let yard = Yard::up(HUB);
    let git = |words: &[&str]| {
        let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"];
        let mut git = std::process::Command::new("git");
        let done = git.arg("-C").arg(yard.path()).args(identity).args(words).output().unwrap();
        assert!(done.status.success(), "{words:?}: {done:?}");
        String::from_utf8(done.stdout).unwrap()
    };
    git(&["init", "-q"]);
    git(&["add", "fleet.yaml"]);
    git(&["commit", "-q", "-m", "first"]);
    yard.settle();
    let commit = git(&["rev-parse", "HEAD"]);

    // The gateway on the left is gone and its host is down: what it had is known from the commit.
    yard.write(&HUB.replacen("51820\", gateway: true } }\nhosts", "51820\" } }\nhosts", 1));
    yard.lab.lab("stop", &["right-gw"]);
    let ran = yard.run(&["plan", "--connect-timeout", "3"]);
    assert_eq!(ran.code, 4, "{ran:?}");
    let said = format!(
        "`right-gw` could not be read: its flows are counted from the inventory at commit {}, the \
         last that a host recorded",
        &commit[..12]
    );
    assert!(ran.stdout.contains(&said), "{said}\n{}", ran.stdout);
    let plan = yard.plan(4);
    let assumed = &plan["reachability"]["assumed"][0];
    assert_eq!(assumed["hosts"][0], "right-gw", "{plan}");
    assert_eq!(assumed["commit"], commit[..12], "{plan}");
    // Its neighbours go on with what they have for it until it is back.
    assert_eq!(lost(&plan), 0, "{plan}");
    assert_eq!(plan["kept"][0]["until"], "right-gw", "{plan}");
    yard.lab.lab("start", &["right-gw"]);
}

#[test]
fn without_an_identity_a_plan_compares_all_but_secrets_and_cannot_be_applied() {
    let yard = Yard::up(
        &HUB.replace("links: { hub: middle }", "links: { hub: middle }\n    psk: pairwise"),
    );
    yard.settle();
    let (config, away) = (yard.path().join("config"), yard.path().join("away"));
    std::fs::rename(&config, &away).unwrap();
    // Hosts that have what the file says have no change, though nobody knows their keys.
    let plan = yard.plan(0);
    assert_eq!(plan["secrets"], "not-compared", "{plan}");
    assert_eq!(yard.plan(0), plan, "the same gives the same");

    let text = std::fs::read_to_string(yard.path().join("fleet.yaml")).unwrap();
    std::fs::write(
        yard.path().join("fleet.yaml"),
        text.replace("  spare: {", "  spare: { mtu: 1300, "),
    )
    .unwrap();
    let saved = yard.path().join("closed.plan");
    let saved = saved.to_str().unwrap();
    let ran = yard.run(&["plan", "--detailed-exitcode", "--out", saved]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stdout.contains("not compared"), "{ran:?}");
    let plan = crate::documents::document(&std::fs::read(saved).unwrap());
    assert_eq!(of(&plan, "spare")["target"], Value::Null, "{plan}");
    assert!(!plan.to_string().contains("preshared_key"), "{plan}");
    for file in [&away, &config] {
        // Neither with the identity nor without: nobody has reviewed what would be written.
        let ran = yard.run(&["apply", "--yes", saved]);
        assert_eq!(ran.code, 64, "{ran:?}");
        assert!(
            ran.stderr.contains("run `wgfleet plan --out FILE` where the identity is"),
            "{ran:?}"
        );
        if *file == away {
            std::fs::rename(&away, &config).unwrap();
        }
    }
    // One that is named and not there is no "none".
    std::fs::rename(&config, &away).unwrap();
    let ran = yard.run(&["plan", "--identity", "/nowhere"]);
    assert_eq!(ran.code, 10, "{ran:?}");
    let ran = yard.run(&["apply", "--yes"]);
    assert_eq!(ran.code, 10, "{ran:?}");
    std::fs::rename(&away, &config).unwrap();
    yard.settle();
}
