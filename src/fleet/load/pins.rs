//! The lock file of an inventory that was read.

use std::io;
use std::path::Path;

use super::super::{Error, Kind};
use crate::finding::{Code, Finding};
use crate::inventory::{LockError, LockFile};
use crate::model::{Location, SourceMap};
use crate::sys::{ConfinedError, FileError};

/// The pinned addresses, none where there is none; `None` with a finding where it cannot be used.
pub(super) fn parse(
    path: &Path,
    bytes: Result<Vec<u8>, ConfinedError>,
    sources: &mut SourceMap,
    findings: &mut Vec<Finding>,
) -> Result<Option<LockFile>, Error> {
    let bytes = match bytes {
        Ok(bytes) => bytes,
        Err(ConfinedError::File(FileError::Read { source, .. }))
            if source.kind() == io::ErrorKind::NotFound =>
        {
            return Ok(Some(LockFile::default()));
        }
        Err(error @ ConfinedError::File(_)) => {
            return Err(Error::new(Kind::Failed, error));
        }
        Err(error) => {
            let at = Location::start_of(sources.add(path.to_owned(), String::new()));
            findings.push(Finding::new(Code::LockFile, error.to_string(), at).help(
                "the lock file is a regular file in the fleet's folder, or a link to one that git \
                 tracks; name another one with --lock FILE",
            ));
            return Ok(None);
        }
    };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    match LockFile::parse(&text) {
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
                LockError::Version { .. } | LockError::Twice { .. } | LockError::Empty => {
                    error.to_string()
                }
            };
            findings.push(Finding::new(Code::LockFile, title, at).help(match error {
                LockError::Syntax { .. } => {
                    "take the file from version control; without it every allocated address changes"
                }
                LockError::Version { .. } => "use the wgfleet that wrote it, or a later one",
                LockError::Twice { .. } => {
                    "two branches that were merged each pinned an address: remove one of the two \
                     lines, that of the branch which was not applied yet, and run `wgfleet check`, \
                     which pins a free address instead"
                }
                LockError::Empty => {
                    "take the file from version control: without it every allocated address \
                     changes. Where no address was ever pinned, remove the file"
                }
            }));
            Ok(None)
        }
    }
}
