//! What became of one host's change.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::reason::Reason;
use crate::model::worded;

/// How a host's change ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", content = "reason")]
pub enum Outcome {
    /// Nothing had to be done.
    Unchanged,
    /// Done, and confirmed over a new connection.
    Applied,
    /// Confirmed and live, but what the next boot reads could not be written.
    #[serde(rename = "applied-not-for-next-boot")]
    NotForNextBoot(#[serde(with = "worded")] Reason),
    /// Not begun: the host was not any more what the plan saw.
    Moved(#[serde(with = "worded")] Reason),
    /// Not begun: the host could not be read, or its change cannot be made.
    Skipped(#[serde(with = "worded")] Reason),
    /// Failed before anything changed.
    Failed(#[serde(with = "worded")] Reason),
    /// Failed or not confirmed, rolled back, and seen to be as before.
    RolledBack(#[serde(with = "worded")] Reason),
    /// Nobody knows: the connection broke, and the host rolls the change back by itself.
    Unknown(#[serde(with = "worded")] Reason),
}

impl Outcome {
    /// Why it did not end as it was to; `None` where it did.
    #[must_use]
    pub const fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Unchanged | Self::Applied => None,
            Self::NotForNextBoot(reason)
            | Self::Moved(reason)
            | Self::Skipped(reason)
            | Self::Failed(reason)
            | Self::RolledBack(reason)
            | Self::Unknown(reason) => Some(reason),
        }
    }
}

/// Says it in words, after the host's name.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unchanged => f.write_str("unchanged"),
            Self::Applied => f.write_str("applied"),
            Self::NotForNextBoot(what) => {
                write!(f, "applied, but not for the next boot: {what}; run `wgfleet apply` again")
            }
            Self::Skipped(reason @ Reason::Blocked { .. }) => write!(f, "skipped: {reason}"),
            Self::Moved(reason) | Self::Skipped(reason) | Self::Failed(reason) => reason.fmt(f),
            Self::RolledBack(reason) => write!(f, "rolled back: {reason}"),
            Self::Unknown(reason) => write!(f, "state unknown: {reason}"),
        }
    }
}
