//! What is being done to a host, while it is.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What is being done to a host. `Display` says it in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Step {
    /// It is logged in to, and observed.
    Connecting,
    /// It is asked how much of the binary it has.
    AskingForBinary,
    /// The binary is sent.
    PushingBinary {
        /// What is left to send.
        kib: u64,
    },
    /// All that can be tried is tried; nothing changes.
    Preparing,
    /// The change is staged, armed and done.
    Applying,
    /// It is observed again, and told to keep the change.
    Confirming,
    /// It is told to roll back.
    RollingBack,
    /// Its sessions are to shake hands with the new key.
    AwaitingHandshake,
    /// Its peers are pinged through the tunnels.
    Probing,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connecting => "connecting",
            Self::AskingForBinary => "asking what it has of the binary",
            Self::PushingBinary { kib } => return write!(f, "pushing {kib} KiB of wgfleet"),
            Self::Preparing => "preparing",
            Self::Applying => "applying",
            Self::Confirming => "confirming",
            Self::RollingBack => "rolling back",
            Self::AwaitingHandshake => "waiting for a new handshake",
            Self::Probing => "pinging its peers",
        })
    }
}
