//! How the change of a host ended, and when.

use serde::{Deserialize, Serialize};

use super::outcome::Outcome;
use crate::model::{HostName, InterfaceName, Moment};

/// How the change of a host ended, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// The host.
    pub host: HostName,
    /// The id of the change on the host; `None` where nothing was begun.
    pub transaction: Option<String>,
    /// When it was begun; `None` where nothing was.
    pub begun: Option<Moment>,
    /// When it ended; `None` where nothing was begun.
    pub ended: Option<Moment>,
    /// How it ended.
    pub outcome: Outcome,
    /// Its sessions that worked before, and of which nothing proved that they do after the change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unverified: Vec<UnverifiedSession>,
}

/// A session of which nothing proved that it works after a change: it may only have been idle.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct UnverifiedSession {
    /// The interface.
    pub interface: InterfaceName,
    /// The peer.
    pub peer: HostName,
}

impl Ending {
    /// With sessions of which nothing proved that they work; a change that was not kept says nothing of them.
    #[must_use]
    pub fn unverified(mut self, sessions: Vec<UnverifiedSession>) -> Self {
        if matches!(self.outcome, Outcome::Applied | Outcome::NotForNextBoot(_)) {
            self.unverified = sessions;
        }
        self
    }

    /// Of a host on which nothing was begun.
    #[must_use]
    pub const fn not_begun(host: HostName, outcome: Outcome) -> Self {
        let unverified = Vec::new();
        Self { host, transaction: None, begun: None, ended: None, outcome, unverified }
    }
}
