//! Changes under traffic: what a plan calls undisturbed loses nothing.

use serde_json::Value;

use crate::yard::{ROME, THREE, Yard, changes, disruptions};

/// Expects that sessions were neither begun anew nor counted anew.
fn kept(
    yard: &Yard,
    host: &str,
    before: &std::collections::BTreeMap<String, crate::yard::Session>,
) {
    let after = yard.sessions(host, "wg0");
    for (key, old) in before {
        let new = after.get(key).unwrap_or_else(|| panic!("{host} lost {key}"));
        assert_eq!(new.handshake, old.handshake, "{host}: {key} shook hands again");
        assert!(new.received >= old.received, "{host}: {key} counts anew");
    }
}

#[test]
fn a_peer_is_added_while_others_talk() {
    let four = format!("{THREE}{ROME}");
    let yard = Yard::within(&four, THREE, &[]);
    yard.settle();
    let paris = yard.stream("lan-paris-1", "192.168.2.100");
    let branch = yard.stream("lan-branch-2", "fd01::64");
    let hosts = ["paris-gw", "frankfurt-gw", "branch-gw"];
    let before = hosts.map(|host| yard.begun_sessions(host, "wg0"));
    yard.write(&four);
    let plan = yard.plan(2);
    assert_eq!(disruptions(&plan), ["none"; 4], "{plan}");
    assert_eq!(changes(&plan, "paris-gw"), ["add-peer", "add-route", "file"], "{plan}");
    yard.settle();
    paris.lost_nothing("paris to frankfurt");
    branch.lost_nothing("branch to paris");
    for (host, before) in hosts.iter().zip(&before) {
        kept(&yard, host, before);
    }
    yard.reaches("lan-rome-1", "192.168.7.100");
    // And goes again.
    let paris = yard.stream("lan-paris-1", "192.168.2.100");
    yard.write(THREE);
    let plan = yard.plan(2);
    assert_eq!(disruptions(&plan), ["flows"; 3], "{plan}");
    // Two ends each, LANs and addresses: to and from those of three others, family by family.
    assert_eq!(plan["hosts"][0]["feels"]["flows"], 12, "{plan}");
    let human = yard.done(&["plan"]).stdout;
    for words in [
        "paris-gw, frankfurt-gw, branch-gw  12 flows of the host cease to work; the session with rome-gw ends; ",
        "36 flows cease to work:",
        "- `paris-gw` to `rome-gw` (6 flows), such as 10.10.0.1 to 10.10.0.4: `rome-gw` is not there",
        "`rome-gw` is not in the inventory any more: its flows are counted from what \
         other hosts have of it",
    ] {
        assert!(human.contains(words), "{words}: {human}");
    }
    yard.settle();
    paris.lost_nothing("paris to frankfurt");
    kept(&yard, "paris-gw", &before[0]);
    assert!(!yard.sessions("paris-gw", "wg0").contains_key(&yard.key("rome-gw")));
    yard.misses("paris-gw", "10.10.0.4");
}

/// Applies another file under two streams. Gives the plan.
fn change(yard: &Yard, what: &str, text: &str, most_lost: usize) -> Value {
    let paris = yard.stream("lan-paris-1", "192.168.2.100");
    let branch = yard.stream("lan-branch-1", "192.168.1.100");
    yard.write(text);
    let plan = yard.plan(2);
    yard.settle();
    for (name, stream) in [("paris to frankfurt", paris), ("branch to paris", branch)] {
        let (answered, lost) = stream.finish();
        assert!(answered > 50, "{what}: only {answered} answers, {name}");
        let all = answered + lost;
        if disruptions(&plan).iter().all(|word| *word == "none") {
            assert_eq!(lost, 0, "{what}: {lost} of {all} lost, {name}; the plan: {plan}");
        }
        assert!(lost <= most_lost, "{what}: {lost} of {all} lost, {name}");
    }
    plan
}

#[test]
fn settings_change_in_place() {
    let wider = THREE.replace("[192.168.2.0/24,", "[192.168.2.0/24, 192.168.20.0/24,");
    let yard = Yard::within(&wider, THREE, &[]);
    yard.settle();
    let undisturbed = |plan: &Value| {
        assert!(disruptions(plan).iter().all(|word| *word == "none"), "{plan}");
    };

    let plan = change(&yard, "a subnet more", &wider, 0);
    undisturbed(&plan);
    yard.reaches("lan-paris-1", "192.168.20.1");
    let plan = change(&yard, "a subnet less", THREE, 0);
    assert_eq!(disruptions(&plan), ["flows"; 2], "{plan}");
    let lost = plan["reachability"]["lost"].as_array().unwrap();
    assert!(lost.iter().any(|row| row["to"]["address"] == "192.168.20.1"), "{plan}");
    assert!(changes(&plan, "paris-gw").contains(&"remove-route".to_owned()), "{plan}");

    let eager = THREE.replace("nat: true", "nat: true\n        keepalive: 11");
    undisturbed(&change(&yard, "another keepalive", &eager, 0));

    let prefixes = r#"[10.10.0.2/32, "fd10::2/128", 192.168.2.0/24, "fd02::/64", 10.99.0.0/16]"#;
    let wide = THREE.replace(
        "endpoint: 203.0.113.5:51820",
        &format!("endpoint: 203.0.113.5:51820\n        peers: {{ frankfurt-gw: {{ allowed_ips: {prefixes} }} }}"),
    );
    undisturbed(&change(&yard, "an override of AllowedIPs", &wide, 0));
    assert!(yard.holds("paris-gw", "ip route get 10.99.0.1 | grep -q wg0"));
    // Whoever was behind it is not reached any more.
    let plan = change(&yard, "no override", THREE, 0);
    assert_eq!(disruptions(&plan), ["flows"], "{plan}");

    let small = THREE.replace("psk: pairwise", "psk: pairwise\n    mtu: 1300");
    undisturbed(&change(&yard, "a smaller MTU", &small, 0));
    assert_eq!(yard.sh("branch-gw", "cat /sys/class/net/wg0/mtu"), "1300\n");
    undisturbed(&change(&yard, "a larger MTU", THREE, 0));

    let status = yard.done(&["lab", "status", "--name", yard.lab.name()]).stdout;
    let frankfurt = status.lines().find(|line| line.starts_with("frankfurt-gw ")).unwrap();
    let addr = frankfurt.split_whitespace().nth(3).unwrap();
    let literal = THREE.replace("frankfurt.example.com:51820", &format!("{addr}:51820"));
    undisturbed(&change(&yard, "an endpoint by address", &literal, 0));

    // Packets that are under way to the old port do not arrive.
    let moved = literal.replace(&format!("{addr}:51820"), &format!("{addr}:51999"));
    let plan = change(&yard, "another port", &moved, 100);
    assert!(disruptions(&plan).contains(&"handshake"), "{plan}");
    assert_eq!(yard.sh("frankfurt-gw", "wg show wg0 listen-port"), "51999\n");

    let open = moved.replace("psk: pairwise", "psk: none");
    let plan = change(&yard, "no preshared keys", &open, 2);
    assert_eq!(disruptions(&plan), ["handshake"; 3], "{plan}");
    assert!(yard.sh("paris-gw", "wg show wg0 preshared-keys").contains("(none)"));
    change(&yard, "preshared keys", &moved, 2);
    assert!(!yard.sh("paris-gw", "wg show wg0 preshared-keys").contains("(none)"));
}
