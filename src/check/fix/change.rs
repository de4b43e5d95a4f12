//! A change of the file that is proposed.

use crate::model::Location;

/// One change of a map.
#[derive(Debug, Clone)]
pub(super) struct Edit {
    /// The key of the map that holds it.
    pub(super) within: Location,
    pub(super) key: &'static str,
    pub(super) what: What,
}

#[derive(Debug, Clone)]
pub(super) enum What {
    /// It gets a value.
    Set(String),
    /// Its list gets an item; where only a person could do that, the whole value is written anew.
    Append { item: String, whole: String },
    /// It goes.
    Unset,
}

/// Changes that belong together, and what they do.
pub(super) struct Proposal {
    pub(super) title: String,
    pub(super) edits: Vec<Edit>,
}
