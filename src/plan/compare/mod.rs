//! Two inventories compared host by host, without hosts, identity or a login.
//!
//! What is compared is what would be written: the rendered files, so that nothing a template adds
//! stays hidden, and what wgfleet derives beside them. A host is its name, whatever its key.

mod file;
mod hosts;
mod name;
mod place;
mod rows;
mod settings;
mod stand_ins;
mod value;

pub use hosts::{CompareError, compare_hosts};
pub use name::SettingName;
pub use settings::Side;
pub use stand_ins::StandIns;
pub use value::{ComparedRoute, PeerName, Value};

use serde::Serialize;

use crate::check::Difference;
use crate::model::{Document, FleetName, HostName, InterfaceName, Kind, Untrusted, Version};

/// What changes from one inventory to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Comparison {
    /// `comparison`.
    pub kind: Kind<Self>,
    /// Its version.
    pub version: Version<Self>,
    /// The fleet.
    pub fleet: FleetName,
    /// The revision that it is compared with.
    pub base: Base,
    /// The hosts that change, in order of the file, then those that it does not have any more.
    pub hosts: Vec<HostComparison>,
    /// Flows that begin and cease to work.
    pub reachability: Difference,
}

/// The inventory that another is compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Base {
    /// The revision, as the operator wrote it.
    pub revision: Untrusted,
    /// The fleet's name there; `None`: it has no such inventory, and everything is new.
    pub fleet: Option<FleetName>,
}

/// What changes about one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct HostComparison {
    /// The host, or the unmanaged peer that a config is issued to.
    pub host: HostName,
    /// Whether it is an unmanaged peer: nobody logs in there, somebody installs the config.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub issued: bool,
    /// Whether it comes, goes or changes.
    pub action: HostAction,
    /// What changes, by interface, peer and setting. Of what goes, only commands that ran as root,
    /// interfaces and peers are told.
    pub settings: Vec<Setting>,
}

/// What becomes of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum HostAction {
    /// The base does not have it.
    Add,
    /// It stays, and something of it changes.
    Change,
    /// Only the base has it.
    Remove,
}

/// One setting that changes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Setting {
    /// The interface that it is of; `None`: the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<InterfaceName>,
    /// The peer that it is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<PeerName>,
    /// Which it is.
    pub setting: SettingName,
    /// What it is; `None` where it is not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Value>,
    /// What it is to be; `None` where it is to be unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Value>,
    /// Whether its values are commands that run as root.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub as_root: bool,
}

impl Document for Comparison {
    const KIND: &'static str = "comparison";
    const VERSION: u32 = 3;
}

impl Comparison {
    /// Whether the two say the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let renamed = self.base.fleet.as_ref() != Some(&self.fleet);
        self.hosts.is_empty() && self.reachability.is_empty() && !renamed
    }
}

impl Setting {
    /// Bytes of its texts.
    fn bytes(&self) -> usize {
        let values = self.from.iter().chain(&self.to).map(Value::bytes);
        self.setting.as_str().len() + values.sum::<usize>()
    }
}
