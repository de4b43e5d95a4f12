//! Something that a host has, as a short noun with its place.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::{Family, InterfaceName, Untrusted};

/// Something that a host has, and that a change or somebody else can change. `Display` names it with
/// its place: `peers of wg0`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", tag = "part")]
pub enum HostPart {
    /// A whole interface.
    Interface {
        /// Its name.
        interface: InterfaceName,
    },
    /// A setting of an interface.
    Setting {
        /// The interface.
        interface: InterfaceName,
        /// Which.
        setting: LiveSetting,
    },
    /// A file.
    File {
        /// Its path.
        path: Untrusted,
    },
    /// The rules that masquerade.
    Masquerading,
    /// Whether it forwards packets.
    Forwarding {
        /// Of which family.
        family: Family,
    },
    /// A unit of systemd.
    Unit {
        /// Its name.
        unit: Untrusted,
    },
}

/// A setting of an interface that is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum LiveSetting {
    /// What runs it.
    Backend,
    /// Whether it is up.
    LinkState,
    /// Its MTU.
    Mtu,
    /// Its key.
    Key,
    /// Its UDP port.
    ListenPort,
    /// Its mark of packets.
    Fwmark,
    /// Its addresses.
    Addresses,
    /// Its routes.
    Routes,
    /// Its rules.
    PolicyRouting,
    /// Its peers.
    Peers,
}

impl fmt::Display for HostPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interface { interface } => write!(f, "interface {interface}"),
            Self::Setting { interface, setting } => write!(f, "{setting} of {interface}"),
            Self::File { path } => path.fmt(f),
            Self::Masquerading => f.write_str("masquerading rules"),
            Self::Forwarding { family: Family::V4 } => f.write_str("forwarding of IPv4"),
            Self::Forwarding { family: Family::V6 } => f.write_str("forwarding of IPv6"),
            Self::Unit { unit } => write!(f, "unit {unit}"),
        }
    }
}

/// wg(8)'s and ip(8)'s words.
impl fmt::Display for LiveSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Backend => "backend",
            Self::LinkState => "link state",
            Self::Mtu => "MTU",
            Self::Key => "key",
            Self::ListenPort => "listen port",
            Self::Fwmark => "fwmark",
            Self::Addresses => "addresses",
            Self::Routes => "routes",
            Self::PolicyRouting => "policy routing",
            Self::Peers => "peers",
        })
    }
}
