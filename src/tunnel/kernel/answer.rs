//! What the kernel says of an interface.

use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::time::Duration;

use ipnet::IpNet;
use zeroize::Zeroizing;

use super::numbers::{
    AF_INET, AF_INET6, ALLOWED_ADDRESS, ALLOWED_LENGTH, DEVICE_FWMARK, DEVICE_LISTEN_PORT,
    DEVICE_PEERS, DEVICE_PRIVATE_KEY, PEER_ALLOWED_IPS, PEER_ENDPOINT, PEER_KEEPALIVE,
    PEER_PRESHARED_KEY, PEER_PUBLIC_KEY,
};
use crate::model::{PresharedKey, PrivateKey, PublicKey};
use crate::tunnel::{DeviceSnapshot, PeerSnapshot, netlink};

const DEVICE_PUBLIC_KEY: u16 = 4;
const PEER_LAST_HANDSHAKE: u16 = 6;
const PEER_RX_BYTES: u16 = 7;
const PEER_TX_BYTES: u16 = 8;

fn endpoint_of(bytes: &[u8]) -> Option<SocketAddr> {
    let family = u16::from_ne_bytes(*bytes.first_chunk()?);
    let port = u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?);
    match family {
        AF_INET => {
            let address = *bytes.get(4..)?.first_chunk::<4>()?;
            Some(SocketAddrV4::new(address.into(), port).into())
        }
        AF_INET6 => {
            let flow = u32::from_be_bytes(*bytes.get(4..)?.first_chunk()?);
            let address = *bytes.get(8..)?.first_chunk::<16>()?;
            let scope = u32::from_ne_bytes(*bytes.get(24..)?.first_chunk()?);
            Some(SocketAddrV6::new(address.into(), port, flow, scope).into())
        }
        _ => None,
    }
}

fn key_of(payload: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    payload.try_into().ok().map(Zeroizing::new)
}

fn is_zero(key: &[u8; 32]) -> bool {
    key.iter().fold(0, |all, byte| all | byte) == 0
}

/// Adds what one message of a dump says; a peer may go on from the message before.
pub(super) fn read_device(device: &mut DeviceSnapshot, attributes: &[u8]) -> Option<()> {
    for (kind, payload) in netlink::attributes(attributes) {
        match kind {
            DEVICE_PRIVATE_KEY => {
                let key = key_of(payload)?;
                device.private_key = (!is_zero(&key)).then(|| PrivateKey::from_random(key));
            }
            DEVICE_PUBLIC_KEY => {
                let key = key_of(payload)?;
                device.public_key = (!is_zero(&key)).then(|| PublicKey::from_bytes(*key));
            }
            DEVICE_LISTEN_PORT => device.listen_port = netlink::u16_of(payload)?,
            DEVICE_FWMARK => device.fwmark = netlink::u32_of(payload)?,
            DEVICE_PEERS => {
                for (_, payload) in netlink::attributes(payload) {
                    read_peer(&mut device.peers, payload)?;
                }
            }
            _ => {}
        }
    }
    Some(())
}

fn read_peer(peers: &mut Vec<PeerSnapshot>, attributes: &[u8]) -> Option<()> {
    let key = netlink::attributes(attributes).find(|(kind, _)| *kind == PEER_PUBLIC_KEY)?.1;
    let key = PublicKey::from_bytes(*key_of(key)?);
    if peers.last().is_none_or(|last| last.public_key != key) {
        peers.push(PeerSnapshot::new(key));
    }
    let peer = peers.last_mut()?;
    for (kind, payload) in netlink::attributes(attributes) {
        match kind {
            PEER_PRESHARED_KEY => {
                let key = key_of(payload)?;
                peer.preshared_key = (!is_zero(&key)).then(|| PresharedKey::from_bytes(key));
            }
            PEER_ENDPOINT => peer.endpoint = endpoint_of(payload),
            PEER_KEEPALIVE => peer.keepalive = netlink::u16_of(payload)?,
            PEER_LAST_HANDSHAKE => {
                let seconds = netlink::i64_of(payload.get(..8)?)?;
                let nanos = netlink::i64_of(payload.get(8..16)?)?;
                let (seconds, nanos) = (u64::try_from(seconds).ok()?, u32::try_from(nanos).ok()?);
                peer.last_handshake = Duration::new(seconds, nanos.min(999_999_999));
            }
            PEER_RX_BYTES => peer.rx_bytes = netlink::u64_of(payload)?,
            PEER_TX_BYTES => peer.tx_bytes = netlink::u64_of(payload)?,
            PEER_ALLOWED_IPS => {
                for (_, payload) in netlink::attributes(payload) {
                    peer.allowed_ips.push(read_allowed_ip(payload)?);
                }
            }
            _ => {}
        }
    }
    Some(())
}

fn read_allowed_ip(attributes: &[u8]) -> Option<IpNet> {
    let (mut address, mut length) = (None, None);
    for (kind, payload) in netlink::attributes(attributes) {
        match kind {
            ALLOWED_ADDRESS if payload.len() == 4 => {
                address = Some(IpAddr::from(*payload.first_chunk::<4>()?));
            }
            ALLOWED_ADDRESS => address = Some(IpAddr::from(*payload.first_chunk::<16>()?)),
            ALLOWED_LENGTH => length = payload.first().copied(),
            _ => {}
        }
    }
    IpNet::new(address?, length?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::request::sockaddr;
    use super::*;

    #[test]
    fn endpoints_of_both_families_survive() {
        for text in ["192.0.2.1:51820", "[2001:db8::1]:1", "[fe80::1%3]:65535"] {
            let endpoint: SocketAddr = text.parse().unwrap();
            assert_eq!(endpoint_of(&sockaddr(endpoint)), Some(endpoint));
        }
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = read_device(&mut DeviceSnapshot::default(), &bytes);
        }
    }
}
