//! Where the files of an inventory come from.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::super::git::WorkTree;
use crate::sys::{self, ConfinedError, Confinement};

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
}

/// The files that an inventory may read: on disk, or in a revision of git. Paths are those that
/// people write: the folder of the fleet file, joined with what a file names.
pub(super) trait Files: fmt::Debug + Send {
    /// Reads a file of at most `limit` bytes.
    ///
    /// # Errors
    /// [`ConfinedError`]: it lies outside, is no regular file, is not there, or is too large.
    fn read(&mut self, path: &Path, limit: u64) -> Result<Vec<u8>, ConfinedError>;

    /// What a path leads to, links followed; `None` where there is nothing that may be read.
    fn kind(&mut self, path: &Path) -> Option<Kind>;

    /// The names in a folder that an inventory may read; none where it may not.
    fn names(&mut self, folder: &Path) -> Vec<String>;

    /// The one path of a file, whichever links lead to it.
    fn real(&mut self, path: &Path) -> PathBuf;

    /// The path as reports show it.
    fn shown(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }
}

/// Files on disk: those below the fleet's folder, those that git tracks in its work tree, and
/// whatever the operator allows besides.
#[derive(Debug)]
pub(super) struct Disk {
    confinement: Confinement,
    folder: PathBuf,
    /// What git tracks is looked up once, and only where something lies outside the folder.
    asked_git: bool,
}

impl Disk {
    /// The files of an inventory in `folder`, and those of further folders.
    ///
    /// # Errors
    /// The folder that is not there, and why.
    pub(super) fn new(
        folder: &Path,
        include_from: &[PathBuf],
    ) -> Result<Self, (PathBuf, io::Error)> {
        let mut confinement = Confinement::default();
        for folder in include_from.iter().map(PathBuf::as_path).chain([folder]) {
            confinement.allow(folder).map_err(|source| (folder.to_owned(), source))?;
        }
        Ok(Self { confinement, folder: folder.to_owned(), asked_git: false })
    }

    /// Reads a file that the operator names: it may lie anywhere. Where it is a link that git tracks,
    /// the repository says where it leads, and so it may not lead out.
    ///
    /// # Errors
    /// [`ConfinedError`].
    pub(super) fn read_named(&mut self, path: &Path, limit: u64) -> Result<Vec<u8>, ConfinedError> {
        if path.is_symlink() && self.tracks(path) {
            return self.read(path, limit);
        }
        sys::read_named(path, limit)
    }

    /// Whether git tracks a path itself, whatever it leads to.
    fn tracks(&mut self, path: &Path) -> bool {
        self.ask_git();
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = fs::canonicalize(folder.unwrap_or(Path::new(".")));
        let own = folder.ok().zip(path.file_name()).map(|(folder, name)| folder.join(name));
        own.is_some_and(|own| self.confinement.lists(&own))
    }

    /// Whether what lies at a canonical path is an inventory's to know.
    fn knows(&mut self, real: &Path) -> bool {
        let own = self.confinement.allows(real) || self.confinement.holds(real);
        own || {
            self.ask_git();
            self.confinement.lists(real) || !self.confinement.names(real).is_empty()
        }
    }

    /// Adds what git tracks, the first time.
    fn ask_git(&mut self) {
        if !std::mem::replace(&mut self.asked_git, true)
            && let Some(tree) = WorkTree::of(&self.folder)
        {
            self.confinement.allow_files(tree.tracked());
        }
    }
}

impl Files for Disk {
    fn read(&mut self, path: &Path, limit: u64) -> Result<Vec<u8>, ConfinedError> {
        match self.confinement.read(path, limit) {
            Err(ConfinedError::Outside { .. }) if !self.asked_git => {
                self.ask_git();
                self.confinement.read(path, limit)
            }
            read => read,
        }
    }

    fn kind(&mut self, path: &Path) -> Option<Kind> {
        match fs::canonicalize(path) {
            Ok(real) if self.knows(&real) => {
                let status = fs::metadata(real).ok()?;
                let file = status.is_file().then_some(Kind::File);
                if status.is_dir() { Some(Kind::Folder) } else { file }
            }
            // Reading it says that it leads elsewhere, whether there is something or not.
            _ => path.is_symlink().then_some(Kind::File),
        }
    }

    fn names(&mut self, folder: &Path) -> Vec<String> {
        let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let Ok(real) = fs::canonicalize(here) else { return Vec::new() };
        if self.confinement.holds(&real) {
            let entries = fs::read_dir(real).into_iter().flatten();
            return entries
                .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
                .collect();
        }
        self.ask_git();
        self.confinement.names(&real)
    }

    fn real(&mut self, path: &Path) -> PathBuf {
        fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
    }
}
