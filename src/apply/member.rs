//! One host of a group whose change is prepared.

use std::collections::BTreeSet;

use super::clock::HostClock;
use super::job::Job;
use crate::event::UnverifiedSession;
use crate::model::{HostName, Moment};

/// One host of a group whose change is prepared.
pub(super) struct Member<'a, H> {
    pub(super) job: Job<'a>,
    /// When its share was begun.
    pub(super) since: Moment,
    /// The newest connection, while it lasts.
    pub(super) connection: Option<H>,
    pub(super) clock: HostClock,
    /// Sessions of which nothing has proved that they work.
    pub(super) unverified: Vec<UnverifiedSession>,
    /// The peers with which traffic has proved that sessions work.
    pub(super) proved: BTreeSet<HostName>,
}

impl<H> Member<'_, H> {
    /// Whether nothing has proved its session with a peer.
    pub(super) fn lacks_proof_of(&self, peer: &HostName) -> bool {
        self.unverified.iter().any(|session| session.peer == *peer)
    }
}
