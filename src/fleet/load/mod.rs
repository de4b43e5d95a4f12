//! Reads an inventory: the fleet file, what it includes, and the lock file beside it. They come from
//! the disk, or from a revision of git.

mod files;
mod include;
mod pins;
mod revision;

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use crate::finding::{self, Finding};
use crate::inventory::{
    Inventory, LockFile, MAX_FILE_BYTES, MAX_LOCK_BYTES, Parsed, Reader, allocate,
};
use crate::model::{FileId, SourceMap};
use crate::sys::{self, Clock as _, ConfinedError, FileError, SystemClock};

use super::{Advice, Error, Kind};
use files::{Disk, Files};
use include::Loader;
use revision::Revision;

/// Name of the fleet file in a folder.
pub const FLEET_FILE: &str = "fleet.yaml";
/// Where an inventory may have its own template.
const TEMPLATE: &str = "templates/wg0.conf.j2";
/// Where an inventory may have its own templates of exports.
const EXPORTS: &str = "templates/export";
/// The most bytes that a template may have.
const TEMPLATE_LIMIT: u64 = 1 << 20;
/// What an inventory on stdin is called.
const STDIN: &str = "-";

/// Where an inventory comes from: what the operator names, and so may lie anywhere.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// The fleet file, a folder that holds `fleet.yaml`, or `-` for stdin.
    pub file: &'a Path,
    /// The lock file, where it is not the one beside the fleet file.
    pub lock: Option<&'a Path>,
    /// Further folders that includes may come from.
    pub include_from: &'a [PathBuf],
    /// The moment that it is read for, where it is not now: it says whose time is over.
    pub now: Option<Timestamp>,
}

impl<'a> From<&'a PathBuf> for Origin<'a> {
    fn from(file: &'a PathBuf) -> Self {
        file.as_path().into()
    }
}

impl<'a> From<&'a Path> for Origin<'a> {
    fn from(file: &'a Path) -> Self {
        Self { file, lock: None, include_from: &[], now: None }
    }
}

impl Origin<'_> {
    fn now(&self) -> Timestamp {
        self.now.unwrap_or_else(|| SystemClock.now())
    }

    fn is_stdin(&self) -> bool {
        self.file == Path::new(STDIN)
    }

    /// The fleet file, and the folder that everything of the fleet lies in.
    fn places(&self) -> (PathBuf, PathBuf) {
        let folder = !self.is_stdin() && self.file.is_dir();
        let path = if folder { self.file.join(FLEET_FILE) } else { self.file.to_owned() };
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        (path, folder)
    }
}

/// An inventory as it was read.
#[derive(Debug)]
pub struct Loaded {
    /// The inventory; `None` where a finding of the parse is an error.
    pub inventory: Option<Inventory>,
    /// Everything that is wrong with the files and the lock, in order of the file.
    pub findings: Vec<Finding>,
    /// The files, the lock file last where it was read.
    pub sources: SourceMap,
    /// Every tunnel address, those that this run allocated too.
    pub lock: LockFile,
    /// Where the lock file belongs; `None` for an inventory on stdin without one, and for a revision,
    /// which nobody writes.
    pub lock_path: Option<PathBuf>,
    /// Whether [`Self::lock`] differs from what was read.
    pub lock_changed: bool,
    /// The fleet file.
    pub path: PathBuf,
    /// The folder that everything of this fleet lies in.
    pub folder: PathBuf,
    files: Mutex<Box<dyn Files>>,
}

impl Loaded {
    /// Writes the lock file where it changed; returns whether it did.
    ///
    /// # Errors
    /// [`FileError::Write`]; the old file is untouched.
    pub fn save_lock(&self) -> Result<bool, FileError> {
        if !self.lock_changed {
            return Ok(false);
        }
        self.write_lock(&self.lock)
    }

    /// Writes another lock in the place of the one that was read; returns whether there is a place.
    ///
    /// # Errors
    /// [`FileError::Write`]; the old file is untouched.
    pub fn write_lock(&self, lock: &LockFile) -> Result<bool, FileError> {
        let Some(path) = &self.lock_path else { return Ok(false) };
        // What a link leads to was read; it is replaced, and the link stays.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.clone());
        sys::write_atomic(&path, lock.to_text().as_bytes(), sys::Mode::Public)?;
        Ok(true)
    }

    /// The same inventory with another text in one of its files, as it would be read: nothing is
    /// written, and files that the text newly includes are not opened.
    #[must_use]
    pub(super) fn with_text(self, changed: FileId, text: &str) -> Self {
        let inventory = self.inventory.as_ref();
        let mut reader = Reader::at(inventory.and_then(|inventory| inventory.now));
        let sources = inventory.map_or(&self.sources, |inventory| &inventory.sources);
        for (id, file) in sources.files() {
            let text = if id == changed { text } else { &file.text };
            reader.add(file.path.clone(), text.to_owned());
        }
        let Parsed { inventory, mut findings, sources } = reader.finish();
        let lock = match &inventory {
            Some(inventory) => {
                let (lock, more) = allocate(inventory, &self.lock);
                findings.extend(more);
                lock
            }
            None => self.lock.clone(),
        };
        finding::settle(&mut findings);
        let lock_changed = self.lock_changed || lock != self.lock;
        Self { inventory, findings, sources, lock, lock_changed, ..self }
    }

    /// Where the inventory may have its own template.
    #[must_use]
    pub fn template_path(&self) -> PathBuf {
        self.folder.join(TEMPLATE)
    }

    /// The inventory's own template, from where the inventory was read; `None` where it has none.
    ///
    /// # Errors
    /// [`ConfinedError`] where it lies elsewhere, is no regular file, or cannot be read.
    pub fn template(&self) -> Result<Option<Vec<u8>>, ConfinedError> {
        self.template_at(&self.template_path())
    }

    /// The inventory's own template of an export, as [`Self::template`].
    ///
    /// # Errors
    /// Those of [`Self::template`].
    pub fn export_template(&self, path: &Path) -> Result<Option<Vec<u8>>, ConfinedError> {
        self.template_at(path)
    }

    /// Where the inventory may have its own template of an export; `name` is one of `a-z`, `0-9` and `-`.
    #[must_use]
    pub fn export_template_path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{EXPORTS}/{name}.j2"))
    }

    fn template_at(&self, path: &Path) -> Result<Option<Vec<u8>>, ConfinedError> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        match files.read(path, TEMPLATE_LIMIT) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(ConfinedError::File(FileError::Read { source, .. }))
                if source.kind() == io::ErrorKind::NotFound =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// Loads an inventory. What it names itself, its includes and the lock and template beside it, lies
/// in its own folder, is tracked by git in its work tree, or lies in a folder that the operator
/// allows; only regular files are opened.
///
/// # Errors
/// Where the fleet file itself cannot be read; everything else is a finding.
pub fn load<'a>(origin: impl Into<Origin<'a>>) -> Result<Loaded, Error> {
    let origin = origin.into();
    let (path, folder) = origin.places();
    let mut disk = Disk::new(&folder, origin.include_from)
        .map_err(|(path, source)| Error::new(Kind::Failed, FileError::Read { path, source }))?;
    let bytes = if origin.is_stdin() {
        read_stdin(MAX_FILE_BYTES as u64)
    } else {
        disk.read_named(&path, MAX_FILE_BYTES as u64)
    };
    let bytes = bytes.map_err(no_inventory)?;
    let beside = path.with_extension("lock");
    let (lock_path, lock) = match origin.lock {
        Some(lock) => (Some(lock.to_owned()), disk.read_named(lock, MAX_LOCK_BYTES)),
        None if origin.is_stdin() => {
            let source = io::ErrorKind::NotFound.into();
            (None, Err(FileError::Read { path: beside.clone(), source }.into()))
        }
        None => (Some(beside.clone()), disk.read(&beside, MAX_LOCK_BYTES)),
    };
    let path = if origin.is_stdin() { PathBuf::from("stdin") } else { path };
    let lock_shown = lock_path.clone().unwrap_or(beside);
    let read = Read { path, folder, bytes, lock_shown, lock, now: origin.now() };
    let loaded = read.finish(Box::new(disk))?;
    Ok(Loaded { lock_path, ..loaded })
}

/// Loads an inventory as a revision of git has it: the fleet file, its includes and its lock file
/// come from git's objects, and nothing from the disk; `None` where the revision has no such file.
///
/// # Errors
/// Where the inventory does not lie in git, there is no such revision, or its file cannot be read;
/// everything else is a finding.
pub fn load_at<'a>(origin: impl Into<Origin<'a>>, revision: &str) -> Result<Option<Loaded>, Error> {
    let origin = origin.into();
    if origin.is_stdin() {
        let message = "an inventory on stdin has no revisions";
        return Err(Error::message(Kind::Usage, message).advise(Advice::NameTrackedFile));
    }
    let (path, folder) = origin.places();
    let mut files = Revision::new(&folder, revision).map_err(|error| {
        Error::new(Kind::Usage, error)
            .hint("name a commit, a branch or a tag that this clone has; in CI, fetch it first")
    })?;
    let bytes = match files.read(&path, MAX_FILE_BYTES as u64) {
        Err(ConfinedError::File(FileError::Read { source, .. }))
            if source.kind() == io::ErrorKind::NotFound =>
        {
            return Ok(None);
        }
        read => read.map_err(no_inventory)?,
    };
    let lock_path = match origin.lock {
        Some(lock) => std::path::absolute(lock)?,
        None => path.with_extension("lock"),
    };
    let lock = files.read(&lock_path, MAX_LOCK_BYTES);
    let lock_shown = files.shown(&lock_path);
    let now = origin.now();
    Read { path, folder, bytes, lock_shown, lock, now }.finish(Box::new(files)).map(Some)
}

/// All of stdin, whatever it is.
fn read_stdin(limit: u64) -> Result<Vec<u8>, ConfinedError> {
    let path = PathBuf::from("stdin");
    let mut bytes = Vec::new();
    let read = io::stdin().lock().take(limit + 1).read_to_end(&mut bytes);
    read.map_err(|source| FileError::Read { path: path.clone(), source })?;
    if bytes.len() as u64 > limit {
        return Err(FileError::TooLarge { path, limit }.into());
    }
    Ok(bytes)
}

/// The fleet file itself cannot be read.
fn no_inventory(error: ConfinedError) -> Error {
    let advice = match &error {
        ConfinedError::File(FileError::Read { source, .. })
            if source.kind() == io::ErrorKind::NotFound =>
        {
            Some(Advice::NameInventory)
        }
        ConfinedError::File(_) => None,
        ConfinedError::NotRegular { .. } => Some(Advice::GiveOnStdin),
        ConfinedError::Outside { .. } => Some(Advice::AllowFolder),
    };
    let failed = Error::new(Kind::Failed, error);
    match advice {
        Some(advice) => failed.advise(advice),
        None => failed,
    }
}

/// What was read, before it is understood.
struct Read {
    path: PathBuf,
    folder: PathBuf,
    bytes: Vec<u8>,
    /// What reports call the lock file.
    lock_shown: PathBuf,
    lock: Result<Vec<u8>, ConfinedError>,
    now: Timestamp,
}

impl Read {
    /// Reads what the inventory includes, and ties everything together.
    fn finish(self, files: Box<dyn Files>) -> Result<Loaded, Error> {
        let Self { path, folder, bytes, lock_shown, lock, now } = self;
        let mut loader = Loader::new(files, now);
        loader.file(&path, bytes, &mut Vec::new());
        let (reader, files) = loader.into_parts();
        let Parsed { inventory, mut findings, mut sources } = reader.finish();
        let held = pins::parse(&lock_shown, lock, &mut sources, &mut findings)?;
        let lock = match (&inventory, &held) {
            (Some(inventory), Some(held)) => {
                let (lock, more) = allocate(inventory, held);
                findings.extend(more);
                lock
            }
            _ => held.clone().unwrap_or_default(),
        };
        finding::settle(&mut findings);
        let lock_changed = held.is_some_and(|held| held != lock);
        Ok(Loaded {
            inventory,
            findings,
            sources,
            lock,
            lock_path: None,
            lock_changed,
            path,
            folder,
            files: Mutex::new(files),
        })
    }
}

#[cfg(test)]
mod tests;
