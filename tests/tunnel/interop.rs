//! Ours at one side, another implementation at the other: each begins, both families inside and
//! outside, with a preshared key, while addresses change, and over the renewal of a session.
//! (The kernel's own is the far side in tests/kernel.)

use std::process::{Command, Stdio};

use crate::ends::{Backend, End, tunnel};
use crate::namespace::{Folder, require_root, until};
use crate::{lost_during, ping_counts, speaks};

const OTHERS: [Backend; 3] = [Backend::WireguardGo, Backend::Gotatun, Backend::Boringtun];

/// What may be on its way while an address goes.
const IN_FLIGHT: u32 = 5;

#[test]
fn ours_starts_with_gotatun() {
    speaks(Backend::Ours, Backend::Gotatun);
}

#[test]
fn gotatun_starts_with_ours() {
    speaks(Backend::Gotatun, Backend::Ours);
}

#[test]
fn ours_starts_with_boringtun() {
    speaks(Backend::Ours, Backend::Boringtun);
}

#[test]
fn boringtun_starts_with_ours() {
    speaks(Backend::Boringtun, Backend::Ours);
}

/// Another address for one side while it speaks to the other, in one family and then the other.
fn moves(moving: &End, other: &End) {
    let namespace = &moving.namespace;
    namespace.sysctl("net/ipv4/conf/all/promote_secondaries", "1");
    let number = moving.number;
    for (net, length) in [("192.0.2.", "24"), ("2001:db8::", "64")] {
        let far = format!("{net}{}", other.number);
        let far = if net.contains(':') { format!("[{far}]") } else { far };
        let lost = lost_during(namespace, &other.inner(), || {
            // Where the one side knows the other by, so that the family is this one.
            moving.calls(other, &format!("{far}:{}", other.port()));
            std::thread::sleep(std::time::Duration::from_millis(200));
            namespace.address(&format!("{net}{number}{number}/{length}"), "eth");
            namespace.forget_address(&format!("{net}{number}/{length}"), "eth");
        });
        assert!(lost <= IN_FLIGHT, "{net}: {lost} pings are lost");
        let now = format!("{net}{number}{number}");
        until("the other side has learned the new address", || {
            other.endpoint_of(moving).contains(&now)
        });
        other.namespace.ping_once(&moving.inner());
    }
}

#[test]
fn our_address_changes_while_others_listen() {
    require_root();
    for other in OTHERS {
        let folder = Folder::new();
        let (a, b) = tunnel(Backend::Ours, other, "192.0.2.2", &folder);
        a.namespace.ping(&b.inner());
        moves(&a, &b);
    }
}

#[test]
fn their_address_changes_while_we_listen() {
    require_root();
    for other in OTHERS {
        let folder = Folder::new();
        let (a, b) = tunnel(Backend::Ours, other, "192.0.2.2", &folder);
        a.namespace.ping(&b.inner());
        moves(&b, &a);
    }
}

/// Two minutes with each of them at once, in namespaces of their own. Who began renews.
#[test]
fn sessions_are_renewed_without_a_lost_packet() {
    require_root();
    let theirs = OTHERS.map(|other| [(Backend::Ours, other), (other, Backend::Ours)]);
    let pairs = [&[(Backend::Ours, Backend::Ours)], theirs.as_flattened()].concat();
    let folder = Folder::new();
    let pairs = pairs.into_iter().map(|(a, b)| ((a, b), tunnel(a, b, "192.0.2.2", &folder)));
    let pairs: Vec<_> = pairs.collect();
    let mut running = Vec::new();
    for (who, (a, b)) in &pairs {
        a.namespace.ping(&b.inner());
        let begun = a.handshake_of(b);
        let mut ping: Command = a.namespace.command("ping");
        ping.args(["-q", "-i", "0.1", "-c", "1300", "-W", "2", &b.inner()]);
        let ping = ping.stdout(Stdio::piped()).spawn().expect("ping starts");
        running.push((who, a, b, begun, ping));
    }
    let mut wrong = Vec::new();
    for (who, a, b, begun, ping) in running {
        let output = ping.wait_with_output().expect("ping ends");
        let (sent, lost) = ping_counts(&String::from_utf8_lossy(&output.stdout));
        let passed = a.handshake_of(b) - begun;
        if sent != 1300 || lost != 0 || passed < 115 {
            wrong.push(format!("{who:?}: {lost} of {sent} lost, renewed after {passed} s"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
