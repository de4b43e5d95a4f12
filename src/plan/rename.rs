//! Names that get the fleet's name in them.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::model::{Fingerprint, HostPath};
use crate::observed::{ObservedFile, ObservedHost};

/// A name that gets the fleet's name in it; what it stands for stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase", tag = "what", deny_unknown_fields)]
pub enum Rename {
    /// A table of nftables, of family inet; the old one goes in the transaction that brings the new
    /// one.
    Table {
        /// Its old name.
        #[cfg_attr(test, schemars(with = "crate::model::schema::Word"))]
        from: String,
        /// Its new name.
        #[cfg_attr(test, schemars(with = "crate::model::schema::Word"))]
        to: String,
    },
    /// A file.
    File {
        /// Its old path.
        from: HostPath,
        /// Its new path.
        to: HostPath,
        /// Keyed digest of its content under the new name: names within are changed too.
        fingerprint: Fingerprint,
    },
    /// A file that names another one.
    Reference {
        /// The file.
        path: HostPath,
        /// What it names.
        from: HostPath,
        /// What it is to name.
        to: HostPath,
        /// Keyed digest of its content afterwards.
        fingerprint: Fingerprint,
    },
}

/// The names of one host that change.
#[derive(Debug, Default)]
pub(super) struct Renames {
    /// Each of them, in order of doing.
    pub(super) list: Vec<Rename>,
    /// The files, as they will be with their new names: old path, new path, content.
    pub(super) files: Vec<(HostPath, HostPath, ObservedFile)>,
}

impl Renames {
    /// A host as it will be once the names are changed.
    pub(super) fn view<'o>(&self, observed: &'o ObservedHost) -> Cow<'o, ObservedHost> {
        if self.list.is_empty() {
            return Cow::Borrowed(observed);
        }
        let mut view = observed.clone();
        for rename in &self.list {
            if let Rename::Table { from, to } = rename
                && let Some(digest) = view.firewalls.remove(from)
            {
                view.firewalls.insert(to.clone(), digest);
            }
        }
        for (from, to, file) in &self.files {
            view.files.remove(from);
            view.files.insert(to.clone(), file.clone());
        }
        Cow::Owned(view)
    }
}
