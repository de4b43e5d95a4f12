//! How commands that stand in for wg(8) fail.

use crate::cli::{CommandError, Exit};

/// Every error of wg(8) is exit code 1.
pub(super) fn failed(message: impl Into<String>) -> CommandError {
    CommandError::message(Exit::Failed, message)
}

/// What went wrong, with its causes.
pub(super) fn error(error: &(dyn std::error::Error + 'static)) -> CommandError {
    CommandError::new(Exit::Failed, error)
}
