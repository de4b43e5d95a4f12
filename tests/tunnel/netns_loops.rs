//! Tunnels through tunnels, and endpoints that lie in the tunnel itself: nothing grows.
//! The cases of WireGuard's own netns test; see the table in [`crate::netns`].

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::ends::{Backend, End, tunnel};
use crate::namespace::{Folder, require_root};

/// What a loop may send in a second: no more than the handshakes and what a few packets make.
const QUIET: u64 = 70_000;

/// A second tunnel between the hosts of the first.
fn second(a: &End, b: &End, outer: &str, folder: &Folder) -> (End, End) {
    let c = End::start(Arc::clone(&a.namespace), Backend::Ours, folder, 11);
    let d = End::start(Arc::clone(&b.namespace), Backend::Ours, folder, 12);
    c.knows(&d, Some(outer), Path::new("/dev/null"));
    d.knows(&c, None, Path::new("/dev/null"));
    (c, d)
}

#[test]
fn a_tunnel_runs_through_a_tunnel() {
    require_root();
    let folder = Folder::new();
    let (a, b) = tunnel(Backend::Ours, Backend::Ours, "192.0.2.2", &folder);
    for outer in [b.inner(), format!("[{}]", b.inner6())] {
        let (c, d) = second(&a, &b, &outer, &folder);
        for end in [&c, &d] {
            end.namespace.run("ip", ["link", "set", "dev", &end.interface, "mtu", "1340"]);
        }
        c.speaks_with(&d);
        c.namespace.ping(&d.inner6());
        let full = ["-c", "2", "-M", "do", "-s", "1312", "-W", "2", &d.inner()];
        c.namespace.run("ping", full);
        for end in [&c, &d] {
            end.namespace.run("ip", ["link", "delete", "dev", &end.interface]);
        }
    }
}

/// Bytes that an end sends within a second of a few pings into its loop.
fn storm(looping: &End, other: &End, to: &str) -> u64 {
    let (_, before) = looping.transfer_of(other);
    looping.namespace.fails("ping", ["-q", "-i", "0.01", "-c", "10", "-s", "1200", "-W", "1", to]);
    std::thread::sleep(Duration::from_secs(1));
    looping.transfer_of(other).1 - before
}

#[test]
fn an_endpoint_in_the_tunnel_itself_makes_no_storm() {
    require_root();
    let folder = Folder::new();
    for outer in ["192.0.2.2", "[2001:db8::2]"] {
        let (a, b) = tunnel(Backend::Ours, Backend::Ours, outer, &folder);
        a.speaks_with(&b);
        // With a session, so that there is something to send.
        let inner = if outer.starts_with('[') { format!("[{}]", b.inner6()) } else { b.inner() };
        a.calls(&b, &format!("{inner}:{}", b.port()));
        let sent = storm(&a, &b, &b.inner());
        assert!(sent < QUIET, "{outer}: {sent} bytes");
        // It is not for ever.
        a.calls(&b, &format!("{outer}:{}", b.port()));
        a.speaks_with(&b);

        // The same by a route: the prefix that holds the endpoint goes into the tunnel.
        let nets = "10.9.0.2/32,fd99::2/128,192.0.2.2/32,2001:db8::2/128";
        a.set(&["peer", &b.keys.public, "allowed-ips", nets]);
        for net in ["192.0.2.2/32", "2001:db8::2/128"] {
            a.namespace.run("ip", ["route", "add", net, "dev", &a.interface]);
        }
        let sent = storm(&a, &b, &b.inner());
        assert!(sent < QUIET, "{outer}, by a route: {sent} bytes");
    }
}

/// Two tunnels of one host, each of which leads to its peer through the other.
#[test]
fn two_tunnels_that_lead_into_one_another_make_no_storm() {
    require_root();
    let folder = Folder::new();
    for outer in ["192.0.2.2", "[2001:db8::2]"] {
        let (a, b) = tunnel(Backend::Ours, Backend::Ours, outer, &folder);
        let (c, d) = second(&a, &b, outer, &folder);
        a.speaks_with(&b);
        c.speaks_with(&d);
        let far = if outer.starts_with('[') { "[2001:db8:ffff::2]" } else { "198.51.100.2" };
        let net = if outer.starts_with('[') { "2001:db8:ffff::2/128" } else { "198.51.100.2/32" };
        let other = net.replace("::2/", "::3/").replace(".2/", ".3/");
        let other_far = far.replace("::2]", "::3]").replace(".100.2", ".100.3");
        for (end, peer, allowed) in [(&a, &b, &*other), (&c, &d, net)] {
            let nets = format!("{}/32,{}/128,{allowed}", peer.inner(), peer.inner6());
            end.set(&["peer", &peer.keys.public, "allowed-ips", &nets]);
            end.namespace.run("ip", ["route", "add", allowed, "dev", &end.interface]);
        }
        a.calls(&b, &format!("{far}:{}", b.port()));
        c.calls(&d, &format!("{other_far}:{}", d.port()));
        for (size, most) in [("56", QUIET), ("1200", 4 * QUIET)] {
            let (_, before) = a.transfer_of(&b);
            let pings = ["-q", "-i", "0.01", "-c", "10", "-s", size, "-W", "1", &b.inner()];
            a.namespace.fails("ping", pings);
            std::thread::sleep(Duration::from_secs(1));
            let sent = a.transfer_of(&b).1 - before;
            assert!(sent > 1000 && sent < most, "{outer}, {size}: {sent} bytes");
        }
        let dropped = [&a, &c].map(|end| {
            end.namespace.run(crate::namespace::WGFLEET, ["wg", "show", &end.interface, "dropped"])
        });
        assert!(dropped.iter().any(|dropped| dropped.contains("loop")), "{dropped:?}");
        // It is not for ever.
        a.calls(&b, &format!("{outer}:{}", b.port()));
        c.calls(&d, &format!("{outer}:{}", d.port()));
        a.speaks_with(&b);
        c.speaks_with(&d);
    }
}

/// A peer that is reached through another peer of the same interface, as onions are.
#[test]
fn a_peer_is_reached_through_another_of_the_same_interface() {
    require_root();
    let folder = Folder::new();
    let (a, b) = tunnel(Backend::Ours, Backend::Ours, "192.0.2.2", &folder);
    a.speaks_with(&b);
    let d = End::start(Arc::clone(&b.namespace), Backend::Ours, &folder, 12);
    a.namespace.address("10.10.0.11/24", &a.interface);
    let inner = ["allowed-ips", "10.10.0.12/32"];
    a.set(&[&["peer", &d.keys.public, "endpoint", "10.9.0.2:51832"], &inner[..]].concat());
    d.set(&["peer", &a.keys.public, "allowed-ips", "10.10.0.11/32"]);
    a.namespace.ping_once("10.10.0.12");
    assert!(a.handshake_of(&d) > 0);
    // And one that would be reached through itself is not, at no cost to others.
    a.calls(&d, "10.10.0.12:51832");
    let sent = storm(&a, &d, "10.10.0.12");
    assert!(sent < QUIET, "{sent} bytes");
    a.speaks_with(&b);
}
