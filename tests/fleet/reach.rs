//! What a plan says of flows that begin or cease to work, against packets before and after.

use serde_json::Value;

use crate::yard::Yard;

/// Two sites behind a host that passes nothing on between them.
const STAR: &str = r#"
fleet: star
networks:
  backbone:
    interface: wg0
    prefixes: [10.10.0.0/24]
    links: [[middle, left-gw], [middle, right-gw]]
sites:
  left:
    subnets: [192.168.1.0/24]
    hosts: { left-gw: { address: 10.10.0.1, endpoint: "203.0.113.5:51820", gateway: true } }
  right:
    subnets: [192.168.2.0/24]
    hosts: { right-gw: { address: 10.10.0.2, nat: true, gateway: true } }
hosts:
  middle: { address: 10.10.0.3, endpoint: "203.0.113.9:51820" }
"#;

/// Where a packet of an address is sent from, and an address beside it that answers.
fn machine(addr: &str) -> (&'static str, &'static str) {
    match addr {
        "10.10.0.1" => ("left-gw", "10.10.0.1"),
        "10.10.0.2" => ("right-gw", "10.10.0.2"),
        "10.10.0.3" => ("middle", "10.10.0.3"),
        lan if lan.starts_with("192.168.1.") => ("lan-left-1", "192.168.1.100"),
        lan if lan.starts_with("192.168.2.") => ("lan-right-1", "192.168.2.100"),
        _ => panic!("{addr} is nobody's"),
    }
}

/// The packets that a plan shows for flows that are gained, or lost.
fn witnesses(plan: &Value, kind: &str) -> Vec<(&'static str, &'static str)> {
    let moved = plan["reachability"][kind].as_array().unwrap_or_else(|| panic!("{plan}"));
    let end = |one: &Value, which: &str| machine(one["witness"][which].as_str().unwrap());
    moved.iter().map(|one| (end(one, "source").0, end(one, "destination").1)).collect()
}

/// Plans another file and applies it; every packet that the plan shows does before and after what
/// the plan says.
fn change(yard: &Yard, text: &str) -> (Value, String) {
    yard.write(text);
    let plan = yard.plan(2);
    let human = yard.done(&["plan"]).stdout;
    let (gained, lost) = (witnesses(&plan, "gained"), witnesses(&plan, "lost"));
    let compare = |works: &[(&str, &str)], fails: &[(&str, &str)]| {
        for (from, to) in works {
            yard.reaches(from, to);
        }
        for (from, to) in fails {
            yard.misses(from, to);
        }
    };
    compare(&lost, &gained);
    yard.settle();
    compare(&gained, &lost);
    let after = yard.plan(0);
    assert!(witnesses(&after, "gained").is_empty(), "{after}");
    assert!(witnesses(&after, "lost").is_empty(), "{after}");
    (plan, human)
}

#[test]
fn flows_that_a_plan_gains_and_loses_are_those_of_packets() {
    let yard = Yard::up(STAR);
    let (plan, _) = change(&yard, STAR);
    assert!(!witnesses(&plan, "gained").is_empty() && witnesses(&plan, "lost").is_empty());

    // The middle passes packets on: left and right find each other.
    let hub = STAR.replace("middle: { address", "middle: { transit: true, address");
    let (plan, human) = change(&yard, &hub);
    assert_eq!(
        witnesses(&plan, "gained"),
        [("left-gw", "10.10.0.2"), ("right-gw", "10.10.0.1")],
        "{plan}"
    );
    assert_eq!(witnesses(&plan, "lost"), [], "{plan}");
    assert!(human.contains("begin to work") && !human.contains("cease to work"), "{human}");
    yard.reaches("lan-left-1", "192.168.2.100");

    // The left takes from the middle its own packets alone.
    let narrow = "gateway: true, peers: { middle: { allowed_ips: 10.10.0.3 } } }";
    let left = hub.replacen("gateway: true }", narrow, 1);
    let (plan, human) = change(&yard, &left);
    assert_eq!(witnesses(&plan, "gained"), [], "{plan}");
    assert_eq!(
        witnesses(&plan, "lost"),
        [("left-gw", "10.10.0.2"), ("right-gw", "10.10.0.1")],
        "{plan}"
    );
    assert!(human.contains("cease to work") && human.contains("10.10.0.1"), "{human}");
    yard.misses("lan-left-1", "192.168.2.100");
    yard.reaches("left-gw", "10.10.0.3");
    yard.reaches("lan-right-1", "10.10.0.3");
}
