//! Which of our addresses packets leave from: the one that was spoken to, as long as it is there.
//! The cases of WireGuard's own netns test; see the table in [`crate::netns`].

use crate::ends::{Backend, End, tunnel};
use crate::namespace::{Folder, Namespace, require_root};

fn ours(folder: &Folder) -> (End, End) {
    tunnel(Backend::Ours, Backend::Ours, "192.0.2.2", folder)
}

#[test]
fn an_address_that_is_gone_is_left_for_another() {
    require_root();
    let folder = Folder::new();
    let (a, b) = ours(&folder);
    a.namespace.sysctl("net/ipv4/conf/all/promote_secondaries", "1");
    a.speaks_with(&b);
    a.namespace.address("192.0.2.10/24", "eth");
    a.namespace.forget_address("192.0.2.1/24", "eth");
    a.namespace.ping_once(&b.inner());
    assert_eq!(b.endpoint_of(&a), "192.0.2.10:51821");

    a.calls(&b, "[2001:db8::2]:51822");
    a.speaks_with(&b);
    assert_eq!(b.endpoint_of(&a), "[2001:db8::1]:51821");
    a.namespace.address("2001:db8::10/64", "eth");
    a.namespace.forget_address("2001:db8::1/64", "eth");
    a.namespace.ping_once(&b.inner());
    assert_eq!(b.endpoint_of(&a), "[2001:db8::10]:51821");
}

#[test]
fn an_answer_leaves_from_the_address_that_was_spoken_to() {
    require_root();
    let folder = Folder::new();
    let (a, b) = ours(&folder);
    a.namespace.address("192.0.2.5/24", "eth");
    a.namespace.address("2001:db8::5/64", "eth");
    // Of another interface than the one that packets come in through.
    a.namespace.address("198.51.100.1/32", "lo");
    b.namespace.run("ip", ["route", "add", "198.51.100.0/24", "dev", "eth"]);
    let places =
        ["192.0.2.1", "[2001:db8::1]", "192.0.2.5", "[2001:db8::5]", "198.51.100.1", "192.0.2.1"];
    for place in places {
        let endpoint = format!("{place}:51821");
        b.calls(&a, &endpoint);
        b.namespace.ping_once(&a.inner());
        // An answer from elsewhere would have taken its place.
        assert_eq!(b.endpoint_of(&a), endpoint);
    }
}

#[test]
fn a_link_local_address_is_an_endpoint() {
    require_root();
    let folder = Folder::new();
    let (a, b) = ours(&folder);
    let place = b.namespace.sh("ip -6 -o address show dev eth scope link");
    let place = place.split_whitespace().find(|word| word.starts_with("fe80")).expect("it has one");
    let place = place.split('/').next().unwrap_or_default();
    crate::namespace::until("the address may be used", || {
        let tentative = "ip -6 -o address show dev eth tentative";
        a.namespace.sh(tentative).is_empty() && b.namespace.sh(tentative).is_empty()
    });
    let endpoint = format!("[{place}%eth]:51822");
    a.calls(&b, &endpoint);
    a.speaks_with(&b);
    a.namespace.ping(&b.inner6());
    assert_eq!(a.endpoint_of(&b), endpoint);
    assert!(b.endpoint_of(&a).starts_with("[fe80:"), "{}", b.endpoint_of(&a));
}

#[test]
fn another_way_to_the_peer_is_taken() {
    require_root();
    let folder = Folder::new();
    let (left, right) = (Namespace::new(), Namespace::new());
    for name in ["eth0", "eth1"] {
        left.cable(name, &right, name);
        for namespace in [&left, &right] {
            namespace.sysctl(&format!("net/ipv4/conf/{name}/rp_filter"), "0");
        }
    }
    for namespace in [&left, &right] {
        namespace.sysctl("net/ipv4/conf/all/rp_filter", "0");
    }
    left.address("192.0.2.1/24", "eth0");
    left.address("192.0.2.3/24", "eth1");
    right.address("192.0.2.2/24", "eth0");
    for name in ["eth0", "eth1"] {
        left.run("ip", ["route", "flush", "dev", name]);
    }
    let route = |name: &str, source: &str, metric: &str| {
        let words = ["route", "add", "192.0.2.0/24", "dev", name, "src", source, "metric", metric];
        left.run("ip", words);
    };
    route("eth0", "192.0.2.1", "2");
    route("eth1", "192.0.2.3", "3");
    let a = End::start(left, Backend::Ours, &folder, 1);
    let b = End::start(right, Backend::Ours, &folder, 2);
    let psk = folder.write("psk", &crate::run(std::process::Command::new("wg").arg("genpsk")));
    a.knows(&b, Some("192.0.2.2"), &psk);
    b.knows(&a, None, &psk);
    a.speaks_with(&b);
    assert_eq!(b.endpoint_of(&a), "192.0.2.1:51821");

    // The better way is gone: packets go the other one, from what its route prefers.
    a.namespace.run("ip", ["route", "delete", "192.0.2.0/24", "dev", "eth0"]);
    a.speaks_with(&b);
    assert_eq!(b.endpoint_of(&a), "192.0.2.3:51821");
    a.namespace.run("ip", ["address", "delete", "192.0.2.1/24", "dev", "eth0"]);
    a.namespace.ping_once(&b.inner());
    assert_eq!(b.endpoint_of(&a), "192.0.2.3:51821");
}

/// Two providers, each of which drops what comes from the other's addresses. The default route moves
/// from one to the other and back, and both addresses stay: packets leave from the right one.
#[test]
fn another_uplink_is_taken_within_a_second() {
    require_root();
    let folder = Folder::new();
    let (left, router, right) = (Namespace::new(), Namespace::new(), Namespace::new());
    for number in ["1", "2"] {
        let name = format!("up{number}");
        left.cable(&name, &router, &name);
        left.address(&format!("192.0.2.{number}0/32"), &name);
        left.run("ip", ["route", "add", &format!("198.51.100.{number}"), "dev", &name]);
        router.address(&format!("198.51.100.{number}/32"), &name);
        router.run("ip", ["route", "add", &format!("192.0.2.{number}0"), "dev", &name]);
    }
    router.cable("right", &right, "eth");
    router.address("203.0.113.1/24", "right");
    right.address("203.0.113.2/24", "eth");
    right.run("ip", ["route", "add", "default", "via", "203.0.113.1"]);
    router.sysctl("net/ipv4/ip_forward", "1");
    router.run(
        "nft",
        ["table ip t { chain f { type filter hook forward priority 0; \
        iifname up1 ip saddr != 192.0.2.10 drop; iifname up2 ip saddr != 192.0.2.20 drop; }; }"],
    );
    let through = |left: &Namespace, number: &str| {
        let (name, gateway) = (format!("up{number}"), format!("198.51.100.{number}"));
        left.run("ip", ["route", "replace", "default", "via", &gateway, "dev", &name]);
    };
    through(&left, "1");
    let a = End::start(left, Backend::Ours, &folder, 1);
    let b = End::start(right, Backend::Ours, &folder, 2);
    let psk = folder.write("psk", &crate::run(std::process::Command::new("wg").arg("genpsk")));
    a.knows(&b, Some("203.0.113.2"), &psk);
    b.knows(&a, None, &psk);
    a.speaks_with(&b);
    assert_eq!(b.endpoint_of(&a), "192.0.2.10:51821");
    for number in ["2", "1", "2"] {
        through(&a.namespace, number);
        let began = std::time::Instant::now();
        crate::namespace::until("packets cross again", || {
            let ping = ["-c", "1", "-W", "1", "10.9.0.2"];
            crate::output(a.namespace.command("ping").args(ping)).status.success()
        });
        assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
        assert_eq!(b.endpoint_of(&a), format!("192.0.2.{number}0:51821"));
        b.namespace.ping_once(&a.inner());
    }
}
