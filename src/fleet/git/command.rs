//! Runs the system's git, and takes what it answers.

use std::io::{self, Read as _, Seek as _};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::model::Untrusted;

/// The most bytes of an answer that are used.
const ANSWER_LIMIT: u64 = 64 << 20;
/// The most bytes of git's words about a failure that are shown.
const WORDS_LIMIT: u64 = 1 << 10;

/// Variables with which a caller of wgfleet, such as a hook, points git at another repository.
const FOREIGN: [&str; 8] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_PREFIX",
    "GIT_NAMESPACE",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
];

/// Why git does not answer.
#[derive(Debug, thiserror::Error)]
pub(in crate::fleet) enum GitError {
    /// git cannot be started.
    #[error("failed to run git")]
    Start(#[source] io::Error),
    /// git says no.
    #[error("git refuses: {0}")]
    Refused(Untrusted),
    /// The answer is larger than anything that is asked for.
    #[error("git's answer has more than {ANSWER_LIMIT} bytes")]
    TooMuch,
}

/// git with what every call of it has, in a folder.
pub(super) fn command(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .args(["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"])
        .args(["-c", "safe.bareRepository=explicit", "--no-pager", "-C"])
        .arg(folder)
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_NO_REPLACE_OBJECTS", "1")
        .env("LC_ALL", "C")
        .stdin(Stdio::null());
    for variable in FOREIGN {
        command.env_remove(variable);
    }
    command
}

/// What git answers. Names of files are names, and no patterns.
pub(super) fn git(folder: &Path, words: &[&str]) -> Result<Vec<u8>, GitError> {
    answer(command(folder).arg("--literal-pathspecs").args(words))
}

/// What a command of git answers.
pub(super) fn answer(command: &mut Command) -> Result<Vec<u8>, GitError> {
    // A file and no pipe: nobody empties it while the answer is read.
    let mut stderr = tempfile::tempfile().map_err(GitError::Start)?;
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(stderr.try_clone().map_err(GitError::Start)?)
        .spawn()
        .map_err(GitError::Start)?;
    let mut answer = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(ANSWER_LIMIT + 1).read_to_end(&mut answer).map_err(GitError::Start)?;
    }
    if answer.len() as u64 > ANSWER_LIMIT {
        let _ = child.kill();
        let _ = child.wait();
        return Err(GitError::TooMuch);
    }
    if child.wait().map_err(GitError::Start)?.success() {
        return Ok(answer);
    }
    let mut said = Vec::new();
    stderr.rewind().map_err(GitError::Start)?;
    stderr.take(WORDS_LIMIT).read_to_end(&mut said).map_err(GitError::Start)?;
    let said = String::from_utf8_lossy(&said);
    let first = said.lines().next().unwrap_or("it does not say why");
    Err(GitError::Refused(Untrusted::new(first.trim_start_matches("fatal: "))))
}
