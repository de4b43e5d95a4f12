//! A run that is told to end in the middle: by Ctrl-C, or by a CI job that is cancelled.

use tokio::signal::unix::{SignalKind, signal};

use super::{CommandError, CommandResult, Exit};

/// Does `work` unless SIGINT or SIGTERM comes; then connections end in order, and `hint` says how
/// to go on.
pub(super) async fn unless_interrupted(
    work: impl Future<Output = CommandResult>,
    hint: &str,
) -> CommandResult {
    unless_signalled(work).await?.unwrap_or_else(|| {
        Err(CommandError::message(
            Exit::Interrupted,
            "interrupted; hosts whose change was not confirmed roll it back by themselves",
        )
        .hint(hint))
    })
}

/// The same for work that changes no host.
pub(super) async fn before_anything<T>(
    work: impl Future<Output = Result<T, CommandError>>,
) -> Result<T, CommandError> {
    unless_signalled(work).await?.unwrap_or_else(|| {
        Err(CommandError::message(Exit::Interrupted, "interrupted; nothing was touched"))
    })
}

/// What work came to, unless a signal came first.
async fn unless_signalled<T>(work: impl Future<Output = T>) -> Result<Option<T>, CommandError> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        done = work => Ok(Some(done)),
        _ = tokio::signal::ctrl_c() => Ok(None),
        _ = terminate.recv() => Ok(None),
    }
}
