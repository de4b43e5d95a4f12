//! Files with secrets: closed to others from their first instant, and never in git.

use std::path::{Path, PathBuf};

use super::{CommandError, Exit};
use crate::fleet::WorkTree;
use crate::sys::{FileError, Mode, write_new};
use crate::vault::{VaultError, identity};

/// Refuses files with private keys in a git work tree, unless git ignores every one of them. `output`
/// is the folder that they lie in, or the file itself.
pub(super) fn refuse_to_commit<'f>(
    output: &Path,
    files: impl IntoIterator<Item = &'f Path>,
) -> Result<(), CommandError> {
    let Some((root, real)) = identity::work_tree_of(output) else { return Ok(()) };
    let below = |file: &Path| match file.strip_prefix(output) {
        Ok(rest) if rest.as_os_str().is_empty() => real.clone(),
        Ok(rest) => real.join(rest),
        Err(_) => real.join(file),
    };
    let files: Vec<PathBuf> = files.into_iter().map(below).collect();
    if WorkTree::of(&root).is_some_and(|tree| tree.ignores(&files)) {
        return Ok(());
    }
    let error = VaultError::InWorkTree { path: output.to_owned(), root };
    Err(CommandError::from(error)
        .hint("or let git ignore it: add it to .gitignore, and commit nothing from it"))
}

/// Writes a file with a secret that is not there yet.
pub(super) fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), CommandError> {
    write_new(path, bytes, Mode::Private).map_err(|error| {
        let there = matches!(&error, FileError::Write { source, .. }
            if source.kind() == std::io::ErrorKind::AlreadyExists);
        let error = CommandError::new(Exit::Failed, &error);
        if there { error.hint("remove it first, or name another file") } else { error }
    })
}
