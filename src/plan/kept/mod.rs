//! Links whose other end cannot change now: both ends keep what they have, until it can.
//!
//! A host that is down or blocked goes on with what it has. What a neighbour knows of it
//! works only together with that: so the neighbour keeps the old values of that link, on the interface and
//! in its file, and all its other changes go on. This is the one place where a file is not what the
//! inventory alone says.

mod former;
mod hold;
mod state;

pub use hold::{Standstill, hold};
pub use state::with_kept;

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::{HostName, InterfaceName};

/// A link that keeps its old values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct KeptLink {
    /// The end that could change.
    pub host: HostName,
    /// Its interface.
    pub interface: InterfaceName,
    /// The end that cannot change now: the link changes once that can.
    pub until: HostName,
    /// Why it cannot.
    pub why: Standing,
    /// What the host would have changed of the link.
    pub keeps: BTreeSet<Keeps>,
}

/// Why a host does not change now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It could not be read.
    Unreadable,
    /// Its changes cannot be made.
    Blocked,
}

/// What of a link keeps its old value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Keeps {
    /// The whole link, which the file does not have any more.
    Link,
    /// The way through another host: the file has a link of their own for the two.
    Way,
    /// The other end's addresses and LANs.
    Addresses,
    /// Where the other end is found.
    Endpoint,
    /// Seconds between packets that keep a NAT's mapping.
    Keepalive,
    /// The preshared key.
    PresharedKey,
    /// The other end's key.
    Key,
    /// Passing on what the other end sends.
    Forwarding,
}

impl fmt::Display for Keeps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Link => "the link itself",
            Self::Way => "the way through another host",
            Self::Addresses => "addresses",
            Self::Endpoint => "endpoint",
            Self::Keepalive => "keepalive",
            Self::PresharedKey => "PSK",
            Self::Key => "key",
            Self::Forwarding => "forwarding",
        })
    }
}

#[cfg(test)]
mod tests;
