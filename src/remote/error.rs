//! Why something on a host did not happen.

use crate::model::Untrusted;

/// Why something on a host did not happen.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// ssh(1) did not connect; its own words.
    #[error("ssh did not connect: {0}")]
    Connect(Untrusted),
    /// A host key on the way is not known, or not the one that is known; what to run.
    #[error("{0}")]
    HostKey(Untrusted),
    /// The connection broke.
    #[error("the connection broke")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Reading or writing the connection failed.
    #[error("the connection broke")]
    Io(#[from] std::io::Error),
    /// Nothing came back in time.
    #[error("no answer within {0} s")]
    Timeout(u64),
    /// No private folder for the control sockets can be made.
    #[error("failed to make a private folder for ssh's control sockets")]
    Folder(#[source] std::io::Error),
    /// The host sends more than any host has reason to.
    #[error("the host's answer is longer than {0} bytes")]
    TooLong(u64),
    /// The login shell did not run the script; what it printed instead.
    #[error(
        "the login shell ended before it ran wgfleet's command{}: let `ssh` run `sh -c true` there; \
         startup files such as ~/.bashrc, ~/.zshenv or ~/.cshrc must neither exit nor read their \
         input where the shell is not interactive, and the user needs a shell that takes commands",
        if .0.is_empty() { String::new() } else { format!(" (it printed: {})", .0) }
    )]
    Startup(String),
    /// The host's side failed.
    #[error("the host said: {0}")]
    Host(String),
    /// The host's answer makes no sense.
    #[error("the host's answer makes no sense")]
    Answer(#[from] crate::observed::ObserveError),
}
