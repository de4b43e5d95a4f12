//! How work on a fleet fails: of which kind, why, and what to do instead.

use std::fmt;

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
    hints: Vec<String>,
}

#[derive(Debug)]
enum Why {
    Message(String),
    Source(Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// What another error means here; its own causes stay.
    pub fn new(kind: Kind, error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self { kind, why: Why::Source(Box::new(error)), hints: Vec::new() }
    }

    /// An error that is only a message.
    pub fn message(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, why: Why::Message(message.into()), hints: Vec::new() }
    }

    /// Adds what to write or run instead.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Of which kind it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// What to write or run instead, one line each.
    #[must_use]
    pub fn hints(&self) -> &[String] {
        &self.hints
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.why {
            Why::Message(message) => f.write_str(message),
            Why::Source(source) => source.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    /// The cause of what it shows.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.why {
            Why::Message(_) => None,
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
