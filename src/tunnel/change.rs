//! What a `wg set`, a `wg setconf` or a UAPI `set=1` asks of an interface.

use std::net::SocketAddr;

use ipnet::IpNet;

use crate::model::{PresharedKey, PrivateKey, PublicKey};

/// What happens to one field.
#[derive(Debug, Default)]
pub enum Setting<T> {
    /// It stays as it is.
    #[default]
    Keep,
    /// It is taken away.
    Clear,
    /// It gets this value.
    To(T),
}

impl<T> Setting<T> {
    /// Whether the field stays as it is.
    #[must_use]
    pub const fn is_keep(&self) -> bool {
        matches!(self, Self::Keep)
    }
}

/// A change of one interface: its own fields first, then each peer in order.
#[derive(Debug, Default)]
pub struct DeviceChange {
    /// The interface's private key. A new one expires every session.
    pub private_key: Setting<PrivateKey>,
    /// The UDP port; 0 lets the system choose.
    pub listen_port: Option<u16>,
    /// The mark of encrypted packets; 0 is none.
    pub fwmark: Option<u32>,
    /// Peers that are not named below are removed first.
    pub replace_peers: bool,
    /// The peers that change.
    pub peers: Vec<PeerChange>,
}

/// A change of one peer.
#[derive(Debug)]
pub struct PeerChange {
    /// Which peer.
    pub public_key: PublicKey,
    /// The peer is removed.
    pub remove: bool,
    /// Nothing happens unless the peer is there already.
    pub update_only: bool,
    /// The key of this pair.
    pub preshared_key: Setting<PresharedKey>,
    /// Where its packets go until it roams.
    pub endpoint: Option<SocketAddr>,
    /// Seconds between keepalives; 0 is off.
    pub keepalive: Option<u16>,
    /// Its `AllowedIPs` are emptied first.
    pub replace_allowed_ips: bool,
    /// `AllowedIPs` that come or go, in order.
    pub allowed_ips: Vec<AllowedIpChange>,
}

impl PeerChange {
    /// A change that does nothing but make sure that the peer is there.
    #[must_use]
    pub const fn new(public_key: PublicKey) -> Self {
        Self {
            public_key,
            remove: false,
            update_only: false,
            preshared_key: Setting::Keep,
            endpoint: None,
            keepalive: None,
            replace_allowed_ips: false,
            allowed_ips: Vec::new(),
        }
    }

    /// A change that removes the peer.
    #[must_use]
    pub const fn removal(public_key: PublicKey) -> Self {
        let mut change = Self::new(public_key);
        change.remove = true;
        change
    }
}

/// One prefix that comes to a peer or leaves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AllowedIpChange {
    /// The prefix moves to this peer, wherever it was.
    Add(IpNet),
    /// The prefix leaves this peer, if it has it.
    Remove(IpNet),
}
