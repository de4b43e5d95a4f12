//! A host that cannot be logged in to goes on with what it has, and so do its links.

use crate::yard::{Yard, of, outcome};

const MESH: &str = r#"
fleet: test
networks: { net: { interface: wg0, prefixes: [10.5.0.0/24] } }
hosts:
  h1: { address: 10.5.0.1, endpoint: "203.0.113.1:51820" }
  h2: { address: 10.5.0.2, endpoint: "203.0.113.2:51820" }
  h3: { address: 10.5.0.3, endpoint: "203.0.113.3:51820" }
"#;

/// Its address, its port and all preshared keys change in the file while nobody can log in to it. Others
/// change, and lose no packet of its tunnels; once it is back all that is left changes together.
#[test]
fn links_of_a_host_that_is_down_keep_their_old_values() {
    let yard = Yard::up(MESH);
    yard.settle();
    for (from, to) in [("h3", "10.5.0.1"), ("h3", "10.5.0.2"), ("h1", "10.5.0.2")] {
        yard.reaches(from, to);
    }
    yard.sh("h3", "ip link set mgmt0 down");
    yard.write(
        &MESH
            .replace(
                "10.5.0.3, endpoint: \"203.0.113.3:51820",
                "10.5.0.33, endpoint: \"203.0.113.3:999",
            )
            .replace("10.5.0.2,", "10.5.0.2, keepalive: 9,")
            .replace("[10.5.0.0/24]", "[10.5.0.0/24], psk: pairwise"),
    );
    let told = yard.run(&["plan", "--connect-timeout", "3"]).ends(4, &["plan"]);
    for (host, keeps) in
        [("h1", "addresses, endpoint, PSK"), ("h2", "addresses, endpoint, keepalive, PSK")]
    {
        let line =
            format!("link `{host}` ↔ `h3` keeps its old values until `h3` is back: {keeps}\n");
        assert!(told.contains(&line), "{told}");
    }
    let ping = yard.lab.ping_on("h3", "10.5.0.1", 0.05);
    let applied = yard.apply(7);
    for (host, word) in [("h1", "applied"), ("h2", "applied"), ("h3", "skipped")] {
        assert_eq!(outcome(&applied, host), word, "{applied}");
    }
    assert_eq!(ping.finish().lost(), 0);
    // The others have what is new; with the one that is down they have what is old.
    let h3 = yard.key("h3");
    for host in ["h1", "h2"] {
        let session = &yard.sessions(host, "wg0")[&h3];
        assert_eq!(session.allowed_ips, "10.5.0.3/32", "{session:?}");
        let file = yard.sh(host, "cat /etc/wireguard/wg0.conf");
        assert!(file.contains("AllowedIPs = 10.5.0.3/32"), "{file}");
        assert!(file.contains("Endpoint = 203.0.113.3:51820"), "{file}");
    }
    assert!(yard.sh("h2", "wg show wg0 persistent-keepalive").contains("\t9\n"));
    yard.reaches("h1", "10.5.0.2");
    // A new handshake works as well: the tunnel forgets all sessions.
    yard.sh("h3", "wg showconf wg0 > /run/kept.conf && wg setconf wg0 /run/kept.conf");
    for peer in ["10.5.0.1", "10.5.0.2"] {
        yard.reaches("h3", peer);
    }
    // Nothing is left to do but for it, and no plan calls that drift.
    let plan = yard.plan(4);
    assert_eq!(plan["kept"].as_array().map(Vec::len), Some(2), "{plan}");
    for host in ["h1", "h2"] {
        assert_eq!(of(&plan, host)["changes"].as_array().map(Vec::len), Some(0), "{plan}");
    }
    yard.sh("h3", "ip link set mgmt0 up");
    yard.settle();
    for peer in ["h1", "h2"] {
        yard.reaches(peer, "10.5.0.33");
    }
}
