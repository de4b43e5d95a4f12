//! What a command writes to stdout.

use std::io::Write as _;

use serde::Serialize;

use super::error::{CommandError, CommandResult};
use super::exit::Exit;
use crate::report;

/// Writes a command's data; a reader that left early has read enough.
pub(super) fn write_stdout(bytes: &[u8]) -> Result<(), CommandError> {
    let mut stdout = anstream::stdout();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Writes a command's text, and ends it well.
pub(super) fn print(text: &str) -> CommandResult {
    write_stdout(text.as_bytes())?;
    Ok(Exit::Done)
}

/// A document as indented text.
pub(super) fn json(document: &impl Serialize) -> Result<String, CommandError> {
    report::json::pretty(document).map_err(|error| CommandError::new(Exit::Failed, &error))
}
