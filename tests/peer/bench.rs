//! A fleet in a folder, with a vault whose identity lies outside, and no host that anybody reaches.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// A fleet for the length of one test.
pub(crate) struct Bench {
    top: TempDir,
}

/// What a run said.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }
}

impl Bench {
    /// A folder with this inventory, and a vault with all keys.
    pub(crate) fn new(inventory: &str) -> Self {
        let bench = Self { top: tempfile::tempdir().expect("a folder") };
        fs::create_dir(bench.folder()).expect("a folder");
        fs::write(bench.file(), inventory).expect("it can be written");
        bench.done(&["vault", "init"]);
        bench.done(&["vault", "keygen"]);
        bench
    }

    /// The folder of the fleet.
    pub(crate) fn folder(&self) -> PathBuf {
        self.top.path().join("fleet")
    }

    /// The fleet file.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder().join("fleet.yaml")
    }

    /// What the fleet file says now.
    pub(crate) fn inventory(&self) -> String {
        fs::read_to_string(self.file()).expect("it can be read")
    }

    /// A path outside the fleet's folder.
    pub(crate) fn outside(&self, name: &str) -> PathBuf {
        self.top.path().join(name)
    }

    /// Runs wgfleet in the fleet's folder, with nothing of the user's.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, words: &[S]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wgfleet"));
        command.env_clear().env("HOME", self.top.path().join("home"));
        command.env("PATH", std::env::var_os("PATH").expect("a path"));
        command.args(words).current_dir(self.folder()).output().expect("the binary runs").into()
    }

    /// The same, which is to end well.
    #[track_caller]
    pub(crate) fn done<S: AsRef<OsStr> + std::fmt::Debug>(&self, words: &[S]) -> Ran {
        let ran = self.run(words);
        assert_eq!(ran.code, Some(0), "{words:?}: {ran:?}");
        ran
    }

    /// The same, which is to end with this code; what it said on stderr.
    #[track_caller]
    pub(crate) fn fails<S: AsRef<OsStr> + std::fmt::Debug>(
        &self,
        words: &[S],
        code: i32,
    ) -> String {
        let ran = self.run(words);
        assert_eq!(ran.code, Some(code), "{words:?}: {ran:?}");
        ran.stderr
    }
}

/// The files below a folder, as paths relative to it, sorted.
pub(crate) fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else {
                let below = path.strip_prefix(folder).expect("it is below");
                found.push(below.to_str().expect("a name").to_owned());
            }
        }
    }
    found.sort();
    found
}
