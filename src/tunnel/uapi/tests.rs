//! The protocol: what is written is read, and nothing that is read makes it panic.

use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;
use proptest::prelude::*;
use zeroize::Zeroizing;

use super::{
    ParseError, Reason, Request, RequestParser, SnapshotParser, render_change, render_snapshot,
};
use crate::model::{PresharedKey, PrivateKey, PublicKey};
use crate::tunnel::{
    AllowedIpChange, Cause, DeviceChange, DeviceSnapshot, Drops, PeerChange, PeerSnapshot, Setting,
};

fn request(text: &str) -> Option<Result<Request, ParseError>> {
    let mut parser = RequestParser::default();
    text.lines().find_map(|line| parser.line(line))
}

fn refused(text: &str) -> Option<(usize, Reason)> {
    request(text)?.err().map(|error| (error.line, error.reason))
}

#[test]
fn what_does_not_belong_is_refused_at_its_line() {
    let key = "ab".repeat(32);
    let cases = [
        ("go=1\n\n".to_owned(), 1, Reason::Operation),
        ("get=1\nfwmark=1\n\n".to_owned(), 2, Reason::Key),
        ("set=1\nlisten_port=65536\n\n".to_owned(), 2, Reason::Value),
        ("set=1\nlisten_port=+1\n\n".to_owned(), 2, Reason::Value),
        ("set=1\nendpoint=192.0.2.1:1\n\n".to_owned(), 2, Reason::Key),
        ("set=1\nprivate_key=abc\n\n".to_owned(), 2, Reason::Value),
        ("set=1\nreplace_peers=false\n\n".to_owned(), 2, Reason::Value),
        (format!("set=1\npublic_key={key}\nendpoint=example.org:1\n\n"), 3, Reason::Value),
        (format!("set=1\npublic_key={key}\nallowed_ip=10.0.0.0/33\n\n"), 3, Reason::Value),
        (format!("set=1\npublic_key={key}\nprotocol_version=2\n\n"), 3, Reason::Value),
        (format!("set=1\npublic_key={key}\nlisten_port=1\n\n"), 3, Reason::Key),
        ("set=1\nnonsense\n\n".to_owned(), 2, Reason::Form),
        (format!("set=1\n{}\n\n", "x".repeat(600)), 2, Reason::Budget),
    ];
    for (text, line, reason) in cases {
        assert_eq!(refused(&text), Some((line, reason)), "{text}");
    }
}

#[test]
fn an_error_spoils_its_own_request_only() {
    let mut parser = RequestParser::default();
    let mut answers = Vec::new();
    for line in ["set=1", "oops", "listen_port=1", "", "get=1", ""] {
        answers.extend(parser.line(line).map(|request| request.is_ok()));
    }
    assert_eq!(answers, [false, true]);
}

#[test]
fn zeros_take_a_key_away() {
    let zeros = "00".repeat(32);
    let text = format!(
        "set=1\nprivate_key={zeros}\npublic_key={}\npreshared_key={zeros}\n\n",
        "11".repeat(32)
    );
    let Some(Ok(Request::Set(change))) = request(&text) else { panic!("refused") };
    assert!(matches!(change.private_key, Setting::Clear));
    assert!(matches!(change.peers[0].preshared_key, Setting::Clear));
}

fn bytes() -> impl Strategy<Value = [u8; 32]> {
    any::<[u8; 32]>().prop_filter("zeros mean none", |bytes| *bytes != [0; 32])
}

fn net() -> impl Strategy<Value = IpNet> {
    let v4 = (any::<[u8; 4]>(), 0_u8..=32).prop_map(|(ip, length)| IpNet::new(ip.into(), length));
    let v6 = (any::<[u8; 16]>(), 0_u8..=128).prop_map(|(ip, length)| IpNet::new(ip.into(), length));
    prop_oneof![v4, v6].prop_map(|net| net.expect("the length fits").trunc())
}

fn endpoint() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![
        (any::<[u8; 4]>(), any::<u16>()).prop_map(SocketAddr::from),
        (any::<[u8; 16]>(), any::<u16>()).prop_map(SocketAddr::from),
    ]
}

fn setting<T: std::fmt::Debug>(
    make: impl Fn(Zeroizing<[u8; 32]>) -> T + 'static,
) -> impl Strategy<Value = Setting<T>> {
    (0..3, bytes()).prop_map(move |(choice, bytes)| match choice {
        0 => Setting::Keep,
        1 => Setting::Clear,
        _ => Setting::To(make(Zeroizing::new(bytes))),
    })
}

fn peer_change() -> impl Strategy<Value = PeerChange> {
    let steps = proptest::collection::vec((net(), any::<bool>()), 0..4);
    let fields = (
        bytes(),
        any::<bool>(),
        setting(PresharedKey::from_bytes),
        proptest::option::of(endpoint()),
        proptest::option::of(any::<u16>()),
        any::<bool>(),
        steps,
    );
    fields.prop_map(|(key, update_only, preshared_key, endpoint, keepalive, replace, steps)| {
        let step = |(net, add)| {
            if add { AllowedIpChange::Add(net) } else { AllowedIpChange::Remove(net) }
        };
        PeerChange {
            update_only,
            preshared_key,
            endpoint,
            keepalive,
            replace_allowed_ips: replace,
            allowed_ips: steps.into_iter().map(step).collect(),
            ..PeerChange::new(PublicKey::from_bytes(key))
        }
    })
}

fn change() -> impl Strategy<Value = DeviceChange> {
    let fields = (
        setting(PrivateKey::from_random),
        proptest::option::of(any::<u16>()),
        proptest::option::of(any::<u32>()),
        any::<bool>(),
        proptest::collection::vec(peer_change(), 0..4),
    );
    fields.prop_map(|(private_key, listen_port, fwmark, replace_peers, peers)| DeviceChange {
        private_key,
        listen_port,
        fwmark,
        replace_peers,
        peers,
    })
}

fn drops() -> impl Strategy<Value = Drops> {
    proptest::collection::vec((0..Cause::ALL.len(), any::<u64>()), 0..3).prop_map(|counts| {
        let mut drops = Drops::NONE;
        for (cause, count) in counts {
            drops.set(Cause::ALL[cause], count);
        }
        drops
    })
}

fn snapshot() -> impl Strategy<Value = DeviceSnapshot> {
    let peer = (
        bytes(),
        proptest::option::of(bytes()),
        proptest::option::of(endpoint()),
        (0..u64::MAX / 2, 0_u32..1_000_000_000),
        (any::<(u64, u64, u16)>(), drops()),
        proptest::collection::vec(net(), 0..4),
    );
    let peer =
        peer.prop_map(|(key, preshared, endpoint, (seconds, nanos), (counts, drops), nets)| {
            let (rx, tx, keepalive) = counts;
            PeerSnapshot {
                drops,
                preshared_key: preshared
                    .map(|bytes| PresharedKey::from_bytes(Zeroizing::new(bytes))),
                endpoint,
                last_handshake: Duration::new(seconds, nanos),
                rx_bytes: rx,
                tx_bytes: tx,
                keepalive,
                allowed_ips: nets,
                ..PeerSnapshot::new(PublicKey::from_bytes(key))
            }
        });
    let device = (
        proptest::option::of(bytes()),
        any::<(u16, u32)>(),
        drops(),
        proptest::collection::vec(peer, 0..4),
    );
    device.prop_map(|(private, (listen_port, fwmark), drops, peers)| {
        let private_key = private.map(|bytes| PrivateKey::from_random(Zeroizing::new(bytes)));
        let public_key = private_key.as_ref().map(PrivateKey::public);
        DeviceSnapshot { private_key, public_key, listen_port, fwmark, peers, drops }
    })
}

proptest! {
    /// The text says everything about a change, secrets included, so equal texts are equal changes.
    #[test]
    fn a_change_survives_the_wire(change in change()) {
        let text = render_change(&change);
        let Some(Ok(Request::Set(read))) = request(&text) else {
            return Err(TestCaseError::fail("refused"));
        };
        prop_assert_eq!(&*render_change(&read), &*text);
    }

    #[test]
    fn a_snapshot_survives_the_wire(device in snapshot()) {
        let text = render_snapshot(&device);
        let mut parser = SnapshotParser::default();
        for line in text.lines().chain(["errno=0"]) {
            prop_assert!(parser.line(line)?.is_none());
        }
        let (read, errno) = parser.line("")?.expect("the empty line ends it");
        prop_assert_eq!(errno, 0);
        prop_assert_eq!(&*render_snapshot(&read), &*text);
    }

    #[test]
    fn no_text_makes_it_panic(text in "(get=1|set=1|[a-z_]{1,12}=[-0-9a-f.:/%\\[\\]]{0,70}|\n|.{0,20}){0,40}") {
        let mut parser = RequestParser::default();
        let mut snapshots = SnapshotParser::default();
        for line in text.lines() {
            let _ = parser.line(line);
            let _ = snapshots.line(line);
        }
    }
}
