//! Peers that come and go in every style of YAML.

use proptest::prelude::*;

use super::*;

fn name(text: &str) -> HostName {
    text.parse().unwrap()
}

#[track_caller]
fn changed(text: &str, who: &str, change: PeerChange<'_>) -> String {
    change_peer(text, &name(who), change).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn a_peer_is_added_in_the_style_of_the_file() {
    let add = PeerChange::Add("{ via: a }");
    for (text, wanted) in [
        ("fleet: f\n", "fleet: f\npeers:\n  new: { via: a }\n"),
        ("fleet: f", "fleet: f\npeers:\n  new: { via: a }\n"),
        ("peers: # none yet\nfleet: f\n", "peers: # none yet\n  new: { via: a }\nfleet: f\n"),
        ("peers:", "peers:\n  new: { via: a }\n"),
        ("peers: {}\n", "peers: { new: { via: a } }\n"),
        ("peers: { x: { via: b } } # x\n", "peers: { new: { via: a }, x: { via: b } } # x\n"),
        (
            "peers:\n    x: { via: b } # Bob\n\n# rules\nexpect: []\n",
            "peers:\n    x: { via: b } # Bob\n    new: { via: a }\n\n# rules\nexpect: []\n",
        ),
        (
            "peers:\n  x:\n    via: [b,\n      c]\n    # last\n  # end\nfleet: f\n",
            "peers:\n  x:\n    via: [b,\n      c]\n    # last\n  new: { via: a }\n  # end\nfleet: f\n",
        ),
        ("peers:\n  x:\nfleet: f", "peers:\n  x:\n  new: { via: a }\nfleet: f"),
        ("peers:\n  x: {via: b}", "peers:\n  x: {via: b}\n  new: { via: a }\n"),
    ] {
        assert_eq!(changed(text, "new", add), wanted, "{text}");
    }
}

#[test]
fn a_peer_goes_and_its_neighbours_stay() {
    for (text, wanted) in [
        ("peers:\n  x: { via: a } # Bob\n  y: {}\n", "peers:\n  y: {}\n"),
        (
            "peers:\n  # all\n  y: {}\n  x:\n    via: a\n    # note\n\nfleet: f\n",
            "peers:\n  # all\n  y: {}\n\nfleet: f\n",
        ),
        ("peers:\n  x:\n    via: a\n", "peers:\n"),
        ("peers: { x: { via: [a, 'b}'] }, y: {} }\n", "peers: { y: {} }\n"),
        ("peers: { y: {}, x: { via: a } }\n", "peers: { y: {} }\n"),
        ("peers: { x: { via: a } }\n", "peers: { }\n"),
        ("peers: {\n  y: {},\n  x: { via: a },\n}\n", "peers: {\n  y: {},\n}\n"),
    ] {
        assert_eq!(changed(text, "x", PeerChange::Remove), wanted, "{text}");
    }
}

#[test]
fn keys_of_a_peer_come_and_go() {
    let key = "public_key";
    for (text, set, unset) in [
        ("peers:\n  x: { via: a }\n", "peers:\n  x: { public_key: K, via: a }\n", None),
        (
            "peers:\n  x:\n    via: a # hub\n    public_key: 'L'\n",
            "peers:\n  x:\n    via: a # hub\n    public_key: K\n",
            Some("peers:\n  x:\n    via: a # hub\n"),
        ),
        (
            "peers: { x: { via: a, public_key: L } }",
            "peers: { x: { via: a, public_key: K } }",
            Some("peers: { x: { via: a } }"),
        ),
    ] {
        assert_eq!(changed(text, "x", PeerChange::Set(key, "K")), set);
        assert_eq!(changed(text, "x", PeerChange::Unset(key)), unset.unwrap_or(text));
    }
}

#[test]
fn what_cannot_be_changed_safely_is_left_to_a_person() {
    let refused = |text, who, change| change_peer(text, &name(who), change).unwrap_err();
    let add = PeerChange::Add("{ via: a }");
    assert_eq!(refused("peers: { x: {} }", "x", add), EditError::Present);
    assert_eq!(refused("peers: { x: {} }", "y", PeerChange::Remove), EditError::Absent);
    assert_eq!(refused("peers: [", "y", add), EditError::Unreadable);
    // What others take from it would go with it.
    let anchored = "peers:\n  x: &x { via: a }\n  y: *x\n";
    assert_eq!(refused(anchored, "x", PeerChange::Remove), EditError::Unchangeable);
    assert_eq!(refused(anchored, "x", PeerChange::Set("mtu", "1300")), EditError::Unchangeable);
    assert_eq!(refused(anchored, "y", PeerChange::Set("mtu", "1300")), EditError::Unchangeable);
    assert_eq!(refused("{ fleet: f }", "x", add), EditError::Unchangeable);
    assert_eq!(
        refused("peers: &all { y: {} }\nz: *all\n", "y", PeerChange::Remove),
        EditError::Unchangeable
    );
    assert_eq!(refused("fleet: f\n...\n", "x", add), EditError::Unchangeable);
    assert_eq!(refused("peers: text\n", "x", add), EditError::Unchangeable);
    // A peer that comes in by a merge is written elsewhere.
    let merged = "all: &all\n  x: { via: a }\npeers:\n  <<: *all\n  y: {}\n";
    assert_eq!(refused(merged, "x", PeerChange::Remove), EditError::Unchangeable);
}

/// A peer in one of several styles.
fn entries() -> impl Strategy<Value = Vec<(String, u8)>> {
    proptest::collection::btree_map("[a-z]{1,3}", 0_u8..6, 0..5)
        .prop_map(|map| map.into_iter().collect())
}

fn written(peers: &[(String, u8)], indent: usize, comments: bool) -> String {
    let pad = " ".repeat(indent);
    let mut text = "fleet: f # the fleet\npeers:\n".to_owned();
    for (name, style) in peers {
        if comments {
            text.extend([pad.as_str(), "# about ", name.as_str(), "\n"]);
        }
        let entry = match style {
            0 => format!("{pad}{name}: {{ via: hub }}\n"),
            1 => format!("{pad}{name}:\n{pad}  via: hub\n"),
            2 => format!("{pad}{name}: {{ via: [hub, 'b, c'], mtu: 1300 }} # end\n"),
            3 => format!("{pad}\"{name}\":\n{pad}    via:\n{pad}    - hub\n{pad}    - b\n"),
            4 => format!("{pad}{name}: {{\n{pad}    via: hub,\n{pad}    mtu: 1300 }}\n\n"),
            _ => format!(
                "{pad}{name}:\n\n{pad}  # within\n{pad}  via: hub # x\n{pad}  dns: |-\n{pad}    10.0.0.1\n"
            ),
        };
        text.push_str(&entry);
    }
    text.push_str("# the end\nexpect: []\n");
    text
}

proptest! {
    /// What is added can be removed again, and the text is as before; comments and other lines stay.
    #[test]
    fn what_comes_can_go(peers in entries(), indent in 1_usize..5, comments: bool) {
        let text = written(&peers, indent, comments);
        let new = name("new-one");
        let added = change_peer(&text, &new, PeerChange::Add("{ via: hub }")).unwrap();
        prop_assert_eq!(change_peer(&added, &new, PeerChange::Remove).unwrap(), text.clone());
        for (peer, _) in &peers {
            let peer = name(peer);
            let set = change_peer(&text, &peer, PeerChange::Set("mtu", "1400")).unwrap();
            let unset = change_peer(&set, &peer, PeerChange::Unset("mtu")).unwrap();
            prop_assert!(unset.contains("# the end") && unset.contains("# the fleet"));
            let gone = change_peer(&text, &peer, PeerChange::Remove).unwrap();
            let lost = text.lines().filter(|line| !gone.contains(line)).count();
            prop_assert!(lost <= 6, "{}", gone);
            for (other, _) in peers.iter().filter(|(other, _)| other != peer.as_str()) {
                let comment = format!("# about {other}\n");
                prop_assert!(!comments || gone.contains(&comment), "{}", gone);
            }
        }
    }

    /// Whatever stands there, nothing panics, and no other meaning comes out.
    #[test]
    fn any_text_is_changed_rightly_or_not_at_all(text in "(peers:|[ \\n{}:,x'\"#&*-]){0,40}") {
        for change in [PeerChange::Add("{ via: a }"), PeerChange::Set("mtu", "1300"), PeerChange::Remove, PeerChange::Unset("mtu")] {
            let _ = change_peer(&text, &name("x"), change);
        }
    }
}
