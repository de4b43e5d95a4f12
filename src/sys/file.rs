//! Files that are written whole or not at all, private from their first instant.

use std::fs::{self, File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Who may read a file that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// 0600: holds secrets.
    Private,
    /// 0644.
    Public,
}

/// What went wrong with a file, and with which.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file cannot be read.
    #[error("failed to read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file cannot be written; what it held before is untouched.
    #[error("failed to write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is larger than anything of its kind.
    #[error("{path} is larger than {limit} bytes")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most bytes it may have.
        limit: u64,
    },
}

/// Reads a file of at most `limit` bytes.
///
/// # Errors
/// [`FileError::Read`] or [`FileError::TooLarge`].
pub fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    let failed = |source| FileError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(FileError::TooLarge { path: path.to_owned(), limit });
    }
    Ok(bytes)
}

/// Writes a file to a temporary name beside it, with its mode from the first instant, syncs it and
/// renames it over `path`; then syncs the folder.
///
/// # Errors
/// [`FileError::Write`]; whatever `path` held before is untouched.
pub fn write_atomic(path: &Path, bytes: &[u8], mode: Mode) -> Result<(), FileError> {
    let failed = |source| FileError::Write { path: path.to_owned(), source };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let bits = match mode {
        Mode::Private => 0o600,
        Mode::Public => 0o644,
    };
    let mut file = tempfile::Builder::new()
        .prefix(".wgfleet-")
        .permissions(Permissions::from_mode(bits))
        .tempfile_in(folder)
        .map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    // The umask may have taken bits away.
    file.as_file().set_permissions(Permissions::from_mode(bits)).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}
