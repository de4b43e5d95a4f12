//! How a command fails: a message, an exit code, and hints.

use std::fmt;

use super::{Exit, advice};
use crate::fleet;
use crate::model::Untrusted;
use crate::vault::VaultError;

/// An error on its way to the terminal.
#[derive(Debug)]
pub struct CommandError {
    /// The exit code.
    pub exit: Exit,
    /// What went wrong: outermost first, each cause after it.
    pub chain: Vec<String>,
    /// What to write or run instead, one line each.
    pub hints: Vec<String>,
}

impl CommandError {
    /// An error with everything that caused it.
    pub fn new(exit: Exit, error: &(dyn std::error::Error + 'static)) -> Self {
        let causes = std::iter::successors(Some(error), |error| error.source());
        let mut chain: Vec<String> = causes.map(ToString::to_string).collect();
        chain.dedup();
        Self { exit, chain, hints: Vec::new() }
    }

    /// An error that is only a message.
    pub fn message(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, chain: vec![message.into()], hints: Vec::new() }
    }

    /// Adds what to write or run instead.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Causes quote files, templates and hosts.
        let shown = |text: &str| Untrusted::new(text).lines();
        write!(f, "{}", shown(&self.chain.join(": ")))?;
        self.hints.iter().try_for_each(|hint| write!(f, "\n  hint: {}", shown(hint)))
    }
}

impl From<fleet::Error> for CommandError {
    fn from(error: fleet::Error) -> Self {
        let exit = Exit::of(error.kind());
        let hints = error.advice().iter().map(advice::words);
        let Some(unknown) = error.unknown_host() else {
            return Self { hints: hints.collect(), ..Self::new(exit, &error) };
        };
        let (message, hint) = advice::unknown(unknown);
        Self { hints: hint.into_iter().chain(hints).collect(), ..Self::message(exit, message) }
    }
}

impl From<VaultError> for CommandError {
    fn from(error: VaultError) -> Self {
        fleet::Error::from(error).into()
    }
}

impl From<std::io::Error> for CommandError {
    fn from(error: std::io::Error) -> Self {
        Self::new(Exit::Failed, &error)
    }
}

/// What every command returns.
pub type CommandResult = Result<Exit, CommandError>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_obeys_no_error() {
        let error = CommandError::message(Exit::Failed, "no filter \u{1b}[2J\n::error::x");
        let shown = error.hint("see \u{202e}x").to_string();
        assert_eq!(shown, "no filter \\u{1b}[2J\n\\u{3a}:error::x\n  hint: see \\u{202e}x");
    }
}
