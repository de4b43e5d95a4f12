//! What `wgfleet import` prints as JSON.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::adopt::Remark;
use crate::model::{Document, FleetName, HostName, Kind, Untrusted, Version};

/// A fleet that was taken over.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Import<'a> {
    /// `import`.
    pub kind: Kind<Self>,
    /// Its version.
    pub version: Version<Self>,
    /// The fleet.
    pub fleet: &'a FleetName,
    /// The folder that it lies in.
    #[cfg_attr(test, schemars(with = "crate::model::schema::AnyPath"))]
    pub folder: &'a Path,
    /// The file that was written: fleet.yaml, or what is new of it; null where nothing is new.
    #[cfg_attr(test, schemars(with = "Option<crate::model::schema::AnyPath>"))]
    pub file: Option<&'a Path>,
    /// Whether fleet.yaml has yet to include that file.
    pub to_include: bool,
    /// Hosts, those that were there before too.
    pub hosts: &'a [HostName],
    /// Unmanaged peers.
    pub peers: &'a [HostName],
    /// How many networks they are in.
    pub networks: usize,
    /// Hosts whose private keys the vault has taken over.
    pub keys: &'a [HostName],
    /// How many preshared keys it has taken over.
    pub preshared_keys: usize,
    /// What could not be told, or is kept although it does not follow from anything.
    pub remarks: &'a [Remark],
    /// Hosts that could not be read.
    pub not_read: &'a [NotRead],
    /// Files that are of no form that is known.
    #[cfg_attr(test, schemars(with = "Vec<crate::model::schema::AnyPath>"))]
    pub skipped: &'a [PathBuf],
}

impl Document for Import<'_> {
    const KIND: &'static str = "import";
    const VERSION: u32 = 1;
}

/// A host that could not be read, and is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct NotRead {
    /// How ssh(1) was to reach it.
    pub target: Untrusted,
    /// Why it was not read.
    pub text: Untrusted,
}
