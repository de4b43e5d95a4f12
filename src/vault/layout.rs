//! Where the parts of a vault are.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::model::{HostName, PublicKey};
use crate::sys::{ConfinedError, Confinement, FileError};

/// Where the parts of a vault are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout<'a>(pub(super) &'a Path);

impl Layout<'_> {
    pub(super) fn index(self) -> PathBuf {
        self.0.join("index.json")
    }

    pub(super) fn recipients(self) -> PathBuf {
        self.0.join("recipients.txt")
    }

    pub(super) fn keys(self) -> PathBuf {
        self.0.join("keys")
    }

    pub(super) fn psk(self) -> PathBuf {
        self.0.join("psk")
    }

    pub(super) fn key(self, name: &HostName, public: &PublicKey) -> PathBuf {
        let mut file = format!("{name}.");
        for byte in &public.as_bytes()[..8] {
            let _ = write!(file, "{byte:02x}");
        }
        file.push_str(".age");
        self.keys().join(file)
    }

    pub(super) fn epoch(self, epoch: u32) -> PathBuf {
        self.psk().join(format!("{epoch}.age"))
    }

    pub(super) fn pairs(self, number: u32) -> PathBuf {
        self.psk().join(format!("pairs-{number}.age"))
    }

    pub(super) fn fingerprint(self) -> PathBuf {
        self.0.join("fingerprint.age")
    }
}

/// The first characters of a file's name until the index names it.
const PENDING: &str = ".pending-";

/// Where a file is until the index names it.
pub(super) fn pending(path: &Path) -> PathBuf {
    let mut name = OsString::from(PENDING);
    name.push(path.file_name().unwrap_or_default());
    path.with_file_name(name)
}

/// The name that a pending file is to get.
pub(super) fn settled(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?.strip_prefix(PENDING)?;
    Some(path.with_file_name(name))
}

/// Reads a regular file of the vault that lies in its folder, links followed: whoever can send a pull
/// request can put a link there.
pub(super) fn read(folder: &Path, path: &Path, limit: u64) -> Result<Vec<u8>, ConfinedError> {
    let mut confinement = Confinement::default();
    confinement
        .allow(folder)
        .map_err(|source| FileError::Read { path: folder.to_owned(), source })?;
    confinement.read(path, limit)
}
