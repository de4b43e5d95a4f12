//! Positions in the files that an operator wrote.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::masking::stars;

/// Which file of a [`SourceMap`]; index in order of reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct FileId(pub u32);

/// A stretch of one source file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Location {
    /// The file.
    pub file: FileId,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// First byte, from 0.
    pub start: u32,
    /// One past the last byte; equal to `start` where the stretch is a point.
    pub end: u32,
}

impl Location {
    /// The first character of a file, for what no line of it says.
    #[must_use]
    pub const fn start_of(file: FileId) -> Self {
        Self { file, line: 1, column: 1, start: 0, end: 0 }
    }
}

/// A value with the place that says it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it is written, or where what it is derived from is written.
    pub at: Location,
}

impl<T> Located<T> {
    /// Ties `value` to `at`.
    pub const fn new(value: T, at: Location) -> Self {
        Self { value, at }
    }

    /// The same place with another value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Located<U> {
        Located { value: f(self.value), at: self.at }
    }
}

/// One file that was read.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// The path as the operator would write it.
    pub path: PathBuf,
    /// The whole text.
    pub text: String,
}

/// All files that an inventory was read from.
#[derive(Debug, Clone, Default)]
pub struct SourceMap {
    files: Vec<SourceFile>,
}

impl SourceMap {
    /// Adds a file and returns its id.
    ///
    /// # Panics
    /// With more than 2^32 files; the reader's budget stops far below.
    pub fn add(&mut self, path: PathBuf, text: String) -> FileId {
        let id = FileId(u32::try_from(self.files.len()).expect("the reader's budget holds"));
        self.files.push(SourceFile { path, text });
        id
    }

    /// The file of an id that this map gave out.
    #[must_use]
    pub fn file(&self, id: FileId) -> &SourceFile {
        &self.files[id.0 as usize]
    }

    /// All files in order of reading.
    pub fn files(&self) -> impl Iterator<Item = (FileId, &SourceFile)> {
        self.files.iter().zip(0..).map(|(file, id)| (FileId(id), file))
    }

    /// Overwrites a stretch with `*`, line ends excepted, so that no report can show it. Offsets
    /// and lines stay as they are.
    pub fn redact(&mut self, at: Location) {
        let Some(file) = self.files.get_mut(at.file.0 as usize) else { return };
        let range = at.start as usize..at.end as usize;
        let Some(secret) = file.text.get(range.clone()) else { return };
        let stars = stars(secret);
        file.text.replace_range(range, &stars);
    }

    /// Forgets the text of a file that must not be shown; only its name stays.
    pub fn forget(&mut self, id: FileId) {
        if let Some(file) = self.files.get_mut(id.0 as usize) {
            file.text.clear();
        }
    }

    /// `path:line:column` of a place.
    #[must_use]
    pub fn describe(&self, at: Location) -> String {
        let path: &Path = &self.file(at.file).path;
        format!("{}:{}:{}", path.display(), at.line, at.column)
    }
}
