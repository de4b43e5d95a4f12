//! Where each host's last login went, kept beside the user's own `known_hosts`.
//!
//! `accept-new` believes the first key of a machine. For a host whose `ssh:` was changed that would
//! be the key of whatever machine the change names, and the change may be a stranger's. So what it is
//! compared with lies on the controller, out of a pull request's reach.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::model::{HostName, SshTarget};
use crate::sys::{FileError, Mode, read_limited, write_atomic};

/// The most bytes that the file may have.
const LIMIT: u64 = 16 << 20;

/// The version of the file that is read and written.
const VERSION: u32 = 1;

/// Where hosts were last logged in to.
#[derive(Debug)]
pub struct LastLogins {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: LoginsFile,
    is_saved: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LoginsFile {
    version: u32,
    hosts: BTreeMap<HostName, SshTarget>,
}

impl LastLogins {
    /// Reads the file, if there is one.
    ///
    /// # Errors
    /// [`FileError::Read`] where it cannot be read or is not such a file.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let file = match read_limited(path, LIMIT) {
            Ok(bytes) => {
                let wrong = |source| FileError::Read { path: path.to_owned(), source };
                let file: LoginsFile =
                    serde_json::from_slice(&bytes).map_err(|error| wrong(error.into()))?;
                if file.version != VERSION {
                    return Err(wrong(std::io::Error::other(
                        "another version of wgfleet wrote it",
                    )));
                }
                file
            }
            Err(FileError::Read { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound =>
            {
                LoginsFile { version: VERSION, hosts: BTreeMap::new() }
            }
            Err(error) => return Err(error),
        };
        let state = Mutex::new(State { file, is_saved: true });
        Ok(Self { path: path.to_owned(), state })
    }

    /// Where the last login of each host went.
    #[must_use]
    pub fn hosts(&self) -> BTreeMap<HostName, SshTarget> {
        self.state.lock().file.hosts.clone()
    }

    /// Where the last login of a host went, where that is not `target`.
    pub(super) fn moved(&self, name: &HostName, target: &SshTarget) -> Option<SshTarget> {
        self.state.lock().file.hosts.get(name).filter(|last| *last != target).cloned()
    }

    /// A login of a host went to `target`.
    pub(super) fn went_well(&self, name: &HostName, target: &SshTarget) {
        let mut state = self.state.lock();
        if state.file.hosts.get(name) != Some(target) {
            state.file.hosts.insert(name.clone(), target.clone());
            state.is_saved = false;
        }
    }

    /// Writes what is new to the file.
    ///
    /// # Errors
    /// [`FileError::Write`].
    pub(super) async fn save(&self) -> Result<(), FileError> {
        let mut bytes = {
            let mut state = self.state.lock();
            if std::mem::replace(&mut state.is_saved, true) {
                return Ok(());
            }
            serde_json::to_vec_pretty(&state.file).unwrap_or_default()
        };
        bytes.push(b'\n');
        if let Some(folder) = self.path.parent() {
            let made = tokio::fs::create_dir_all(folder).await;
            made.map_err(|source| FileError::Write { path: folder.to_owned(), source })?;
        }
        write_atomic(&self.path, &bytes, Mode::Private)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_logged_in_to_is_there_the_next_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/logins.json");
        let name = "b7".parse().unwrap();
        let (old, new) = ("root@b7".parse().unwrap(), "root@evil.example.com".parse().unwrap());
        let logins = LastLogins::open(&path).unwrap();
        assert_eq!(logins.moved(&name, &new), None, "nobody knows where it was");
        logins.went_well(&name, &old);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(logins.save()).unwrap();
        let logins = LastLogins::open(&path).unwrap();
        assert_eq!(logins.moved(&name, &old), None);
        assert_eq!(logins.moved(&name, &new), Some(old));
        for wrong in ["not json", r#"{"version":2,"hosts":{}}"#] {
            runtime.block_on(tokio::fs::write(&path, wrong)).unwrap();
            LastLogins::open(&path).unwrap_err();
        }
    }
}
