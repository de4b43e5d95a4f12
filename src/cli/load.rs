//! Reads an inventory from disk: the fleet file, what it includes, and the lock file beside it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::finding::{self, Code, Finding};
use crate::inventory::{
    Inventory, Lock, LockError, MAX_FILE_BYTES, MAX_LOCK_BYTES, Parsed, Reader, allocate,
};
use crate::model::{Located, Location, SourceMap};
use crate::sys::{self, FileError};

use super::{CommandError, Exit};

/// Name of the fleet file in a folder.
pub const FLEET_FILE: &str = "fleet.yaml";
/// Files that one inventory may have.
const MAX_FILES: usize = 10_000;
/// Includes within includes.
const MAX_INCLUDES: usize = 16;

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
    /// Where the lock file belongs.
    pub lock_path: PathBuf,
    /// Whether [`Self::lock`] differs from what is on disk.
    pub lock_changed: bool,
    /// The fleet file.
    pub path: PathBuf,
    /// The folder that everything of this fleet lies in.
    pub folder: PathBuf,
}

impl Loaded {
    /// Writes the lock file where it changed; returns whether it did.
    ///
    /// # Errors
    /// [`FileError::Write`]; the old file is untouched.
    pub fn save_lock(&self) -> Result<bool, FileError> {
        if self.lock_changed {
            let text = self.lock.to_text();
            sys::write_atomic(&self.lock_path, text.as_bytes(), sys::Mode::Public)?;
        }
        Ok(self.lock_changed)
    }
}

/// Loads the inventory of a fleet file, or of a folder that holds `fleet.yaml`.
///
/// # Errors
/// Where the fleet file itself cannot be read; everything else is a finding.
pub fn load(file: &Path) -> Result<Loaded, CommandError> {
    let path = if file.is_dir() { file.join(FLEET_FILE) } else { file.to_owned() };
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let bytes = sys::read_limited(&path, MAX_FILE_BYTES as u64).map_err(|error| {
        let failed = CommandError::new(Exit::Failed, &error);
        match &error {
            FileError::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                failed.hint("name the inventory with --file, or begin one with `wgfleet init DIR`")
            }
            _ => failed,
        }
    })?;
    let mut loader = Loader { reader: Reader::default(), seen: Vec::new() };
    loader.file(path.clone(), bytes, &mut Vec::new());
    let Parsed { inventory, mut findings, mut sources } = loader.reader.finish();
    let lock_path = path.with_extension("lock");
    let held = read_lock(&lock_path, &mut sources, &mut findings)?;
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
    Ok(Loaded { inventory, findings, sources, lock, lock_path, lock_changed, path, folder })
}

/// The lock on disk, empty where there is none; `None` with a finding where it cannot be used.
fn read_lock(
    path: &Path,
    sources: &mut SourceMap,
    findings: &mut Vec<Finding>,
) -> Result<Option<Lock>, CommandError> {
    let bytes = match sys::read_limited(path, MAX_LOCK_BYTES) {
        Ok(bytes) => bytes,
        Err(FileError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Ok(Some(Lock::default()));
        }
        Err(error) => return Err(CommandError::new(Exit::Failed, &error)),
    };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let parsed = Lock::parse(&text);
    let at = parsed.as_ref().err().map(|error| position(error, &text));
    let file = sources.add(path.to_owned(), text);
    match parsed {
        Ok(lock) => Ok(Some(lock)),
        Err(error) => {
            let at = Location { file, ..at.unwrap_or(Location::start_of(file)) };
            findings.push(Finding::new(Code::LockFile, error.to_string(), at).help(match error {
                LockError::Syntax { .. } => {
                    "take the file from version control; without it every allocated address changes"
                }
                LockError::Version { .. } => "use the wgfleet that wrote it, or a later one",
            }));
            Ok(None)
        }
    }
}

/// The place of an error in the text of a lock file.
fn position(error: &LockError, text: &str) -> Location {
    let (line, column) = error.position();
    let before: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
    let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let byte = narrow(before + column.saturating_sub(1));
    let file = crate::model::FileId(0);
    Location { file, line: narrow(line), column: narrow(column), start: byte, end: byte }
}

struct Loader {
    reader: Reader,
    /// Canonical paths of all files so far.
    seen: Vec<PathBuf>,
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
            match sys::read_limited(&path, MAX_FILE_BYTES as u64) {
                Ok(bytes) => self.file(path, bytes, ancestors),
                Err(error) => {
                    let cause = std::error::Error::source(&error);
                    let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
                    self.report(
                        format!("{error}{cause}"),
                        pattern.at,
                        "the path is relative to this file",
                    );
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
