//! Hosts that somebody has set up by hand, taken over while packets flow.

use std::fs;
use std::path::Path;

use crate::fleet::{Fleet, ends};

/// What the hosts have is made below; this says who there is.
const LAB: &str = "fleet: ops
networks:
  net: { prefixes: [10.91.0.0/24], links: { hub: hub } }
hosts:
  hub: { address: 10.91.0.1, endpoint: 'hub.example.com:51820', ssh: root@hub.example.com }
  one: { address: 10.91.0.2, nat: true, ssh: root@one.example.com }
  two: { address: 10.91.0.3, nat: true, ssh: root@two.example.com }
";

/// Writes wg0.conf of each host, with keys of its own: $1 is the host.
const BY_HAND: &str = r#"
set -eu; umask 077; mkdir -p /etc/wireguard; cd /etc/wireguard
hub=$(echo "$HUB" | wg pubkey) one=$(echo "$ONE" | wg pubkey) two=$(echo "$TWO" | wg pubkey)
case $1 in
hub) cat >wg0.conf <<-END ;;
	[Interface]
	PrivateKey = $HUB
	Address = 10.91.0.1/24
	ListenPort = 51820
	PostUp = echo up >> /run/hooks
	PostUp = sysctl -w net.ipv4.ip_forward=1
	PostDown = echo down >> /run/hooks

	# one
	[Peer]
	PublicKey = $one
	PresharedKey = $PSK
	AllowedIPs = 10.91.0.2/32

	# two
	[Peer]
	PublicKey = $two
	AllowedIPs = 10.91.0.3/32
	END
one) cat >wg0.conf <<-END ;;
	[Interface]
	PrivateKey = $ONE
	Address = 10.91.0.2/32
	[Peer]
	PublicKey = $hub
	PresharedKey = $PSK
	AllowedIPs = 10.91.0.0/24
	Endpoint = hub.example.com:51820
	PersistentKeepalive = 25
	END
two) cat >wg0.conf <<-END ;;
	[Interface]
	PrivateKey = $TWO
	Address = 10.91.0.3/24
	[Peer]
	PublicKey = $hub
	AllowedIPs = 10.91.0.0/24
	Endpoint = hub.example.com:51820
	PersistentKeepalive = 25
	END
esac
"#;

/// Runs wgfleet for the fleet that was taken over.
fn run(fleet: &Fleet, folder: &Path, code: i32, args: &[&str]) -> String {
    let config = fleet.lab.ssh_config();
    ends(&fleet.command_with(folder, &config, args).output().unwrap(), code, args)
}

#[test]
fn hosts_that_were_set_up_by_hand_are_taken_over_while_packets_flow() {
    let fleet = Fleet::up(LAB, &["--systemd", "hub"]);
    let key = || fleet.sh("hub", "wg genkey");
    let (hub, one, two, psk) = (key(), key(), key(), fleet.sh("hub", "wg genpsk"));
    for host in ["hub", "one", "two"] {
        let given = format!("HUB={hub} ONE={one} TWO={two} PSK={psk}");
        fleet.lab.ok(host, &["sh", "-c", &format!("{given}\n{BY_HAND}"), "sh", host]);
    }
    fleet.sh("hub", "systemctl enable --now wg-quick@wg0 2>&1");
    fleet.sh("one", "wg-quick up wg0 2>&1");
    fleet.sh("two", "WG_QUICK_USERSPACE_IMPLEMENTATION=wireguard-go wg-quick up wg0 2>&1");
    assert_eq!(fleet.lab.ping("one", "10.91.0.3", 3, 0.2).lost(), 0);

    // One host is away at first: it is named and left out.
    let folder = fleet.folder().join("taken");
    let output = folder.to_str().unwrap();
    let import = |code: i32, hosts: &[&str]| {
        let args = [&["import", "--fleet", "taken", "-o", output, "--ssh"], hosts].concat();
        run(&fleet, &folder, code, &args)
    };
    let said =
        import(4, &["root@hub.example.com", "root@one.example.com", "root@nowhere.example.com"]);
    assert!(said.contains("not read: root@nowhere.example.com"), "{said}");
    let first = fs::read_to_string(folder.join("fleet.yaml")).unwrap();
    for secret in [&hub, &one, &two, &psk] {
        assert!(!first.contains(secret) && !said.contains(secret));
    }
    // What is new is added, and what is there stays.
    let said = import(0, &["root@hub.example.com", "root@one.example.com", "root@two.example.com"]);
    assert!(said.contains("`two` was an unmanaged peer so far"), "{said}");
    assert_eq!(fs::read_to_string(folder.join("fleet.yaml")).unwrap(), first);
    let added = fs::read_to_string(folder.join("imported.yaml")).unwrap();
    assert!(added.contains("two:") && !added.contains("one:"), "{added}");

    fs::remove_dir_all(&folder).unwrap();
    import(0, &["root@hub.example.com", "root@one.example.com", "root@two.example.com"]);
    run(&fleet, &folder, 0, &["check"]);
    let said = run(&fleet, &folder, 0, &["plan"]);
    // Marks of files, records, and what makes forwarding last: nothing of what runs.
    assert!(!said.contains("wg0 preshared key") && !said.contains("up to "), "{said}");
    assert!(said.contains("disrupts nothing"), "{said}");

    let runs = |host| {
        fleet.sh(
            host,
            "wg showconf wg0 | grep -v Endpoint | sort; ip -o addr show dev wg0; ip route; ip rule",
        )
    };
    let before = ["hub", "one", "two"].map(runs);
    let ping = fleet.lab.ping_on("one", "10.91.0.3", 0.02);
    run(&fleet, &folder, 0, &["apply", "--yes"]);
    run(&fleet, &folder, 0, &["plan", "--detailed-exitcode"]);
    let ping = ping.finish();
    assert!(ping.sent > 20 && ping.lost() == 0, "{ping:?}");
    assert_eq!(["hub", "one", "two"].map(runs), before);
    // Hooks have run once, and go on doing so.
    assert_eq!(fleet.sh("hub", "cat /run/hooks"), "up");
    fleet.sh("hub", "systemctl restart wg-quick@wg0");
    assert_eq!(fleet.sh("hub", "cat /run/hooks"), "up\ndown\nup");
}

#[test]
fn hooks_of_an_old_file_end_once_and_those_of_the_new_one_begin() {
    let fleet = Fleet::up(
        "fleet: ops
networks: { net: { interface: wg0, prefixes: 10.93.0.0/24 } }
hosts:
  one: { address: 10.93.0.1, endpoint: 'one.example.com:51820', ssh: root@one.example.com, post_up: 'echo new up >> /run/hooks' }
  two: { address: 10.93.0.2, endpoint: 'two.example.com:51820', ssh: root@two.example.com }
",
        &[],
    );
    let by_hand = |host: &str, address: &str, hooks: &str| {
        let lines = format!("'Address = {address}/24' 'ListenPort = 51820' {hooks}");
        let key = "\"PrivateKey = $(wg genkey)\"";
        fleet.sh(
            host,
            &format!(
                "umask 077; mkdir -p /etc/wireguard; printf '%s\\n' '[Interface]' {key} {lines} \
                 >/etc/wireguard/wg0.conf; wg-quick up wg0 2>&1"
            ),
        );
    };
    let hooks = "'PostUp = echo old up >> /run/hooks' 'PostDown = echo old down >> /run/hooks'";
    by_hand("one", "10.93.0.1", hooks);
    by_hand("two", "10.93.0.2", "");
    let (_, plan) = fleet.plan(&[]);
    let of = |host: usize| plan["hosts"][host]["changes"].to_string();
    assert!(of(0).contains("\"restart\"") && !of(1).contains("\"restart\""), "{plan:#}");
    fleet.apply();
    assert_eq!(fleet.sh("one", "cat /run/hooks"), "old up\nold down\nnew up");
    assert_eq!(fleet.done(&["plan", "--detailed-exitcode"]).matches("restart").count(), 0);
    fleet.apply();
    assert_eq!(fleet.sh("one", "cat /run/hooks"), "old up\nold down\nnew up");
    fleet.reaches("one", "10.93.0.2");
}
