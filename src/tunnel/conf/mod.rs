//! The configuration file of wg(8), and wg-quick(8)'s superset of it.
//!
//! [`Conf::parse`] takes either [`Dialect`]; a [`Conf`] becomes a [`DeviceChange`] once its
//! endpoint names are resolved ([`Conf::setconf`], [`Conf::addconf`]), or the smallest change of a
//! running interface ([`sync`]).

mod endpoint;
mod error;
mod parse;
mod quick;
mod render;
mod strip;
mod sync;
#[cfg(test)]
mod tests;
pub mod word;

pub use error::{ConfError, ConfReason};
pub use quick::{HookLine, QuickConf, Table};
pub use strip::strip;
pub use sync::sync;

use std::net::SocketAddr;

use super::{AllowedIpChange, DeviceChange, PeerChange, Setting};
use crate::model::{Endpoint, PresharedKey, PrivateKey, PublicKey};

/// Which keys a file may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Those of `wg setconf`.
    Wg,
    /// Those of `wg-quick` as well.
    Quick,
}

/// A configuration file.
#[derive(Debug, Default)]
pub struct Conf {
    /// The `[Interface]` sections, as one.
    pub interface: InterfaceConf,
    /// The `[Peer]` sections, in order.
    pub peers: Vec<PeerConf>,
    /// What was passed over.
    pub warnings: Vec<ConfError>,
}

/// An `[Interface]` section.
#[derive(Debug, Default)]
pub struct InterfaceConf {
    /// `PrivateKey`
    pub private_key: Option<PrivateKey>,
    /// `ListenPort`; 0 lets the system choose.
    pub listen_port: Option<u16>,
    /// `FwMark`; 0 is none.
    pub fwmark: Option<u32>,
    /// What wg-quick adds.
    pub quick: QuickConf,
}

/// A `[Peer]` section.
#[derive(Debug)]
pub struct PeerConf {
    /// `PublicKey`
    pub public_key: PublicKey,
    /// `PresharedKey`; all zeros takes one away.
    pub preshared_key: Setting<PresharedKey>,
    /// `Endpoint`
    pub endpoint: Option<Endpoint>,
    /// `PersistentKeepalive`; 0 is off.
    pub keepalive: Option<u16>,
    /// `AllowedIPs`, in order.
    pub allowed_ips: Vec<AllowedIpChange>,
    /// Some of them carry a sign, so they come and go one by one.
    pub incremental: bool,
}

impl PeerConf {
    /// A section with nothing but the key.
    #[must_use]
    pub const fn new(public_key: PublicKey) -> Self {
        Self {
            public_key,
            preshared_key: Setting::Keep,
            endpoint: None,
            keepalive: None,
            allowed_ips: Vec::new(),
            incremental: false,
        }
    }
}

impl Conf {
    /// What `wg setconf` does: the file, and nothing else.
    ///
    /// # Errors
    /// The first error of `resolve`, which is asked for each endpoint.
    pub fn setconf<E>(
        self,
        resolve: impl FnMut(&Endpoint) -> Result<SocketAddr, E>,
    ) -> Result<DeviceChange, E> {
        let mut change = self.addconf(resolve)?;
        change.replace_peers = true;
        change.listen_port.get_or_insert(0);
        change.fwmark.get_or_insert(0);
        if change.private_key.is_keep() {
            change.private_key = Setting::Clear;
        }
        Ok(change)
    }

    /// What `wg addconf` does: the file on top of what there is.
    ///
    /// # Errors
    /// The first error of `resolve`, which is asked for each endpoint.
    pub fn addconf<E>(
        self,
        mut resolve: impl FnMut(&Endpoint) -> Result<SocketAddr, E>,
    ) -> Result<DeviceChange, E> {
        let mut change = DeviceChange {
            private_key: self.interface.private_key.map_or(Setting::Keep, private_key_setting),
            listen_port: self.interface.listen_port,
            fwmark: self.interface.fwmark,
            replace_peers: false,
            peers: Vec::with_capacity(self.peers.len()),
        };
        for peer in self.peers {
            let endpoint = peer.endpoint.as_ref().map(&mut resolve).transpose()?;
            change.peers.push(PeerChange {
                preshared_key: peer.preshared_key,
                endpoint,
                keepalive: peer.keepalive,
                replace_allowed_ips: !peer.incremental,
                allowed_ips: peer.allowed_ips,
                ..PeerChange::new(peer.public_key)
            });
        }
        Ok(change)
    }
}

/// An all-zero private key takes the interface's key away.
fn private_key_setting(key: PrivateKey) -> Setting<PrivateKey> {
    let zero = key.expose().iter().fold(0, |all, byte| all | byte) == 0;
    if zero { Setting::Clear } else { Setting::To(key) }
}
