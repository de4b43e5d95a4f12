//! Commits and their order.

use std::path::Path;

use jiff::Timestamp;

use super::{GitError, WorkTree, git};
use crate::observed::{Commit, CommitId};

impl WorkTree {
    /// Whether git tracks a file: a repository may lie above folders that it knows nothing of.
    pub(in crate::cli) fn tracks(&self, file: &Path) -> bool {
        let Some(file) = std::fs::canonicalize(file).ok() else { return false };
        let words = ["ls-files", "--error-unmatch", "-z", "--cached", "--"];
        file.to_str().is_some_and(|file| git(self.root(), &[&words[..], &[file]].concat()).is_ok())
    }

    /// The commit that is checked out; `None` before the first one. It is dirty where tracked files
    /// of the folder differ from it.
    pub(in crate::cli) fn head(&self, folder: &Path) -> Option<Commit> {
        let words = ["log", "-1", "--no-show-signature", "--format=%H %ct", "HEAD", "--"];
        let answer = git(self.root(), &words).ok()?;
        let text = String::from_utf8(answer).ok()?;
        let (id, seconds) = text.trim().split_once(' ')?;
        let folder = std::fs::canonicalize(folder).ok()?;
        let words = ["status", "--porcelain", "-z", "--untracked-files=no"];
        let words = [&words[..], &["--ignore-submodules=all", "--", folder.to_str()?]].concat();
        let dirty = match git(self.root(), &words) {
            Ok(changed) => !changed.is_empty(),
            Err(GitError::TooMuch) => true,
            Err(_) => return None,
        };
        Some(Commit {
            id: CommitId::try_from(id.to_owned()).ok()?,
            time: Timestamp::from_second(seconds.parse().ok()?).ok()?,
            dirty,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::tests::run;
    use super::*;

    #[test]
    fn a_commit_is_dirty_where_files_of_the_fleet_differ() {
        let top = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(top.path()).unwrap();
        run(&root, &["init", "-q"]);
        let fleet = root.join("fleet");
        fs::create_dir(&fleet).unwrap();
        let tree = WorkTree::of(&fleet).unwrap();
        assert!(tree.head(&fleet).is_none());
        let file = fleet.join("fleet.yaml");
        let commit = |text: &str| {
            fs::write(&file, text).unwrap();
            run(&root, &["add", "fleet"]);
            run(&root, &["commit", "-q", "-m", text]);
            tree.head(&fleet).unwrap()
        };
        let (one, two) = (commit("one"), commit("two"));
        assert!(tree.tracks(&file));
        assert!(!tree.tracks(&root.join("gone")) && !tree.tracks(&fleet.join("x")));
        assert!(one.id != two.id && one.time <= two.time && !two.dirty);
        // What others keep in the repository, and what nobody has added, says nothing of the fleet.
        fs::write(fleet.join("notes"), "").unwrap();
        fs::write(root.join("other"), "").unwrap();
        assert!(!tree.head(&fleet).unwrap().dirty);
        fs::write(&file, "three").unwrap();
        let dirty = tree.head(&fleet).unwrap();
        assert!(dirty.dirty && dirty.id == two.id && dirty.time == two.time);
    }
}
