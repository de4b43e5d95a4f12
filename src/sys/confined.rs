//! Reading files that a stranger names: regular ones, in allowed places, whatever links say.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, fcntl_setfl, fstat, open, stat};

use super::FileError;
use super::file::read_whole;

/// Why a file that an inventory names is not read.
#[derive(Debug, thiserror::Error)]
pub enum ConfinedError {
    /// It lies outside every allowed folder.
    #[error("{path} lies outside the fleet's folder")]
    Outside {
        /// The path as it was named.
        path: PathBuf,
    },
    /// It is a folder, a device, a pipe or a socket.
    #[error("{path} is not a regular file")]
    NotRegular {
        /// The path as it was named.
        path: PathBuf,
    },
    /// It cannot be read, or is too large.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Links and folders that are looked through for why a path cannot be opened.
const MAX_STEPS: usize = 40;

/// Folders that files may be read from; what lies in a hidden folder below them, such as `.git`, is
/// not theirs.
#[derive(Debug, Clone, Default)]
pub struct Confinement {
    /// Canonical paths.
    roots: Vec<PathBuf>,
    /// Canonical paths of single files, in hidden folders too.
    files: BTreeSet<PathBuf>,
}

impl Confinement {
    /// Allows what lies below a folder.
    ///
    /// # Errors
    /// Where the folder is not there.
    pub fn allow(&mut self, folder: &Path) -> io::Result<()> {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        self.roots.push(std::fs::canonicalize(folder)?);
        Ok(())
    }

    /// Allows single files, by their canonical paths.
    pub fn allow_files(&mut self, files: impl IntoIterator<Item = PathBuf>) {
        self.files.extend(files);
    }

    /// Whether the file at a canonical path may be read.
    #[must_use]
    pub fn allows(&self, real: &Path) -> bool {
        let named_git = real.file_name().is_some_and(|name| name == ".git");
        !named_git && real.parent().is_some_and(|folder| self.holds(folder))
            || self.files.contains(real)
    }

    /// Whether any file of a folder, at a canonical path, may be read.
    #[must_use]
    pub fn holds(&self, real: &Path) -> bool {
        let open = |below: &Path| !below.components().any(is_hidden);
        self.roots.iter().any(|root| real.strip_prefix(root).is_ok_and(open))
    }

    /// Whether a path is one of the single files.
    #[must_use]
    pub fn lists(&self, path: &Path) -> bool {
        self.files.contains(path)
    }

    /// The names in a folder, at a canonical path, that lead to single files.
    #[must_use]
    pub fn names(&self, real: &Path) -> Vec<String> {
        let below =
            self.files.range(real.to_owned()..).map_while(|file| file.strip_prefix(real).ok());
        let first =
            |below: &Path| Some(below.components().next()?.as_os_str().to_str()?.to_owned());
        let mut names: Vec<String> = below.filter_map(first).collect();
        names.dedup();
        names
    }

    /// Reads a regular file of at most `limit` bytes. The file that is judged is the one that is
    /// read: links may change meanwhile. Nothing else is opened for reading, so that no pipe blocks
    /// and no device hears of it.
    ///
    /// # Errors
    /// [`ConfinedError`].
    pub fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>, ConfinedError> {
        let handle = match pin(path) {
            // Whether there is a file elsewhere is nobody's to know.
            Err(_) if self.leaves(path, MAX_STEPS) => {
                return Err(ConfinedError::Outside { path: path.to_owned() });
            }
            handle => handle?,
        };
        let real = std::fs::read_link(descriptor(&handle)).map_err(|error| failed(path, error))?;
        // Behind `/proc/PID/root` the same words may name a file of another root.
        let same = || {
            let (named, open) = (stat(&real).ok()?, fstat(handle.as_fd()).ok()?);
            Some((named.st_dev, named.st_ino) == (open.st_dev, open.st_ino))
        };
        if !self.allows(&real) || same() != Some(true) {
            return Err(ConfinedError::Outside { path: path.to_owned() });
        }
        read_pinned(path, &handle, limit)
    }

    /// Whether a path that cannot be opened leads out of the allowed folders.
    fn leaves(&self, path: &Path, steps: usize) -> bool {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return true };
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let Ok(folder) = std::fs::canonicalize(folder) else {
            return steps == 0 || self.leaves(folder, steps - 1);
        };
        if let Ok(target) = std::fs::read_link(folder.join(name)) {
            return steps == 0 || self.leaves(&folder.join(target), steps - 1);
        }
        !self.holds(&folder) && self.names(&folder).is_empty()
    }
}

fn is_hidden(part: Component<'_>) -> bool {
    part.as_os_str().as_encoded_bytes().starts_with(b".")
}

/// Reads a regular file of at most `limit` bytes, wherever it lies.
///
/// # Errors
/// [`ConfinedError::NotRegular`] or [`ConfinedError::File`].
pub fn read_regular(path: &Path, limit: u64) -> Result<Vec<u8>, ConfinedError> {
    read_pinned(path, &pin(path)?, limit)
}

/// Reads a file that the operator names, wherever it lies: a regular one, or a pipe that somebody
/// writes to, such as a shell's `<(…)`. A pipe without a writer does not block, and devices and sockets
/// are not opened.
///
/// # Errors
/// [`ConfinedError::NotRegular`] or [`ConfinedError::File`].
pub fn read_named(path: &Path, limit: u64) -> Result<Vec<u8>, ConfinedError> {
    let handle = pin(path)?;
    let status = fstat(handle.as_fd()).map_err(|error| failed(path, error.into()))?;
    if FileType::from_raw_mode(status.st_mode) != FileType::Fifo {
        return read_pinned(path, &handle, limit);
    }
    let bytes = read_pipe(&handle, limit + 1).map_err(|error| failed(path, error))?;
    if bytes.len() as u64 > limit {
        return Err(FileError::TooLarge { path: path.to_owned(), limit }.into());
    }
    Ok(bytes)
}

/// Reads a pipe to its end, at most `limit` bytes.
fn read_pipe(handle: &OwnedFd, limit: u64) -> io::Result<Vec<u8>> {
    // Opened so, a pipe without a writer is at its end; one with a writer has nothing yet, at worst.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut pipe = File::from(open(descriptor(handle), flags, Mode::empty())?);
    let mut bytes = vec![0];
    match pipe.read(&mut bytes) {
        Ok(0) => return Err(io::Error::other("nobody writes to this pipe")),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => bytes.clear(),
        Err(error) => return Err(error),
    }
    fcntl_setfl(&pipe, OFlags::empty())?;
    pipe.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn failed(path: &Path, source: io::Error) -> FileError {
    FileError::Read { path: path.to_owned(), source }
}

/// A handle that names a file without opening it.
fn pin(path: &Path) -> Result<OwnedFd, FileError> {
    open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| failed(path, error.into()))
}

fn descriptor(handle: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", handle.as_raw_fd())
}

fn read_pinned(path: &Path, handle: &OwnedFd, limit: u64) -> Result<Vec<u8>, ConfinedError> {
    let status = fstat(handle.as_fd()).map_err(|error| failed(path, error.into()))?;
    if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
        return Err(ConfinedError::NotRegular { path: path.to_owned() });
    }
    let file = File::open(descriptor(handle)).map_err(|error| failed(path, error))?;
    Ok(read_whole(path, file, limit)?)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn kind(error: &ConfinedError) -> &'static str {
        match error {
            ConfinedError::Outside { .. } => "outside",
            ConfinedError::NotRegular { .. } => "not regular",
            ConfinedError::File(_) => "file",
        }
    }

    #[test]
    fn only_regular_files_in_allowed_places_are_read() {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("fleet");
        for path in ["fleet/sites", "fleet/.git", "fleet/.hidden", "other"] {
            fs::create_dir_all(top.path().join(path)).unwrap();
        }
        for path in [
            "fleet/a.yaml",
            "fleet/sites/b.yaml",
            "fleet/.git/config",
            "fleet/.hidden/d.yaml",
            "other/c.yaml",
        ] {
            fs::write(top.path().join(path), path).unwrap();
        }
        let link = |to: &str, name: &str| symlink(to, folder.join(name)).unwrap();
        link("sites/b.yaml", "inside.yaml");
        link("../other/c.yaml", "outside.yaml");
        link("../other", "folder");
        link("/proc/self/environ", "environ.yaml");
        link(".git/config", "config.yaml");
        link("/dev/null", "null.yaml");
        link("/nobody/knows", "dangling.yaml");
        link("sites/gone.yaml", "lost.yaml");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            folder.join("pipe.yaml"),
            FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .unwrap();
        let mut confinement = Confinement::default();
        confinement.allow(&folder).unwrap();
        let read = |name: &str| {
            let read = confinement.read(&folder.join(name), 1 << 10);
            read.map(|bytes| String::from_utf8(bytes).unwrap()).map_err(|error| kind(&error))
        };
        assert_eq!(read("a.yaml").as_deref(), Ok("fleet/a.yaml"));
        assert_eq!(read("sites/../inside.yaml").as_deref(), Ok("fleet/sites/b.yaml"));
        for name in [
            "outside.yaml",
            "folder/c.yaml",
            "../other/c.yaml",
            "environ.yaml",
            "config.yaml",
            ".git/config",
            ".hidden/d.yaml",
            "null.yaml",
            "/etc/hostname",
            // Whether they are there is not told.
            "dangling.yaml",
            "../other/gone.yaml",
            "folder/gone.yaml",
            "/gone/for/good",
        ] {
            assert_eq!(read(name), Err("outside"), "{name}");
        }
        assert_eq!(read("pipe.yaml"), Err("not regular"));
        assert_eq!(read("sites"), Err("not regular"));
        for name in ["gone.yaml", "lost.yaml", "gone/gone.yaml"] {
            assert_eq!(read(name), Err("file"), "{name}");
        }
        let mut wider = confinement.clone();
        wider.allow_files([fs::canonicalize(top.path().join("other/c.yaml")).unwrap()]);
        assert!(wider.read(&folder.join("outside.yaml"), 1 << 10).is_ok());
        let other = fs::canonicalize(top.path().join("other")).unwrap();
        assert_eq!(wider.names(&other), ["c.yaml"]);
        assert!(confinement.names(&other).is_empty() && !wider.holds(&other));
        let error = read_regular(&folder.join("pipe.yaml"), 1).unwrap_err();
        assert_eq!(kind(&error), "not regular");
    }

    #[test]
    fn what_the_operator_names_may_be_a_pipe_and_never_blocks() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let mode = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, FileType::Fifo, mode, 0).unwrap();
        let error = read_named(&pipe, 10).unwrap_err();
        assert_eq!(kind(&error), "file", "nobody writes");
        let write = |text: &'static [u8]| {
            // Whoever opens it for both never waits.
            let flags = OFlags::RDWR | OFlags::CLOEXEC;
            let writer = File::from(open(&pipe, flags, Mode::empty()).unwrap());
            std::thread::spawn(move || {
                std::thread::sleep(std::time::Duration::from_millis(50));
                std::io::Write::write_all(&mut &writer, text).unwrap();
            })
        };
        for text in [&b"0123456789"[..], b"0"] {
            let writer = write(text);
            assert_eq!(read_named(&pipe, 10).unwrap(), text);
            writer.join().unwrap();
        }
        let writer = write(b"0123456789a");
        assert_eq!(kind(&read_named(&pipe, 10).unwrap_err()), "file", "too large");
        writer.join().unwrap();
        for path in ["/dev/zero", "/dev/tty", "/"] {
            assert_ne!(read_named(Path::new(path), 10).map_err(|error| kind(&error)), Ok(vec![]));
        }
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert_eq!(kind(&read_named(&socket, 10).unwrap_err()), "not regular");
    }
}
