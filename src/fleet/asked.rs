//! What was asked of a host that is not there, and what was probably meant.

use crate::model::HostName;

/// A host that was asked for and is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownHost {
    /// The name.
    pub name: HostName,
    /// What it was asked for.
    pub asked: Asked,
    /// What was probably meant.
    pub meant: Meant,
}

/// What hosts are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// To be the only ones that a command is about.
    Limit,
    /// The same, where hosts of two inventories count.
    LimitOfTwo,
    /// To be left alone by a command.
    Exclude,
    /// To be another machine from now on.
    Replace,
    /// To get new keys.
    Rotate,
    /// To have a key in the vault.
    Key,
    /// To be an unmanaged peer.
    Peer,
}

/// What a name that no host has was probably meant for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meant {
    /// Nobody knows.
    Nothing,
    /// The host with the closest name.
    Host(HostName),
    /// A host or a peer that is written and left out, with the reason.
    LeftOut(String),
    /// An unmanaged peer, which has no host's part in the fleet.
    Peer,
    /// A managed host, where a peer was asked for.
    Managed,
    /// All hosts of a site, a group or a network.
    Hosts {
        /// Of what.
        of: &'static str,
        /// The hosts, in order of the file.
        hosts: Vec<HostName>,
    },
}
