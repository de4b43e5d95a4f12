//! One change to one host.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::field::{DeviceField, FieldChange, PeerField};
use super::new::{NewInterface, NewPeer};
use super::peer::PeerRef;
use super::rename::Rename;
use crate::model::{Family, Fingerprint, HostPath, InterfaceName, PublicKey, UnitName, Untrusted};
use crate::observed::{LiveBackend, UnitState};
use crate::wgconf::Setting;

/// One line of a file's diff.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DiffLine {
    /// `+`, `-` or a blank.
    #[cfg_attr(test, schemars(with = "crate::model::schema::Sign"))]
    pub sign: char,
    /// The line, secrets hidden.
    pub text: Untrusted,
}

impl DiffLine {
    /// A line as it is shown: tabs are blanks, because what a terminal makes of them depends on where
    /// they stand.
    #[must_use]
    pub fn new(sign: char, text: &str) -> Self {
        Self { sign, text: Untrusted::new(text.replace('\t', "    ")) }
    }
}

/// What happens to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum FileAction {
    /// It is not there.
    Create,
    /// Its content differs.
    Update,
    /// Only its owner or mode differs.
    Protect,
    /// It is not wanted any more.
    Remove,
}

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum HookWhen {
    /// Before the interface comes up.
    PreUp,
    /// After it came up.
    PostUp,
    /// Before it goes down.
    PreDown,
    /// After it went down.
    PostDown,
}

impl HookWhen {
    /// When the command runs that a setting has; nothing where its value is none.
    pub(super) const fn of_setting(setting: Setting) -> Option<Self> {
        match setting {
            Setting::PreUp => Some(Self::PreUp),
            Setting::PostUp => Some(Self::PostUp),
            Setting::PreDown => Some(Self::PreDown),
            Setting::PostDown => Some(Self::PostDown),
            _ => None,
        }
    }

    /// When it runs, in words.
    #[must_use]
    pub fn of(self, interface: &InterfaceName) -> String {
        match self {
            Self::PreUp => format!("before {interface} comes up"),
            Self::PostUp => format!("after {interface} comes up"),
            Self::PreDown => format!("before {interface} goes down"),
            Self::PostDown => format!("after {interface} goes down"),
        }
    }
}

/// One change to one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", tag = "change", deny_unknown_fields)]
pub enum Change {
    /// wgfleet's own binary is pushed.
    #[serde(rename = "push-helper")]
    PushHelper {
        /// `uname -m` that it is built for.
        #[cfg_attr(test, schemars(with = "crate::model::schema::Word"))]
        machine: String,
        /// SHA-256 of it.
        digest: Fingerprint,
    },
    /// A file is written or removed.
    File {
        /// Where.
        path: HostPath,
        /// What happens.
        action: FileAction,
        /// Keyed digest of the content that is written; `None` where it is removed, and where
        /// secrets are not compared.
        fingerprint: Option<Fingerprint>,
        /// The difference, secrets hidden, without what other changes of the host say.
        diff: Vec<DiffLine>,
        /// Lines that come or go and that other changes say, so that `diff` does not have them. Where
        /// there are none and `diff` is empty, only secrets differ.
        said: usize,
    },
    /// A command that the host runs as root in the course of an interface's life comes, goes, or
    /// stays and runs in the course of this very change.
    Hook {
        /// The interface.
        interface: InterfaceName,
        /// When it runs.
        when: HookWhen,
        /// The command, keys hidden.
        command: Untrusted,
        /// Whether it comes or stays; otherwise it goes.
        comes: bool,
        /// Whether it runs in the course of this change; otherwise when the interface comes up or goes
        /// down the next time.
        now: bool,
    },
    /// The kernel forwards packets of a family, or no longer does.
    Forward {
        /// The family.
        family: Family,
        /// Whether it is to; it ends only where wgfleet began it.
        on: bool,
        /// Interfaces that go on hearing routers' advertisements (`accept_ra`), although the host
        /// becomes a router itself.
        accept_ra: Vec<InterfaceName>,
    },
    /// A name that all fleets had gets this fleet's name in it.
    Rename(Rename),
    /// wgfleet's nftables table is put in place.
    Firewall {
        /// Its name; of family inet.
        #[cfg_attr(test, schemars(with = "crate::model::schema::Word"))]
        table: String,
        /// Digest of the rules; `None`: the table is removed.
        #[cfg_attr(test, schemars(with = "Option<crate::model::schema::Word>"))]
        digest: Option<String>,
    },
    /// An interface is made and started. In the JSON of a plan its peers are numbers: see `form.rs`.
    #[cfg_attr(test, schemars(skip))]
    Create(NewInterface),
    /// An interface is stopped and made anew, because nothing else can do it.
    Restart {
        /// The interface.
        interface: InterfaceName,
        /// What will carry its packets.
        backend: LiveBackend,
        /// Why.
        #[serde(rename = "text")]
        reason: String,
    },
    /// An interface that the file does not have any more is stopped.
    Delete {
        /// The interface.
        interface: InterfaceName,
    },
    /// Fields of an interface change in place.
    Device {
        /// The interface.
        interface: InterfaceName,
        /// The fields.
        fields: Vec<FieldChange<DeviceField>>,
    },
    /// A peer is added.
    AddPeer {
        /// The interface.
        interface: InterfaceName,
        /// The peer, with all its settings.
        peer: NewPeer,
        /// The key that it had before, where the interface still knows it by that.
        replaces: Option<PublicKey>,
    },
    /// Fields of a peer change in place. In the JSON of a plan it is a number: see `form.rs`.
    #[cfg_attr(test, schemars(skip))]
    ChangePeer {
        /// The interface.
        interface: InterfaceName,
        /// The peer.
        peer: PeerRef,
        /// The fields.
        fields: Vec<FieldChange<PeerField>>,
    },
    /// A peer is removed.
    RemovePeer {
        /// The interface.
        interface: InterfaceName,
        /// The peer.
        peer: PeerRef,
    },
    /// An address is added.
    AddAddress {
        /// The interface.
        interface: InterfaceName,
        /// The address with its prefix length.
        #[cfg_attr(test, schemars(with = "crate::model::schema::Prefix"))]
        address: IpNet,
    },
    /// An address is removed.
    RemoveAddress {
        /// The interface.
        interface: InterfaceName,
        /// The address with its prefix length.
        #[cfg_attr(test, schemars(with = "crate::model::schema::Prefix"))]
        address: IpNet,
    },
    /// A route is added.
    AddRoute {
        /// The interface.
        interface: InterfaceName,
        /// Routing table; 254 is main.
        table: u32,
        /// Destination.
        #[cfg_attr(test, schemars(with = "crate::model::schema::Prefix"))]
        prefix: IpNet,
    },
    /// A route is removed.
    RemoveRoute {
        /// The interface.
        interface: InterfaceName,
        /// Routing table; 254 is main.
        table: u32,
        /// Destination.
        #[cfg_attr(test, schemars(with = "crate::model::schema::Prefix"))]
        prefix: IpNet,
    },
    /// The host begins to keep a record of what wgfleet does there, or writes it anew.
    Record {
        /// Where it lies.
        path: HostPath,
        /// Whether there was none: [`FileAction::Create`] or [`FileAction::Update`].
        action: FileAction,
    },
    /// A unit is enabled, started, or the reverse.
    Unit {
        /// Its name.
        unit: UnitName,
        /// What it is.
        from: UnitState,
        /// What it is to be.
        to: UnitState,
    },
}

impl Change {
    /// The interface that it is about, where it is about one.
    #[must_use]
    pub fn interface(&self) -> Option<&InterfaceName> {
        match self {
            Self::Create(NewInterface { interface, .. })
            | Self::Restart { interface, .. }
            | Self::Delete { interface }
            | Self::Device { interface, .. }
            | Self::AddPeer { interface, .. }
            | Self::ChangePeer { interface, .. }
            | Self::RemovePeer { interface, .. }
            | Self::AddAddress { interface, .. }
            | Self::RemoveAddress { interface, .. }
            | Self::AddRoute { interface, .. }
            | Self::RemoveRoute { interface, .. } => Some(interface),
            Self::PushHelper { .. }
            | Self::File { .. }
            | Self::Hook { .. }
            | Self::Forward { .. }
            | Self::Rename(_)
            | Self::Firewall { .. }
            | Self::Record { .. }
            | Self::Unit { .. } => None,
        }
    }
}
