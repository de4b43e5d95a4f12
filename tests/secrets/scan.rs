//! Looks for secrets where none may be: in outputs, files, and in every process's arguments and
//! environment while something runs.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Every form of every secret that is looked for.
#[derive(Debug, Clone)]
pub(crate) struct Needles(Vec<(String, Vec<u8>)>);

impl Needles {
    /// Takes names and raw bytes. Looks for them raw, in base64 of both alphabets and in hex of both
    /// cases, and for the base64 of their base64, as an encoder above would write it.
    pub(crate) fn new<'a>(secrets: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut all = Vec::new();
        for (name, raw) in secrets {
            assert!(raw.len() >= 16, "{name} is too short to be told from noise");
            let lower: String = raw.iter().map(|byte| format!("{byte:02x}")).collect();
            let base64 = STANDARD_NO_PAD.encode(raw);
            // Of the inner text only whole groups of three do not depend on what follows.
            let twice = STANDARD.encode(&base64.as_bytes()[..base64.len() / 3 * 3]);
            let forms = [
                ("raw", raw.to_vec()),
                ("base64", base64.into_bytes()),
                ("base64, URL alphabet", URL_SAFE_NO_PAD.encode(raw).into_bytes()),
                ("base64 twice", twice.into_bytes()),
                ("hex", lower.clone().into_bytes()),
                ("HEX", lower.to_uppercase().into_bytes()),
            ];
            all.extend(forms.map(|(form, bytes)| (format!("{name} as {form}"), bytes)));
        }
        Self(all)
    }

    /// What of it is in some bytes.
    pub(crate) fn found(&self, haystack: &[u8]) -> Vec<String> {
        // A window of the length of each form, found by its first byte: haystacks are small.
        let holds = |needle: &[u8]| {
            let first = needle[0];
            let starts = haystack.iter().enumerate().filter(|(_, byte)| **byte == first);
            starts.into_iter().any(|(at, _)| haystack[at..].starts_with(needle))
        };
        self.0.iter().filter(|(_, needle)| holds(needle)).map(|(name, _)| name.clone()).collect()
    }

    /// Fails with what was found in a text that people or logs get.
    #[track_caller]
    pub(crate) fn assert_absent(&self, what: &str, haystack: impl AsRef<[u8]>) {
        let found = self.found(haystack.as_ref());
        assert!(found.is_empty(), "{what} has {found:?}");
    }

    /// Looks through all files of a folder, names included; those that `may` are skipped.
    #[track_caller]
    pub(crate) fn assert_absent_below(&self, folder: &Path, may: &dyn Fn(&Path) -> bool) {
        for entry in fs::read_dir(folder).expect("the folder can be read") {
            let path = entry.expect("an entry").path();
            self.assert_absent("a file name", path.as_os_str().as_encoded_bytes());
            if may(&path) {
                continue;
            }
            let kind = fs::symlink_metadata(&path).expect("it is there").file_type();
            if kind.is_dir() {
                self.assert_absent_below(&path, may);
            } else if kind.is_file() {
                self.assert_absent(
                    &path.display().to_string(),
                    fs::read(&path).expect("it can be read"),
                );
            }
        }
    }

    /// Watches the arguments and the environment of all processes until [`Watch::finish`].
    pub(crate) fn watch_processes(&self) -> Watch {
        let stop = Arc::new(AtomicBool::new(false));
        let (needles, stopped) = (self.clone(), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut seen = Seen::default();
            while !stopped.load(Ordering::Relaxed) {
                seen.look(&needles);
                std::thread::sleep(Duration::from_millis(2));
            }
            seen.look(&needles);
            seen
        });
        Watch { stop, thread: Some(thread) }
    }
}

/// What a watch has seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Snapshots that were taken.
    pub(crate) rounds: u32,
    /// Different command lines that were looked at.
    pub(crate) commands: BTreeSet<Vec<u8>>,
    /// Where a secret was.
    pub(crate) leaks: BTreeSet<String>,
}

impl Seen {
    fn look(&mut self, needles: &Needles) {
        self.rounds += 1;
        let Ok(processes) = fs::read_dir("/proc") else { return };
        for process in processes.flatten().map(|entry| entry.path()) {
            let pid = process.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if pid.is_empty() || !pid.bytes().all(|byte| byte.is_ascii_digit()) {
                continue;
            }
            // A process that ended meanwhile has nothing to hide any more.
            let command = fs::read(process.join("cmdline")).unwrap_or_default();
            let environment = fs::read(process.join("environ")).unwrap_or_default();
            let shown = String::from_utf8_lossy(&command).chars().take(80).collect::<String>();
            for (what, bytes) in [("arguments", &command), ("environment", &environment)] {
                for found in needles.found(bytes) {
                    self.leaks.insert(format!("{found} in the {what} of {shown:?}"));
                }
            }
            self.commands.insert(command);
        }
    }
}

/// A watch over all processes of the machine.
#[derive(Debug)]
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Seen>>,
}

impl Watch {
    /// Ends it; fails where a secret was seen, or where it saw too little to tell.
    #[track_caller]
    pub(crate) fn finish(mut self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("it is finished once");
        let seen = thread.join().expect("the watch does not panic");
        assert!(seen.leaks.is_empty(), "{:#?}", seen.leaks);
        assert!(seen.rounds >= 2 && !seen.commands.is_empty(), "the watch saw nothing");
        seen
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
