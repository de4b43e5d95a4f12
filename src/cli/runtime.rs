//! What commands run in that log in to hosts.

use super::error::CommandError;

/// The runtime of every command that logs in to hosts.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, CommandError> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}
