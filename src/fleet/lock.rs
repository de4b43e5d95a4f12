//! One run at a time changes a fleet.

use std::fs::{File, TryLockError};
use std::path::Path;

use super::{Error, Kind};

/// The right to change the fleet of one folder: ends with the value, or with the process.
///
/// The lock is on the folder itself, so that nothing is left behind and git has nothing to ignore.
/// Runs on two machines meet on the hosts instead: a host takes one change at a time.
#[derive(Debug)]
pub struct FleetLock {
    folder: File,
}

impl Drop for FleetLock {
    /// Closing alone would leave the lock to a child process that another thread has forked and
    /// that has not reached its exec yet.
    fn drop(&mut self) {
        let _ = self.folder.unlock();
    }
}

impl FleetLock {
    /// Takes the lock, before the inventory is read: what the other run writes is seen.
    ///
    /// # Errors
    /// [`Kind::Locked`] where another run has it.
    pub fn take(path: &Path) -> Result<Self, Error> {
        let failed = |error: std::io::Error| {
            let message = format!("failed to lock {}: {error}", path.display());
            Error::message(Kind::Failed, message)
        };
        let folder = File::open(path).map_err(failed)?;
        match folder.try_lock() {
            Ok(()) => Ok(Self { folder }),
            // File systems without locks: the hosts still refuse a second change.
            Err(TryLockError::Error(error)) if error.kind() == std::io::ErrorKind::Unsupported => {
                Ok(Self { folder })
            }
            Err(TryLockError::Error(error)) => Err(failed(error)),
            Err(TryLockError::WouldBlock) => Err(Error::message(
                Kind::Locked,
                format!("another run is changing the fleet in {}", path.display()),
            )
            .hint("wait until it has ended; nothing was touched")),
        }
    }
}
