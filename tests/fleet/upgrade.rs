//! A fleet that version 0.1.0 applied: names change, and nothing else.

use crate::yard::{Yard, changes, disruptions, of, outcome};

const PAIR: &str = r#"
fleet: pair
networks:
  backbone: { interface: wg0, prefixes: [10.10.0.0/24] }
sites:
  paris:
    subnets: [192.168.1.0/24]
    hosts:
      paris-gw: { gateway: true, masquerade: true, endpoint: "203.0.113.5:51820", address: 10.10.0.1 }
  oslo:
    subnets: [192.168.2.0/24]
    hosts:
      oslo-gw: { gateway: true, endpoint: "203.0.113.9:51820", address: 10.10.0.2, masquerade: true }
"#;

/// The file of rules as version 0.1.0 wrote it on a gateway of [`PAIR`]; the rules and their digest
/// are what they were.
const RULES: &str = "\
# Managed by wgfleet: traffic of the tunnels leaves with this host's own address.
table inet wgfleet
delete table inet wgfleet
table inet wgfleet {
\tchain postrouting {
\t\ttype nat hook postrouting priority srcnat; policy accept;
";

/// Makes of a host what 0.1.0 left there: its names, and no record.
fn as_0_1_0(yard: &Yard, host: &str, fleet: &str) {
    let script = format!(
        "set -e; cd /etc/wireguard
        grep '^\t\toifname' wgfleet-{fleet}.nft >/run/rules
        {{ printf '%s' \"$1\"; cat /run/rules; printf '\t}}\n}}\n'; }} >wgfleet.nft
        chmod 600 wgfleet.nft
        rm /run/rules wgfleet-{fleet}.nft
        {{ echo 'table inet wgfleet-{fleet}'; echo 'delete table inet wgfleet-{fleet}'; cat wgfleet.nft; }} | nft -f -
        mv /etc/sysctl.d/60-wgfleet-{fleet}.conf /etc/sysctl.d/60-wgfleet.conf
        if [ -d /run/systemd/system ]; then
            sed -i 's/wgfleet-{fleet}[.]nft/wgfleet.nft/' /etc/systemd/system/wg-quick@wg0.service.d/wgfleet.conf
            systemctl daemon-reload
        fi
        rm /var/lib/wgfleet/{fleet}.json"
    );
    yard.lab.ok(host, &["sh", "-c", &script, "sh", RULES]);
}

/// What a host has, for comparing.
fn state(yard: &Yard, host: &str) -> String {
    yard.sh(
        host,
        "wg showconf wg0 | grep -v ^Endpoint | sort; ip -o addr show dev wg0; ip route show dev wg0
        find /etc/wireguard /etc/systemd/system /etc/sysctl.d /var/lib/wgfleet | sort | while read -r f; do
            stat -c '%n %F %a %u' \"$f\"; [ ! -f \"$f\" ] || sha256sum <\"$f\"
        done
        nft list ruleset; cat /proc/sys/net/ipv4/ip_forward; ip link show wg0 | grep -o '^[0-9]*'
        ls /run/wgfleet 2>/dev/null | grep -v -e ^reverted -e ^as-file || :",
    )
}

#[test]
fn a_fleet_of_0_1_0_is_renamed_and_nothing_is_lost() {
    let yard = Yard::within(PAIR, PAIR, &["--systemd", "paris-gw"]);
    yard.settle();
    yard.reaches("lan-oslo-1", "192.168.1.100");
    let renamed = ["paris-gw", "oslo-gw"].map(|host| state(&yard, host));
    for host in ["paris-gw", "oslo-gw"] {
        as_0_1_0(&yard, host, "pair");
    }
    let old = ["paris-gw", "oslo-gw"].map(|host| state(&yard, host));
    assert!(
        old[0].contains("table inet wgfleet {") && !old[0].contains("wgfleet-pair"),
        "{}",
        old[0]
    );

    let plan = yard.plan(2);
    assert_eq!(
        changes(&plan, "paris-gw"),
        ["rename", "rename", "rename", "rename", "record"],
        "{plan}"
    );
    assert_eq!(changes(&plan, "oslo-gw"), ["rename", "rename", "rename", "record"], "{plan}");
    assert_eq!(disruptions(&plan), ["none", "none"], "{plan}");
    let first = &of(&plan, "paris-gw")["changes"][0];
    assert_eq!(
        (&first["what"], &first["from"], &first["to"]),
        (&"table".into(), &"wgfleet".into(), &"wgfleet-pair".into())
    );
    let shown = yard.run(&["plan"]).stdout;
    for line in [
        "~ nftables table inet wgfleet is renamed wgfleet-pair",
        "~ file /etc/wireguard/wgfleet.nft is renamed /etc/wireguard/wgfleet-pair.nft",
        "~ file /etc/sysctl.d/60-wgfleet.conf is renamed /etc/sysctl.d/60-wgfleet-pair.conf",
        "~ file /etc/systemd/system/wg-quick@wg0.service.d/wgfleet.conf names /etc/wireguard/wgfleet-pair.nft",
        "disrupts nothing",
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
    for sign in ["\n  - ", "\n      + ", "\n      - "] {
        assert!(!shown.contains(sign), "{shown}");
    }

    // A rollback brings the old names back: the disk of the last file is full, so to say.
    let stream = yard.stream("lan-oslo-1", "192.168.1.100");
    yard.sh(
        "paris-gw",
        "mount --bind /etc/sysctl.d /etc/sysctl.d && mount -o remount,bind,ro /etc/sysctl.d",
    );
    let applied = yard.apply(8);
    yard.sh("paris-gw", "umount /etc/sysctl.d");
    assert_eq!(outcome(&applied, "paris-gw"), "rolled-back", "{applied}");
    let now = state(&yard, "paris-gw");
    assert_eq!(now, old[0], "{applied}");
    stream.lost_nothing("a rollback of names");

    let stream = yard.stream("lan-oslo-1", "192.168.1.100");
    yard.settle();
    stream.lost_nothing("names that change");
    for (host, renamed) in ["paris-gw", "oslo-gw"].iter().zip(&renamed) {
        let now = state(&yard, host);
        let without_record = |text: &str| {
            // A record has its time.
            let mut record = false;
            let kept = text.lines().filter(|line| {
                let skip = record;
                record = line.contains("/pair.json");
                !skip
            });
            kept.collect::<Vec<_>>().join("\n")
        };
        assert_eq!(without_record(&now), without_record(renamed), "{host}");
    }
    // A start of the unit loads the rules from their new place.
    yard.sh("paris-gw", "nft delete table inet wgfleet-pair; systemctl restart wg-quick@wg0; nft list table inet wgfleet-pair");
    yard.settled();

    // Where nobody asks for them any more, the old names go and no new ones come.
    for host in ["paris-gw", "oslo-gw"] {
        as_0_1_0(&yard, host, "pair");
    }
    yard.write(
        &PAIR.replace("masquerade: true, ", "").replace("gateway: true, ", "gateway: false, "),
    );
    yard.settle();
    let gone = "! nft list tables | grep wgfleet && test ! -e /etc/wireguard/wgfleet.nft &&
        test ! -e /etc/sysctl.d/60-wgfleet.conf && ! ls /etc/sysctl.d/60-wgfleet* 2>/dev/null";
    assert!(yard.holds("paris-gw", gone));
}

const SIX: &str = r#"
fleet: six
networks:
  red: { interface: wg6, prefixes: [10.60.0.0/24] }
sites:
  paris:
    subnets: [192.168.61.0/24]
    hosts:
      paris-gw: { gateway: true, masquerade: true, endpoint: "203.0.113.5:51860", address: 10.60.0.1 }
  oslo:
    hosts:
      oslo-gw: { endpoint: "203.0.113.9:51860", address: 10.60.0.2 }
"#;

/// All that the first fleet has on a host; no file of it is so much as touched.
fn of_pair(yard: &Yard, host: &str) -> String {
    yard.sh(
        host,
        "wg showconf wg0 | grep -v ^Endpoint | sort; ip -o addr show dev wg0; ip route show dev wg0
        ip link show wg0 | grep -o '^[0-9]*'
        for f in /etc/wireguard/wg0.conf /etc/wireguard/wgfleet.nft /etc/wireguard/wgfleet-pair.nft \
            /etc/sysctl.d/60-wgfleet.conf /etc/sysctl.d/60-wgfleet-pair.conf /var/lib/wgfleet/pair.json \
            /etc/systemd/system/wg-quick@wg0.service.d/wgfleet.conf; do
            [ ! -e \"$f\" ] || { stat -c '%n %a %u %i %Y' \"$f\"; sha256sum <\"$f\"; }
        done
        nft list table inet wgfleet 2>/dev/null; nft list table inet wgfleet-pair 2>/dev/null
        cat /proc/sys/net/ipv4/ip_forward",
    )
}

#[test]
fn two_fleets_on_one_machine_live_side_by_side() {
    let yard = Yard::within(PAIR, PAIR, &["--systemd", "paris-gw"]);
    let folder = tempfile::tempdir().unwrap();
    let six = |code: i32, args: &[&str]| {
        let output = yard.command_in(folder.path(), args).output().unwrap();
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(output.status.code(), Some(code), "wgfleet {args:?}: {said}");
        said
    };
    let write = |text: &str| std::fs::write(folder.path().join("fleet.yaml"), text).unwrap();
    yard.sh("paris-gw", "echo 0 >/proc/sys/net/ipv4/ip_forward");
    yard.settle();
    write(SIX);
    six(0, &["vault", "init", "--fleet", "six"]);
    six(0, &["vault", "keygen"]);
    let both = |what: &str| {
        six(0, &["plan", "--detailed-exitcode"]);
        let ran = yard.run(&["plan", "--detailed-exitcode"]);
        assert_eq!(ran.code, 0, "{what}: {}{}", ran.stdout, ran.stderr);
    };
    let pair = || ["paris-gw", "oslo-gw"].map(|host| of_pair(&yard, host));

    // Fleet six comes, and the first one has nothing to do about it.
    let before = pair();
    let stream = yard.stream("lan-oslo-1", "192.168.1.100");
    six(0, &["apply", "--yes"]);
    both("six came");
    assert_eq!(pair(), before);
    yard.reaches("oslo-gw", "10.60.0.1");
    yard.sh("paris-gw", "nft list table inet wgfleet-six; nft list table inet wgfleet-pair");
    yard.sh("paris-gw", "cat /etc/sysctl.d/60-wgfleet-six.conf | grep -qx '# before wgfleet: net.ipv4.ip_forward = 0'");

    // Its gateway goes, then its network for another one.
    write(&SIX.replace("gateway: true, masquerade: true, ", "gateway: false, "));
    six(0, &["apply", "--yes"]);
    both("six is no gateway");
    assert_eq!(pair(), before);
    assert!(yard.holds(
        "paris-gw",
        "! nft list table inet wgfleet-six 2>/dev/null && ! ls /etc/*/*wgfleet-six* 2>/dev/null"
    ));
    write(&SIX.replace("wg6", "wg8").replace("10.60", "10.80").replace("51860", "51880"));
    six(0, &["apply", "--yes"]);
    both("six moved");
    assert_eq!(pair(), before);
    assert!(
        yard.holds(
            "paris-gw",
            "test ! -e /etc/wireguard/wg6.conf && ! ip link show wg6 2>/dev/null"
        )
    );
    yard.reaches("oslo-gw", "10.80.0.1");
    stream.lost_nothing("what another fleet does");

    // The first one leaves as a gateway: six still needs forwarding.
    yard.write(&PAIR.replace("gateway: true, masquerade: true, ", "gateway: false, "));
    yard.settle();
    both("pair is no gateway");
    assert_eq!(
        yard.sh("paris-gw", "cat /proc/sys/net/ipv4/ip_forward; ls /etc/sysctl.d | grep wgfleet"),
        "1\n60-wgfleet-six.conf\n"
    );
    yard.sh(
        "paris-gw",
        "nft list table inet wgfleet-six; ! nft list table inet wgfleet-pair 2>/dev/null",
    );
    write(
        &SIX.replace("gateway: true, masquerade: true, ", "gateway: false, ")
            .replace("wg6", "wg8")
            .replace("10.60", "10.80")
            .replace("51860", "51880"),
    );
    six(0, &["apply", "--yes"]);
    both("nobody is a gateway");
    assert_eq!(yard.sh("paris-gw", "cat /proc/sys/net/ipv4/ip_forward"), "0\n");

    // A fleet of 0.1.0 keeps its names until it is its turn.
    yard.write(PAIR);
    yard.settle();
    for host in ["paris-gw", "oslo-gw"] {
        as_0_1_0(&yard, host, "pair");
    }
    let before = pair();
    write(SIX);
    let said = six(0, &["plan"]);
    assert!(said.contains("60-wgfleet.conf is left as it is"), "{said}");
    six(0, &["apply", "--yes"]);
    six(0, &["plan", "--detailed-exitcode"]);
    assert_eq!(pair(), before);
    let plan = yard.plan(2);
    assert_eq!(changes(&plan, "oslo-gw"), ["rename", "rename", "rename", "record"], "{plan}");
    yard.settle();
    both("both have their names");
    yard.sh("paris-gw", "nft list table inet wgfleet-six; nft list table inet wgfleet-pair; ! nft list table inet wgfleet 2>/dev/null");
}
