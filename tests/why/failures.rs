//! `check --failures` and rules about what must survive.

use super::{document, folder, stdout, wgfleet};

/// Two hubs, offices of which two have an endpoint, and a link of its own between two of them.
const HUBS: &str = "\
fleet: f
networks:
  n: { prefixes: 10.9.0.0/24, links: [{ hub: [hub-1, hub-2] }, [north, south]] }
hosts:
  hub-1: { address: 10.9.0.1, endpoint: \"192.0.2.1:51820\" }
  hub-2: { address: 10.9.0.2, endpoint: \"192.0.2.2:51820\" }
sites:
  north: { subnets: 192.168.1.0/24, hosts: { gw-n: { address: 10.9.0.3, endpoint: \"192.0.2.3:51820\", gateway: true } } }
  south: { subnets: 192.168.2.0/24, hosts: { gw-s: { address: 10.9.0.4, nat: true, gateway: true } } }
  west: { subnets: 192.168.3.0/24, hosts: { gw-w: { address: 10.9.0.5, nat: true, gateway: true } } }
  east: { subnets: 192.168.4.0/24, hosts: { gw-e: { address: 10.9.0.6, nat: true, gateway: true } } }
";

fn hubs() -> String {
    HUBS.replace("[north, south]", "[gw-n, gw-s]")
}

fn with(rules: &str) -> String {
    format!("{}expect:\n{rules}", hubs())
}

#[test]
fn each_thing_that_fails_is_told_with_what_it_takes() {
    let folder = folder(&hubs());
    let output = wgfleet(folder.path(), &["check", "--failures"]);
    assert!(output.status.success(), "{output:?}");
    insta::assert_snapshot!(stdout(&output));
    let output = wgfleet(folder.path(), &["check", "--failures", "--format", "json"]);
    let json = document(&output.stdout);
    let first = &json["without"][0];
    assert_eq!(first["failing"]["host"], "hub-1", "{json:#}");
    assert_eq!(first["failing"]["role"], "hub");
    // The second hub is in no way, and west and east are alike.
    let all = json["without"].as_array().expect("a list");
    let hosts = all.iter().filter(|row| row["failing"]["type"] == "host");
    for row in hosts.skip(1) {
        assert_eq!(row["lost"], 0, "{row:#}");
    }
    assert!(all.iter().any(|row| row["hosts"].as_array().is_some_and(|all| all.len() == 2)));
    for row in all {
        let sum = |key: &str| row[key].as_u64().expect("a number");
        assert_eq!(Some(sum("ends") + sum("lost") + sum("survive")), json["flows"].as_u64());
    }
    for format in ["sarif", "junit"] {
        let refused = wgfleet(folder.path(), &["check", "--failures", "--format", format]);
        assert_eq!(refused.status.code(), Some(64));
    }
}

#[test]
fn rules_prove_what_survives() {
    for holds in [
        "  - survive: { loss_of: hub-1, from: north, to: south }\n",
        "  - survive: { loss_of: hub-2, from: west, to: east }\n",
        "  - survive: { loss_of: [gw-n, gw-s], from: north, to: west }\n",
        "  - survive: { loss_of: north, from: south, to: west }\n",
        // What has failed itself is no part of it.
        "  - survive: { loss_of: gw-w, from: n, to: 192.168.1.0/24 }\n",
    ] {
        let folder = folder(&with(holds));
        let output = wgfleet(folder.path(), &["check"]);
        assert_eq!(output.status.code(), Some(0), "{holds}{}", stdout(&output));
    }
    let mut shown = String::new();
    for broken in [
        "  - survive: { loss_of: hub-1, from: west, to: east }\n",
        "  - survive: { loss_of: [gw-n, gw-s], from: north, to: south }\n",
        "  - survive: { loss_of: north, from: north, to: west }\n",
        "  - survive: { loss_of: gw-w, from: gw-w, to: east }\n",
        "  - survive: { loss_of: [gw-w, gw-e], from: north, to: south }\n",
        "  - survive: { loss_of: [gw-w, north], from: north, to: south }\n",
        "  - survive: { loss_of: nobody, from: north, to: south }\n",
        "  - survive: { from: north, to: south }\n",
    ] {
        let folder = folder(&with(broken));
        let output = wgfleet(folder.path(), &["check"]);
        assert_eq!(output.status.code(), Some(3), "{broken}{}", stdout(&output));
        shown.push_str(broken);
        shown.push_str(&stdout(&output).replace('\u{1b}', "^"));
        shown.push('\n');
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn failing_over_is_refused_with_words() {
    let text = hubs().replace("[hub-1, hub-2] }", "[hub-1, hub-2], failover: true }");
    let refused = folder(&text);
    let output = wgfleet(refused.path(), &["check"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(stdout(&output).contains("hosts cannot fail over from one hub to another yet"));
    let plain = folder(&text.replace("failover: true", "failover: false"));
    assert_eq!(wgfleet(plain.path(), &["check"]).status.code(), Some(0));
}

/// What WG0602 proposes keeps the two together: put into the file, the rule about it holds.
#[test]
fn a_link_is_proposed_where_it_is_proved() {
    let fleet = |links: &str, endpoint: &str, rules: &str| {
        format!(
            "fleet: f\nnetworks:\n  n: {{ prefixes: 10.9.0.0/24, links: {links} }}\nhosts:\n  \
             hub: {{ address: 10.9.0.1, endpoint: \"192.0.2.1:51820\" }}\n  a: {{ address: \
             10.9.0.2, {endpoint} }}\n  b: {{ address: 10.9.0.3, nat: true }}\n{rules}"
        )
    };
    let rule = "expect: [{ survive: { loss_of: hub, from: a, to: b } }]\n";
    let open = "endpoint: \"192.0.2.2:51820\"";
    let proposed = folder(&fleet("{ hub: hub }", open, ""));
    let text = stdout(&wgfleet(proposed.path(), &["check"]));
    let said = "with `[a, b]` among the `links` of network `n`";
    assert!(text.contains(said), "{text}");
    let before = folder(&fleet("{ hub: hub }", open, rule));
    assert_eq!(wgfleet(before.path(), &["check"]).status.code(), Some(3));
    let after = folder(&fleet("[{ hub: hub }, [a, b]]", open, rule));
    assert_eq!(wgfleet(after.path(), &["check"]).status.code(), Some(0));
    // Neither can be found by the other: no link helps, and none is proposed.
    let both = folder(&fleet("{ hub: hub }", "nat: true", ""));
    let text = stdout(&wgfleet(both.path(), &["check"]));
    assert!(
        text.contains("single point of failure") && !text.contains("among the `links`"),
        "{text}"
    );
}
