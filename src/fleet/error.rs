//! How work on a fleet fails: of which kind, why, and what to do instead.

use std::fmt;

use super::asked::UnknownHost;
use crate::vault::{PassphraseError, VaultError};

/// What kind of failure it is: what a caller decides on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Internal or I/O error.
    Failed,
    /// The inventory, or what hosts have, forbids it; nothing was touched.
    Findings,
    /// Some hosts could not be read.
    Unreadable,
    /// Locked by another run.
    Locked,
    /// The plan, or the files, are older than what hosts have.
    Stale,
    /// The vault cannot be used.
    Vault,
    /// What was asked for makes no sense.
    Usage,
    /// The operator ended it.
    Interrupted,
}

/// Why work on a fleet failed.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    why: Why,
    advice: Vec<Advice>,
}

/// What to write or run instead. What a caller's options are called is for the caller to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Advice {
    /// What holds for every caller.
    Text(String),
    /// Name the inventory, or begin one.
    NameInventory,
    /// Name the file that git tracks.
    NameTrackedFile,
    /// Give the inventory on stdin: it is no regular file.
    GiveOnStdin,
    /// Name the file that a link leads to, or allow the folder that it is in.
    AllowFolder,
    /// Name a lock file, or write addresses into the inventory.
    NameLockFile,
    /// Let the lock file change.
    LetLockChange,
    /// Leave the lock file as it is; older copies of the files are then not noticed.
    LeaveLockAlone,
    /// Update the files, or allow older ones.
    AllowOlder,
    /// Include the host in what is asked.
    IncludeHost,
    /// Go on without neighbours that cannot be read.
    AllowUnreachable,
}

#[derive(Debug)]
enum Why {
    Message(String),
    Source(Box<dyn std::error::Error + Send + Sync>),
    Unknown(UnknownHost),
}

impl Error {
    /// What another error means here; its own causes stay.
    pub fn new(kind: Kind, error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self { kind, why: Why::Source(Box::new(error)), advice: Vec::new() }
    }

    /// An error that is only a message.
    pub fn message(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, why: Why::Message(message.into()), advice: Vec::new() }
    }

    /// A host was asked for that is not there.
    pub(super) fn unknown(kind: Kind, host: UnknownHost) -> Self {
        Self { kind, why: Why::Unknown(host), advice: Vec::new() }
    }

    /// Adds what to write or run instead.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        self.advise(Advice::Text(hint.into()))
    }

    /// Adds what to write or run instead, for the caller to put into words.
    #[must_use]
    pub fn advise(mut self, advice: Advice) -> Self {
        self.advice.push(advice);
        self
    }

    /// Of which kind it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// What to write or run instead.
    #[must_use]
    pub fn advice(&self) -> &[Advice] {
        &self.advice
    }

    /// The host that was asked for and is not there, where that is the error.
    #[must_use]
    pub const fn unknown_host(&self) -> Option<&UnknownHost> {
        match &self.why {
            Why::Unknown(host) => Some(host),
            Why::Message(_) | Why::Source(_) => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.why {
            Why::Message(message) => f.write_str(message),
            Why::Source(source) => source.fmt(f),
            Why::Unknown(host) => write!(f, "the inventory has no host `{}`", host.name),
        }
    }
}

impl std::error::Error for Error {
    /// The cause of what it shows.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.why {
            Why::Message(_) | Why::Unknown(_) => None,
            Why::Source(source) => source.source(),
        }
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::new(Kind::Failed, error)
    }
}

impl From<VaultError> for Error {
    fn from(error: VaultError) -> Self {
        let kind = match &error {
            VaultError::Locked { .. } => Kind::Locked,
            VaultError::Passphrase { source: PassphraseError::Interrupted, .. } => {
                Kind::Interrupted
            }
            _ => Kind::Vault,
        };
        Self::new(kind, error)
    }
}
