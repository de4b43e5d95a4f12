//! Why an answer is refused.

use super::lacking::Lacking;
use super::protocol::PROTOCOL;

/// Why an observation was refused. A refused host counts as one that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObserveError {
    /// The host's script is that of another version.
    #[error(
        "the host's script has protocol {found}, and this wgfleet {PROTOCOL}; use one version of \
         wgfleet for both"
    )]
    Protocol {
        /// Its protocol.
        found: u32,
    },
    /// The text ends before its last line: the connection broke.
    #[error("the host's answer ends early, after line {lines}")]
    Truncated {
        /// Lines that arrived.
        lines: usize,
    },
    /// A line that no host of ours sends.
    #[error("line {line} of the host's answer is not understood: {text:?}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// Its first characters.
        text: String,
    },
    /// More of something than any host has reason to send.
    #[error("the host's answer has more than {limit} {what}; no more are read")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The most that are read.
        limit: usize,
    },
    /// The host has not the programs that it takes to observe it.
    #[error(transparent)]
    Lacks(Lacking),
}
