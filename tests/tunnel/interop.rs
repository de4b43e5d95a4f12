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

/// Another address for one side while it speaks to the other.
fn moves(moving: &End, other: &End, net: &str, length: u8, nudged: bool) {
    let namespace = &moving.namespace;
    namespace.sysctl("net/ipv4/conf/all/promote_secondaries", "1");
    let (old, new) = (format!("{net}{}", moving.number), format!("{net}{0}{0}", moving.number));
    let lost = lost_during(namespace, &other.inner(), || {
        namespace.address(&format!("{new}/{length}"), "eth");
        namespace.forget_address(&format!("{old}/{length}"), "eth");
        if nudged {
            moving.calls(other, &moving.endpoint_of(other));
        }
    });
    assert!(lost <= IN_FLIGHT, "to {new}: {lost} pings are lost");
    until("the other side has learned the new address", || {
        other.endpoint_of(moving).contains(&new)
    });
    other.namespace.ping(&moving.inner());
    moving.namespace.ping(&other.inner6());
}

const OUTER: [(&str, &str, u8); 2] =
    [("192.0.2.2", "192.0.2.", 24), ("[2001:db8::2]", "2001:db8::", 64)];

/// With each of the others over each family, all at once, in namespaces of their own.
fn with_each_at_once(check: impl Fn(Backend, &End, &End, &str, u8) + Sync) {
    require_root();
    std::thread::scope(|scope| {
        for other in OTHERS {
            for (outer, net, length) in OUTER {
                let check = &check;
                scope.spawn(move || {
                    let folder = Folder::new();
                    let (a, b) = tunnel(Backend::Ours, other, outer, &folder);
                    a.namespace.ping(&b.inner());
                    check(other, &a, &b, net, length);
                });
            }
        }
    });
}

#[test]
fn our_address_changes_while_others_listen() {
    with_each_at_once(|_, a, b, net, length| moves(a, b, net, length, false));
}

#[test]
fn their_address_changes_while_we_listen() {
    // Debian's keeps its source address, also where that is gone, until it is told again where we
    // are.
    let keeps = Backend::WireguardGo;
    with_each_at_once(|other, a, b, net, length| moves(b, a, net, length, other == keeps));
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
        // Boringtun tells how long ago it was, not when.
        let (ours, theirs) = if who.0 == Backend::Ours { (a, b) } else { (b, a) };
        let begun = ours.handshake_of(theirs);
        let mut ping: Command = a.namespace.command("ping");
        ping.args(["-q", "-i", "0.1", "-c", "1300", "-W", "2", &b.inner()]);
        let ping = ping.stdout(Stdio::piped()).spawn().expect("ping starts");
        running.push((who, ours, theirs, begun, ping));
    }
    let mut wrong = Vec::new();
    for (who, ours, theirs, begun, ping) in running {
        let output = ping.wait_with_output().expect("ping ends");
        let (sent, lost) = ping_counts(&String::from_utf8_lossy(&output.stdout));
        let passed = ours.handshake_of(theirs) - begun;
        if sent != 1300 || lost != 0 || passed < 115 {
            wrong.push(format!("{who:?}: {lost} of {sent} lost, renewed after {passed} s"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
