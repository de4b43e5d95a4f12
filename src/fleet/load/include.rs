//! The fleet file and everything that it includes, file by file.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::files::{Files, Kind};
use crate::finding::{Code, Finding};
use crate::inventory::{MAX_FILE_BYTES, Reader};
use crate::model::{Located, Location};
use crate::sys::ConfinedError;

/// Files that one inventory may have.
const MAX_FILES: usize = 10_000;
/// Bytes that all files of one inventory may have together.
const MAX_ALL_BYTES: usize = 64 << 20;
/// Includes within includes.
const MAX_INCLUDES: usize = 16;
/// Paths and patterns that all files of one inventory may name together.
const MAX_PATTERNS: usize = 100_000;
/// Names that all patterns together are compared with.
const MAX_NAMES: usize = 2_000_000;
/// Folders that a pattern may lead through.
const MAX_FOLDERS: usize = 32;

/// What to do about a file that lies elsewhere.
const OUTSIDE: &str = "an inventory reads what lies below its own folder, but not in hidden folders, \
                       or is tracked by git in its work tree; allow another folder with \
                       `--include-from DIR`";

/// Takes the files of an inventory, one after the other.
pub(super) struct Loader {
    reader: Reader,
    files: Box<dyn Files>,
    /// The one path of each file so far.
    seen: BTreeSet<PathBuf>,
    /// Bytes of all files so far.
    bytes: usize,
    /// Paths and patterns so far.
    patterns: usize,
    /// Names that patterns were compared with so far.
    names: usize,
    /// A budget is used up, and a finding says so.
    full: bool,
}

impl Loader {
    pub(super) fn new(files: Box<dyn Files>, now: Timestamp) -> Self {
        Self {
            reader: Reader::at(Some(now)),
            files,
            seen: BTreeSet::new(),
            bytes: 0,
            patterns: 0,
            names: 0,
            full: false,
        }
    }

    pub(super) fn into_parts(self) -> (Reader, Box<dyn Files>) {
        (self.reader, self.files)
    }

    /// Takes a file and everything that it includes. `ancestors` are the real paths of the files
    /// that led here.
    pub(super) fn file(&mut self, path: &Path, bytes: Vec<u8>, ancestors: &mut Vec<PathBuf>) {
        let real = self.files.real(path);
        self.seen.insert(real.clone());
        self.bytes += bytes.len();
        let shown = self.files.shown(path);
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
                let line = before.split(|byte| *byte == b'\n').count();
                let title = format!("{}:{line} is not UTF-8", shown.display());
                self.reader.add(shown, String::new());
                let file = self.reader.sources().files().last().map(|(file, _)| file);
                if let Some(file) = file {
                    self.reader.report(
                        Finding::new(Code::Syntax, title, Location::start_of(file))
                            .help("save the file as UTF-8"),
                    );
                }
                return;
            }
        };
        let folder = path.parent().map(Path::to_owned).unwrap_or_default();
        let patterns = self.reader.add(shown, text);
        ancestors.push(real);
        for pattern in patterns {
            if self.full {
                break;
            }
            self.include(&folder, &pattern, ancestors);
        }
        ancestors.pop();
    }

    fn include(&mut self, folder: &Path, pattern: &Located<String>, ancestors: &mut Vec<PathBuf>) {
        self.patterns += 1;
        if self.patterns > MAX_PATTERNS {
            let title = format!("more than {MAX_PATTERNS} paths under `include`");
            self.stop(title, pattern.at);
            return;
        }
        if !pattern.value.contains(['*', '?']) {
            self.one(&folder.join(&pattern.value), false, pattern, ancestors);
            return;
        }
        let Some(found) = self.matches(folder, pattern) else { return };
        if found.is_empty() {
            let title = format!("no file matches `{}`", pattern.value);
            let outside =
                pattern.value.split('/').any(|part| part == "..") || pattern.value.starts_with('/');
            let help = if outside { OUTSIDE } else { "the pattern is relative to this file" };
            self.report(title, pattern.at, help);
        }
        for path in found {
            if self.full {
                return;
            }
            self.one(&path, true, pattern, ancestors);
        }
    }

    /// Takes one file that an include leads to.
    fn one(
        &mut self,
        path: &Path,
        glob: bool,
        pattern: &Located<String>,
        ancestors: &mut Vec<PathBuf>,
    ) {
        let real = self.files.real(path);
        if ancestors.contains(&real) {
            // A pattern may well match the file that holds it.
            if !glob {
                let title = format!("`{}` includes itself", path.display());
                let help = "remove the line, or the one that leads back here";
                self.report(title, pattern.at, help);
            }
            return;
        }
        if self.seen.contains(&real) {
            return;
        }
        if self.seen.len() >= MAX_FILES || ancestors.len() >= MAX_INCLUDES {
            let title = format!(
                "more than {MAX_FILES} files, or {MAX_INCLUDES} includes within one another"
            );
            self.stop(title, pattern.at);
            return;
        }
        match self.files.read(path, MAX_FILE_BYTES as u64) {
            Ok(bytes) if self.bytes + bytes.len() > MAX_ALL_BYTES => {
                let title = format!("the files have more than {MAX_ALL_BYTES} bytes together");
                self.stop(title, pattern.at);
            }
            Ok(bytes) => self.file(path, bytes, ancestors),
            Err(error @ ConfinedError::Outside { .. }) => {
                self.report(error.to_string(), pattern.at, OUTSIDE);
            }
            Err(error @ ConfinedError::NotRegular { .. }) => {
                self.report(error.to_string(), pattern.at, "name a regular file");
            }
            Err(error @ ConfinedError::File(_)) => {
                let cause = std::error::Error::source(&error);
                let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
                let help = "the path is relative to this file";
                self.report(format!("{error}{cause}"), pattern.at, help);
            }
        }
    }

    /// The files that a pattern with `*` and `?` matches, sorted; hidden ones only where the
    /// pattern begins with a dot too. `None` with a finding where a budget is used up.
    fn matches(&mut self, folder: &Path, pattern: &Located<String>) -> Option<Vec<PathBuf>> {
        let absolute = pattern.value.starts_with('/');
        let mut found = vec![if absolute { PathBuf::from("/") } else { folder.to_owned() }];
        let parts: Vec<&str> = pattern.value.split('/').filter(|part| !part.is_empty()).collect();
        if parts.len() > MAX_FOLDERS {
            let title = format!("a pattern that leads through more than {MAX_FOLDERS} folders");
            self.report(title, pattern.at, "write a path without `*` and `?`");
            return None;
        }
        for (index, part) in parts.iter().enumerate() {
            let kind = if index + 1 == parts.len() { Kind::File } else { Kind::Folder };
            if !part.contains(['*', '?']) {
                for base in &mut found {
                    base.push(part);
                }
                continue;
            }
            let mut next = Vec::new();
            for base in found {
                let mut names = self.files.names(&base);
                self.names += names.len();
                if self.names > MAX_NAMES {
                    let title =
                        format!("patterns that are compared with more than {MAX_NAMES} names");
                    self.stop(title, pattern.at);
                    return None;
                }
                names.retain(|name| part.starts_with('.') || !name.starts_with('.'));
                names.retain(|name| wild(part.as_bytes(), name.as_bytes()));
                names.sort();
                next.extend(names.into_iter().map(|name| base.join(name)));
            }
            next.retain(|path| self.files.kind(path) == Some(kind));
            // Links that lead back would make more of them with each folder.
            let mut once = BTreeSet::new();
            next.retain(|path| once.insert(self.files.real(path)));
            found = next;
        }
        found.retain(|path| self.files.kind(path) == Some(Kind::File));
        Some(found)
    }

    /// A budget is used up: nothing more is read.
    fn stop(&mut self, title: String, at: Location) {
        self.full = true;
        self.report(title, at, "include fewer files");
    }

    fn report(&mut self, title: String, at: Location, help: &str) {
        self.reader.report(Finding::new(Code::Include, title, at).help(help));
    }
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
    use super::wild;

    #[test]
    fn patterns_match_within_a_name() {
        assert!(wild(b"*.yaml", b"paris.yaml") && wild(b"a*b*c", b"aXbXbc") && wild(b"?", b"x"));
        assert!(!wild(b"*.yaml", b"paris.yml") && !wild(b"a?", b"a") && !wild(b"a*b", b"ac"));
    }
}
