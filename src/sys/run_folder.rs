//! The folder of one run: private, locked while the run lives, removed with it or by a later run.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{
    FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// What the names of all of them begin with.
const PREFIX: &str = "wgfleet-run-";

/// The same in version 0.1.0, which locked none.
const FORMER_PREFIX: &str = "wgfleet-";

/// Characters that stand behind that.
const RANDOM: usize = 6;

/// A folder that only this user can enter. A run that is killed leaves its folder behind and its
/// lock not: by that the next run knows what to remove.
#[derive(Debug)]
pub struct RunFolder {
    folder: TempDir,
    /// Dropped last.
    _lock: File,
}

impl RunFolder {
    /// What each name in one of them begins with: whatever else is found in a folder keeps it from
    /// being removed by a later run.
    pub const CONTENT: &str = ".ssh-connection";

    /// Makes one whose path has at most `longest` bytes, and removes those of runs that are over.
    ///
    /// # Errors
    /// Where none can be made, or what was made is not private.
    pub fn new(longest: usize) -> io::Result<Self> {
        let mut parent = std::env::temp_dir();
        if parent.as_os_str().len() + 1 + PREFIX.len() + RANDOM > longest {
            parent = PathBuf::from("/tmp");
        }
        Self::new_in(&parent)
    }

    fn new_in(parent: &Path) -> io::Result<Self> {
        sweep(parent);
        // Another run may take it for one that is over before it is locked.
        for _ in 0..100 {
            let folder = tempfile::Builder::new()
                .prefix(PREFIX)
                .rand_bytes(RANDOM)
                .permissions(Permissions::from_mode(0o700))
                .tempdir_in(parent)?;
            let Ok(lock) = open(folder.path()) else { continue };
            match lock.try_lock() {
                Err(fs::TryLockError::WouldBlock) => continue,
                // File systems without locks: nothing is removed there either.
                Ok(()) | Err(fs::TryLockError::Error(_)) => {}
            }
            let (Ok(open), Ok(named)) = (lock.metadata(), fs::symlink_metadata(folder.path()))
            else {
                continue;
            };
            if (open.dev(), open.ino()) != (named.dev(), named.ino()) {
                continue;
            }
            let user = rustix::process::geteuid().as_raw();
            if !named.is_dir() || named.uid() != user || named.mode() & 0o7777 != 0o700 {
                let path = folder.path().display();
                return Err(io::Error::other(format!("{path} is not private to this user")));
            }
            return Ok(Self { folder, _lock: lock });
        }
        Err(io::Error::other(format!("no folder in {} stays", parent.display())))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Opens a folder, never through a link.
fn open(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::NOFOLLOW;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// Removes this user's folders of runs that are over. What cannot be removed stays.
fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let random = |prefix: &str| {
            let rest = name.strip_prefix(prefix)?;
            let random = rest.len() == RANDOM && rest.bytes().all(|b| b.is_ascii_alphanumeric());
            random.then_some(())
        };
        let path = entry.path();
        if random(PREFIX).is_some() || (random(FORMER_PREFIX).is_some() && !is_used(&path)) {
            remove_if_over(&path);
        }
    }
}

fn remove_if_over(path: &Path) {
    let Ok(folder) = open(path) else { return };
    let mine =
        folder.metadata().is_ok_and(|found| found.uid() == rustix::process::geteuid().as_raw());
    // Whatever has something else in it is not one of them.
    let known = |entry: io::Result<fs::DirEntry>| {
        entry.is_ok_and(|entry| {
            entry.file_name().as_bytes().starts_with(RunFolder::CONTENT.as_bytes())
        })
    };
    if mine
        && folder.try_lock().is_ok()
        && fs::read_dir(path).is_ok_and(|mut entries| entries.all(known))
    {
        let _ = fs::remove_dir_all(path);
    }
}

/// Whether an ssh(1) still listens in it.
fn is_used(path: &Path) -> bool {
    let inside = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten();
    inside(path).flat_map(|entry| inside(&entry.path())).any(|entry| {
        entry.file_type().is_ok_and(|kind| kind.is_socket())
            && UnixStream::connect(entry.path()).is_ok()
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn it_is_private_and_goes_with_its_run() {
        let parent = tempfile::tempdir().unwrap();
        let folder = RunFolder::new_in(parent.path()).unwrap();
        let found = fs::symlink_metadata(folder.path()).unwrap();
        assert_eq!(found.mode() & 0o7777, 0o700);
        let path = folder.path().to_owned();
        fs::create_dir(path.join(".ssh-connection1")).unwrap();
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn only_what_runs_of_this_user_left_behind_is_removed() {
        let parent = tempfile::tempdir().unwrap();
        let at = |name: &str| parent.path().join(name);
        let make = |name: &str| {
            fs::create_dir_all(at(name).join(".ssh-connectionabc")).unwrap();
            fs::write(at(name).join(".ssh-connectionabc/log"), "").unwrap();
        };
        let gone = ["wgfleet-run-killed", "wgfleet-Abc123"];
        let kept =
            ["wgfleet-run-others", "wgfleet-notes7", "wgfleet-run-longer1", "wgfleet-OldRun"];
        gone.iter().chain(&kept).for_each(|name| make(name));
        // Somebody's own, under such a name.
        fs::write(at("wgfleet-notes7/todo"), "x").unwrap();
        // A run of version 0.1.0, at work.
        let listener = UnixListener::bind(at("wgfleet-OldRun/.ssh-connectionabc/master")).unwrap();
        // Another run, at work.
        let other = open(&at("wgfleet-run-others")).unwrap();
        other.try_lock().unwrap();
        // A link that leads elsewhere.
        let elsewhere = tempfile::tempdir().unwrap();
        fs::create_dir(elsewhere.path().join(".ssh-connectionabc")).unwrap();
        symlink(elsewhere.path(), at("wgfleet-run-linked")).unwrap();
        // Somebody else's.
        let root = rustix::process::geteuid().is_root();
        if root {
            make("wgfleet-run-theirs");
            std::os::unix::fs::chown(at("wgfleet-run-theirs"), Some(65534), None).unwrap();
        }

        let folder = RunFolder::new_in(parent.path()).unwrap();
        for name in gone {
            assert!(!at(name).exists(), "{name}");
        }
        for name in kept {
            assert!(at(name).join(".ssh-connectionabc/log").exists(), "{name}");
        }
        assert!(elsewhere.path().join(".ssh-connectionabc").exists());
        assert!(!root || at("wgfleet-run-theirs").exists());
        // A run beside it leaves it alone; one after it finds what it left when it was killed.
        let second = RunFolder::new_in(parent.path()).unwrap();
        assert!(folder.path().exists() && second.path().exists());
        let left = folder.path().to_owned();
        let RunFolder { folder, _lock: lock } = folder;
        let _ = folder.keep();
        drop((lock, listener));
        let _third = RunFolder::new_in(parent.path()).unwrap();
        assert!(!left.exists() && !at("wgfleet-OldRun").exists() && second.path().exists());
    }
}
