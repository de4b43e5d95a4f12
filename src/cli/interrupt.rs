//! A run that is told to end in the middle: by Ctrl-C, or by a CI job that is cancelled.

use tokio::signal::unix::{SignalKind, signal};

use super::{CommandError, CommandResult, Exit};

/// Does `work` unless SIGINT or SIGTERM comes; then connections end in order, and `hint` says how
/// to go on.
pub(super) async fn unless_interrupted(
    work: impl Future<Output = CommandResult>,
    hint: &str,
) -> CommandResult {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        done = work => return done,
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    Err(CommandError::message(
        Exit::Interrupted,
        "interrupted; hosts that were not confirmed go back by themselves",
    )
    .hint(hint))
}
