//! What the system's git knows of the folder that an inventory lies in.
//!
//! The work tree may be a stranger's pull request: nothing in it is run, neither hooks nor a
//! monitor, and no folder of it that looks like a repository counts as one.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The most bytes of an answer that are used.
const ANSWER_LIMIT: usize = 64 << 20;

/// A git work tree.
#[derive(Debug, Clone)]
pub(super) struct WorkTree {
    /// Its canonical root.
    root: PathBuf,
}

impl WorkTree {
    /// The work tree that a folder lies in; `None` outside of git, and where git is not there.
    pub(super) fn of(folder: &Path) -> Option<Self> {
        let answer = git(folder, &["rev-parse", "--show-toplevel"])?;
        let root = std::str::from_utf8(&answer).ok()?.trim_end_matches('\n');
        Some(Self { root: std::fs::canonicalize(root).ok()? })
    }

    /// Canonical paths of the regular files that git tracks.
    pub(super) fn tracked(&self) -> Vec<PathBuf> {
        let answer = git(&self.root, &["ls-files", "-z", "--cached"]).unwrap_or_default();
        answer
            .split(|byte| *byte == 0)
            .filter(|path| !path.is_empty())
            .filter_map(|path| {
                let path = self.root.join(std::str::from_utf8(path).ok()?);
                // A tracked link allows nothing that it leads to.
                let real = std::fs::symlink_metadata(&path).ok()?.is_file();
                real.then(|| std::fs::canonicalize(&path).ok()).flatten()
            })
            .filter(|path| path.starts_with(&self.root))
            .collect()
    }
}

/// What git answers; `None` where it fails, or says more than anyone needs.
fn git(folder: &Path, words: &[&str]) -> Option<Vec<u8>> {
    let output = Command::new("git")
        .args(["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"])
        .args(["-c", "safe.bareRepository=explicit", "--no-pager", "--literal-pathspecs", "-C"])
        .arg(folder)
        .args(words)
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    (output.status.success() && output.stdout.len() <= ANSWER_LIMIT).then_some(output.stdout)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn run(folder: &Path, words: &[&str]) {
        let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"];
        let done = Command::new("git").arg("-C").arg(folder).args(identity).args(words).output();
        let done = done.unwrap();
        assert!(done.status.success(), "{done:?}");
    }

    #[test]
    fn tracked_files_are_those_of_the_index_and_links_are_none() {
        let top = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(top.path()).unwrap();
        assert!(WorkTree::of(&root).is_none());
        run(&root, &["init", "-q"]);
        fs::create_dir(root.join("fleet")).unwrap();
        fs::write(root.join("shared.yaml"), "").unwrap();
        fs::write(root.join("secret.txt"), "").unwrap();
        std::os::unix::fs::symlink("secret.txt", root.join("link.yaml")).unwrap();
        run(&root, &["add", "shared.yaml", "link.yaml"]);
        let tree = WorkTree::of(&root.join("fleet")).unwrap();
        assert_eq!(tree.tracked(), [root.join("shared.yaml")]);
    }

    #[test]
    fn a_folder_that_a_pull_request_makes_look_like_a_repository_is_none() {
        let top = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(top.path()).unwrap();
        run(&root, &["init", "-q", "--bare", "fleet.git"]);
        let canary = root.join("canary");
        let program = format!("touch {}", canary.display());
        run(&root.join("fleet.git"), &["config", "core.fsmonitor", &program]);
        run(&root.join("fleet.git"), &["config", "core.bare", "false"]);
        run(&root.join("fleet.git"), &["config", "core.worktree", ".."]);
        let _ = WorkTree::of(&root.join("fleet.git")).map(|tree| tree.tracked());
        assert!(!canary.exists());
    }
}
