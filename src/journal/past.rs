//! Runs of the past, as their journals have them.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use super::entry::{Entry, Header};
use super::write::{journals, plan_path};
use crate::event::{Ending, Event, Step};
use crate::model::{HostName, Moment};
use crate::sys::{FileError, read_limited};

/// The most bytes that one journal may have; longer ones are passed over.
const LIMIT: u64 = 256 << 20;

/// A run of the past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// Who ran what, when and from which files.
    pub header: Header,
    /// How it stands.
    pub state: PastState,
    /// How hosts ended, in the order in which they did.
    pub endings: Vec<Ending>,
    /// Hosts that were to be changed and of which no end is known, with what was being done to them
    /// last; `None` where it was not begun.
    pub open: BTreeMap<HostName, Option<Step>>,
    /// The id of the change of each of these that was begun.
    pub changes: BTreeMap<HostName, String>,
    /// All hosts that were to be changed: waves, and groups in each.
    pub waves: Vec<Vec<Vec<HostName>>>,
    /// Its file.
    pub path: PathBuf,
}

/// How a run of the past stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PastState {
    /// It goes on.
    Running,
    /// It has ended by itself.
    Ended(Moment),
    /// It was ended, or its machine was.
    Interrupted,
}

/// The runs that a folder has journals of, the oldest first. What is no journal is passed over, and of a
/// journal that was not written to its end what is there is read.
///
/// # Errors
/// [`FileError::Read`] where the folder cannot be read.
pub fn past(folder: &Path) -> Result<Vec<Past>, FileError> {
    let paths =
        journals(folder).map_err(|source| FileError::Read { path: folder.to_owned(), source })?;
    Ok(paths.iter().filter_map(|path| read(path)).collect())
}

fn read(path: &Path) -> Option<Past> {
    // Before its text: a run that ends in between is told as ended.
    let is_locked =
        matches!(File::open(path).ok()?.try_lock_shared(), Err(TryLockError::WouldBlock));
    let bytes = read_limited(path, LIMIT).ok()?;
    let mut lines = bytes.split_inclusive(|byte| *byte == b'\n');
    let Entry::Begin(header) = serde_json::from_slice(lines.next()?).ok()? else { return None };
    if header.version != Header::VERSION {
        return None;
    }
    let state = if is_locked { PastState::Running } else { PastState::Interrupted };
    let mut past = Past {
        header,
        state,
        endings: Vec::new(),
        open: BTreeMap::new(),
        changes: BTreeMap::new(),
        waves: Vec::new(),
        path: path.to_owned(),
    };
    for line in lines {
        // A line that the machine did not finish, or that a later version has.
        let Ok(entry) = serde_json::from_slice(line) else { continue };
        past.take(entry);
    }
    Some(past)
}

impl Past {
    /// The plan that it was to carry out, as it was saved; `None` where it is gone.
    #[must_use]
    pub fn plan(&self) -> Option<PathBuf> {
        let path = plan_path(&self.path);
        path.is_file().then_some(path)
    }

    /// Whether hosts were to be changed in later waves than those that were begun.
    #[must_use]
    pub fn has_more_waves(&self) -> bool {
        let begun = |host: &HostName| !matches!(self.open.get(host), Some(None));
        let is_begun = |wave: &Vec<Vec<HostName>>| wave.iter().flatten().any(begun);
        self.waves.iter().any(is_begun) && !self.waves.iter().all(is_begun)
    }

    fn take(&mut self, entry: Entry) {
        match entry {
            Entry::Intent { hosts, waves, .. } => {
                self.waves.extend(waves);
                self.open.extend(hosts.into_iter().map(|host| (host, None)));
            }
            Entry::Told { event: Event::Working { host, step, transaction }, .. } => {
                self.changes.extend(transaction.map(|id| (host.clone(), id)));
                if let Some(open) = self.open.get_mut(&host) {
                    *open = Some(step);
                }
            }
            Entry::Told { event: Event::Ended { ending }, .. } => {
                self.open.remove(&ending.host);
                self.changes.remove(&ending.host);
                self.endings.push(ending);
            }
            Entry::Begin(_) | Entry::Told { .. } => {}
            Entry::End { at } => self.state = PastState::Ended(at),
        }
    }
}
