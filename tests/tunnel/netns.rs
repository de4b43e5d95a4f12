//! The cases of WireGuard's own netns test (Linux, tools/testing/selftests/wireguard), as far as
//! they are about a tunnel and not about the kernel's memory.
//!
//! | case | where |
//! |---|---|
//! | packets both ways, IPv4 and IPv6 inside and outside | `ours_speaks_with_ours`, [`crate::interop`] |
//! | counters of bytes, to the byte | `bytes_are_counted_as_the_kernel_counts_them` |
//! | streams at the usual and at a large MTU | `a_stream_crosses_at_any_mtu`; rates in benches/tunnel |
//! | padding up to the MTU and not beyond | `padding_stays_below_the_mtu`; the MTU of a single *route* is unknown to a TUN device |
//! | roaming: another address, port or family | `a_peer_is_followed_to_another_port_and_family`, [`crate::interop`] |
//! | crypto-routing: who may send a source; moved AllowedIPs | `a_source_belongs_to_one_peer_at_a_time` |
//! | a new private key, and a handshake at once | `a_key_rotation_in_order_loses_no_packet`, `a_new_key_expires_every_session` |
//! | a tunnel through a tunnel; a loop; onions | [`crate::netns_loops`] |
//! | a loop through two interfaces | `two_tunnels_that_lead_into_one_another_make_no_storm` |
//! | the link down and up, a busy port | [`crate::deaf`] |
//! | NAT that forgets, persistent keepalive | [`crate::netns_nat`] |
//! | bound sockets, marks, policy routing with a fwmark | [`crate::netns_nat`] |
//! | an ICMP error where a peer is gone | `a_packet_without_a_peer_is_refused_at_once` |
//! | source addresses: not too sticky, reply to sender, another route | [`crate::netns_sources`] |
//! | an endpoint with a link-local address | [`crate::netns_sources`] |
//! | a peer without an endpoint, or that was removed | `what_has_no_way_is_dropped_and_counted` |
//! | 130,000 AllowedIPs, many peers, answers in parts | `every_prefix_is_told`, `thousands_of_peers_are_set_and_synced_at_once` |
//! | keys set, shown, removed; one's own key as a peer | `the_same_words_make_the_same_interface_as_in_wireguard_go` |
//! | a private key is shown as it is used; points of low order | `keys_are_shown_as_they_are_used`, `a_point_of_low_order_is_never_spoken_to` |
//! | the interface moves to another namespace | the tests of the service |
//! | references in a circle, objects that are never freed | the kernel's own; a process ends with its interface (`the_daemon_ends_…`) |

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use crate::ends::{Backend, End, tunnel};
use crate::namespace::{Folder, Keys, Namespace, WGFLEET, interface, require_root};

/// How long a stream may stand still.
const PATIENCE: Duration = Duration::from_secs(10);

fn ours(folder: &Folder) -> (End, End) {
    tunnel(Backend::Ours, Backend::Ours, "192.0.2.2", folder)
}

#[test]
fn bytes_are_counted_as_the_kernel_counts_them() {
    require_root();
    let folder = Folder::new();
    let (a, b) = ours(&folder);
    a.namespace.run("ping", ["-q", "-c", "10", "-i", "0.02", "-W", "1", &b.inner()]);
    // Ten packets of 84 bytes, padded and sealed: 128 each. The initiation is 148, its answer 92;
    // a keepalive of 32 confirms the session where no packet was waiting.
    let ((_, sent), (received, _)) = (a.transfer_of(&b), b.transfer_of(&a));
    assert!(sent == 1428 || sent == 1460, "{sent}");
    assert_eq!(received, sent);
    assert_eq!((a.transfer_of(&b).0, b.transfer_of(&a).1), (1372, 1372));
    assert!(a.handshake_of(&b) > 0 && b.handshake_of(&a) > 0);
}

/// Sends a few megabytes over TCP; they arrive as they were.
fn stream(from: &Namespace, to: &Namespace, address: &str) {
    let address: IpAddr = address.parse().expect("an address");
    let bytes: Arc<[u8]> = (0..4_000_000_u32).map(|number| number.to_le_bytes()[1]).collect();
    let listener = to.inside(move || TcpListener::bind((address, 0)).expect("a port"));
    let port = listener.local_addr().expect("it is bound").port();
    let sent = Arc::clone(&bytes);
    let sender = from.start_inside(move || {
        let mut stream = TcpStream::connect((address, port)).expect("the tunnel carries it");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        stream.write_all(&sent).expect("the tunnel carries it");
    });
    let (mut stream, _) = listener.accept().expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut arrived = Vec::new();
    let outcome = stream.read_to_end(&mut arrived);
    assert!(*arrived == *bytes, "{} of {} bytes: {outcome:?}", arrived.len(), bytes.len());
    sender.join().expect("everything was sent");
}

#[test]
fn a_stream_crosses_at_any_mtu() {
    require_root();
    for outer in ["192.0.2.2", "[2001:db8::2]"] {
        let folder = Folder::new();
        let (a, b) = tunnel(Backend::Ours, Backend::Ours, outer, &folder);
        for mtu in ["1420", "1281", "34736"] {
            for end in [&a, &b] {
                end.namespace.run("ip", ["link", "set", "dev", &end.interface, "mtu", mtu]);
            }
            stream(&a.namespace, &b.namespace, &b.inner());
            stream(&b.namespace, &a.namespace, &a.inner6());
        }
        a.namespace.run("ping", ["-c", "2", "-s", "30000", "-W", "2", &b.inner()]);
    }
}

#[test]
fn padding_stays_below_the_mtu() {
    require_root();
    let folder = Folder::new();
    let (a, b) = ours(&folder);
    for end in [&a, &b] {
        // Not a multiple of sixteen: 1299 + 32 + 28 bytes fit the cable, and not one more.
        end.namespace.run("ip", ["link", "set", "dev", &end.interface, "mtu", "1299"]);
        end.namespace.run("ip", ["link", "set", "dev", "eth", "mtu", "1359"]);
    }
    b.namespace.run(
        "nft",
        ["add table ip t; add chain ip t in { type filter hook input \
        priority 0; }; add rule ip t in ip frag-off & 0x3fff != 0 drop"],
    );
    for size in ["1271", "1265", "1200"] {
        a.namespace.run("ping", ["-c", "1", "-M", "do", "-s", size, "-W", "2", &b.inner()]);
    }
}

#[test]
fn a_peer_is_followed_to_another_port_and_family() {
    require_root();
    let folder = Folder::new();
    let (a, b) = ours(&folder);
    a.speaks_with(&b);
    a.set(&["listen-port", "9999"]);
    a.namespace.ping_once(&b.inner6());
    assert_eq!(b.endpoint_of(&a), "192.0.2.1:9999");
    a.set(&["listen-port", "9998"]);
    a.calls(&b, "[2001:db8::2]:51822");
    a.namespace.ping_once(&b.inner());
    assert_eq!(b.endpoint_of(&a), "[2001:db8::1]:9998");
    // Both at once: who speaks first tells the other.
    b.set(&["listen-port", "9997"]);
    b.namespace.ping_once(&a.inner());
    assert_eq!(a.endpoint_of(&b), "[2001:db8::2]:9997");
}

#[test]
fn a_source_belongs_to_one_peer_at_a_time() {
    require_root();
    let folder = Folder::new();
    let (a, b) = ours(&folder);
    a.set(&["peer", &b.keys.public, "allowed-ips", "10.9.0.0/24"]);
    a.speaks_with(&b);
    // A more specific prefix of another peer takes the one address away, in both directions.
    let other = Keys::new(&folder).public;
    a.set(&["peer", &other, "allowed-ips", "10.9.0.2/32"]);
    b.set(&["listen-port", "9997"]);
    b.namespace.ping_fails(&a.inner());
    a.namespace.ping_fails(&b.inner());
    let dropped = a.namespace.run(WGFLEET, ["wg", "show", &a.interface, "dropped"]);
    assert!(dropped.contains("source_not_allowed"), "{dropped}");
    // What is dropped was authentic all the same: its sender is where it came from.
    assert_eq!(a.endpoint_of(&b), "192.0.2.2:9997");
    a.set(&["peer", &other, "remove"]);
    b.speaks_with(&a);
    // The same prefix: the last one gets it.
    a.set(&["peer", &other, "allowed-ips", "10.9.0.0/24"]);
    b.namespace.ping_fails(&a.inner());
    a.set(&["peer", &b.keys.public, "allowed-ips", "10.9.0.0/24"]);
    b.speaks_with(&a);
    assert!(a.show("allowed-ips").contains(&format!("{other}\t(none)")));
}

#[test]
fn what_has_no_way_is_dropped_and_counted() {
    require_root();
    let folder = Folder::new();
    let (a, b) = ours(&folder);
    // Nobody has told b where a is.
    b.namespace.ping_fails(&a.inner());
    let dropped = |cause: &str| {
        let shown = b.namespace.run(WGFLEET, ["wg", "show", &b.interface, "dropped"]);
        assert!(shown.contains(cause), "{cause}: {shown}");
    };
    dropped("no_endpoint");
    assert_eq!(b.transfer_of(&a), (0, 0));
    a.speaks_with(&b);
    b.set(&["peer", &a.keys.public, "remove"]);
    b.namespace.ping_fails(&a.inner());
    a.namespace.ping_fails(&b.inner());
    dropped("no_peer");
    assert!(!b.show("peers").contains(&a.keys.public));
    b.knows(&a, None, &folder.path("psk"));
    assert_eq!((b.transfer_of(&a), b.handshake_of(&a)), ((0, 0), 0), "it starts anew");
}

#[test]
fn every_prefix_is_told() {
    require_root();
    let folder = Folder::new();
    let namespace = Namespace::new();
    let name = interface();
    Backend::Ours.run(&namespace, &name);
    let [own, peer] = [Keys::new(&folder), Keys::new(&folder)];
    let mut conf =
        format!("[Interface]\nPrivateKey={}\n[Peer]\nPublicKey={}\n", own.private, peer.public);
    for a in 1..=255 {
        for b in 0..=255 {
            let _ = writeln!(conf, "AllowedIPs={a}.{b}.0.0/16,{a}::{b}/128");
        }
    }
    let file = folder.write("conf", &conf);
    namespace.run("wg", ["setconf", &name, &file.to_string_lossy()]);
    let shown = namespace.run("wg", ["show", &name, "allowed-ips"]);
    assert_eq!(shown.split_whitespace().count(), 255 * 256 * 2 + 1);
    assert!(shown.contains("255.255.0.0/16") && shown.contains("255::255/128"));
}

#[test]
fn keys_are_shown_as_they_are_used() {
    require_root();
    let folder = Folder::new();
    let (a, b) = Namespace::pair();
    // Bits that the curve does not use, in the first and in the last byte.
    let odd = folder.write("odd", &format!("/{}8=", "A".repeat(41)));
    let zero = folder.write("zero", &format!("{}=", "A".repeat(43)));
    let mut shown = Vec::new();
    for (namespace, backend) in [(&a, Backend::Ours), (&b, Backend::WireguardGo)] {
        let name = interface();
        backend.run(namespace, &name);
        let show = |key: &std::path::Path| {
            namespace.run("wg", ["set", &name, "private-key", &key.to_string_lossy()]);
            ["private-key", "public-key"].map(|field| namespace.run("wg", ["show", &name, field]))
        };
        shown.push([show(&odd), show(&zero)]);
    }
    assert_eq!(shown[0], shown[1]);
    assert!(shown[0][0][0].starts_with('+'), "{shown:?}");
}

/// Whoever had such a "public key" would agree with everybody on the same secret.
#[test]
fn a_point_of_low_order_is_never_spoken_to() {
    require_root();
    let folder = Folder::new();
    let (a, _b) = ours(&folder);
    let points = [
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "4Ot6fDtBuK4WVuP68Z/EatoJjeucMrH9hmIFFl9JuAA=",
        "X5yVvKNQjCSx0LFVnIPvWwREXMRYHI6G2CJO3dCfEVc=",
        "7P///////////////////////////////////////38=",
        "7f///////////////////////////////////////38=",
        "7v///////////////////////////////////////38=",
    ];
    for point in points {
        let words = ["persistent-keepalive", "1", "endpoint", "192.0.2.2:1111"];
        a.set(&[&["peer", point], &words[..]].concat());
    }
    std::thread::sleep(Duration::from_secs(2));
    for line in a.show("transfer").lines() {
        assert!(line.ends_with("\t0\t0"), "{line}");
    }
    a.namespace.ping_once("10.9.0.2");
}

/// Who asks hears it at once, instead of waiting for an answer until the time is over.
#[test]
fn a_packet_without_a_peer_is_refused_at_once() {
    require_root();
    let folder = Folder::new();
    let (a, b) = ours(&folder);
    a.speaks_with(&b);
    // One that nobody has, and one whose peer has no endpoint.
    let other = Keys::new(&folder).public;
    a.set(&["peer", &other, "allowed-ips", "10.9.0.78/32,fd99::78/128"]);
    for to in ["10.9.0.77", "fd99::77", "10.9.0.78", "fd99::78"] {
        let mut ping = a.namespace.command("ping");
        let output = crate::output(ping.args(["-c", "1", "-W", "5", to]));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            !output.status.success() && said.to_lowercase().contains("unreachable"),
            "{to}: {said}"
        );
    }
    let target: IpAddr = "10.9.0.77".parse().expect("an address");
    let refused = a
        .namespace
        .inside(move || TcpStream::connect_timeout(&(target, 9).into(), Duration::from_secs(10)));
    let kind = refused.expect_err("nobody is there").kind();
    assert_eq!(kind, std::io::ErrorKind::HostUnreachable);
    let dropped = a.namespace.run(WGFLEET, ["wg", "show", &a.interface, "dropped"]);
    assert!(dropped.contains("no_peer"), "{dropped}");
    a.speaks_with(&b);
}

#[test]
fn full_packets_cross_at_the_largest_mtu() {
    require_root();
    for outer in ["192.0.2.2", "[2001:db8::2]"] {
        let folder = Folder::new();
        let (a, b) = tunnel(Backend::Ours, Backend::Ours, outer, &folder);
        for end in [&a, &b] {
            end.namespace.run("ip", ["link", "set", "dev", &end.interface, "mtu", "65535"]);
            let show = ["-o", "link", "show", "dev", &end.interface];
            crate::namespace::until("the MTU is one that messages can carry", || {
                end.namespace.run("ip", show).contains("mtu 65455")
            });
        }
        for size in ["65427", "65400", "65507"] {
            a.namespace.run("ping", ["-c", "1", "-s", size, "-W", "2", &b.inner()]);
        }
    }
}
