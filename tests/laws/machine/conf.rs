//! Configuration text of wg(8) and wg-quick(8).

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use ipnet::IpNet;
use wgfleet::model::{Endpoint, HostPath, InterfaceName, PrivateKey, PublicKey};

use crate::world::resolved;

/// What a text says.
#[derive(Debug, Default)]
pub(super) struct Conf {
    pub(super) key: Option<PublicKey>,
    pub(super) port: Option<u16>,
    pub(super) mark: Option<u32>,
    pub(super) addresses: Vec<IpNet>,
    pub(super) mtu: Option<u32>,
    pub(super) table: Option<String>,
    pub(super) peers: BTreeMap<PublicKey, ConfPeer>,
}

/// What it says of a peer.
#[derive(Debug, Default)]
pub(super) struct ConfPeer {
    pub(super) psk: Option<String>,
    pub(super) endpoint: Option<SocketAddr>,
    pub(super) allowed: BTreeSet<IpNet>,
    /// Seconds; 0: off.
    pub(super) keepalive: Option<u16>,
}

/// Where the file of an interface lies.
pub(super) fn path(name: &InterfaceName) -> HostPath {
    format!("/etc/wireguard/{name}.conf").parse().expect("a path")
}

/// Where an endpoint is.
pub(super) fn address(endpoint: &Endpoint) -> SocketAddr {
    endpoint.socket_addr().unwrap_or_else(|| resolved(&endpoint.to_string()))
}

fn read<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text:?} is not understood"))
}

pub(super) fn parse(text: &str) -> Result<Conf, String> {
    let mut conf = Conf::default();
    let mut peer: Option<PublicKey> = None;
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let Some((name, value)) = line.split_once('=') else {
            if line == "[Peer]" || line == "[Interface]" {
                peer = None;
            } else if !line.is_empty() {
                return Err(format!("{line:?} is not understood"));
            }
            continue;
        };
        let (name, value) = (name.trim(), value.trim());
        if name == "PublicKey" {
            let key = read(value)?;
            conf.peers.insert(key, ConfPeer::default());
            peer = Some(key);
            continue;
        }
        let own = peer.and_then(|key| conf.peers.get_mut(&key));
        let nets =
            || value.split(',').map(|net| read::<IpNet>(net.trim())).collect::<Result<Vec<_>, _>>();
        match (name, own) {
            ("PrivateKey", None) => {
                let key = PrivateKey::parse(value).map_err(|error| error.to_string())?;
                conf.key = Some(key.public());
            }
            ("ListenPort", None) => conf.port = Some(read(value)?),
            ("FwMark", None) => {
                let hex = value.strip_prefix("0x").map(|hex| u32::from_str_radix(hex, 16));
                conf.mark =
                    Some(hex.map_or_else(|| read(value), |m| m.map_err(|e| e.to_string()))?);
            }
            ("Address", None) => conf.addresses.extend(nets()?),
            ("MTU", None) => conf.mtu = Some(read(value)?),
            ("Table", None) => conf.table = Some(value.to_owned()),
            ("DNS" | "PreUp" | "PostUp" | "PreDown" | "PostDown", None) => {}
            ("PresharedKey", Some(peer)) => peer.psk = Some(value.to_owned()),
            ("Endpoint", Some(peer)) => peer.endpoint = Some(address(&read(value)?)),
            ("AllowedIPs", Some(peer)) => peer.allowed.extend(nets()?),
            ("PersistentKeepalive", Some(peer)) => {
                peer.keepalive = Some(if value == "off" { 0 } else { read(value)? });
            }
            _ => return Err(format!("{line:?} is not understood")),
        }
    }
    Ok(conf)
}

/// The text as a host tells it.
pub(super) fn hide(text: &str) -> String {
    let line = |line: &str| match line.split_once(" = ") {
        Some((name @ ("PrivateKey" | "PresharedKey"), _)) => format!("{name} = (hidden)\n"),
        _ => format!("{}\n", line.replace('\t', "?")),
    };
    text.lines().map(line).collect()
}
