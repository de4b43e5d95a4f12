//! What the system's git knows of the folder that an inventory lies in.
//!
//! The work tree may be a stranger's pull request: nothing in it is run, neither hooks nor a
//! monitor, and no folder of it that looks like a repository counts as one.

mod command;
mod history;
mod objects;

use std::path::{Path, PathBuf};

use crate::model::Untrusted;

use command::{answer, command, git};

pub(super) use command::GitError;
pub(super) use objects::{EntryKind, ObjectId, Objects, Tree};

/// Files that git is asked about in one go.
const IGNORED_AT_ONCE: usize = 256;

/// A git work tree.
#[derive(Debug, Clone)]
pub struct WorkTree {
    /// Its canonical root.
    root: PathBuf,
}

impl WorkTree {
    /// The work tree that a folder lies in; `None` outside of git, and where git is not there.
    #[must_use]
    pub fn of(folder: &Path) -> Option<Self> {
        Self::find(folder).ok()
    }

    /// The work tree that a folder lies in.
    ///
    /// # Errors
    /// [`GitError`], also where the folder lies outside of git.
    pub(super) fn find(folder: &Path) -> Result<Self, GitError> {
        let answer = git(folder, &["rev-parse", "--show-toplevel"])?;
        let root = path(answer.strip_suffix(b"\n").unwrap_or(&answer));
        Ok(Self { root: std::fs::canonicalize(root).map_err(GitError::Start)? })
    }

    /// Its canonical root.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Where the files of the index lie, links among them: a file that was opened is one of them
    /// only where its canonical path is, so that no link adds what it leads to.
    pub(super) fn tracked(&self) -> Vec<PathBuf> {
        let answer = git(&self.root, &["ls-files", "-z", "--cached"]).unwrap_or_default();
        let names = answer.split(|byte| *byte == 0).filter(|name| !name.is_empty());
        names.map(|name| self.root.join(path(name))).collect()
    }

    /// Whether git ignores all of these files, and tracks none of them.
    #[must_use]
    pub fn ignores(&self, files: &[PathBuf]) -> bool {
        files.chunks(IGNORED_AT_ONCE).all(|some| {
            // It takes paths and no patterns anyway, and refuses to be told so.
            let mut asked = command(&self.root);
            let answer = answer(asked.args(["check-ignore", "--"]).args(some)).unwrap_or_default();
            // One quoted path a line.
            answer.split(|byte| *byte == b'\n').count() == some.len() + 1
        })
    }

    /// The tree of the commit that a revision names.
    ///
    /// # Errors
    /// [`GitError`], also where there is no such commit.
    pub(super) fn tree_of(&self, revision: &str) -> Result<ObjectId, GitError> {
        let none = || GitError::Refused(Untrusted::new(format!("there is no commit `{revision}`")));
        if revision.starts_with('-') {
            return Err(none());
        }
        let name = format!("{revision}^{{commit}}");
        let commit = id(&git(&self.root, &["rev-parse", "--verify", "--quiet", &name])
            .map_err(|error| if matches!(error, GitError::Refused(_)) { none() } else { error })?)
        .ok_or_else(none)?;
        let name = format!("{commit}^{{tree}}");
        id(&git(&self.root, &["rev-parse", "--verify", "--quiet", &name])?).ok_or_else(none)
    }
}

fn id(answer: &[u8]) -> Option<ObjectId> {
    ObjectId::new(std::str::from_utf8(answer).ok()?.trim_end())
}

/// A path as git writes it.
fn path(bytes: &[u8]) -> &Path {
    use std::os::unix::ffi::OsStrExt as _;
    Path::new(std::ffi::OsStr::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::*;

    pub(super) fn run(folder: &Path, words: &[&str]) {
        let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"];
        let done = Command::new("git").arg("-C").arg(folder).args(identity).args(words).output();
        let done = done.unwrap();
        assert!(done.status.success(), "{done:?}");
    }

    #[test]
    fn tracked_files_are_those_of_the_index() {
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
        assert_eq!(tree.tracked(), [root.join("link.yaml"), root.join("shared.yaml")]);
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

    #[test]
    fn objects_of_a_revision_are_read_by_their_ids_and_within_limits() {
        let top = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(top.path()).unwrap();
        run(&root, &["init", "-q"]);
        fs::create_dir(root.join("sites")).unwrap();
        fs::write(root.join("a.yaml"), "first\n").unwrap();
        fs::write(root.join("sites/big.yaml"), "x".repeat(1 << 20)).unwrap();
        std::os::unix::fs::symlink("a.yaml", root.join("link.yaml")).unwrap();
        run(&root, &["add", "."]);
        run(&root, &["commit", "-q", "-m", "first"]);
        fs::write(root.join("a.yaml"), "second\n").unwrap();
        run(&root, &["commit", "-q", "-a", "-m", "second"]);
        let work = WorkTree::find(&root).unwrap();
        for none in ["no-such-branch", "-h", "--help", "HEAD:a.yaml", ""] {
            assert!(work.tree_of(none).is_err(), "{none}");
        }
        let mut objects = Objects::of(work.root());
        let mut at = |revision: &str| {
            let tree = objects.tree(&work.tree_of(revision).unwrap(), 1 << 20).unwrap();
            let a = tree[&b"a.yaml"[..]].clone();
            assert_eq!(a.kind, EntryKind::File);
            assert_eq!(tree[&b"link.yaml"[..]].kind, EntryKind::Link);
            let sites = tree[&b"sites"[..]].clone();
            assert_eq!(sites.kind, EntryKind::Folder);
            let sites = objects.tree(&sites.id, 1 << 20).unwrap();
            // What is too large is not read, and what comes next still is.
            let big = objects.file(&sites[&b"big.yaml"[..]].id, 10).unwrap_err();
            assert!(big.to_string().contains("larger than 10 bytes"), "{big}");
            String::from_utf8(objects.file(&a.id, 100).unwrap()).unwrap()
        };
        assert_eq!((at("HEAD").as_str(), at("HEAD~1").as_str()), ("second\n", "first\n"));
    }
}
