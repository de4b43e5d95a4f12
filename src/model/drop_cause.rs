//! Why the embedded tunnel drops what it drops.

use serde::{Deserialize, Serialize};

/// Why a packet or a message of the embedded tunnel went no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum DropCause {
    /// No peer's `AllowedIPs` hold the destination.
    NoPeer,
    /// The peer's endpoint is not known.
    NoEndpoint,
    /// There is no session: none was made in time, or the one named is unknown or over.
    NoSession,
    /// More packets wait for a session than may.
    QueueFull,
    /// The system did not take the datagram.
    SendFailed,
    /// The inner source does not belong to the peer that sent it.
    SourceNotAllowed,
    /// The message was seen before.
    Replay,
    /// The message is not authentic.
    Forged,
    /// It is no `WireGuard` message, or what is in it is no IP packet.
    Malformed,
    /// The first MAC of a handshake message is wrong: the sender does not know our key.
    BadMac,
    /// The sender of an initiation is nobody's key here.
    UnknownPeer,
    /// The sender was asked for a proof of its address first.
    UnderLoad,
    /// The sender proved its address, and asks too often.
    RateLimited,
    /// More handshake messages wait than may.
    HandshakesFull,
    /// The host did not take the packet.
    HostRefused,
    /// Messages waited so long that their sender had to be told to send less.
    QueueDelay,
    /// The UDP port, or a family of it, is taken: what could not be sent, and each attempt to bind it.
    NoSocket,
    /// The packet has gone through so many tunnels already that it is taken to be in a loop.
    Loop,
}

impl DropCause {
    /// Every cause, in the order in which they are shown.
    pub const ALL: [Self; 18] = [
        Self::NoPeer,
        Self::NoEndpoint,
        Self::NoSession,
        Self::QueueFull,
        Self::SendFailed,
        Self::SourceNotAllowed,
        Self::Replay,
        Self::Forged,
        Self::Malformed,
        Self::BadMac,
        Self::UnknownPeer,
        Self::UnderLoad,
        Self::RateLimited,
        Self::HandshakesFull,
        Self::HostRefused,
        Self::QueueDelay,
        Self::NoSocket,
        Self::Loop,
    ];

    /// Its name in UAPI and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoPeer => "no_peer",
            Self::NoEndpoint => "no_endpoint",
            Self::NoSession => "no_session",
            Self::QueueFull => "queue_full",
            Self::SendFailed => "send_failed",
            Self::SourceNotAllowed => "source_not_allowed",
            Self::Replay => "replay",
            Self::Forged => "forged",
            Self::Malformed => "malformed",
            Self::BadMac => "bad_mac",
            Self::UnknownPeer => "unknown_peer",
            Self::UnderLoad => "under_load",
            Self::RateLimited => "rate_limited",
            Self::HandshakesFull => "handshakes_full",
            Self::HostRefused => "host_refused",
            Self::QueueDelay => "queue_delay",
            Self::NoSocket => "no_socket",
            Self::Loop => "loop",
        }
    }

    /// The cause of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_name_is_the_same_everywhere() {
        for cause in DropCause::ALL {
            assert_eq!(serde_json::to_value(cause).unwrap(), cause.name());
        }
    }
}
