//! A phone: nobody logs in there, it gets a configuration.

use std::io::Write as _;
use std::process::Stdio;

use crate::fleet::Fleet;

#[test]
fn an_issued_configuration_connects_a_phone_through_its_host() {
    let fleet = Fleet::up(
        "fleet: ops
networks:
  net: { interface: wg0, prefixes: [10.90.0.0/24, 'fd90::/64'], psk: pairwise }
  other: { interface: wg9, prefixes: 10.99.0.0/24 }
defaults: { backend: auto }
sites:
  centre:
    subnets: 192.168.1.0/24
    hosts:
      gate: { ssh: root@gate.example.com, networks: { net: { address: 10.90.0.1, endpoint: 'gate.example.com:51820' } }, transit: true, gateway: true, exit: true, masquerade: true }
  north:
    subnets: 192.168.2.0/24
    hosts:
      spoke: { ssh: root@spoke.example.com, networks: { net: { address: 10.90.0.2 } }, nat: true, gateway: true }
  cafe:
    hosts:
      handset: { ssh: root@handset.example.com, nat: true, networks: { other: {} } }
peers:
  phone: { network: net, via: gate }
  tablet: { network: net, via: gate, full_tunnel: true }
",
        &[],
    );
    let managed = ["--limit", "gate,spoke"];
    fleet.done(&["apply", "--yes", managed[0], managed[1]]);
    fleet.done(&["plan", "--detailed-exitcode", managed[0], managed[1]]);
    let folder = fleet.folder().join("issued");
    fleet.done(&["render", "-o", folder.to_str().unwrap()]);
    let bring_up = |who: &str| {
        let conf = std::fs::read(folder.join(who).join("wg0.conf")).unwrap();
        let mut ssh = std::process::Command::new("ssh");
        ssh.arg("-F").arg(fleet.lab.ssh_config());
        ssh.args(["handset", "umask 077; cat >/etc/wireguard/wg0.conf && wg-quick up wg0 >/run/quick.log 2>&1 </dev/null"]);
        let mut child = ssh.stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(&conf).unwrap();
        assert!(child.wait().unwrap().success(), "{}", fleet.sh("handset", "cat /run/quick.log"));
    };
    bring_up("phone");
    fleet.reaches("handset", "10.90.0.1");
    fleet.reaches("handset", "10.90.0.2");
    for lan in ["lan-centre-1", "lan-north-1"] {
        fleet.reaches("handset", &fleet.address(lan));
    }
    assert!(!fleet.sh("handset", "ip route get 192.0.2.1").contains("wg0"));
    let said = fleet.done(&["status", managed[0], managed[1]]);
    assert!(said.contains("phone"), "{said}");

    fleet.sh("handset", "wg-quick down wg0 2>&1");
    bring_up("tablet");
    for address in ["192.0.2.1", "2001:db8:ffff::1", "10.90.0.2"] {
        fleet.reaches("handset", address);
        assert!(fleet.sh("handset", &format!("ip route get {address}")).contains("wg0"));
    }
    // Its peers know it by the same key: nothing is left to do.
    fleet.done(&["plan", "--detailed-exitcode", managed[0], managed[1]]);
}
