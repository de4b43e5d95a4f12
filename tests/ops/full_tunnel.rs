//! Everything through one host: a managed laptop's way out, and its return path.

use crate::fleet::Fleet;

const INTERNET: [&str; 2] = ["192.0.2.1", "2001:db8:ffff::1"];

fn fleet(backend: &str, options: &[&str]) -> Fleet {
    let text = "fleet: ops
networks:
  vpn: { interface: wg0, prefixes: [10.90.0.0/24, 'fd90::/64'], links: { hub: exit }, psk: pairwise }
hosts:
  exit: { ssh: root@exit.example.com, address: [10.90.0.1, 'fd90::1'], endpoint: 'exit.example.com:51820', exit: true, masquerade: true }
  laptop: { ssh: root@laptop.example.com, address: [10.90.0.2, 'fd90::2'], nat: true, backend: BACKEND, post_up: 'echo up %i >>/run/hooks', post_down: 'echo down %i >>/run/hooks', full_tunnel: exit }
";
    Fleet::up(&text.replace("BACKEND", backend), options)
}

/// Rules and routes of a host, but for those of the tunnel's own addresses.
fn routing(fleet: &Fleet) -> String {
    fleet.sh("laptop", "ip rule; ip -6 rule; ip route show table all | grep -v wg0; ip -6 route show table all | grep -v 'wg0\\|multicast\\|fe80'; nft list ruleset")
}

fn there_and_back(fleet: &Fleet) {
    let before = routing(fleet);
    fleet.apply();
    for address in INTERNET {
        fleet.reaches("laptop", address);
        assert!(fleet.sh("laptop", &format!("ip route get {address}")).contains("dev wg0"));
    }
    // What goes out there has the address of the exit, and comes back.
    let transfer = "wg show wg0 transfer | awk '{ print $2 }'";
    let sent = fleet.sh("exit", transfer).parse::<u64>().unwrap();
    assert_eq!(fleet.lab.ping("laptop", INTERNET[0], 10, 0.02).received, 10);
    assert!(fleet.sh("exit", transfer).parse::<u64>().unwrap() >= sent + 10 * 64);
    assert_eq!(fleet.sh("laptop", "cat /run/hooks"), "up wg0");

    // A change beside it leaves the tunnel up.
    fleet.edit(
        "exit: true, masquerade: true",
        "exit: true, masquerade: true, subnets: 172.30.0.0/24",
    );
    let ping = fleet.lab.ping_on("laptop", INTERNET[0], 0.02);
    fleet.apply();
    assert_eq!(ping.finish().lost(), 0);
    assert_eq!(fleet.sh("laptop", "cat /run/hooks"), "up wg0");

    // Without it, everything is as it was.
    fleet.edit(", full_tunnel: exit", "");
    let (_, plan) = fleet.plan(&["--limit", "laptop"]);
    assert!(plan.to_string().contains("restart"), "{plan}");
    fleet.apply();
    assert_eq!(routing(fleet), before);
    assert_eq!(fleet.sh("laptop", "cat /run/hooks"), "up wg0\ndown wg0\nup wg0");
    fleet.reaches("laptop", "10.90.0.1");
    assert!(!fleet.sh("laptop", "ip route get 192.0.2.1").contains("wg0"));

    // And once more, on an interface that runs already.
    fleet.edit("nat: true,", "nat: true, full_tunnel: exit,");
    fleet.apply();
    fleet.reaches("laptop", INTERNET[0]);
    // A host that leaves the network takes all of it down.
    fleet.sh(
        "laptop",
        "wg-quick down wg0 2>&1 || /usr/local/lib/wgfleet/wgfleet quick down wg0 2>&1",
    );
    assert_eq!(routing(fleet), before);
    fleet.apply();
    fleet.reaches("laptop", INTERNET[1]);
}

#[test]
fn a_laptop_reaches_the_internet_through_its_exit_with_wireguard_go() {
    there_and_back(&fleet("wireguard-go", &[]));
}

#[test]
fn a_laptop_reaches_the_internet_through_its_exit_with_wgfleet_alone() {
    there_and_back(&fleet("embedded", &["--without", "laptop=wg,wg-quick,wireguard-go"]));
}

#[test]
fn a_full_tunnel_works_and_ends_under_systemd() {
    there_and_back(&fleet("embedded", &["--systemd", "laptop"]));
}

#[test]
fn dns_without_resolvconf_is_said_before_anything_is_touched() {
    let fleet = fleet("wireguard-go", &["--without", "laptop=resolvconf,resolvectl"]);
    fleet.edit("full_tunnel: exit", "full_tunnel: exit, dns: 10.90.0.1");
    // Where nobody else can be changed, it is an error; otherwise it is left out.
    for (code, args) in [
        (3, ["plan"].as_slice()),
        (3, &["apply", "--yes", "--limit", "laptop"]),
        (7, &["apply", "--yes"]),
    ] {
        let said = fleet.ends(code, args);
        assert!(said.contains("resolvconf"), "{said}");
        let files = "find /etc/wireguard /run/wgfleet -type f 2>/dev/null | wc -l";
        assert_eq!(fleet.sh("laptop", files), "0");
    }
    assert!(fleet.sh("exit", "wg show interfaces").contains("wg0"));
}
