//! A peer of a host, and what happens to it.

use std::fmt;

use crate::model::{HostName, PublicKey};
use crate::plan::{NewPeer, PeerField, PeerRef};

/// A peer as it is told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Who<'a> {
    /// Its name; `None` where no name belongs to the key.
    pub(super) name: Option<&'a HostName>,
    /// Its key.
    pub(super) key: &'a PublicKey,
}

impl<'a> Who<'a> {
    /// A peer that is there.
    pub(super) fn of(peer: &'a PeerRef) -> Self {
        Self { name: peer.name.as_ref(), key: &peer.key }
    }

    /// A peer that comes.
    pub(super) fn new(peer: &'a NewPeer) -> Self {
        Self { name: Some(&peer.name), key: &peer.key }
    }

    /// Whether it is this host.
    pub(super) fn is(&self, host: &HostName) -> bool {
        self.name == Some(host)
    }
}

impl fmt::Display for Who<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key.to_string();
        match self.name {
            Some(name) => write!(f, "{name} ({}…)", &key[..8]),
            None => write!(f, "{key} (not in the file)"),
        }
    }
}

/// What happens to a peer, whichever it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum PeerChange<'a> {
    /// It comes, with all its settings.
    Add {
        /// The peer.
        peer: &'a NewPeer,
        /// The key that it had before.
        replaces: Option<&'a PublicKey>,
    },
    /// One of its settings changes.
    Change {
        /// Which.
        field: PeerField,
        /// What it is.
        from: Option<&'a str>,
        /// What it is to be.
        to: Option<&'a str>,
    },
    /// It goes.
    Remove,
}
