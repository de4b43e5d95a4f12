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
    let file = File::open(path);
    read_whole(
        path,
        file.map_err(|source| FileError::Read { path: path.to_owned(), source })?,
        limit,
    )
}

/// Reads what an open file holds, at most `limit` bytes; `path` is for errors.
pub(super) fn read_whole(path: &Path, file: File, limit: u64) -> Result<Vec<u8>, FileError> {
    let failed = |source| FileError::Read { path: path.to_owned(), source };
    // Room for all of it, so that no copy with a key in it is left behind by growing.
    let length = file.metadata().map_or(0, |file| file.len()).min(limit);
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 1);
    file.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
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
    stage(path, bytes, mode)
        .and_then(|file| file.persist(path).map_err(|error| error.error))
        .and_then(|_| sync_folder(path))
        .map_err(|source| FileError::Write { path: path.to_owned(), source })
}

/// Writes a file as [`write_atomic`] does, but never over one that is already there.
///
/// # Errors
/// [`FileError::Write`], with [`io::ErrorKind::AlreadyExists`] where there is a file at `path`; it
/// is untouched.
pub fn write_new(path: &Path, bytes: &[u8], mode: Mode) -> Result<(), FileError> {
    stage(path, bytes, mode)
        .and_then(|file| file.persist_noclobber(path).map_err(|error| error.error))
        .and_then(|_| sync_folder(path))
        .map_err(|source| FileError::Write { path: path.to_owned(), source })
}

/// The temporary file beside `path`, whole and on disk.
fn stage(path: &Path, bytes: &[u8], mode: Mode) -> io::Result<tempfile::NamedTempFile> {
    let bits = match mode {
        Mode::Private => 0o600,
        Mode::Public => 0o644,
    };
    let mut file = tempfile::Builder::new()
        .prefix(".wgfleet-")
        .permissions(Permissions::from_mode(bits))
        .tempfile_in(folder_of(path))?;
    file.write_all(bytes)?;
    // The umask may have taken bits away.
    file.as_file().set_permissions(Permissions::from_mode(bits))?;
    file.as_file().sync_all()?;
    Ok(file)
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    fs::File::open(folder_of(path))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_file_is_private_and_an_existing_one_is_never_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write_new(&path, b"first", Mode::Private).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let FileError::Write { source, .. } =
            write_new(&path, b"second", Mode::Private).unwrap_err()
        else {
            panic!("another error");
        };
        assert_eq!(source.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"first");
        write_atomic(&path, b"third", Mode::Public).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"third");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "temporary files are gone");
    }
}
