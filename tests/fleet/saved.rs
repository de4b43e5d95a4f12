//! Saved plans over real ssh: what was reviewed is what is done, hooks included, or nothing is.

use serde_json::Value;

use crate::yard::{Ran, Yard, changes, of};

/// A hub that passes packets on between two hosts behind it.
const STAR: &str = r#"
fleet: star
networks:
  backbone: { interface: wg0, prefixes: [10.10.0.0/24], links: { hub: centre } }
hosts:
  centre: { address: 10.10.0.1, endpoint: "203.0.113.5:51820", transit: true }
  left: { address: 10.10.0.2, nat: true }
  right: { address: 10.10.0.3, nat: true }
"#;

/// Says who ran it, and for which interface.
const HOOK: &str = "echo $(id -u) %i >>/run/hooks";

/// Saves the plan of a file as `name`. Gives the path, what was printed, and the plan.
fn save(yard: &Yard, text: &str, name: &str) -> (String, String, Value) {
    yard.write(text);
    let path = yard.path().join(name).to_str().unwrap().to_owned();
    let ran = yard.run(&["plan", "--detailed-exitcode", "--out", &path]);
    assert_eq!(ran.code, 2, "{ran:?}");
    let plan = crate::documents::document(&std::fs::read(&path).unwrap());
    (path, ran.stdout, plan)
}

/// Carries out a saved plan; that ends with `code`.
fn carry_out(yard: &Yard, path: &str, code: i32) -> Ran {
    let ran = yard.run(&["apply", "--yes", path]);
    assert_eq!(ran.code, code, "{ran:?}");
    ran
}

/// A saved plan is refused, in words that begin with the host and name what moved; nothing is done.
fn refused(yard: &Yard, path: &str, moved: &str) {
    let state = || yard.sh("left", "wg showconf wg0; cat /etc/wireguard/wg0.conf; ip -o link");
    let before = state();
    let ran = carry_out(yard, path, 6);
    assert!(ran.stderr.contains(&format!("\n  {moved}")), "{moved}: {}", ran.stderr);
    assert!(ran.stderr.contains("no host was changed"), "{}", ran.stderr);
    assert_eq!(state(), before);
}

fn disruption<'a>(plan: &'a Value, host: &str) -> &'a str {
    of(plan, host)["disruption"].as_str().unwrap()
}

#[test]
fn a_saved_plan_is_carried_out_as_it_was_reviewed_or_not_at_all() {
    let yard = Yard::up(STAR);
    let (first, ..) = save(&yard, STAR, "first.plan");
    carry_out(&yard, &first, 0);
    yard.settled();
    yard.reaches("left", "10.10.0.3");
    // It is carried out already.
    let ran = carry_out(&yard, &first, 0);
    assert!(ran.stderr.contains("Apply: 3 unchanged."), "{ran:?}");

    // A hook comes: the hub restarts for it, and those behind it feel that.
    let hooked = STAR.replace("transit: true", &format!("transit: true, post_up: '{HOOK}'"));
    let hooked = hooked.replace("nat: true", "nat: true, keepalive: 20");
    let (path, human, plan) = save(&yard, &hooked, "hook.plan");
    let words = format!("\n  + runs as root after wg0 comes up: {HOOK}\n");
    assert!(human.contains(&words), "{human}");
    let hook = of(&plan, "centre")["changes"].as_array().unwrap();
    let hook = hook.iter().find(|change| change["change"] == "hook").unwrap();
    assert_eq!((&hook["when"], &hook["comes"]), (&"post-up".into(), &true.into()), "{hook}");
    assert_eq!((&hook["command"], &hook["now"]), (&HOOK.into(), &true.into()), "{hook}");
    assert!(human.contains("centre  wg0 restarts: up to 10 s without traffic"), "{human}");
    let spokes = "left, right  up to 10 s without traffic to centre, for the changes there";
    assert!(human.contains(spokes), "{human}");
    for host in ["centre", "left", "right"] {
        assert_eq!(disruption(&plan, host), "restart", "{plan}");
    }

    // Somebody edits it after the review.
    yard.write(&hooked.replace("id -u", "id -g"));
    refused(&yard, &path, "centre: running as root after wg0 comes up: ");
    assert!(!yard.holds("centre", "test -e /run/hooks"));
    yard.write(&hooked);
    let stream = yard.stream("left", "10.10.0.3");
    carry_out(&yard, &path, 0);
    yard.reaches("left", "10.10.0.3");
    // 100 a second, for no longer than was said.
    let (_, lost) = stream.finish();
    assert!((1..=1000).contains(&lost), "{lost} lost");
    assert_eq!(yard.sh("centre", "cat /run/hooks"), "0 wg0\n");
    yard.settled();
    yard.reaches("right", "10.10.0.2");

    // What else is edited after a review.
    let eager = hooked
        .replace("10.10.0.2, nat: true, keepalive: 20", "10.10.0.2, nat: true, keepalive: 9,");
    let (path, human, plan) = save(&yard, &eager, "keepalive.plan");
    assert_eq!(disruption(&plan, "left"), "none", "{plan}");
    assert!(!human.contains("as root"), "{human}");
    let edits = [
        ("keepalive: 9,", "keepalive: 9, ssh: root@left,", "left: its ssh target is now root@left"),
        ("keepalive: 9,", "keepalive: 9, mtu: 1300,", "left: "),
        ("keepalive: 9,", "keepalive: 8,", "left: "),
        ("keepalive: 9,", "keepalive: 9, listen_port: 51899,", "left: "),
        (
            "keepalive: 9,",
            "keepalive: 9, peers: { centre: { allowed_ips: [10.10.0.0/24, 10.99.0.0/16] } },",
            "left: ",
        ),
        ("keepalive: 9,", "keepalive: 9, post_down: 'true',", "left: running as root after wg0 "),
        ("5:51820", "5:51821", "centre: "),
    ];
    for (from, to, moved) in edits {
        assert!(eager.contains(from));
        yard.write(&eager.replace(from, to));
        refused(&yard, &path, moved);
    }
    yard.write(&eager);

    // Somebody edits the file that is reviewed: what it says, and nothing of what is done.
    let ran = yard.run(&["show", &path]);
    assert!(ran.code == 0 && ran.stderr.contains("verified: "), "{ran:?}");
    let text = std::fs::read_to_string(&path).unwrap();
    let edited = yard.path().join("edited.plan").to_str().unwrap().to_owned();
    let before = yard.sh("left", "wg showconf wg0; cat /etc/wireguard/wg0.conf; ip -o link");
    for (from, to) in [
        ("\"notes\":[]", "\"notes\":[{\"text\":\"approved\"}]"),
        (
            "\"orphans\":[]",
            "\"orphans\":[{\"kind\":\"host\",\"name\":\"x\",\"host\":null,\"runs\":[]}]",
        ),
        ("\"disruption\":\"none\"", "\"disruption\":\"restart\""),
        ("\"peer_changes\":[0]", "\"peer_changes\":[0,0]"),
    ] {
        assert!(text.contains(from), "{text}");
        std::fs::write(&edited, text.replacen(from, to, 1)).unwrap();
        let ran = carry_out(&yard, &edited, 64);
        assert!(ran.stderr.contains("its MAC does not fit"), "{ran:?}");
        assert_eq!(yard.run(&["show", &edited]).code, 64);
    }
    assert_eq!(yard.sh("left", "wg showconf wg0; cat /etc/wireguard/wg0.conf; ip -o link"), before);

    // What somebody else did on a host meanwhile, whether the plan changes that host or not.
    for (host, hand, back) in [
        ("left", "wg set wg0 fwmark 0x55", "wg set wg0 fwmark 0"),
        ("left", "ip link set wg0 mtu 1300", "ip link set wg0 mtu 1420"),
        ("right", "ip link set wg0 mtu 1300", "ip link set wg0 mtu 1420"),
        ("right", "echo '# more' >>/etc/wireguard/wg0.conf", "sed -i '$d' /etc/wireguard/wg0.conf"),
    ] {
        yard.sh(host, hand);
        refused(&yard, &path, &format!("{host}: "));
        yard.sh(host, back);
    }

    // Another one carried out the same.
    yard.settle();
    assert!(yard.sh("left", "wg show wg0").contains("every 9 seconds"));
    let ran = carry_out(&yard, &path, 0);
    assert!(ran.stderr.contains("Apply: 3 unchanged."), "{ran:?}");
    // The one before leads to something else.
    carry_out(&yard, &first, 6);
    assert_eq!(yard.sh("centre", "cat /run/hooks"), "0 wg0\n");
    assert_eq!(changes(&yard.plan(0), "left"), [""; 0]);
}
