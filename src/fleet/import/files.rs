//! Files of WireGuard's own, in folders of any depth.

use std::path::{Path, PathBuf};
use std::{fs, io};

use zeroize::Zeroizing;

use super::gathered::Gathered;
use crate::adopt;
use crate::fleet::{Error, Kind};
use crate::sys::{self, FileError};

/// The most bytes of a file.
const MOST_BYTES: u64 = 16 << 20;
/// The most files.
const MOST_FILES: usize = 100_000;
/// The deepest folder.
const DEEPEST: usize = 16;

/// Endings of files that a folder may have beside those that are meant.
const ENDINGS: [&str; 5] = ["conf", "dump", "showconf", "txt", "wg"];

/// Reads files, and all of a known ending below folders.
///
/// # Errors
/// Where one that is named cannot be read.
pub fn read_files(named: &[PathBuf]) -> Result<Gathered, Error> {
    let mut gathered = Gathered::default();
    for root in named {
        let failed = |source: io::Error| {
            Error::new(Kind::Failed, FileError::Read { path: root.clone(), source })
        };
        let mut files = Vec::new();
        if fs::metadata(root).map_err(failed)?.is_dir() {
            walk(root, 0, &mut files).map_err(failed)?;
        } else {
            files.push(root.clone());
        }
        files.sort();
        for path in files {
            take(&path, root, &mut gathered)?;
        }
    }
    Ok(gathered)
}

/// The files below a folder. Links are not followed: a folder that was copied from a stranger may hold some.
fn walk(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        let ending = path.extension().and_then(|ending| ending.to_str());
        if kind.is_dir() && depth < DEEPEST {
            walk(&path, depth + 1, files)?;
        } else if kind.is_file() && ending.is_some_and(|ending| ENDINGS.contains(&ending)) {
            if files.len() == MOST_FILES {
                return Err(io::Error::other(format!("it holds more than {MOST_FILES} files")));
            }
            files.push(path);
        }
    }
    Ok(())
}

fn take(path: &Path, root: &Path, gathered: &mut Gathered) -> Result<(), Error> {
    let bytes =
        sys::read_named(path, MOST_BYTES).map_err(|error| Error::new(Kind::Failed, error))?;
    let bytes = Zeroizing::new(bytes);
    let read = std::str::from_utf8(&bytes).ok().and_then(|text| adopt::read(path, root, text));
    match read {
        Some(read) => {
            gathered.files += 1;
            gathered.hosts.push(read.host);
            gathered.remarks.extend(read.remarks);
        }
        None => gathered.skipped.push(path.to_owned()),
    }
    Ok(())
}
