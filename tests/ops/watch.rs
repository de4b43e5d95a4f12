//! What any user of the machine can see while wgfleet works: every process's arguments and
//! environment, and the modes of the files that hold keys.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// What was seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Every distinct command line and environment of any process of the machine.
    pub(crate) processes: HashSet<Vec<u8>>,
    /// Paths that somebody else could read at some time, with their mode.
    pub(crate) open: BTreeSet<String>,
    /// How often files with keys were looked at.
    pub(crate) looks: usize,
    /// How many files with keys were ever seen.
    pub(crate) files: BTreeSet<PathBuf>,
}

/// Looks every few milliseconds until it is asked what it saw.
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    threads: [JoinHandle<Seen>; 2],
}

impl Watch {
    /// Begins to look at all processes, and at everything below folders that must be closed.
    pub(crate) fn begin(folders: Vec<PathBuf>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let until = |work: Box<dyn Fn(&mut Seen) + Send>, pause: Duration| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                let mut seen = Seen::default();
                while !stop.load(Ordering::Relaxed) {
                    work(&mut seen);
                    std::thread::sleep(pause);
                }
                seen
            })
        };
        let threads = [
            until(Box::new(processes), Duration::from_millis(3)),
            until(
                Box::new(move |seen: &mut Seen| {
                    seen.looks += 1;
                    folders.iter().for_each(|folder| closed(folder, seen));
                }),
                Duration::from_micros(500),
            ),
        ];
        Self { stop, threads }
    }

    /// Stops and says what was seen.
    pub(crate) fn end(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        let [processes, files] = self.threads.map(|thread| thread.join().unwrap());
        Seen { processes: processes.processes, ..files }
    }
}

fn processes(seen: &mut Seen) {
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        if !entry.file_name().as_encoded_bytes()[0].is_ascii_digit() {
            continue;
        }
        for what in ["cmdline", "environ"] {
            let Ok(text) = fs::read(entry.path().join(what)) else { continue };
            if !seen.processes.contains(&text) {
                seen.processes.insert(text);
            }
        }
    }
}

/// Notes files that others can read, although the folder above them may be closed.
fn closed(folder: &Path, seen: &mut Seen) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(there) = entry.path().symlink_metadata() else { continue };
        if there.is_dir() {
            closed(&entry.path(), seen);
            continue;
        }
        if there.is_file() {
            if there.mode() & 0o077 != 0 {
                seen.open.insert(format!("{:o} {}", there.mode(), entry.path().display()));
            }
            seen.files.insert(entry.path());
        }
    }
}

/// Every file below a folder that others can read, with its content; other file systems too.
pub(crate) fn readable(folder: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(there) = path.symlink_metadata() else { continue };
        if there.is_dir() {
            readable(&path, found);
        } else if there.is_file() && there.mode() & 0o044 != 0 {
            found.extend(fs::read(&path).ok().map(|content| (path, content)));
        }
    }
}
