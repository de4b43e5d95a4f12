//! The protocol with one peer: the handshake `Noise_IKpsk2`, cookies, sessions and timers.
//!
//! Everything here is a pure state machine after the `WireGuard` paper: the time ([`Moment`]) and
//! randomness are passed in, and what is to be sent is returned. [`Protocol`] is one peer's whole
//! state; [`Session`] is what the packets of the data plane need of it, shared without a lock.
//! The primitives come from libraries: X25519 through [`crate::model::PrivateKey`], BLAKE2s,
//! ChaCha20-Poly1305 (a vectorised one for data) and XChaCha20-Poly1305.

// As pure as the lower layers: see clippy.toml.
#![warn(clippy::disallowed_methods)]

mod aead;
mod cookie;
mod handshake;
mod hash;
mod keypairs;
mod limiter;
mod message;
mod moment;
mod protocol;
mod session;
mod tai64n;
#[cfg(test)]
mod tests;
mod timers;
mod window;

pub use cookie::{Checker, MacState};
pub use handshake::{Identity, Introduction};
pub use limiter::{Load, SourceLimiter};
pub use message::{
    COOKIE_LENGTH, DATA_OVERHEAD, INITIATION_LENGTH, Kind, RESPONSE_LENGTH, cookie_receiver, kind,
    receiver, response_receiver,
};
pub use moment::Moment;
pub use protocol::{Heard, Outgoing, Protocol};
pub use session::Session;
pub use timers::Due;
pub use window::Window;

use std::time::Duration;

/// Where random bytes come from.
pub type Random<'a> = &'a mut dyn FnMut(&mut [u8]);

/// Data messages after which the initiator makes a new session (`WireGuard` paper, section 6.1).
pub const REKEY_AFTER_MESSAGES: u64 = 1 << 60;
/// Data messages after which a session sends nothing more.
pub const REJECT_AFTER_MESSAGES: u64 = u64::MAX - (1 << 13);
/// Age at which the initiator makes a new session.
pub const REKEY_AFTER_TIME: Duration = Duration::from_mins(2);
/// Age at which a session is not believed in any more.
pub const REJECT_AFTER_TIME: Duration = Duration::from_mins(3);
/// How long an initiation is repeated without an answer.
pub const REKEY_ATTEMPT_TIME: Duration = Duration::from_secs(90);
/// Time between two initiations.
pub const REKEY_TIMEOUT: Duration = Duration::from_secs(5);
/// Silence after which what was received is acknowledged with an empty message.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a cookie and the secret behind it are good.
pub const COOKIE_LIFETIME: Duration = Duration::from_mins(2);

/// Why a message was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// It has not the form of any message.
    #[error("the message is malformed")]
    Malformed,
    /// A tag does not fit: forged, for another key, or of a session that is over.
    #[error("the message is not authentic")]
    Forged,
    /// The message, or a later one, was seen before.
    #[error("the message was seen before")]
    Replayed,
    /// Initiations of one peer come faster than any peer sends them.
    #[error("initiations come too fast")]
    Flood,
    /// Nothing was asked that this could be the answer to.
    #[error("the message answers nothing")]
    Unasked,
}

/// A session that may send nothing more: it is too old, or has sent too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the session is spent")]
pub struct Spent;

/// The length of a plaintext with its zeros: a multiple of 16, but not beyond the MTU
/// (`WireGuard` paper, section 5.4.6).
#[must_use]
pub const fn padded(length: usize, mtu: usize) -> usize {
    let whole = length.next_multiple_of(16);
    let whole = if whole > mtu { mtu } else { whole };
    if whole < length { length } else { whole }
}
