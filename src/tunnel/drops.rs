//! Why packets went no further, counted by cause.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why a packet or a message went no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
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
}

impl Cause {
    /// Every cause, in the order in which they are shown.
    pub const ALL: [Self; 16] = [
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
        }
    }

    /// The cause of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.name() == name)
    }
}

/// How much was dropped, by cause, at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Drops([u64; Cause::ALL.len()]);

impl Drops {
    /// Nothing.
    pub const NONE: Self = Self([0; Cause::ALL.len()]);

    /// How much was dropped for one cause.
    #[must_use]
    pub const fn of(&self, cause: Cause) -> u64 {
        self.0[cause as usize]
    }

    /// Sets the count of a cause.
    pub const fn set(&mut self, cause: Cause, count: u64) {
        self.0[cause as usize] = count;
    }

    /// The causes for which anything was dropped.
    pub fn counted(&self) -> impl Iterator<Item = (Cause, u64)> + '_ {
        let all = Cause::ALL.into_iter().map(|cause| (cause, self.of(cause)));
        all.filter(|(_, count)| *count > 0)
    }
}

/// Counters that go on counting.
#[derive(Debug, Default)]
pub(super) struct DropCounters([AtomicU64; Cause::ALL.len()]);

impl DropCounters {
    pub(super) fn add(&self, cause: Cause, count: u64) {
        self.0[cause as usize].fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn count(&self, cause: Cause) {
        self.add(cause, 1);
    }

    pub(super) fn snapshot(&self) -> Drops {
        Drops(std::array::from_fn(|cause| self.0[cause].load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_its_own_place_and_name() {
        let counters = DropCounters::default();
        for (place, cause) in Cause::ALL.into_iter().enumerate() {
            assert_eq!(cause as usize, place);
            assert_eq!(Cause::named(cause.name()), Some(cause));
            counters.add(cause, place as u64);
        }
        assert_eq!(Cause::named("nothing"), None);
        let drops = counters.snapshot();
        assert_eq!(drops.counted().count(), Cause::ALL.len() - 1);
        assert_eq!(drops.of(Cause::HostRefused), 14);
    }
}
