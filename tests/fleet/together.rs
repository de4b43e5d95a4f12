//! Hosts that need each other change together, or not at all.

use std::process::Stdio;
use std::time::Duration;

use crate::yard::{Ran, Yard, outcome};

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

/// The run waits for a host that takes no new connection, a long time before any timer ends.
#[test]
fn a_run_that_is_interrupted_takes_back_what_is_armed_at_once() {
    let yard = Yard::up(MESH);
    yard.settle();
    let before = yard.sh("h3", "ip -o -4 address show dev wg0");
    let others = yard.stream("h1", "10.5.0.2");
    let closed = "nft 'add table inet closed; add chain inet closed in { type filter hook input priority 0; }; \
                  add rule inet closed in tcp dport 22 tcp flags & (syn | ack) == syn drop'";
    let script = format!("until [ -e /run/wgfleet/armed ]; do sleep 0.01; done; {closed}");
    let mut closing = yard.lab.spawn("h2", &["sh", "-c", &script]);
    yard.write(&MESH.replace("address: 10.5.0.3", "address: 10.5.0.33"));
    let mut command = yard.command(&["apply", "--yes", "--format", "json", "--deadline", "600"]);
    let run = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let armed = "ip -o -4 address show dev wg0 | grep -q 10.5.0.33";
    yard.until("h3", Duration::from_mins(1), armed);
    assert!(closing.wait().unwrap().success());
    let pid = rustix::process::Pid::from_raw(i32::try_from(run.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let ran: Ran = run.wait_with_output().unwrap().into();
    let applied = ran.json(130);
    for host in ["h1", "h2", "h3"] {
        assert_eq!(outcome(&applied, host), "rolled-back", "{applied}");
        assert!(!yard.holds(host, "[ -e /run/wgfleet/armed ]"), "{host}: its timer runs");
    }
    assert_eq!(yard.sh("h3", "ip -o -4 address show dev wg0"), before);
    others.lost_nothing("a flow of hosts that are not moved");
    for peer in ["h1", "h2"] {
        yard.sh(peer, "ping -n -c 3 -i 0.2 -W 1 10.5.0.3");
    }
    yard.sh("h2", "nft delete table inet closed");
    yard.settle();
}
