//! Address translation on the way, and the ways that marks and policy rules choose.
//! The cases of WireGuard's own netns test; see the table in [`crate::netns`].

use std::time::Duration;

use crate::ends::{Backend, End, tunnel};
use crate::namespace::{Folder, Namespace, require_root};

/// A router that translates, and forgets within two seconds, between two ends.
fn behind_nat(folder: &Folder) -> (End, End, Namespace) {
    let (client, router, server) = (Namespace::new(), Namespace::new(), Namespace::new());
    client.cable("eth", &router, "in");
    router.cable("out", &server, "eth");
    client.address("192.168.1.100/24", "eth");
    router.address("192.168.1.1/24", "in");
    router.address("192.0.2.1/24", "out");
    server.address("192.0.2.100/24", "eth");
    client.run("ip", ["route", "add", "default", "via", "192.168.1.1"]);
    router.sysctl("net/ipv4/ip_forward", "1");
    router.run("nft", ["add table ip nat; add chain ip nat post { type nat hook postrouting \
        priority 100; }; add rule ip nat post ip saddr 192.168.1.0/24 oifname out snat to 192.0.2.1"]);
    router.sysctl("net/netfilter/nf_conntrack_udp_timeout", "2");
    router.sysctl("net/netfilter/nf_conntrack_udp_timeout_stream", "2");
    let a = End::start(client, Backend::Ours, folder, 1);
    let b = End::start(server, Backend::Ours, folder, 2);
    let psk = folder.write("psk", &crate::run(std::process::Command::new("wg").arg("genpsk")));
    a.knows(&b, Some("192.0.2.100"), &psk);
    b.knows(&a, None, &psk);
    (a, b, router)
}

#[test]
fn a_persistent_keepalive_keeps_the_way_through_nat_open() {
    require_root();
    let folder = Folder::new();
    let (a, b, _router) = behind_nat(&folder);
    a.set(&["peer", &b.keys.public, "persistent-keepalive", "1"]);
    // Nobody but the keepalive has to speak first.
    crate::namespace::until("the keepalive has made a session", || b.handshake_of(&a) > 0);
    b.namespace.ping_once(&a.inner());
    assert_eq!(b.endpoint_of(&a), "192.0.2.1:51821");
    std::thread::sleep(Duration::from_secs(3));
    b.namespace.ping_once(&a.inner());

    // Without it the router forgets, and only the one behind it can open the way again.
    a.set(&["peer", &b.keys.public, "persistent-keepalive", "0"]);
    std::thread::sleep(Duration::from_secs(4));
    b.namespace.ping_fails(&a.inner());
    a.namespace.ping_once(&b.inner());
    b.namespace.ping_once(&a.inner());
}

#[test]
fn another_port_of_the_router_is_followed() {
    require_root();
    let folder = Folder::new();
    let (a, b, router) = behind_nat(&folder);
    a.speaks_with(&b);
    for port in ["4001", "4002"] {
        router.run("nft", [&format!(
            "flush chain ip nat post; add rule ip nat post oifname out ip protocol udp snat to 192.0.2.1:{port}"
        )]);
        // What the router knows of the flow goes with its address.
        std::thread::sleep(Duration::from_millis(2500));
        a.speaks_with(&b);
        assert_eq!(b.endpoint_of(&a), format!("192.0.2.1:{port}"));
    }
}

#[test]
fn packets_that_are_bound_or_marked_find_their_way() {
    require_root();
    let folder = Folder::new();
    let (a, b) = tunnel(Backend::Ours, Backend::Ours, "192.0.2.2", &folder);
    let bound = ["-I", &a.interface, "-c", "1", "-W", "2", &b.inner()];
    a.namespace.run("ping", bound);
    a.namespace.run(
        "nft",
        ["add table ip t; add chain ip t out { type route hook output \
        priority -150; }; add rule ip t out meta mark set 1"],
    );
    a.namespace.ping_once(&b.inner());
    a.namespace.run("ping", bound);
}

/// Everything but the tunnel's own packets goes through the tunnel, as wg-quick(8) has it.
#[test]
fn a_mark_keeps_our_packets_out_of_the_tunnel() {
    require_root();
    let folder = Folder::new();
    let (a, b) = tunnel(Backend::Ours, Backend::Ours, "192.0.2.2", &folder);
    a.namespace.address("fc00::9/96", "eth");
    a.namespace.run("ip", ["-6", "route", "add", "default", "via", "fc00::1"]);
    a.namespace.sysctl("net/ipv4/conf/eth/rp_filter", "0");
    b.namespace.address("198.51.100.7/32", &b.interface);
    b.namespace.address("abab::1111/128", &b.interface);
    a.set(&["fwmark", "51820", "peer", &b.keys.public, "allowed-ips", "0.0.0.0/0,::/0"]);
    for family in ["-4", "-6"] {
        let ip = |line: &str| a.namespace.run("ip", [family].into_iter().chain(line.split(' ')));
        ip(&format!("route add default dev {} table 51820", a.interface));
        ip("rule add not fwmark 51820 table 51820");
        ip("rule add table main suppress_prefixlength 0");
    }
    for outer in ["192.0.2.2:51822", "[2001:db8::2]:51822"] {
        a.calls(&b, outer);
        for inner in ["198.51.100.7", "abab::1111"] {
            a.namespace.run("ping", ["-q", "-f", "-c", "100", "-W", "2", inner]);
        }
        assert_eq!(a.endpoint_of(&b), outer);
    }
    // Also when another port is taken: the mark goes with the sockets.
    a.set(&["listen-port", "4000"]);
    a.namespace.ping_once("198.51.100.7");
    // An address behind the peer reaches it through the tunnel, though its endpoint is beside it.
    let (_, sent) = a.transfer_of(&b);
    a.namespace.ping_once("abab::1111");
    assert!(a.transfer_of(&b).1 > sent);
}
