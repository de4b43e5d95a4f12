//! A peer as people know it and as machines do.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::{HostName, PublicKey};

/// A peer as people know it and as machines do.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PeerRef {
    /// Its name in the inventory; `None` where no name belongs to the key.
    pub name: Option<HostName>,
    /// Its public key.
    pub key: PublicKey,
}

impl fmt::Display for PeerRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => f.pad(name.as_str()),
            None => self.key.fmt(f),
        }
    }
}
