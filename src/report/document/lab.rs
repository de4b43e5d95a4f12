//! What `wgfleet lab up`, `lab status` and `lab down` print as JSON.

use std::net::IpAddr;
use std::path::Path;

use serde::Serialize;

use crate::model::{Document, FleetName, Kind, Version};

/// A lab that is up.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Lab<'a> {
    /// `lab`.
    kind: Kind<Self>,
    /// Its version.
    version: Version<Self>,
    /// Its name.
    #[serde(rename = "lab")]
    name: &'a FleetName,
    /// The file for `--ssh-config`.
    #[cfg_attr(test, schemars(with = "crate::model::schema::AnyPath"))]
    ssh_config: &'a Path,
    /// What is in it.
    nodes: Vec<LabNode<'a>>,
}

impl Document for Lab<'_> {
    const KIND: &'static str = "lab";
    const VERSION: u32 = 1;
}

impl<'a> Lab<'a> {
    /// A lab that is up.
    #[must_use]
    pub fn new(name: &'a FleetName, ssh_config: &'a Path, nodes: Vec<LabNode<'a>>) -> Self {
        Self { kind: Kind::default(), version: Version::default(), name, ssh_config, nodes }
    }
}

/// One machine of a lab.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LabNode<'a> {
    /// Its name.
    #[cfg_attr(test, schemars(with = "crate::model::schema::Word"))]
    pub name: &'a str,
    /// `host`, `lan`, `router` or `controller`.
    #[cfg_attr(test, schemars(with = "crate::model::schema::Word"))]
    pub r#type: &'static str,
    /// Whether it is on; everything but a host always is.
    pub on: bool,
    /// The process id of a host's first process, as this machine sees it.
    pub pid: Option<u32>,
    /// Its addresses on the underlay or in its LAN.
    pub addresses: &'a [IpAddr],
}

/// Labs that were removed.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LabDown<'a> {
    /// `lab-down`.
    pub kind: Kind<Self>,
    /// Its version.
    pub version: Version<Self>,
    /// Their names; empty where nothing of them was left.
    pub labs: &'a [FleetName],
}

impl Document for LabDown<'_> {
    const KIND: &'static str = "lab-down";
    const VERSION: u32 = 1;
}
