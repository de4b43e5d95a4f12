//! The files of an inventory as a revision of git has them; nothing is read from the disk.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::super::git::{EntryKind, GitError, ObjectId, Objects, Tree, WorkTree};
use super::files::{Files, Kind};
use crate::sys::{ConfinedError, FileError};

/// The most bytes of a folder's names.
const FOLDER_LIMIT: u64 = 64 << 20;
/// The most bytes that a link may hold, as on Linux.
const LINK_LIMIT: u64 = 4096;
/// Links that a path may lead through, as on Linux.
const MAX_LINKS: usize = 40;

/// Files of one revision.
#[derive(Debug)]
pub(super) struct Revision {
    objects: Objects,
    /// What the operator calls it.
    name: String,
    /// The root of the work tree.
    root: PathBuf,
    /// The folder of the fleet file as people write it, and where it lies below the root.
    folder: PathBuf,
    below: PathBuf,
    top: ObjectId,
    trees: BTreeMap<ObjectId, Arc<Tree>>,
}

/// Where a path leads.
struct Found {
    /// Below the root, without links.
    path: PathBuf,
    kind: EntryKind,
    id: ObjectId,
}

/// Why a path leads nowhere.
enum Lost {
    Outside,
    Missing,
    Failed(io::Error),
}

impl From<io::Error> for Lost {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl Revision {
    /// The files of an inventory in `folder` as `revision` has them.
    ///
    /// # Errors
    /// [`GitError`]: the folder lies outside of git, or there is no such commit.
    pub(super) fn new(folder: &Path, revision: &str) -> Result<Self, GitError> {
        let tree = WorkTree::find(folder)?;
        let below = std::fs::canonicalize(folder).map_err(GitError::Start)?;
        let below = below.strip_prefix(tree.root()).map(Path::to_owned).unwrap_or_default();
        Ok(Self {
            objects: Objects::of(tree.root()),
            name: revision.to_owned(),
            root: tree.root().to_owned(),
            folder: plain(folder),
            below,
            top: tree.tree_of(revision)?,
            trees: BTreeMap::new(),
        })
    }

    /// A path below the root of the work tree, as far as it is plain from its words.
    fn place(&self, path: &Path) -> Option<PathBuf> {
        let path = plain(path);
        match path.strip_prefix(&self.folder) {
            Ok(rest) if rest.is_relative() => Some(self.below.join(rest)),
            _ => path.strip_prefix(&self.root).ok().map(Path::to_owned),
        }
    }

    fn tree(&mut self, id: &ObjectId) -> io::Result<Arc<Tree>> {
        if let Some(tree) = self.trees.get(id) {
            return Ok(Arc::clone(tree));
        }
        let tree = Arc::new(self.objects.tree(id, FOLDER_LIMIT)?);
        self.trees.insert(id.clone(), Arc::clone(&tree));
        Ok(tree)
    }

    /// Walks a path as a kernel would, its links followed as long as they stay in the tree.
    fn find(&mut self, path: &Path) -> Result<Found, Lost> {
        let path = self.place(path).ok_or(Lost::Outside)?;
        let words = |path: &Path| -> Option<Vec<OsString>> {
            path.components()
                .map(|part| match part {
                    Component::Normal(_) | Component::ParentDir => {
                        Some(part.as_os_str().to_owned())
                    }
                    Component::CurDir => Some(OsString::new()),
                    Component::RootDir | Component::Prefix(_) => None,
                })
                .collect()
        };
        let mut todo: VecDeque<OsString> = words(&path).ok_or(Lost::Outside)?.into();
        let mut above: Vec<(OsString, ObjectId)> = Vec::new();
        let mut links = 0;
        while let Some(word) = todo.pop_front() {
            if word.is_empty() {
                continue;
            }
            if word == ".." {
                above.pop().ok_or(Lost::Outside)?;
                continue;
            }
            let here = above.last().map_or(&self.top, |(_, id)| id).clone();
            let tree = self.tree(&here)?;
            let entry = tree.get(word.as_bytes()).ok_or(Lost::Missing)?;
            match entry.kind {
                EntryKind::Folder => above.push((word, entry.id.clone())),
                EntryKind::Link => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(Lost::Failed(io::Error::other("too many links")));
                    }
                    let target = OsString::from_vec(self.objects.file(&entry.id, LINK_LIMIT)?);
                    for word in words(Path::new(&target)).ok_or(Lost::Outside)?.into_iter().rev() {
                        todo.push_front(word);
                    }
                }
                EntryKind::File | EntryKind::Submodule if todo.iter().all(|w| w.is_empty()) => {
                    let names = above.iter().map(|(name, _)| name.as_os_str());
                    let path = names.chain([word.as_os_str()]).collect();
                    return Ok(Found { path, kind: entry.kind, id: entry.id.clone() });
                }
                EntryKind::File | EntryKind::Submodule => return Err(Lost::Missing),
            }
        }
        let id = above.last().map_or(&self.top, |(_, id)| id).clone();
        let path = above.iter().map(|(name, _)| name.as_os_str()).collect();
        Ok(Found { path, kind: EntryKind::Folder, id })
    }
}

impl Files for Revision {
    fn read(&mut self, path: &Path, limit: u64) -> Result<Vec<u8>, ConfinedError> {
        let shown = self.shown(path);
        let failed = |source| ConfinedError::File(FileError::Read { path: shown.clone(), source });
        let found = self.find(path).map_err(|lost| match lost {
            Lost::Outside => ConfinedError::Outside { path: shown.clone() },
            Lost::Missing => failed(io::ErrorKind::NotFound.into()),
            Lost::Failed(error) => failed(error),
        })?;
        match found.kind {
            EntryKind::File => self.objects.file(&found.id, limit).map_err(failed),
            _ => Err(ConfinedError::NotRegular { path: shown }),
        }
    }

    fn kind(&mut self, path: &Path) -> Option<Kind> {
        match self.find(path).ok()?.kind {
            EntryKind::File => Some(Kind::File),
            EntryKind::Folder => Some(Kind::Folder),
            EntryKind::Link | EntryKind::Submodule => None,
        }
    }

    fn names(&mut self, folder: &Path) -> Vec<String> {
        let found = self.find(folder).ok().filter(|found| found.kind == EntryKind::Folder);
        let tree = found.and_then(|found| self.tree(&found.id).ok());
        let names = tree.iter().flat_map(|tree| tree.keys());
        names.filter_map(|name| String::from_utf8(name.clone()).ok()).collect()
    }

    fn real(&mut self, path: &Path) -> PathBuf {
        self.find(path).map_or_else(|_| path.to_owned(), |found| self.root.join(found.path))
    }

    fn shown(&self, path: &Path) -> PathBuf {
        let mut shown = OsString::from(&self.name);
        shown.push(OsStr::new(":"));
        shown.push(plain(path));
        shown.into()
    }
}

/// A path without the `.` that people write in front of it.
fn plain(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != Component::CurDir).collect()
}
