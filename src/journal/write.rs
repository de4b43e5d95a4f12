//! The journal of the run that is going on.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::entry::{Entry, Header};
use crate::event::{Event, Sink, Told};
use crate::model::{HostName, Moment};
use crate::sys::FileError;

/// How many runs are kept; the oldest goes first.
pub(super) const KEPT: usize = 500;

/// How the names of journals end.
pub(super) const ENDING: &str = ".ndjson";

/// The journal of the run that is going on. While it lives its file is locked, so that a reader can
/// tell a run that goes on from one that was interrupted.
#[derive(Debug)]
pub struct Journal {
    file: Mutex<File>,
    path: PathBuf,
}

/// Hosts that may be changed, because the journal has them on disk. It is made by
/// [`Journal::intend`] alone.
#[derive(Debug)]
pub struct Intent {
    hosts: Vec<HostName>,
}

impl Intent {
    /// Whether a host may be changed.
    #[must_use]
    pub fn has(&self, host: &HostName) -> bool {
        self.hosts.contains(host)
    }
}

impl Journal {
    /// Begins the journal of a run in a folder, which is made where it is not there, readable by its
    /// owner alone. Of journals that lie there the newest stay.
    ///
    /// # Errors
    /// [`FileError::Write`]: then nothing may be touched.
    pub fn begin(folder: &Path, header: Header) -> Result<Self, FileError> {
        let stamp: String =
            header.at.to_string().chars().filter(char::is_ascii_alphanumeric).collect();
        let path = folder.join(format!("{stamp}-{}{ENDING}", header.run));
        let begun = || -> io::Result<File> {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            forget(folder)?;
            let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path)?;
            match file.lock() {
                // Nobody else has the file yet. Some file systems have no locks: a run that goes on is
                // told as interrupted there.
                Err(error) if error.kind() != io::ErrorKind::Unsupported => Err(error),
                _ => Ok(file),
            }
        };
        let failed = |source| FileError::Write { path: path.clone(), source };
        let file = begun().map_err(failed)?;
        let journal = Self { file: Mutex::new(file), path: path.clone() };
        journal.durably(&Entry::Begin(header))?;
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        Ok(journal)
    }

    /// Writes down that hosts are about to be changed.
    ///
    /// # Errors
    /// [`FileError::Write`]: then none of them may be touched.
    pub fn intend(&self, at: Moment, hosts: Vec<HostName>) -> Result<Intent, FileError> {
        self.durably(&Entry::Intent { at, hosts: hosts.clone() })?;
        Ok(Intent { hosts })
    }

    /// Writes down that the run has ended.
    ///
    /// # Errors
    /// [`FileError::Write`]: `wgfleet history` calls the run interrupted then.
    pub fn end(&self, at: Moment) -> Result<(), FileError> {
        self.durably(&Entry::End { at })
    }

    fn durably(&self, entry: &Entry) -> Result<(), FileError> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        append(&file, entry)
            .and_then(|()| file.sync_data())
            .map_err(|source| FileError::Write { path: self.path.clone(), source })
    }
}

/// One line, in one piece: a reader never sees half of it unless the machine stops.
fn append(mut file: &File, entry: &Entry) -> io::Result<()> {
    let mut line = serde_json::to_vec(entry)?;
    line.push(b'\n');
    file.write_all(&line)
}

impl Sink for Journal {
    /// Keeps what happened to hosts that are changed. What cannot be written then is lost, and the run
    /// goes on: its hosts are under way, and their records say the same.
    fn told(&self, told: Told) {
        let keep = match &told.event {
            Event::Flipped { .. } | Event::Ended { .. } => true,
            Event::Working { transaction, .. } => transaction.is_some(),
            _ => false,
        };
        if keep {
            let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = append(&file, &Entry::Told { at: told.at, event: told.event });
        }
    }
}

/// Removes the oldest journals, so that one more can be added.
fn forget(folder: &Path) -> io::Result<()> {
    let paths = journals(folder)?;
    for path in paths.iter().take((paths.len() + 1).saturating_sub(KEPT)) {
        fs::remove_file(path)?;
    }
    Ok(())
}

/// The journals of a folder, the oldest first; none where there is no folder.
pub(super) fn journals(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.as_encoded_bytes().ends_with(ENDING.as_bytes()))
        {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}
