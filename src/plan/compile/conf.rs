//! Configuration text as `wg setconf` and `wg addconf` take it, secrets in place.

use zeroize::Zeroizing;

use crate::desired::{DesiredHost, DesiredInterface, DesiredPeer, Secrets};
use crate::model::{Endpoint, PublicKey};
use crate::wgconf::{Heading, Setting, Writer};

/// Which of a peer's settings are written beside its key and `AllowedIPs`.
#[derive(Debug, Clone, Default)]
pub(super) struct PeerParts {
    /// Its endpoint.
    pub(super) endpoint: Option<Endpoint>,
    /// Its keepalive in seconds; `Some(0)`: off.
    pub(super) keepalive: Option<u16>,
    /// Its preshared key.
    pub(super) psk: bool,
}

impl PeerParts {
    /// Everything that is wanted of a peer.
    pub(super) fn all(peer: &DesiredPeer) -> Self {
        Self {
            endpoint: peer.endpoint.clone(),
            keepalive: peer.keepalive.map(crate::model::Keepalive::get),
            psk: peer.psk_epoch.is_some(),
        }
    }
}

/// The section of the interface.
pub(super) fn interface<S: Secrets>(
    host: &DesiredHost,
    interface: &DesiredInterface,
    secrets: &S,
) -> Result<Zeroizing<String>, S::Error> {
    let key = secrets.private_key(&host.name, &interface.public_key)?.expose_base64();
    // Room for all that follows: growing would leave copies behind that nobody zeroes.
    let mut conf = Writer::with_room(256);
    conf.heading(Heading::Interface);
    conf.set(Setting::PrivateKey, key.as_str());
    if let Some(port) = interface.listen_port {
        conf.set(Setting::ListenPort, port);
    }
    if let Some(mark) = interface.fwmark {
        conf.set(Setting::FwMark, mark);
    }
    Ok(conf.finish())
}

/// The section of a peer.
pub(super) fn peer<S: Secrets>(
    interface: &DesiredInterface,
    key: &PublicKey,
    peer: &DesiredPeer,
    parts: &PeerParts,
    secrets: &S,
) -> Result<Zeroizing<String>, S::Error> {
    let mut conf = Writer::with_room(320 + peer.allowed_ips.len() * 48);
    conf.heading(Heading::Peer);
    conf.set(Setting::PublicKey, key);
    if let Some(epoch) = peer.psk_epoch.filter(|_| parts.psk) {
        let psk = secrets.preshared_key(&interface.public_key, key, epoch)?.expose_base64();
        conf.set(Setting::PresharedKey, psk.as_str());
    }
    let nets: Vec<String> = peer.allowed_ips.iter().map(ToString::to_string).collect();
    if !nets.is_empty() {
        conf.set(Setting::AllowedIps, nets.join(","));
    }
    if let Some(endpoint) = &parts.endpoint {
        conf.set(Setting::Endpoint, endpoint);
    }
    match parts.keepalive {
        Some(0) => conf.set(Setting::PersistentKeepalive, "off"),
        Some(seconds) => conf.set(Setting::PersistentKeepalive, seconds),
        None => {}
    }
    Ok(conf.finish())
}
