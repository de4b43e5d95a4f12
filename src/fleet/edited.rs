//! An inventory whose file is about to be changed: what it will mean is known before it is written.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::read::{Fleet, Reading, known_keys};
use super::{Context, Error, Kind};
use crate::inventory::MAX_FILE_BYTES;
use crate::inventory::edit::{EditError, PeerChange, change_peer};
use crate::model::{FileId, HostName, SourceFile};
use crate::sys::{Mode, read_limited, write_atomic};

/// A changed file that is not written yet.
#[derive(Debug)]
pub struct Edited {
    /// The file, as reports call it.
    pub path: PathBuf,
    /// What it holds.
    before: Vec<u8>,
    /// What it is to hold.
    text: String,
}

impl Edited {
    /// Writes the file, unless somebody else has changed it since it was read.
    ///
    /// # Errors
    /// Where it was changed, or cannot be written; it is then what it was.
    pub fn write(&self) -> Result<(), Error> {
        // What a link leads to was read; it is replaced, and the link stays.
        let path = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        if read(&path)? != self.before {
            let message = format!("{} was changed meanwhile", self.path.display());
            return Err(Error::message(Kind::Stale, message).hint("run the command again"));
        }
        if self.before == self.text.as_bytes() {
            return Ok(());
        }
        let closed =
            fs::metadata(&path).is_ok_and(|file| file.permissions().mode().trailing_zeros() >= 6);
        let mode = if closed { Mode::Private } else { Mode::Public };
        write_atomic(&path, self.text.as_bytes(), mode)
            .map_err(|error| Error::new(Kind::Failed, error))
    }
}

impl Fleet {
    /// What the fleet will be with these changes to one unmanaged peer, and the file that makes it so. A
    /// new peer goes to the file that has the last of the others.
    ///
    /// # Errors
    /// Where the inventory comes from stdin, or the file cannot be changed without a person.
    pub fn change_peer(
        self,
        context: &Context,
        name: &HostName,
        changes: &[PeerChange<'_>],
    ) -> Result<(Reading, Edited), Error> {
        let id = self.file_of(name);
        let SourceFile { path, .. } = self.inventory().sources.file(id);
        let path = path.clone();
        if context.file == Path::new("-") {
            let message = "an inventory on stdin cannot be changed";
            return Err(Error::message(Kind::Usage, message).hint("name its file with --file"));
        }
        let before = read(&path)?;
        let refused = |error: EditError| {
            let message = format!("{} is left as it is: {error}", path.display());
            let kind = if error == EditError::Unreadable { Kind::Findings } else { Kind::Usage };
            Error::message(kind, message).hint("change it by hand, then run `wgfleet check`")
        };
        let mut text =
            String::from_utf8(before.clone()).map_err(|_| refused(EditError::Unreadable))?;
        for change in changes {
            text = change_peer(&text, name, *change).map_err(refused)?;
        }
        let reading = Self::of(context, self.loaded.with_text(id, &text), |inventory| {
            known_keys(context, inventory)
        });
        Ok((reading, Edited { path, before, text }))
    }

    /// The file that a peer is written in, or is to be.
    fn file_of(&self, name: &HostName) -> FileId {
        let peers = &self.inventory().peers;
        let own = peers.iter().find(|peer| peer.name.value == *name);
        own.or(peers.last()).map_or(FileId(0), |peer| peer.name.at.file)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    read_limited(path, MAX_FILE_BYTES as u64).map_err(|error| Error::new(Kind::Failed, error))
}
