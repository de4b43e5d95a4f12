//! The files with a change made, and the change as a patch.

use std::path::{Component, Path, PathBuf};

use super::change::{Edit, What};
use crate::inventory::{Inventory, edit};
use crate::model::mask_in;

/// The texts of all files with the edits made.
pub(super) fn apply(inventory: &Inventory, edits: &[Edit]) -> Option<Vec<String>> {
    let mut texts: Vec<String> =
        inventory.sources.files().map(|(_, file)| file.text.clone()).collect();
    let mut edits: Vec<&Edit> = edits.iter().collect();
    // From the end of each file, so that places before stay what they are.
    edits.sort_by_key(|edit| std::cmp::Reverse(edit.within));
    for Edit { within, key, what } in edits {
        let text = texts.get_mut(within.file.0 as usize)?;
        let at = within.end as usize;
        *text = match what {
            What::Set(value) => edit::set(text, at, key, value),
            What::Append { item, whole } => {
                edit::append(text, at, key, item).or_else(|| edit::set(text, at, key, whole))
            }
            What::Unset => edit::unset(text, at, key),
        }?;
    }
    Some(texts)
}

/// The change as a unified diff, its names relative to the folder of the inventory.
pub(super) fn patch(inventory: &Inventory, texts: &[String]) -> String {
    let mut patch = String::new();
    let files = inventory.sources.files();
    let folder = inventory.sources.files().next().and_then(|(_, file)| file.path.parent());
    let folder = folder.unwrap_or(Path::new("")).to_owned();
    for ((_, file), text) in files.zip(texts) {
        if file.text != *text {
            let name = below(&folder, &file.path).display().to_string();
            let diff = similar::TextDiff::from_lines(&file.text, text);
            let (old, new) = (format!("a/{name}"), format!("b/{name}"));
            patch.push_str(&diff.unified_diff().context_radius(3).header(&old, &new).to_string());
        }
    }
    mask_in(&mut patch);
    patch
}

/// A path as seen from a folder, without what leads up: neither git nor patch(1) follows that.
fn below(folder: &Path, path: &Path) -> PathBuf {
    let mut below = PathBuf::new();
    for part in path.strip_prefix(folder).unwrap_or(path).components() {
        match part {
            Component::Normal(name) => below.push(name),
            Component::ParentDir => drop(below.pop()),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    below
}
