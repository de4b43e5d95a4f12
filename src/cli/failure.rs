//! How a command that failed, or was given wrong arguments, ends.

use std::io::Write as _;
use std::process::ExitCode;

use super::{CommandError, Exit};

/// Says on stderr why a command failed.
pub(super) fn fail(error: &CommandError) -> ExitCode {
    anstream::eprintln!("wgfleet: {error}");
    error.exit.into()
}

/// Shows what is wrong with the arguments, or the help that they ask for.
pub(super) fn refuse(error: &clap::Error) -> ExitCode {
    let text = error.render().ansi().to_string();
    // A closed stdout is no reason to fail while showing help.
    if error.use_stderr() {
        let _ = anstream::stderr().write_all(text.as_bytes());
        return Exit::Usage.into();
    }
    let _ = anstream::stdout().write_all(text.as_bytes());
    Exit::Done.into()
}
