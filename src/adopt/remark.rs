//! What an import could not tell, and what to do about each.

use serde::Serialize;

use crate::model::HostName;

/// What a remark is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Topic {
    /// How ssh(1) reaches a host.
    Ssh,
    /// The name of a machine.
    Name,
    /// A tunnel address.
    Address,
    /// Where a machine is found.
    Endpoint,
    /// A private key.
    Key,
    /// A preshared key.
    PresharedKey,
    /// Only one end of a link knows the other.
    OneSided,
    /// `AllowedIPs` that do not follow from the links.
    AllowedIps,
    /// Commands around the life of an interface.
    Hooks,
    /// What the packets of a full tunnel leave through.
    Exit,
    /// A setting that the inventory has no word for.
    Setting,
    /// An interface that is left to whoever made it.
    LeftOut,
    /// A line of a file that was not read.
    PassedOver,
}

/// Something that an import could not tell, or that differs from what ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Remark {
    /// What it is about.
    pub topic: Topic,
    /// The host or unmanaged peer that it is about.
    pub host: Option<HostName>,
    /// What is not known, where, and why.
    pub text: String,
    /// The lines of the inventory to add or to change.
    pub hint: Option<String>,
}

impl Remark {
    /// A remark about no single host.
    #[must_use]
    pub fn new(topic: Topic, text: impl Into<String>) -> Self {
        Self { topic, host: None, text: text.into(), hint: None }
    }

    /// The host that it is about.
    #[must_use]
    pub fn of(self, host: &HostName) -> Self {
        Self { host: Some(host.clone()), ..self }
    }

    /// What to write into the inventory.
    #[must_use]
    pub fn write(self, lines: impl Into<String>) -> Self {
        Self { hint: Some(lines.into()), ..self }
    }
}
