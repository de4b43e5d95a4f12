//! The exit codes, one table for all commands.

use std::process::ExitCode;

use crate::fleet::Kind;

/// How a command ended. Documented in `docs/exit-codes.md`; the numbers are permanent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Done, or nothing to do.
    Done,
    /// Internal or I/O error.
    Failed,
    /// Changes or drift present, with `--detailed-exitcode`.
    Changes,
    /// Findings of severity error, an `expect` that fails, or a plan that does what `--forbid` refuses; nothing was touched.
    Findings,
    /// Some hosts could not be read.
    Unreadable,
    /// Locked by another run.
    Locked,
    /// The saved plan is stale, a host changed meanwhile, or the files are older than a host's record.
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
    /// Interrupted, or paused between two waves; a second run goes on.
    Interrupted,
}

impl Exit {
    /// Every way to end, in order of number.
    pub const ALL: &'static [Self] = &[
        Self::Done,
        Self::Failed,
        Self::Changes,
        Self::Findings,
        Self::Unreadable,
        Self::Locked,
        Self::Stale,
        Self::Partial,
        Self::RolledBack,
        Self::Unknown,
        Self::Vault,
        Self::Usage,
        Self::Interrupted,
    ];

    /// How a command ends whose work failed.
    #[must_use]
    pub const fn of(kind: Kind) -> Self {
        match kind {
            Kind::Failed => Self::Failed,
            Kind::Findings => Self::Findings,
            Kind::Unreadable => Self::Unreadable,
            Kind::Locked => Self::Locked,
            Kind::Stale => Self::Stale,
            Kind::Vault => Self::Vault,
            Kind::Usage => Self::Usage,
            Kind::Interrupted => Self::Interrupted,
        }
    }

    /// What it means, in one sentence.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "Done, or nothing to do.",
            Self::Failed => "Internal or I/O error.",
            Self::Changes => "Changes or drift present, with `--detailed-exitcode`.",
            Self::Findings => {
                "Findings of severity error, an `expect` that fails, or a plan that does what \
                 `--forbid` refuses; nothing was touched."
            }
            Self::Unreadable => "Some hosts could not be read.",
            Self::Locked => "Locked by another run.",
            Self::Stale => {
                "The saved plan is stale, a host changed meanwhile, or the files are older than a host's record."
            }
            Self::Partial => "Partly failed; what is left was not started.",
            Self::RolledBack => "Rolled back, and the rollback was verified.",
            Self::Unknown => "A host's state is unknown.",
            Self::Vault => "The vault cannot be used.",
            Self::Usage => "Wrong arguments.",
            Self::Interrupted => "Interrupted, or paused between two waves; a second run goes on.",
        }
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_has_the_same_table() {
        let page = include_str!("../../docs/exit-codes.md");
        let source = include_str!("exit.rs");
        let rows: Vec<[&str; 3]> = page
            .lines()
            .filter(|line| line.starts_with("| ") && line.as_bytes()[2].is_ascii_digit())
            .map(|line| {
                let mut cells = line.trim_matches('|').split('|').map(str::trim);
                std::array::from_fn(|_| cells.next().unwrap_or_default())
            })
            .collect();
        assert_eq!(rows.len(), Exit::ALL.len());
        for (exit, [code, name, meaning]) in Exit::ALL.iter().zip(rows) {
            assert_eq!(code, exit.code().to_string());
            assert_eq!(name, format!("{exit:?}"));
            let doc = format!("    /// {meaning}\n    {name},\n");
            assert!(source.contains(&doc), "{doc}");
            assert_eq!(meaning, exit.meaning());
        }
    }

    #[test]
    fn the_list_is_whole_and_in_order() {
        assert!(Exit::ALL.windows(2).all(|pair| pair[0].code() < pair[1].code()));
        assert_eq!(Exit::ALL.len(), Exit::Interrupted as usize + 1, "the last one is in the list");
    }
}
