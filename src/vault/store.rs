//! The steps by which a vault is written, each of them whole or not at all.

use std::fmt;
use std::fs;
use std::path::Path;

use crate::sys::{FileError, Mode, write_atomic, write_new};

/// The steps of writing. Tests stop at each of them.
pub(super) trait Store: Send + Sync + fmt::Debug {
    /// Writes a file that must not be there yet.
    fn create(&self, path: &Path, bytes: &[u8], mode: Mode) -> Result<(), FileError>;
    /// Writes a file in the place of what is there.
    fn replace(&self, path: &Path, bytes: &[u8], mode: Mode) -> Result<(), FileError>;
    /// Gives a file another name.
    fn rename(&self, from: &Path, to: &Path) -> Result<(), FileError>;
    /// Removes a file; one that is not there is removed already.
    fn remove(&self, path: &Path) -> Result<(), FileError>;
}

/// The disk.
#[derive(Debug)]
pub(super) struct Disk;

impl Store for Disk {
    fn create(&self, path: &Path, bytes: &[u8], mode: Mode) -> Result<(), FileError> {
        write_new(path, bytes, mode)
    }

    fn replace(&self, path: &Path, bytes: &[u8], mode: Mode) -> Result<(), FileError> {
        write_atomic(path, bytes, mode)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), FileError> {
        fs::rename(from, to).map_err(|source| FileError::Write { path: to.to_owned(), source })
    }

    fn remove(&self, path: &Path) -> Result<(), FileError> {
        match fs::remove_file(path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(FileError::Write { path: path.to_owned(), source })
            }
            _ => Ok(()),
        }
    }
}
