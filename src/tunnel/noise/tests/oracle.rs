//! boringtun's protocol as the other end, in both roles.

use std::sync::Arc;

use boringtun::noise::rate_limiter::RateLimiter;
use boringtun::noise::{Tunn, TunnResult};
use boringtun::x25519::{PublicKey as TheirPublic, StaticSecret};

use super::*;

/// Our end has seed 1, boringtun's has seed 2.
fn theirs(preshared: Option<u8>, limiter: Option<Arc<RateLimiter>>) -> Tunn {
    let remote = TheirPublic::from(*private(1).public().as_bytes());
    let secret = StaticSecret::from(*private(2).expose());
    Tunn::new(secret, remote, preshared.map(|seed| [seed; 32]), None, 3, limiter)
}

fn ours(preshared: Option<u8>) -> End {
    End::new(1, private(2).public(), preshared)
}

/// The smallest packet that boringtun takes for IPv4, with a text.
fn packet(text: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; 20];
    packet[0] = 0x45;
    packet[3] = u8::try_from(20 + text.len()).unwrap();
    packet.extend_from_slice(text);
    packet
}

fn written(result: TunnResult<'_>) -> Vec<u8> {
    match result {
        TunnResult::WriteToNetwork(bytes) => bytes.to_vec(),
        other => panic!("nothing to send: {other:?}"),
    }
}

fn hears(them: &mut Tunn, message: &[u8]) -> TunnResult<'static> {
    let buffer = Box::leak(vec![0; 2048].into_boxed_slice());
    them.decapsulate(Some(place().ip()), message, buffer)
}

fn says(them: &mut Tunn, text: &[u8]) -> Vec<u8> {
    let mut buffer = [0; 2048];
    written(them.encapsulate(text, &mut buffer))
}

fn carry_both_ways(session: &Session, them: &mut Tunn) {
    for text in [&b"one"[..], b"two", b"", b"a text of more than sixteen bytes"] {
        let packet = packet(text);
        match hears(them, &sealed(session, &packet)) {
            TunnResult::WriteToTunnelV4(heard, _) => assert_eq!(heard, packet),
            other => panic!("not heard: {other:?}"),
        }
        let mut message = says(them, &packet);
        assert_eq!(receiver(&message), Some(session.index()));
        let heard = session.open(&mut message).unwrap();
        assert_eq!(heard.get(..packet.len()), Some(&*packet));
    }
}

#[test]
fn we_begin_and_they_answer() {
    for preshared in [None, Some(7)] {
        let (mut us, mut them) = (ours(preshared), theirs(preshared, None));
        let initiation = us.initiate(false, 0).unwrap();
        let response = written(hears(&mut them, &initiation));
        assert_eq!(kind(&response), Some(Kind::Response));
        assert_eq!(response_receiver(&response), Some((1 << 16) + 1));
        let checker = Checker::new(&us.identity.public());
        assert_eq!(checker.check(&response, place(), at(0)), MacState::Valid);
        let session = us.complete(&response, 0).unwrap();
        carry_both_ways(&session, &mut them);
    }
}

#[test]
fn they_begin_and_we_answer() {
    for preshared in [None, Some(7)] {
        let (mut us, mut them) = (ours(preshared), theirs(preshared, None));
        let initiation = says(&mut them, &packet(b"waits"));
        let checker = Checker::new(&us.identity.public());
        assert_eq!(checker.check(&initiation, place(), at(0)), MacState::Valid);
        let (response, session) = us.answer(&initiation, 0).unwrap();
        // The keepalive that confirms the session, then what waited.
        let mut keepalive = written(hears(&mut them, &response));
        assert_eq!(session.open(&mut keepalive).as_deref(), Ok(&b""[..]));
        assert!(us.protocol.heard(&session, true, at(1)).completed);
        let mut waited = written(hears(&mut them, &[]));
        let heard = session.open(&mut waited).unwrap();
        assert!(heard.starts_with(&packet(b"waits")));
        carry_both_ways(&session, &mut them);
    }
}

#[test]
fn the_preshared_keys_must_agree() {
    let (mut us, mut them) = (ours(Some(7)), theirs(None, None));
    let initiation = us.initiate(false, 0).unwrap();
    let response = written(hears(&mut them, &initiation));
    assert_eq!(us.complete(&response, 0).unwrap_err(), Rejected::Forged);
}

#[test]
fn we_prove_our_address_to_them() {
    let public = TheirPublic::from(*private(2).public().as_bytes());
    let limiter = Arc::new(RateLimiter::new(&public, 0));
    let (mut us, mut them) = (ours(None), theirs(None, Some(limiter)));
    let initiation = us.initiate(false, 0).unwrap();
    let reply = written(hears(&mut them, &initiation));
    assert_eq!(kind(&reply), Some(Kind::Cookie));
    assert_eq!(cookie_receiver(&reply), Some((1 << 16) + 1));
    us.protocol.take_cookie(&reply, at(0)).unwrap();
    let initiation = us.initiate(true, 5000).unwrap();
    let response = written(hears(&mut them, &initiation));
    let session = us.complete(&response, 5000).unwrap();
    carry_both_ways(&session, &mut them);
}

#[test]
fn they_prove_their_address_to_us() {
    let (us, mut them) = (ours(None), theirs(None, None));
    let mut checker = Checker::new(&us.identity.public());
    let initiation = says(&mut them, &packet(b"waits"));
    let mut seed = 5;
    let reply = checker.reply(&initiation, place(), at(0), &mut |bytes| noise(&mut seed, bytes));
    assert!(matches!(hears(&mut them, &reply.unwrap()), TunnResult::Done));
    let mut buffer = [0; 2048];
    let initiation = written(them.format_handshake_initiation(&mut buffer, true));
    assert_eq!(checker.check(&initiation, place(), at(1)), MacState::Proven);
}
