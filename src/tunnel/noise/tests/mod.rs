//! Two ends of the protocol without a network, and an independent implementation as the oracle.

mod oracle;
mod rhythm;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use zeroize::Zeroizing;

use super::*;
use crate::model::{PresharedKey, PrivateKey, PublicKey};

fn private(seed: u8) -> PrivateKey {
    PrivateKey::from_random(Zeroizing::new([seed; 32]))
}

fn psk(seed: u8) -> PresharedKey {
    PresharedKey::from_bytes(Zeroizing::new([seed; 32]))
}

fn at(millis: u64) -> Moment {
    Moment::since_boot(Duration::from_millis(millis))
}

fn wall(millis: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_790_000_000) + Duration::from_millis(millis)
}

fn place() -> SocketAddr {
    "192.0.2.7:51820".parse().unwrap()
}

/// One end of a pair.
struct End {
    identity: Identity,
    protocol: Protocol,
    /// The next index, and the state of a generator that only has to differ.
    next: u32,
}

impl End {
    fn new(seed: u8, remote: PublicKey, preshared: Option<u8>) -> Self {
        let mut protocol = Protocol::new(remote);
        protocol.set_preshared(preshared.map(psk).as_ref());
        Self { identity: Identity::new(private(seed)), protocol, next: u32::from(seed) << 16 }
    }

    fn pair(preshared: Option<u8>) -> (Self, Self) {
        let a = Self::new(1, private(2).public(), preshared);
        let b = Self::new(2, private(1).public(), preshared);
        (a, b)
    }

    fn initiate(&mut self, retry: bool, now: u64) -> Option<[u8; INITIATION_LENGTH]> {
        let Self { identity, protocol, next } = self;
        let mut seed = *next;
        let mut index = || {
            *next += 1;
            *next
        };
        protocol.initiate(identity, retry, (at(now), wall(now)), &mut index, &mut |bytes| {
            noise(&mut seed, bytes);
        })
    }

    fn answer(
        &mut self,
        initiation: &[u8],
        now: u64,
    ) -> Result<([u8; 92], Arc<Session>), Rejected> {
        let Self { identity, protocol, next } = self;
        let introduction = Introduction::read(identity, initiation)?;
        assert_eq!(introduction.remote(), protocol.remote());
        let mut seed = *next;
        let mut index = || {
            *next += 1;
            *next
        };
        protocol.answer(identity, introduction, at(now), &mut index, &mut |bytes| {
            noise(&mut seed, bytes);
        })
    }

    fn complete(&mut self, response: &[u8], now: u64) -> Result<Arc<Session>, Rejected> {
        self.protocol.complete(&self.identity, response, at(now))
    }

    fn sends(&self, now: u64) -> Option<Arc<Session>> {
        self.protocol.outgoing(at(now)).session
    }
}

/// Bytes that differ from call to call; a test needs no more of randomness.
fn noise(seed: &mut u32, bytes: &mut [u8]) {
    for byte in bytes {
        *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *byte = seed.to_be_bytes()[0];
    }
}

/// A handshake that `a` begins; gives both ends of the session. `b` is not confirmed yet.
fn shake(a: &mut End, b: &mut End, now: u64) -> (Arc<Session>, Arc<Session>) {
    let initiation = a.initiate(false, now).expect("an initiation");
    let (response, theirs) = b.answer(&initiation, now).expect("a response");
    (a.complete(&response, now).expect("a session"), theirs)
}

fn sealed(session: &Session, text: &[u8]) -> Vec<u8> {
    let mut message = vec![0; DATA_OVERHEAD + text.len()];
    message[16..16 + text.len()].copy_from_slice(text);
    session.seal(&mut message).expect("a fresh session");
    message
}

fn carries(from: &Session, to: &Session, text: &[u8]) {
    let mut message = sealed(from, text);
    assert_eq!(kind(&message), Some(Kind::Data));
    assert_eq!(receiver(&message), Some(to.index()));
    assert_eq!(to.open(&mut message).as_deref(), Ok(text));
}

#[test]
fn a_handshake_makes_a_session_that_carries_both_ways() {
    for preshared in [None, Some(9)] {
        let (mut a, mut b) = End::pair(preshared);
        let (mine, theirs) = shake(&mut a, &mut b, 0);
        assert!(mine.is_initiator() && !theirs.is_initiator());
        carries(&mine, &theirs, b"there");
        carries(&theirs, &mine, b"and back");
        carries(&mine, &theirs, b"");
    }
}

#[test]
fn another_preshared_key_makes_no_session() {
    let (mut a, mut b) = End::pair(Some(9));
    b.protocol.set_preshared(Some(&psk(8)));
    let initiation = a.initiate(false, 0).unwrap();
    let (response, _) = b.answer(&initiation, 0).unwrap();
    assert_eq!(a.complete(&response, 0).unwrap_err(), Rejected::Forged);
    // The right one still completes it.
    b.protocol.set_preshared(Some(&psk(9)));
    let initiation = a.initiate(true, 6000).unwrap();
    let (response, theirs) = b.answer(&initiation, 6000).unwrap();
    carries(&a.complete(&response, 6000).unwrap(), &theirs, b"now");
}

#[test]
fn a_changed_bit_anywhere_is_refused() {
    let (mut a, mut b) = End::pair(Some(9));
    let initiation = a.initiate(false, 0).unwrap();
    // The type is looked at before, the sender's index is not authenticated, the MACs elsewhere.
    for byte in 8..116 {
        let mut bad = initiation;
        bad[byte] ^= 0x40;
        assert!(b.answer(&bad, 0).is_err(), "byte {byte} of the initiation");
    }
    let (response, theirs) = b.answer(&initiation, 0).unwrap();
    for byte in 8..60 {
        let mut bad = response;
        bad[byte] ^= 0x40;
        assert!(a.complete(&bad, 0).is_err(), "byte {byte} of the response");
    }
    let mine = a.complete(&response, 0).unwrap();
    assert_eq!(a.complete(&response, 0).unwrap_err(), Rejected::Unasked);
    let message = sealed(&mine, b"text");
    for byte in 8..message.len() {
        let mut bad = message.clone();
        bad[byte] ^= 0x40;
        assert!(theirs.open(&mut bad).is_err(), "byte {byte} of the data");
    }
    for length in 0..message.len() {
        assert!(theirs.open(&mut message.clone()[..length]).is_err());
    }
    assert!(theirs.open(&mut message.clone()).is_ok());
    assert_eq!(theirs.open(&mut message.clone()), Err(Rejected::Replayed));
}

#[test]
fn an_initiation_works_once() {
    let (mut a, mut b) = End::pair(None);
    let first = a.initiate(false, 0).unwrap();
    assert!(b.answer(&first, 0).is_ok());
    assert_eq!(b.answer(&first, 1000).unwrap_err(), Rejected::Replayed);
    let second = a.initiate(false, 5000).unwrap();
    assert!(b.answer(&second, 5000).is_ok());
    assert_eq!(b.answer(&first, 6000).unwrap_err(), Rejected::Replayed);
    // Nor does it after a change of sessions or keys.
    b.protocol.forget_sessions();
    assert_eq!(b.answer(&second, 6000).unwrap_err(), Rejected::Replayed);
    // Not more than fifty in a second, whatever their timestamps.
    a.protocol.forget_sessions();
    let third = a.initiate(false, 10_000).unwrap();
    a.protocol.forget_sessions();
    let fourth = a.initiate(false, 10_500).unwrap();
    assert!(b.answer(&third, 10_500).is_ok());
    assert_eq!(b.answer(&fourth, 10_510).unwrap_err(), Rejected::Flood);
    assert!(b.answer(&fourth, 10_530).is_ok());
}

#[test]
fn an_answered_session_is_used_once_the_peer_has_used_it() {
    let (mut a, mut b) = End::pair(None);
    let (mine, theirs) = shake(&mut a, &mut b, 0);
    assert!(a.sends(0).is_some() && b.sends(0).is_none());
    carries(&mine, &theirs, b"");
    let heard = b.protocol.heard(&theirs, true, at(1));
    assert!(heard.completed && !heard.initiate);
    assert_eq!(b.sends(1).unwrap().index(), theirs.index());
    assert!(!b.protocol.heard(&theirs, true, at(2)).completed);
    // The next one replaces it in the same way, and the one before is still heard.
    let (newer, newest) = shake(&mut a, &mut b, 6000);
    assert_eq!(b.sends(6000).unwrap().index(), theirs.index());
    carries(&theirs, &mine, b"under way");
    assert_eq!(a.protocol.heard(&mine, false, at(6001)), Heard::default());
    assert!(b.protocol.heard(&newest, false, at(6002)).completed);
    assert_eq!(a.sends(6002).unwrap().index(), newer.index());
    assert!(a.protocol.take_released().is_empty() && b.protocol.take_released().is_empty());
    // A third one ends the first.
    let _ = shake(&mut a, &mut b, 12_000);
    assert_eq!(a.protocol.take_released(), [mine.index()]);
    assert_eq!(b.protocol.take_released(), [theirs.index()]);
}

#[test]
fn both_may_begin_at_once() {
    let (mut a, mut b) = End::pair(None);
    let (from_a, from_b) = (a.initiate(false, 0).unwrap(), b.initiate(false, 0).unwrap());
    let (to_a, answered_by_b) = b.answer(&from_a, 1).unwrap();
    let (to_b, answered_by_a) = a.answer(&from_b, 1).unwrap();
    let (made_by_a, made_by_b) = (a.complete(&to_a, 2).unwrap(), b.complete(&to_b, 2).unwrap());
    for (session, theirs) in [(&made_by_a, &answered_by_b), (&made_by_b, &answered_by_a)] {
        carries(session, theirs, b"one");
        carries(theirs, session, b"back");
    }
    let _ = a.protocol.heard(&answered_by_a, false, at(3));
    let _ = b.protocol.heard(&answered_by_b, false, at(3));
    let (a, b) = (a.sends(4).unwrap(), b.sends(4).unwrap());
    for (one, sessions) in [(&a, [&made_by_b, &answered_by_b]), (&b, [&made_by_a, &answered_by_a])]
    {
        let message = sealed(one, b"x");
        let to = sessions.into_iter().find(|to| receiver(&message) == Some(to.index())).unwrap();
        assert!(to.open(&mut message.clone()).is_ok());
    }
}

#[test]
fn a_session_that_has_sent_too_much_is_spent() {
    let (mut a, mut b) = End::pair(None);
    let (mine, theirs) = shake(&mut a, &mut b, 0);
    assert!(!a.protocol.outgoing(at(0)).initiate);
    mine.pretend_sent(REKEY_AFTER_MESSAGES);
    assert!(a.protocol.outgoing(at(0)).initiate && a.sends(0).is_some());
    mine.pretend_sent(REJECT_AFTER_MESSAGES - 2);
    carries(&mine, &theirs, b"the last but one");
    assert_eq!(mine.reserve(2), Err(Spent));
    assert_eq!(mine.seal(&mut [0; 48]), Err(Spent));
    assert_eq!(mine.seal(&mut [0; 48]), Err(Spent));
    assert!(a.sends(0).is_none() && a.protocol.outgoing(at(0)).initiate);
}

#[test]
fn a_new_key_only_listens_to_the_old_sessions() {
    let (mut a, mut b) = End::pair(None);
    let (mine, theirs) = shake(&mut a, &mut b, 0);
    a.protocol.drain();
    assert!(a.sends(1).is_none());
    carries(&theirs, &mine, b"still heard");
    assert_eq!(a.protocol.heard(&mine, false, at(1)), Heard::default());
    assert_eq!(a.protocol.next_due(at(1)), Some(mine.created().after(REJECT_AFTER_TIME)));
    let _ = a.protocol.tick(at(180_000));
    assert_eq!(a.protocol.take_released(), [mine.index()]);
}

#[test]
fn cookies_prove_an_address() {
    let (mut a, mut b) = End::pair(None);
    let mut checker = Checker::new(&b.identity.public());
    let first = a.initiate(false, 0).unwrap();
    assert_eq!(checker.check(&first, place(), at(0)), MacState::Valid);
    for byte in 0..first.len() - 16 {
        let mut bad = first;
        bad[byte] ^= 1;
        assert_eq!(checker.check(&bad, place(), at(0)), MacState::Invalid);
    }
    let mut seed = 5;
    let reply = checker.reply(&first, place(), at(0), &mut |bytes| noise(&mut seed, bytes));
    let reply = reply.unwrap();
    assert_eq!((kind(&reply), cookie_receiver(&reply)), (Some(Kind::Cookie), Some((1 << 16) + 1)));
    for byte in 8..reply.len() {
        let mut bad = reply;
        bad[byte] ^= 1;
        assert_eq!(a.protocol.take_cookie(&bad, at(1)), Err(Rejected::Forged));
    }
    assert_eq!(b.protocol.take_cookie(&reply, at(1)), Err(Rejected::Unasked));
    assert_eq!(a.protocol.take_cookie(&reply, at(1)), Ok(()));
    assert_eq!(a.protocol.take_cookie(&reply, at(1)), Err(Rejected::Unasked));
    let second = a.initiate(true, 5000).unwrap();
    assert_eq!(checker.check(&second, place(), at(5000)), MacState::Proven);
    let elsewhere = "192.0.2.8:51820".parse().unwrap();
    assert_eq!(checker.check(&second, elsewhere, at(5000)), MacState::Valid);
    assert_eq!(checker.check(&second, place(), at(120_000)), MacState::Valid);
    assert!(b.answer(&second, 5000).is_ok());
    // It is not used for longer than it is good.
    let third = a.initiate(true, 116_000).unwrap();
    assert_eq!(checker.check(&third, place(), at(116_000)), MacState::Valid);
}

#[test]
fn what_is_no_message_is_none() {
    for length in 0..200 {
        for word in 0..6_u8 {
            let mut message = vec![0; length];
            if let Some(first) = message.first_mut() {
                *first = word;
            }
            let expected = match (word, length) {
                (1, 148) => Some(Kind::Initiation),
                (2, 92) => Some(Kind::Response),
                (3, 64) => Some(Kind::Cookie),
                (4, 32..) => Some(Kind::Data),
                _ => None,
            };
            assert_eq!(kind(&message), expected);
            if length > 3 {
                message[3] = 1;
                assert_eq!(kind(&message), None);
            }
        }
    }
}

mod hostile {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        /// Whatever arrives, at whatever place, changes nothing and ends nothing.
        #[test]
        fn any_bytes_are_survived(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            word in 1_u8..5,
        ) {
            let (mut a, mut b) = End::pair(None);
            let (mine, theirs) = shake(&mut a, &mut b, 0);
            let mut message = bytes;
            if let Some(first) = message.first_chunk_mut::<4>() {
                *first = [word, 0, 0, 0];
            }
            let checker = Checker::new(&b.identity.public());
            let _ = (kind(&message), receiver(&message), response_receiver(&message));
            let _ = cookie_receiver(&message);
            prop_assert_eq!(checker.check(&message, place(), at(0)), MacState::Invalid);
            prop_assert!(Introduction::read(&b.identity, &message).is_err());
            prop_assert!(a.complete(&message, 0).is_err());
            prop_assert!(a.protocol.take_cookie(&message, at(0)).is_err());
            prop_assert!(theirs.open(&mut message).is_err());
            carries(&mine, &theirs, b"as before");
        }
    }
}

#[test]
fn padding_ends_at_sixteen_bytes_or_the_mtu() {
    let of = |length| padded(length, 1420);
    assert_eq!([of(0), of(1), of(16), of(17), of(1410)], [0, 16, 16, 32, 1420]);
    assert_eq!([of(1420), of(1421), padded(20, 0)], [1420, 1421, 20]);
}
