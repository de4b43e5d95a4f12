//! A derived value, and why it is what it is.

use std::fmt;
use std::ops::Deref;

use super::id::NodeId;
use crate::inventory::{Declared, Level, Place, Setting};
use crate::model::Location;

/// A value of the topology, decided once, with what decided it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Derived<T> {
    /// The value.
    pub value: T,
    /// Why it is what it is.
    pub because: Because,
}

/// What decided a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Because {
    /// It is written: by the host or peer itself, or at a level that it inherits from.
    Written(Place),
    /// It is written under `peers:` of the host, for this peer alone.
    Override(Location),
    /// It is what the peer's `endpoint` says.
    PeerEndpoint(Place),
    /// It is what the peer's `local_endpoint` says: both are at one site.
    PeerLocalEndpoint(Place),
    /// It is the port of the host's own `endpoint`.
    Endpoint(Place),
    /// It is the port of the host's own `local_endpoint`.
    LocalEndpoint(Place),
    /// It is the name of the network, which has several beside it.
    NetworkName(Location),
    /// It was allocated and is pinned in the lock file, for the host or peer that is written here.
    Pinned(Location),
    /// It is what the underlay of an end of the tunnel carries, less what encryption adds.
    Underlay(Location),
    /// It is what Ethernet carries, less what encryption adds: no underlay carries less.
    Ethernet,
    /// The host is behind a NAT, which forgets what nobody uses.
    Nat(Place),
    /// The peer does not know where the host is, so that the host has to keep the session.
    Unknown,
    /// The peer has no endpoint for the host: it begins the session.
    NoEndpoint,
    /// It follows from what is behind the peer.
    Derived,
    /// It is a tunnel address of this node.
    Address {
        /// Whose.
        of: NodeId,
        /// Where it, or its node, is written.
        at: Location,
    },
    /// It is a LAN that this node delivers to.
    Subnet {
        /// Whose.
        of: NodeId,
        /// Where it is written.
        at: Location,
    },
    /// It is a prefix of the network, whose other members are reached through this peer.
    Network(Location),
    /// Everything goes through it: `full_tunnel` is written here.
    FullTunnel(Location),
    /// The host is a hub of links that are written here.
    Hub(Location),
    /// The host has subnets behind it: the first of them is written here.
    Routes(Location),
    /// The peer brought a public key of its own, so that the vault derives nothing for it.
    OwnKey(Location),
    /// It was seen on the host, not derived.
    Seen,
    /// Nothing says otherwise.
    Default,
}

impl Because {
    /// The place of the file that decided, where there is one.
    #[must_use]
    pub const fn at(self) -> Option<Location> {
        match self {
            Self::Written(place)
            | Self::PeerEndpoint(place)
            | Self::PeerLocalEndpoint(place)
            | Self::Endpoint(place)
            | Self::LocalEndpoint(place)
            | Self::Nat(place) => Some(place.at),
            Self::Override(at)
            | Self::NetworkName(at)
            | Self::Pinned(at)
            | Self::Underlay(at)
            | Self::Address { at, .. }
            | Self::Subnet { at, .. }
            | Self::Network(at)
            | Self::FullTunnel(at)
            | Self::Hub(at)
            | Self::Routes(at)
            | Self::OwnKey(at) => Some(at),
            Self::Ethernet
            | Self::Unknown
            | Self::NoEndpoint
            | Self::Derived
            | Self::Seen
            | Self::Default => None,
        }
    }

    /// The level of inheritance that decided, where one did.
    #[must_use]
    pub const fn level(self) -> Option<Level> {
        match self {
            Self::Written(place)
            | Self::PeerEndpoint(place)
            | Self::PeerLocalEndpoint(place)
            | Self::Endpoint(place)
            | Self::LocalEndpoint(place)
            | Self::Nat(place) => Some(place.level),
            _ => None,
        }
    }

    /// Where the very value is written, by whatever level; `None` where it is derived.
    #[must_use]
    pub const fn declared(self) -> Option<Location> {
        match self {
            Self::Written(place) => Some(place.at),
            Self::Override(at) => Some(at),
            _ => None,
        }
    }
}

impl<T> Derived<T> {
    /// Ties a value to what decided it.
    pub const fn new(value: T, because: Because) -> Self {
        Self { value, because }
    }

    /// What nothing decided.
    pub const fn default_of(value: T) -> Self {
        Self { value, because: Because::Default }
    }

    /// What the file declares.
    pub fn written(declared: &Declared<T>) -> Self
    where
        T: Clone,
    {
        Self { value: declared.value.clone(), because: Because::Written(declared.place()) }
    }

    /// The place of the file that decided; `or` where there is none.
    pub fn at_or(&self, or: Location) -> Location {
        self.because.at().unwrap_or(or)
    }

    /// What was seen on a host.
    pub const fn seen(value: T) -> Self {
        Self { value, because: Because::Seen }
    }
}

impl<T: Copy + Default> From<&Setting<T>> for Derived<T> {
    fn from(setting: &Setting<T>) -> Self {
        setting.declared().map_or_else(|| Self::default_of(T::default()), Self::written)
    }
}

impl<T: fmt::Display> fmt::Display for Derived<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl<T> Deref for Derived<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}
