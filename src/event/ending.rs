//! How the change of a host ended, and when.

use serde::{Deserialize, Serialize};

use super::outcome::Outcome;
use crate::model::{HostName, Moment};

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
}

impl Ending {
    /// Of a host on which nothing was begun.
    #[must_use]
    pub const fn not_begun(host: HostName, outcome: Outcome) -> Self {
        Self { host, transaction: None, begun: None, ended: None, outcome }
    }
}
