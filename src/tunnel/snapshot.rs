//! What an interface is at one moment: what `wg show` prints.

use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::Drops;
use crate::model::{PresharedKey, PrivateKey, PublicKey};

/// An interface at one moment.
#[derive(Debug, Default)]
pub struct DeviceSnapshot {
    /// Its private key.
    pub private_key: Option<PrivateKey>,
    /// Its public key; the kernel gives one even where it hides the private key.
    pub public_key: Option<PublicKey>,
    /// Its UDP port, 0 while there is none.
    pub listen_port: u16,
    /// The mark of encrypted packets, 0 for none.
    pub fwmark: u32,
    /// Its peers, in the interface's own order.
    pub peers: Vec<PeerSnapshot>,
    /// What was dropped that belongs to no peer; only our own tunnel tells.
    pub drops: Drops,
}

/// A peer at one moment.
#[derive(Debug)]
pub struct PeerSnapshot {
    /// Its public key.
    pub public_key: PublicKey,
    /// The key of this pair.
    pub preshared_key: Option<PresharedKey>,
    /// Where its packets go.
    pub endpoint: Option<SocketAddr>,
    /// Time of the last handshake since the epoch; zero is "never".
    pub last_handshake: Duration,
    /// Bytes of UDP payload received.
    pub rx_bytes: u64,
    /// Bytes of UDP payload sent.
    pub tx_bytes: u64,
    /// Seconds between keepalives, 0 for none.
    pub keepalive: u16,
    /// Its prefixes.
    pub allowed_ips: Vec<IpNet>,
    /// What was dropped; only our own tunnel tells.
    pub drops: Drops,
}

impl PeerSnapshot {
    /// A peer of which nothing but the key is known yet.
    #[must_use]
    pub const fn new(public_key: PublicKey) -> Self {
        Self {
            public_key,
            preshared_key: None,
            endpoint: None,
            last_handshake: Duration::ZERO,
            rx_bytes: 0,
            tx_bytes: 0,
            keepalive: 0,
            allowed_ips: Vec::new(),
            drops: Drops::NONE,
        }
    }
}
