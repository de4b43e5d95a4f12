//! What `wgfleet init` and `wgfleet render` print as JSON: the files that they wrote.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::vault::NewVault;
use crate::model::{Document, FleetName, HostName, InterfaceName, Kind, Version};

/// A fleet that was begun.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Init<'a> {
    /// `init`.
    pub kind: Kind<Self>,
    /// Its version.
    pub version: Version<Self>,
    /// The fleet.
    pub fleet: &'a FleetName,
    /// The files that were written, but for those of the vault; what was there stays.
    #[cfg_attr(test, schemars(with = "Vec<crate::model::schema::AnyPath>"))]
    pub files: &'a [PathBuf],
    /// The vault that was made; null where there was one.
    pub vault: Option<NewVault>,
}

impl Document for Init<'_> {
    const KIND: &'static str = "init";
    const VERSION: u32 = 1;
}

/// The files of hosts that were written.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Render<'a> {
    /// `render`.
    pub kind: Kind<Self>,
    /// Its version.
    pub version: Version<Self>,
    /// The folder that they lie in.
    #[cfg_attr(test, schemars(with = "crate::model::schema::AnyPath"))]
    pub folder: &'a Path,
    /// The files, in order of the inventory.
    pub files: Vec<RenderedConf>,
}

impl Document for Render<'_> {
    const KIND: &'static str = "render";
    const VERSION: u32 = 1;
}

/// A file that was written.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RenderedConf {
    /// Whose it is: a host, or an unmanaged peer that it is to be handed to.
    pub host: HostName,
    /// The interface.
    pub interface: InterfaceName,
    /// The file.
    #[cfg_attr(test, schemars(with = "crate::model::schema::AnyPath"))]
    pub path: PathBuf,
}

/// The files of an export that were written.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Export<'a> {
    /// `export`.
    pub kind: Kind<Self>,
    /// Its version.
    pub version: Version<Self>,
    /// The host or unmanaged peer; null for the whole fleet.
    pub name: Option<&'a HostName>,
    /// What was written.
    #[cfg_attr(test, schemars(with = "crate::model::schema::Word"))]
    pub to: &'a str,
    /// The files.
    #[cfg_attr(test, schemars(with = "Vec<crate::model::schema::AnyPath>"))]
    pub files: Vec<PathBuf>,
}

impl Document for Export<'_> {
    const KIND: &'static str = "export";
    const VERSION: u32 = 1;
}
