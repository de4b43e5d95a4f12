//! Reads an inventory from disk: the fleet file, what it includes, and the lock file beside it.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::finding::{self, Code, Finding};
use crate::inventory::{
    Inventory, Lock, LockError, MAX_FILE_BYTES, MAX_LOCK_BYTES, Parsed, Reader, allocate,
};
use crate::model::{Located, Location, SourceMap};
use crate::sys::{self, ConfinedError, Confinement, FileError};

use super::git::WorkTree;
use super::{CommandError, Exit, Global};

/// Name of the fleet file in a folder.
pub const FLEET_FILE: &str = "fleet.yaml";
/// Files that one inventory may have.
const MAX_FILES: usize = 10_000;
/// Bytes that all files of one inventory may have together.
const MAX_ALL_BYTES: usize = 64 << 20;
/// Includes within includes.
const MAX_INCLUDES: usize = 16;

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
}

impl<'a> From<&'a Global> for Origin<'a> {
    fn from(global: &'a Global) -> Self {
        Self {
            file: &global.file,
            lock: global.lock.as_deref(),
            include_from: &global.include_from,
        }
    }
}

impl<'a> From<&'a PathBuf> for Origin<'a> {
    fn from(file: &'a PathBuf) -> Self {
        file.as_path().into()
    }
}

impl<'a> From<&'a Path> for Origin<'a> {
    fn from(file: &'a Path) -> Self {
        Self { file, lock: None, include_from: &[] }
    }
}

/// An inventory as it lies on disk.
#[derive(Debug)]
pub struct Loaded {
    /// The inventory; `None` where a finding of the parse is an error.
    pub inventory: Option<Inventory>,
    /// Everything that is wrong with the files and the lock, in order of the file.
    pub findings: Vec<Finding>,
    /// The files, the lock file last where it was read.
    pub sources: SourceMap,
    /// Every tunnel address, those that this run allocated too.
    pub lock: Lock,
    /// Where the lock file belongs; `None` for an inventory on stdin without one.
    pub lock_path: Option<PathBuf>,
    /// Whether [`Self::lock`] differs from what is on disk.
    pub lock_changed: bool,
    /// The fleet file.
    pub path: PathBuf,
    /// The folder that everything of this fleet lies in.
    pub folder: PathBuf,
    /// Where its files may lie.
    pub allowed: Allowed,
}

impl Loaded {
    /// Writes the lock file where it changed; returns whether it did.
    ///
    /// # Errors
    /// [`FileError::Write`]; the old file is untouched.
    pub fn save_lock(&self) -> Result<bool, FileError> {
        let Some(path) = self.lock_path.as_ref().filter(|_| self.lock_changed) else {
            return Ok(false);
        };
        // What a link leads to was read; it is replaced, and the link stays.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.clone());
        let text = self.lock.to_text();
        sys::write_atomic(&path, text.as_bytes(), sys::Mode::Public)?;
        Ok(true)
    }
}

/// Loads an inventory. What it names itself, its includes and the lock and template beside it, lies
/// in its own folder, is tracked by git in its work tree, or lies in a folder that the operator
/// allows; only regular files are opened.
///
/// # Errors
/// Where the fleet file itself cannot be read; everything else is a finding.
pub fn load<'a>(origin: impl Into<Origin<'a>>) -> Result<Loaded, CommandError> {
    let Origin { file, lock, include_from } = origin.into();
    let stdin = file == Path::new(STDIN);
    let path = if !stdin && file.is_dir() { file.join(FLEET_FILE) } else { file.to_owned() };
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let bytes = if stdin {
        sys::read_limited(Path::new("/dev/stdin"), MAX_FILE_BYTES as u64)
    } else {
        sys::read_limited(&path, MAX_FILE_BYTES as u64)
    };
    let bytes = bytes.map_err(|error| {
        let failed = CommandError::new(Exit::Failed, &error);
        match &error {
            FileError::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                failed.hint("name the inventory with --file, or begin one with `wgfleet init DIR`")
            }
            _ => failed,
        }
    })?;
    let allowed = Allowed::new(&folder, include_from)?;
    let path = if stdin { PathBuf::from("stdin") } else { path };
    let mut loader =
        Loader { reader: Reader::default(), seen: Vec::new(), allowed, bytes: bytes.len() };
    loader.file(path.clone(), bytes, &mut Vec::new());
    let Loader { reader, mut allowed, .. } = loader;
    let Parsed { inventory, mut findings, mut sources } = reader.finish();
    let lock_path = match lock {
        Some(lock) => Some(lock.to_owned()),
        None if stdin => None,
        None => Some(path.with_extension("lock")),
    };
    let held = match &lock_path {
        Some(path) => {
            let bytes = if lock.is_some() {
                sys::read_limited(path, MAX_LOCK_BYTES).map_err(ConfinedError::from)
            } else {
                allowed.read(path, MAX_LOCK_BYTES)
            };
            read_lock(path, bytes, &mut sources, &mut findings)?
        }
        None => Some(Lock::default()),
    };
    let lock = match (&inventory, &held) {
        (Some(inventory), Some(held)) => {
            let (lock, more) = allocate(inventory, held);
            findings.extend(more);
            lock
        }
        _ => held.clone().unwrap_or_default(),
    };
    finding::sort(&mut findings);
    let lock_changed = held.is_some_and(|held| held != lock);
    Ok(Loaded {
        inventory,
        findings,
        sources,
        lock,
        lock_path,
        lock_changed,
        path,
        folder,
        allowed,
    })
}

/// Where an inventory's own files may lie.
#[derive(Debug, Clone)]
pub struct Allowed {
    confinement: Confinement,
    folder: PathBuf,
    /// What git tracks is looked up once, and only where something lies outside the folder.
    asked_git: bool,
    /// Whether the operator allows further folders.
    wide: bool,
}

impl Allowed {
    fn new(folder: &Path, include_from: &[PathBuf]) -> Result<Self, CommandError> {
        let mut confinement = Confinement::default();
        for folder in include_from.iter().map(PathBuf::as_path).chain([folder]) {
            confinement.allow(folder).map_err(|source| {
                let path = folder.to_owned();
                CommandError::new(Exit::Failed, &FileError::Read { path, source })
            })?;
        }
        Ok(Self {
            confinement,
            folder: folder.to_owned(),
            asked_git: false,
            wide: !include_from.is_empty(),
        })
    }

    /// Reads a file that the inventory names.
    ///
    /// # Errors
    /// [`ConfinedError`].
    pub fn read(&mut self, path: &Path, limit: u64) -> Result<Vec<u8>, ConfinedError> {
        match self.confinement.read(path, limit) {
            Err(ConfinedError::Outside { .. }) if !self.asked_git => {
                self.asked_git = true;
                if let Some(tree) = WorkTree::of(&self.folder) {
                    self.confinement.allow_files(tree.tracked());
                }
                self.confinement.read(path, limit)
            }
            read => read,
        }
    }
}

/// The lock on disk, empty where there is none; `None` with a finding where it cannot be used.
fn read_lock(
    path: &Path,
    bytes: Result<Vec<u8>, ConfinedError>,
    sources: &mut SourceMap,
    findings: &mut Vec<Finding>,
) -> Result<Option<Lock>, CommandError> {
    let bytes = match bytes {
        Ok(bytes) => bytes,
        Err(ConfinedError::File(FileError::Read { source, .. }))
            if source.kind() == io::ErrorKind::NotFound =>
        {
            return Ok(Some(Lock::default()));
        }
        Err(error) => {
            let failed = CommandError::new(Exit::Failed, &error);
            return Err(match error {
                ConfinedError::File(_) => failed,
                _ => failed.hint("a lock file is a regular file; name another one with --lock"),
            });
        }
    };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    match Lock::parse(&text) {
        Ok(lock) => {
            sources.add(path.to_owned(), text);
            Ok(Some(lock))
        }
        Err(error) => {
            // What is no lock file is named and never quoted: it may be anything.
            let (line, column) = error.position();
            let file = sources.add(path.to_owned(), String::new());
            let at = Location::start_of(file);
            let title = match error {
                LockError::Syntax { .. } => {
                    format!("the lock file is not one: line {line}, column {column}")
                }
                LockError::Version { .. } => error.to_string(),
            };
            findings.push(Finding::new(Code::LockFile, title, at).help(match error {
                LockError::Syntax { .. } => {
                    "take the file from version control; without it every allocated address changes"
                }
                LockError::Version { .. } => "use the wgfleet that wrote it, or a later one",
            }));
            Ok(None)
        }
    }
}

struct Loader {
    reader: Reader,
    /// Canonical paths of all files so far.
    seen: Vec<PathBuf>,
    allowed: Allowed,
    /// Bytes of all files so far.
    bytes: usize,
}

impl Loader {
    /// Takes a file and everything that it includes. `ancestors` are the canonical paths of the
    /// files that led here.
    fn file(&mut self, path: PathBuf, bytes: Vec<u8>, ancestors: &mut Vec<PathBuf>) {
        let canonical = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
        self.seen.push(canonical.clone());
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let offset = error.utf8_error().valid_up_to();
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                self.reader.add(path.clone(), String::new());
                let file = self.reader.sources().files().last().map(|(file, _)| file);
                if let Some(file) = file {
                    let line = text[..offset].matches('\n').count() + 1;
                    let title = format!("{}:{line} is not UTF-8", path.display());
                    self.reader.report(
                        Finding::new(Code::Syntax, title, Location::start_of(file))
                            .help("save the file as UTF-8"),
                    );
                }
                return;
            }
        };
        let folder = path.parent().map(Path::to_owned).unwrap_or_default();
        let patterns = self.reader.add(path, text);
        ancestors.push(canonical);
        for pattern in patterns {
            self.include(&folder, &pattern, ancestors);
        }
        ancestors.pop();
    }

    fn include(&mut self, folder: &Path, pattern: &Located<String>, ancestors: &mut Vec<PathBuf>) {
        let glob = pattern.value.contains(['*', '?']);
        let found =
            if glob { matches(folder, &pattern.value) } else { vec![folder.join(&pattern.value)] };
        let leaves = || {
            let parts = Path::new(&pattern.value).components();
            parts.into_iter().any(|part| matches!(part, Component::RootDir | Component::ParentDir))
        };
        if glob && leaves() && !self.allowed.wide {
            let title = format!("the pattern `{}` leaves the folder of its file", pattern.value);
            let help = "a pattern with `*` or `?` matches below the file's own folder; to include \
                        others, name them, or allow their folder with `--include-from DIR`";
            self.report(title, pattern.at, help);
            return;
        }
        if found.is_empty() {
            let title = format!("no file matches `{}`", pattern.value);
            self.report(title, pattern.at, "the pattern is relative to this file");
        }
        for path in found {
            let canonical = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
            if ancestors.contains(&canonical) {
                // A pattern may well match the file that holds it.
                if !glob {
                    let title = format!("`{}` includes itself", path.display());
                    self.report(
                        title,
                        pattern.at,
                        "remove the line, or the one that leads back here",
                    );
                }
                continue;
            }
            if self.seen.contains(&canonical) {
                continue;
            }
            if self.seen.len() >= MAX_FILES || ancestors.len() >= MAX_INCLUDES {
                let title = format!(
                    "more than {MAX_FILES} files, or {MAX_INCLUDES} includes within one another"
                );
                self.report(title, pattern.at, "include fewer files");
                return;
            }
            match self.allowed.read(&path, MAX_FILE_BYTES as u64) {
                Ok(bytes) if self.bytes + bytes.len() > MAX_ALL_BYTES => {
                    let title = format!("the files have more than {MAX_ALL_BYTES} bytes together");
                    self.report(title, pattern.at, "include fewer files");
                    return;
                }
                Ok(bytes) => {
                    self.bytes += bytes.len();
                    self.file(path, bytes, ancestors);
                }
                Err(error) => {
                    let cause = std::error::Error::source(&error);
                    let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
                    let help = match error {
                        ConfinedError::Outside { .. } => {
                            "an inventory reads what lies below its own folder or is tracked by \
                             git in its work tree, and nothing in `.git`; allow another folder \
                             with `--include-from DIR`"
                        }
                        ConfinedError::NotRegular { .. } => "name a regular file",
                        ConfinedError::File(_) => "the path is relative to this file",
                    };
                    if glob && matches!(error, ConfinedError::Outside { .. }) {
                        // Names of files elsewhere are nobody's to read.
                        let title =
                            format!("`{}` matches files outside the fleet's folder", pattern.value);
                        self.report(title, pattern.at, help);
                        return;
                    }
                    self.report(format!("{error}{cause}"), pattern.at, help);
                }
            }
        }
    }

    fn report(&mut self, title: String, at: Location, help: &str) {
        self.reader.report(Finding::new(Code::Include, title, at).help(help));
    }
}

/// The files that a pattern with `*` and `?` matches, sorted; hidden ones only where the pattern
/// begins with a dot too.
fn matches(folder: &Path, pattern: &str) -> Vec<PathBuf> {
    let mut found =
        vec![if pattern.starts_with('/') { PathBuf::from("/") } else { folder.to_owned() }];
    let mut parts = pattern.split('/').filter(|part| !part.is_empty()).peekable();
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        let mut next = Vec::new();
        for base in found {
            if !part.contains(['*', '?']) {
                next.push(base.join(part));
                continue;
            }
            let here = if base.as_os_str().is_empty() { Path::new(".") } else { &base };
            let mut names: Vec<String> = fs::read_dir(here)
                .into_iter()
                .flatten()
                .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
                .filter(|name| part.starts_with('.') || !name.starts_with('.'))
                .filter(|name| wild(part.as_bytes(), name.as_bytes()))
                .collect();
            names.sort();
            next.extend(names.into_iter().map(|name| base.join(name)));
        }
        next.retain(|path| if last { path.is_file() } else { path.is_dir() });
        found = next;
    }
    found
}

/// Whether a name matches a pattern, in time linear in their product.
fn wild(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == b'?' || *c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    n = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::findings;

    fn write(folder: &Path, name: &str, text: &str) {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn patterns_match_within_a_name() {
        assert!(wild(b"*.yaml", b"paris.yaml") && wild(b"a*b*c", b"aXbXbc") && wild(b"?", b"x"));
        assert!(!wild(b"*.yaml", b"paris.yml") && !wild(b"a?", b"a") && !wild(b"a*b", b"ac"));
    }

    #[test]
    fn a_fleet_in_several_files_is_one_fleet_and_its_addresses_are_pinned() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "fleet.yaml", "fleet: f\ninclude: [sites/*.yaml, net.yaml]\n");
        write(folder.path(), "net.yaml", "networks: {n: {prefixes: 10.0.0.0/24}}\n");
        write(folder.path(), "sites/b.yaml", "sites: {s-b: {hosts: {b: {}}}}\n");
        write(folder.path(), "sites/a.yaml", "sites: {s-a: {hosts: {a: {}}}}\n");
        let loaded = load(folder.path()).unwrap();
        assert!(loaded.findings.is_empty(), "{:?}", loaded.findings);
        let hosts: Vec<String> = loaded
            .inventory
            .as_ref()
            .unwrap()
            .hosts
            .iter()
            .map(|h| h.name.value.to_string())
            .collect();
        assert_eq!(hosts, ["a", "b"]);
        assert!(loaded.save_lock().unwrap());
        let again = load(folder.path()).unwrap();
        assert!(!again.lock_changed && again.lock == loaded.lock);
    }

    #[test]
    fn includes_that_fail_are_findings_at_their_line() {
        let folder = tempfile::tempdir().unwrap();
        write(
            folder.path(),
            "fleet.yaml",
            "fleet: f\ninclude:\n  - a.yaml\n  - gone.yaml\n  - none/*.yaml\n  - latin.yaml\n",
        );
        write(folder.path(), "a.yaml", "include: b.yaml\nfleet: again\n");
        write(
            folder.path(),
            "b.yaml",
            "include: fleet.yaml\nnetworks: {n: {prefixes: 10.0.0.0/24}}\n",
        );
        fs::write(folder.path().join("latin.yaml"), b"# caf\xe9\n").unwrap();
        write(folder.path(), "fleet.lock", "{\"version\": 9}");
        let loaded = load(folder.path()).unwrap();
        let text = findings::human(&loaded.findings, &loaded.sources, false);
        let text = text.replace(&folder.path().display().to_string(), "DIR");
        insta::assert_snapshot!(text);
    }
}
