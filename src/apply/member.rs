//! One host of a group whose change is prepared.

use super::clock::HostClock;
use super::job::Job;
use crate::model::Moment;

/// One host of a group whose change is prepared.
pub(super) struct Member<'a, H> {
    pub(super) job: Job<'a>,
    /// When its share was begun.
    pub(super) since: Moment,
    /// The newest connection, while it lasts.
    pub(super) connection: Option<H>,
    pub(super) clock: HostClock,
}
