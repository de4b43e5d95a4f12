//! MAC1, MAC2 and cookies: what a handshake costs a sender before it costs us anything
//! (`WireGuard` paper, sections 5.3 and 5.4.7).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::aead::{open_cookie, seal_cookie};
use super::hash::{Secret, hash, is_mac, mac};
use super::message::{COOKIE_LENGTH, Kind, cookie, field, word};
use super::{COOKIE_LIFETIME, Moment, Random, Rejected};
use crate::model::PublicKey;

/// Bytes of the two MACs at the end of a handshake message.
pub(super) const MACS: usize = 32;
/// What a cookie loses of its life on its way, so that no proof arrives too late.
const LATENCY: Duration = Duration::from_secs(5);

/// The key of MAC1 in messages to the holder of `public`.
pub(super) fn mac1_key(public: &PublicKey) -> [u8; 32] {
    hash(&[b"mac1----", public.as_bytes()])
}

fn cookie_key(public: &PublicKey) -> [u8; 32] {
    hash(&[b"cookie--", public.as_bytes()])
}

/// What the MACs of a handshake message prove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MacState {
    /// Nothing: the sender does not know our public key.
    Invalid,
    /// The sender knows our public key.
    Valid,
    /// The sender also receives what is sent to its address.
    Proven,
}

/// The receiving side: checks MACs and bakes cookies.
pub struct Checker {
    mac1_key: [u8; 32],
    cookie_key: [u8; 32],
    secret: Option<(Secret, Moment)>,
}

impl Checker {
    /// For the interface with this key.
    #[must_use]
    pub fn new(public: &PublicKey) -> Self {
        Self { mac1_key: mac1_key(public), cookie_key: cookie_key(public), secret: None }
    }

    /// Checks the MACs of an initiation or a response.
    #[must_use]
    pub fn check(&self, message: &[u8], from: SocketAddr, now: Moment) -> MacState {
        let Some(at) = message.len().checked_sub(MACS) else { return MacState::Invalid };
        let (Ok(mac1), Ok(mac2)) = (field(message, at), field(message, at + 16)) else {
            return MacState::Invalid;
        };
        if !is_mac(&self.mac1_key, &message[..at], mac1) {
            return MacState::Invalid;
        }
        let secret = self.secret.as_ref().filter(|(_, made)| now.since(*made) < COOKIE_LIFETIME);
        let proven = secret
            .is_some_and(|(secret, _)| is_mac(&bake(secret, from), &message[..at + 16], mac2));
        if proven { MacState::Proven } else { MacState::Valid }
    }

    /// The reply that asks the sender of a message with a valid MAC1 for a proof of its address;
    /// `None` for what is no handshake message.
    pub fn reply(
        &mut self,
        message: &[u8],
        from: SocketAddr,
        now: Moment,
        random: Random<'_>,
    ) -> Option<[u8; COOKIE_LENGTH]> {
        let at = message.len().checked_sub(MACS)?;
        let sender: &[u8; 4] = field(message, 4).ok()?;
        let mac1: &[u8; 16] = field(message, at).ok()?;
        if self.secret.as_ref().is_none_or(|(_, made)| now.since(*made) >= COOKIE_LIFETIME) {
            let mut secret = Secret::default();
            random(&mut *secret);
            self.secret = Some((secret, now));
        }
        let (secret, _) = self.secret.as_ref()?;
        let mut nonce = [0; 24];
        random(&mut nonce);
        let sealed = seal_cookie(&self.cookie_key, &nonce, mac1, bake(secret, from));
        let mut reply = [0; COOKIE_LENGTH];
        reply[..4].copy_from_slice(&word(Kind::Cookie));
        reply[cookie::RECEIVER..cookie::NONCE].copy_from_slice(sender);
        reply[cookie::NONCE..cookie::COOKIE].copy_from_slice(&nonce);
        reply[cookie::COOKIE..].copy_from_slice(&sealed);
        Some(reply)
    }
}

/// The cookie of an address.
fn bake(secret: &Secret, from: SocketAddr) -> [u8; 16] {
    let mut place = [0; 18];
    match from.ip() {
        IpAddr::V4(ip) => place[..4].copy_from_slice(&ip.octets()),
        IpAddr::V6(ip) => place[..16].copy_from_slice(&ip.octets()),
    }
    place[16..].copy_from_slice(&from.port().to_be_bytes());
    mac(secret.as_slice(), &place)
}

/// The sending side: what we last sent to a peer, and the cookie that it gave us.
#[derive(Default)]
pub(super) struct Jar {
    sent: Option<[u8; 16]>,
    cookie: Option<([u8; 16], Moment)>,
}

impl Jar {
    /// Puts both MACs at the end of a message to `remote`.
    pub(super) fn finish(&mut self, message: &mut [u8], remote: &PublicKey, now: Moment) {
        let at = message.len() - MACS;
        let mac1 = mac(&mac1_key(remote), &message[..at]);
        message[at..at + 16].copy_from_slice(&mac1);
        self.sent = Some(mac1);
        let fresh = COOKIE_LIFETIME.saturating_sub(LATENCY);
        let cookie = self.cookie.filter(|(_, got)| now.since(*got) < fresh);
        let mac2 = cookie.map_or([0; 16], |(cookie, _)| mac(&cookie, &message[..at + 16]));
        message[at + 16..].copy_from_slice(&mac2);
    }

    /// Takes a cookie reply from `remote`; the next message carries the proof.
    pub(super) fn take(
        &mut self,
        reply: &[u8],
        remote: &PublicKey,
        now: Moment,
    ) -> Result<(), Rejected> {
        let sent = self.sent.as_ref().ok_or(Rejected::Unasked)?;
        let nonce = field(reply, cookie::NONCE)?;
        let sealed = field(reply, cookie::COOKIE)?;
        let cookie = open_cookie(&cookie_key(remote), nonce, sent, sealed)?;
        self.cookie = Some((cookie, now));
        self.sent = None;
        Ok(())
    }
}
