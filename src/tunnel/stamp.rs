//! The time of the last initiation, kept where systemd gives a state folder: so that a restart after
//! the clock was set back does not send what peers take for a replay.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::model::InterfaceName;

/// How often it is written, at most; after a start, time begins by as much later.
pub(super) const EVERY: Duration = Duration::from_secs(1);
/// Digits of the nanoseconds since the epoch, and the end of the line.
const DIGITS: usize = 20;

/// A file with the time of an interface's last initiation.
pub(super) struct Stamp {
    file: File,
    written: Option<SystemTime>,
}

impl Stamp {
    /// The file of an interface in the folder that `STATE_DIRECTORY` names (systemd.exec(5)), and the
    /// time that is in it. `None` without a folder.
    ///
    /// # Errors
    /// Where there is a folder and the file cannot be opened.
    pub(super) fn open(
        interface: &InterfaceName,
    ) -> io::Result<Option<(Self, Option<SystemTime>)>> {
        let folders = std::env::var_os("STATE_DIRECTORY").filter(|folders| !folders.is_empty());
        let first = folders.and_then(|folders| {
            std::env::split_paths(&folders).next().filter(|folder| folder.is_absolute())
        });
        first.map(|folder| Self::open_at(&place(&folder, interface))).transpose()
    }

    fn open_at(path: &Path) -> io::Result<(Self, Option<SystemTime>)> {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(path)?;
        let mut text = [0; DIGITS];
        let read = file.read_exact_at(&mut text, 0).ok();
        let nanos = read.and_then(|()| std::str::from_utf8(&text).ok()?.parse::<u64>().ok());
        let last = nanos.and_then(|nanos| UNIX_EPOCH.checked_add(Duration::from_nanos(nanos)));
        // What was sent after it was written is earlier than this.
        Ok((Self { file, written: last }, last.map(|last| last + EVERY * 2)))
    }

    /// Keeps a time, where it is another.
    pub(super) fn keep(&mut self, last: Option<SystemTime>) {
        let Some(time) = last.filter(|_| last != self.written) else { return };
        let nanos = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let text = format!("{nanos:0DIGITS$}\n");
        match self.file.write_all_at(text.as_bytes(), 0) {
            Ok(()) => self.written = last,
            Err(error) => tracing::debug!("the time of an initiation is not kept: {error}"),
        }
    }
}

fn place(folder: &Path, interface: &InterfaceName) -> PathBuf {
    folder.join(format!("{interface}.initiation"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_read_and_anything_else_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = place(folder.path(), &"wg0".parse().unwrap());
        let (mut stamp, last) = Stamp::open_at(&path).unwrap();
        assert_eq!(last, None);
        stamp.keep(None);
        let time = UNIX_EPOCH + Duration::from_nanos(1_795_786_546_338_062_001);
        stamp.keep(Some(time));
        assert_eq!(Stamp::open_at(&path).unwrap().1, Some(time + EVERY * 2));
        for odd in ["", "7", "-0000000000000000007", "aaaaaaaaaaaaaaaaaaaaaaaaaa"] {
            std::fs::write(&path, odd).unwrap();
            assert_eq!(Stamp::open_at(&path).unwrap().1, None, "{odd}");
        }
    }
}
