//! The four messages on the wire (`WireGuard` paper, section 5.4): where each field lies.

use super::Rejected;

/// Bytes of a handshake initiation.
pub const INITIATION_LENGTH: usize = 148;
/// Bytes of a handshake response.
pub const RESPONSE_LENGTH: usize = 92;
/// Bytes of a cookie reply.
pub const COOKIE_LENGTH: usize = 64;
/// Bytes that a data message adds: 16 of header before the plaintext, 16 of tag after it.
pub const DATA_OVERHEAD: usize = 32;
/// Bytes of the header of a data message.
pub(super) const DATA_HEADER: usize = 16;
/// Bytes of a tag.
pub(super) const TAG: usize = 16;

/// Which message a datagram is, by its type and length; nothing in it is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A peer wants a session.
    Initiation,
    /// The answer to an initiation of ours.
    Response,
    /// Someone under load wants a proof of our address.
    Cookie,
    /// An encrypted packet.
    Data,
}

const INITIATION: u32 = 1;
const RESPONSE: u32 = 2;
const COOKIE: u32 = 3;
const DATA: u32 = 4;

/// Which message a datagram is; `None` for none.
#[must_use]
pub fn kind(datagram: &[u8]) -> Option<Kind> {
    let word = u32::from_le_bytes(*datagram.first_chunk()?);
    match (word, datagram.len()) {
        (INITIATION, INITIATION_LENGTH) => Some(Kind::Initiation),
        (RESPONSE, RESPONSE_LENGTH) => Some(Kind::Response),
        (COOKIE, COOKIE_LENGTH) => Some(Kind::Cookie),
        (DATA, DATA_OVERHEAD..) => Some(Kind::Data),
        _ => None,
    }
}

/// The bytes at a fixed place.
pub(super) fn field<const N: usize>(message: &[u8], at: usize) -> Result<&[u8; N], Rejected> {
    message.get(at..).and_then(<[u8]>::first_chunk).ok_or(Rejected::Malformed)
}

fn index(message: &[u8], at: usize) -> Option<u32> {
    field(message, at).ok().map(|bytes| u32::from_le_bytes(*bytes))
}

/// The session that a data message is for: our index of it.
#[must_use]
pub fn receiver(data: &[u8]) -> Option<u32> {
    index(data, 4)
}

/// The handshake that a response is for.
#[must_use]
pub fn response_receiver(response: &[u8]) -> Option<u32> {
    index(response, 8)
}

/// The handshake that a cookie reply is for.
#[must_use]
pub fn cookie_receiver(reply: &[u8]) -> Option<u32> {
    index(reply, 4)
}

/// Where the fields of an initiation begin.
pub(super) mod initiation {
    pub(in super::super) const SENDER: usize = 4;
    pub(in super::super) const EPHEMERAL: usize = 8;
    pub(in super::super) const STATIC: usize = 40;
    pub(in super::super) const TIMESTAMP: usize = 88;
}

/// Where the fields of a response begin.
pub(super) mod response {
    pub(in super::super) const SENDER: usize = 4;
    pub(in super::super) const RECEIVER: usize = 8;
    pub(in super::super) const EPHEMERAL: usize = 12;
    pub(in super::super) const NOTHING: usize = 44;
}

/// Where the fields of a cookie reply begin.
pub(super) mod cookie {
    pub(in super::super) const RECEIVER: usize = 4;
    pub(in super::super) const NONCE: usize = 8;
    pub(in super::super) const COOKIE: usize = 32;
}

/// The first word of a message.
pub(super) const fn word(kind: Kind) -> [u8; 4] {
    match kind {
        Kind::Initiation => INITIATION.to_le_bytes(),
        Kind::Response => RESPONSE.to_le_bytes(),
        Kind::Cookie => COOKIE.to_le_bytes(),
        Kind::Data => DATA.to_le_bytes(),
    }
}
