//! Hosts that need each other change together, or not at all.

use crate::yard::Yard;

const MESH: &str = r#"
fleet: test
networks: { net: { interface: wg0, prefixes: [10.5.0.0/24], psk: pairwise } }
hosts:
  h1: { address: 10.5.0.1, endpoint: "203.0.113.1:51820" }
  h2: { address: 10.5.0.2, endpoint: "203.0.113.2:51820" }
  h3: { address: 10.5.0.3, endpoint: "203.0.113.3:51820" }
"#;

/// A host of which the file is the last thing that could be written, and its peers with it.
#[test]
fn a_host_that_cannot_write_its_file_keeps_its_peers() {
    let yard = Yard::up(MESH);
    yard.settle();
    for peer in ["10.5.0.1", "10.5.0.2"] {
        yard.reaches("h3", peer);
    }
    let sh = |node: &str, script: &str| {
        let output = yard.lab.exec(node, &["sh", "-c", script]);
        assert!(output.status.success(), "{node}: {script}: {output:?}");
    };
    sh("h3", "mount --bind /etc/wireguard /etc/wireguard");
    sh("h3", "mount -o remount,ro,bind /etc/wireguard");
    yard.write(&MESH.replace("address: 10.5.0.3", "address: 10.5.0.33"));
    let told = yard.run(&["plan"]).ends(0, &["plan"]);
    assert!(told.contains("change together or not at all: h1, h2, h3"), "{told}");
    let told = yard.run(&["apply", "--yes"]).ends(7, &["apply"]);
    assert!(told.contains("h1: h3, which changes together with it, did not"), "{told}");
    for peer in ["h1", "h2"] {
        sh(peer, "ping -n -c 3 -i 0.2 -W 1 10.5.0.3");
    }
    sh("h3", "umount /etc/wireguard");
    yard.run(&["apply", "--yes"]).ends(0, &["apply"]);
    for peer in ["h1", "h2"] {
        yard.reaches(peer, "10.5.0.33");
    }
    yard.run(&["plan", "--detailed-exitcode"]).ends(0, &["plan"]);
}
