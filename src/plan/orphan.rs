//! What wgfleet set up somewhere and the inventory no longer has.

use serde::{Deserialize, Serialize};

use crate::model::{HostName, InterfaceName};

/// Something that is still there, or may be, and that no inventory looks after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Orphan {
    /// What it is.
    pub kind: OrphanKind,
    /// Its name in the inventory that had it.
    pub name: String,
    /// The host that it is on, where it is not a host itself.
    pub host: Option<HostName>,
    /// The interfaces that run there still; `None` where that could not be read.
    pub runs: Option<Vec<InterfaceName>>,
}

/// What an orphan is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OrphanKind {
    /// A host.
    Host,
    /// A network.
    Network,
    /// An interface of a host that the inventory still has.
    Interface,
}
