//! Which hosts change, and what of them changes that no walk sees.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::model::{HostName, InterfaceName};

/// What becomes of a host while a fleet changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// It changes at some moment: before, it is as it runs, and then as it is wanted.
    Changes,
    /// It stays as it runs: it has nothing to change, cannot be changed now, or left the inventory.
    Stays,
    /// Somebody else changes it: it is taken to be as it is wanted.
    Foreign,
}

/// What of an interface changes, beside what its topology has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contact {
    /// Its key.
    pub key: bool,
    /// The peers that it is to know by another key.
    pub keys: BTreeSet<HostName>,
    /// The peers with which it is to have another preshared key, or none any more.
    pub psks: BTreeSet<HostName>,
}

/// Which hosts change, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changing {
    /// What becomes of each host; those that are not there stay as they run.
    pub roles: BTreeMap<HostName, Role>,
    /// Interfaces of which keys change.
    pub contacts: BTreeMap<(HostName, InterfaceName), Contact>,
}

impl Changing {
    /// What of an interface changes; nothing, where nothing was said.
    pub fn contact(&mut self, host: &HostName, interface: &InterfaceName) -> &mut Contact {
        self.contacts.entry((host.clone(), interface.clone())).or_default()
    }
}

/// Why a flow does not work while some hosts have changed and others have not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Clashing {
    /// One end knows the other by another key than it has.
    Key,
    /// The two ends have different preshared keys.
    PresharedKey,
    /// One end sends to a port where the other does not listen.
    Port,
    /// The end that has something to send cannot begin the session.
    Session,
    /// The encrypted packets go through a tunnel of hosts of which only some have changed.
    Carrier,
    /// One end does not accept the source from the other.
    AllowedIps,
    /// One end has no route or peer for the destination.
    Route,
    /// One end does not forward what the other sends through it.
    Forwarding,
    /// The address is at another place.
    Address,
    /// A machine on a LAN may choose a gateway that does not bring it there.
    Gateway,
    /// Packets come back to a host that they have been at.
    Loop,
    /// The flow depends on so many hosts that not every order was tried.
    Unproved,
}
