//! Why an interface is not what its change was to make of it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::list::list;
use crate::model::{HostName, PublicKey};

/// Why an interface is not what its change was to make of it. `Display` says it after its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Unhealthy {
    /// It is not there.
    Missing,
    /// It is not up.
    Down,
    /// It has another key.
    OtherKey,
    /// It has other peers.
    Peers {
        /// Peers that it lacks, the first of them.
        lacks: Vec<HostName>,
        /// Keys of peers that nobody wants, the first of them.
        unwanted: Vec<PublicKey>,
    },
}

impl fmt::Display for Unhealthy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (lacks, unwanted) = match self {
            Self::Missing => return f.write_str("is not there"),
            Self::Down => return f.write_str("is not up"),
            Self::OtherKey => return f.write_str("has another key"),
            Self::Peers { lacks, unwanted } => (lacks, unwanted),
        };
        if !lacks.is_empty() {
            write!(f, "lacks {}", list(lacks))?;
        }
        if !lacks.is_empty() && !unwanted.is_empty() {
            f.write_str(", and ")?;
        }
        if !unwanted.is_empty() {
            let keys: Vec<String> =
                unwanted.iter().map(|key| format!("public key {key}")).collect();
            write!(f, "has peers that are not wanted: {}", list(&keys))?;
        }
        Ok(())
    }
}
