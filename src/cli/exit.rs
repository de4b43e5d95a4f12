//! The exit codes, one table for all commands.

use std::process::ExitCode;

/// How a command ended. Documented in `docs/exit-codes.md`; the numbers are permanent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Done, or nothing to do.
    Done,
    /// Internal or I/O error.
    Failed,
    /// Changes or drift present, with `--detailed-exitcode`.
    Changes,
    /// Findings of severity error, or an `expect` that fails; nothing was touched.
    Findings,
    /// Some hosts could not be read.
    Unreadable,
    /// Locked by another run.
    Locked,
    /// The saved plan is stale.
    Stale,
    /// Partly failed; what is left was not started.
    Partial,
    /// Rolled back, and the rollback was verified.
    RolledBack,
    /// A host's state is unknown.
    Unknown,
    /// The vault cannot be used.
    Vault,
    /// Wrong arguments.
    Usage,
    /// Interrupted; a second run resumes.
    Interrupted,
}

impl Exit {
    /// The process exit code.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Changes => 2,
            Self::Findings => 3,
            Self::Unreadable => 4,
            Self::Locked => 5,
            Self::Stale => 6,
            Self::Partial => 7,
            Self::RolledBack => 8,
            Self::Unknown => 9,
            Self::Vault => 10,
            Self::Usage => 64,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
