//! The journal of the run that is going on.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::entry::{Entry, Header};
use crate::event::{Event, Sink, Told};
use crate::model::{HostName, Moment};
use crate::sys::{FileError, Mode};

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

    /// Writes down that hosts are about to be changed: in waves, and each of those in groups.
    ///
    /// # Errors
    /// [`FileError::Write`]: then none of them may be touched.
    pub fn intend(&self, at: Moment, waves: Vec<Vec<Vec<HostName>>>) -> Result<Intent, FileError> {
        let hosts: Vec<HostName> = waves.iter().flatten().flatten().cloned().collect();
        self.durably(&Entry::Intent { at, hosts: hosts.clone(), waves })?;
        Ok(Intent { hosts })
    }

    /// Keeps what is carried out, for whoever goes on where this run was interrupted.
    ///
    /// # Errors
    /// [`FileError::Write`]: then nothing may be touched.
    pub fn keep_plan(&self, plan: &[u8]) -> Result<(), FileError> {
        crate::sys::write_atomic(&plan_path(&self.path), plan, Mode::Private)
    }

    /// Writes down that the run has ended.
    ///
    /// # Errors
    /// [`FileError::Write`]: `wgfleet history` calls the run interrupted then.
    pub fn end(&self, at: Moment) -> Result<(), FileError> {
        self.durably(&Entry::End { at })?;
        forget_plan(&self.path);
        Ok(())
    }

    fn durably(&self, entry: &Entry) -> Result<(), FileError> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        append(&file, entry)
            .and_then(|()| file.sync_data())
            .map_err(|source| FileError::Write { path: self.path.clone(), source })
    }
}

/// Where the plan lies that a run carries out.
pub(super) fn plan_path(journal: &Path) -> PathBuf {
    journal.with_extension("plan")
}

/// What cannot be removed is never read again.
pub(super) fn forget_plan(journal: &Path) {
    let _ = fs::remove_file(plan_path(journal));
}

/// One line, in one piece: a reader never sees half of it unless the machine stops.
pub(super) fn append(mut file: &File, entry: &Entry) -> io::Result<()> {
    let mut line = serde_json::to_vec(entry)?;
    line.push(b'\n');
    file.write_all(&line)
}

impl Drop for Journal {
    /// Closing alone would leave the lock to a child process that another thread has forked and that has not
    /// reached its exec yet.
    fn drop(&mut self) {
        let _ = self.file.get_mut().unwrap_or_else(PoisonError::into_inner).unlock();
    }
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
        forget_plan(path);
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
