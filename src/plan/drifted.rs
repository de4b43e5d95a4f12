//! Things on a host that differ from what was confirmed there last.

use serde::{Deserialize, Serialize};

use super::change::Change;
use super::paths::conf;
use crate::model::{Family, HostPath, InterfaceName, PublicKey, UnitName};

/// Something on a host that differs from what was confirmed there last.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", tag = "thing", deny_unknown_fields)]
pub enum Drifted {
    /// A file: its content, its owner or its mode.
    File {
        /// Where it lies.
        path: HostPath,
    },
    /// A unit that was enabled or stopped.
    Unit {
        /// Its name.
        unit: UnitName,
    },
    /// An interface, its settings, addresses or routes.
    Interface {
        /// The interface.
        interface: InterfaceName,
    },
    /// A peer that came, went or has other settings.
    Peer {
        /// The interface.
        interface: InterfaceName,
        /// The peer's key.
        key: PublicKey,
    },
    /// Forwarding that was switched off.
    Forwarding {
        /// Of which family.
        family: Family,
    },
    /// Rules of masquerading.
    Firewall,
}

impl Drifted {
    /// What a change is about; `None` for what wgfleet alone has an interest in. A hook is part of the
    /// file of its interface.
    #[must_use]
    pub fn of(change: &Change) -> Option<Self> {
        let peer =
            |interface: &InterfaceName, key| Self::Peer { interface: interface.clone(), key };
        Some(match change {
            Change::File { path, .. } => Self::File { path: path.clone() },
            Change::Hook { interface, .. } => Self::File { path: conf(interface) },
            Change::Unit { unit, .. } => Self::Unit { unit: unit.clone() },
            Change::Forward { family, .. } => Self::Forwarding { family: *family },
            Change::Firewall { .. } => Self::Firewall,
            Change::AddPeer { interface, peer: new, .. } => peer(interface, new.key),
            Change::ChangePeer { interface, peer: old, .. }
            | Change::RemovePeer { interface, peer: old } => peer(interface, old.key),
            Change::PushHelper { .. } | Change::Rename(_) | Change::Record { .. } => return None,
            other => Self::Interface { interface: other.interface()?.clone() },
        })
    }
}

impl std::fmt::Display for Drifted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File { path } => f.write_str(path),
            Self::Unit { unit } => f.write_str(unit),
            Self::Interface { interface } => write!(f, "{interface}"),
            Self::Peer { interface, key } => {
                write!(f, "peer {}… of {interface}", &key.to_string()[..8])
            }
            Self::Forwarding { family } => write!(f, "forwarding of {family}"),
            Self::Firewall => f.write_str("the rules of masquerading"),
        }
    }
}
