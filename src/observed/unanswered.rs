//! Why a host gave no answer that can be used, as a value to decide on.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Lacking;
use crate::model::Untrusted;

/// Why a host gave no answer that can be used. `Display` says it in words.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum Unanswered {
    /// Not told: a saved plan does without it.
    #[default]
    NotTold,
    /// ssh(1) did not log in.
    Login {
        /// What ssh(1) said.
        said: Untrusted,
    },
    /// A host key on the way is not known, or not the one that is known.
    HostKey {
        /// Which, and what to run.
        advice: Untrusted,
    },
    /// The connection broke.
    ConnectionBroke {
        /// What the system said of it; null where it said nothing.
        cause: Option<Untrusted>,
    },
    /// Nothing came back in time.
    NoAnswer {
        /// In which time.
        within_seconds: u64,
    },
    /// This machine has no private folder for ssh's control sockets.
    NoFolder {
        /// What the system said of it; null where it said nothing.
        cause: Option<Untrusted>,
    },
    /// The host sends more than any host has reason to.
    TooLong {
        /// The most bytes that are read.
        most_bytes: u64,
    },
    /// The login shell did not run the script.
    LoginShell {
        /// What it printed instead; may be empty.
        printed: Untrusted,
    },
    /// The host's side failed.
    HostSaid {
        /// What it said.
        said: Untrusted,
    },
    /// The host lacks programs that wgfleet works with there.
    LackingTools {
        /// Which, and what installs them.
        lacking: Lacking,
    },
    /// The host's answer makes no sense.
    Senseless {
        /// What of it; null where that is not told.
        cause: Option<Untrusted>,
    },
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cause = match self {
            Self::NotTold => return Ok(()),
            Self::Login { said } => return write!(f, "ssh did not connect: {said}"),
            Self::HostKey { advice } => return advice.fmt(f),
            Self::NoAnswer { within_seconds } => {
                return write!(f, "no answer within {within_seconds} s");
            }
            Self::TooLong { most_bytes } => {
                return write!(f, "the host's answer is longer than {most_bytes} bytes");
            }
            Self::LoginShell { printed } => {
                f.write_str("the login shell ended before it ran wgfleet's command")?;
                if !printed.raw().is_empty() {
                    write!(f, " (it printed: {printed})")?;
                }
                return f.write_str(
                    ": let `ssh` run `sh -c true` there; startup files such as ~/.bashrc, ~/.zshenv \
                     or ~/.cshrc must neither exit nor read their input where the shell is not \
                     interactive, and the user needs a shell that takes commands",
                );
            }
            Self::HostSaid { said } => return write!(f, "the host said: {said}"),
            Self::LackingTools { lacking } => {
                return write!(f, "the host's answer makes no sense: {lacking}");
            }
            Self::ConnectionBroke { cause } => {
                f.write_str("the connection broke")?;
                cause
            }
            Self::NoFolder { cause } => {
                f.write_str("failed to make a private folder for ssh's control sockets")?;
                cause
            }
            Self::Senseless { cause } => {
                f.write_str("the host's answer makes no sense")?;
                cause
            }
        };
        cause.iter().try_for_each(|cause| write!(f, ": {cause}"))
    }
}
