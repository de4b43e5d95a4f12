//! Commits and their order.

use std::path::Path;

use jiff::Timestamp;

use super::WorkTree;
use super::command::{GitError, git};
use crate::observed::{Commit, CommitId};

impl WorkTree {
    /// Whether a folder lies in a repository, although git may not be there or may refuse it: one of
    /// another user, for example.
    pub(in crate::fleet) fn is_likely(folder: &Path) -> bool {
        let folder = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
        folder.ancestors().any(|folder| folder.join(".git").exists())
    }

    /// Whether git tracks a file: a repository may lie above folders that it knows nothing of.
    pub(in crate::fleet) fn tracks(&self, file: &Path) -> bool {
        let Some(file) = std::fs::canonicalize(file).ok() else { return false };
        let words = ["ls-files", "--error-unmatch", "-z", "--cached", "--"];
        file.to_str().is_some_and(|file| git(self.root(), &[&words[..], &[file]].concat()).is_ok())
    }

    /// The commit that is checked out; `None` before the first one. It is dirty where tracked files
    /// of the folder differ from it.
    pub(in crate::fleet) fn head(&self, folder: &Path) -> Option<Commit> {
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

    /// Whether `old` is among the ancestors of `new`, or is the same, as far as the history is here.
    pub(in crate::fleet) fn is_ancestor(&self, old: &CommitId, new: &CommitId) -> bool {
        let words = ["merge-base", "--is-ancestor", old.as_str(), new.as_str()];
        git(self.root(), &words).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::tests::run;
    use super::*;

    #[test]
    fn commits_are_told_with_their_order() {
        let top = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(top.path()).unwrap();
        assert!(!WorkTree::is_likely(&root));
        run(&root, &["init", "-q"]);
        let fleet = root.join("fleet");
        fs::create_dir(&fleet).unwrap();
        let tree = WorkTree::of(&fleet).unwrap();
        assert!(tree.head(&fleet).is_none() && WorkTree::is_likely(&fleet));
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
        assert!(tree.is_ancestor(&one.id, &two.id) && !tree.is_ancestor(&two.id, &one.id));
        assert!(tree.is_ancestor(&one.id, &one.id) && !two.dirty);
        let unknown = CommitId::try_from("0".repeat(40)).unwrap();
        assert!(!tree.is_ancestor(&unknown, &two.id));
        // What others keep in the repository, and what nobody has added, says nothing of the fleet.
        fs::write(fleet.join("notes"), "").unwrap();
        fs::write(root.join("other"), "").unwrap();
        assert!(!tree.head(&fleet).unwrap().dirty);
        fs::write(&file, "three").unwrap();
        let dirty = tree.head(&fleet).unwrap();
        assert!(dirty.dirty && dirty.id == two.id && dirty.time == two.time);
        // As CI systems fetch it: what is not here is no ancestor.
        let from = format!("file://{}", root.display());
        run(&root, &["clone", "-q", "--depth", "1", &from, "shallow"]);
        let shallow = WorkTree::of(&root.join("shallow")).unwrap();
        assert!(!shallow.is_ancestor(&one.id, &two.id));
    }
}
