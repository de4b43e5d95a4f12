//! The kernel's `WireGuard` over generic netlink, as linux/wireguard.h says.

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::time::Duration;

use ipnet::IpNet;
use zeroize::Zeroizing;

use super::netlink::{self, ACK, DUMP, Message, REQUEST, Socket};
use super::{AllowedIpChange, DeviceChange, DeviceSnapshot, PeerChange, PeerSnapshot, Setting};
use crate::model::{InterfaceName, PresharedKey, PrivateKey, PublicKey};

/// `GENL_ID_CTRL` and its command and attributes (linux/genetlink.h).
const CTRL: u16 = 16;
const CTRL_GETFAMILY: u8 = 3;
const CTRL_FAMILY_ID: u16 = 1;
const CTRL_FAMILY_NAME: u16 = 2;
const GENL_HEADER: usize = 4;

const GET_DEVICE: u8 = 0;
const SET_DEVICE: u8 = 1;

const DEVICE_IFNAME: u16 = 2;
const DEVICE_PRIVATE_KEY: u16 = 3;
const DEVICE_PUBLIC_KEY: u16 = 4;
const DEVICE_FLAGS: u16 = 5;
const DEVICE_LISTEN_PORT: u16 = 6;
const DEVICE_FWMARK: u16 = 7;
const DEVICE_PEERS: u16 = 8;
const REPLACE_PEERS: u32 = 1;

const PEER_PUBLIC_KEY: u16 = 1;
const PEER_PRESHARED_KEY: u16 = 2;
const PEER_FLAGS: u16 = 3;
const PEER_ENDPOINT: u16 = 4;
const PEER_KEEPALIVE: u16 = 5;
const PEER_LAST_HANDSHAKE: u16 = 6;
const PEER_RX_BYTES: u16 = 7;
const PEER_TX_BYTES: u16 = 8;
const PEER_ALLOWED_IPS: u16 = 9;
const REMOVE_ME: u32 = 1;
const REPLACE_ALLOWED_IPS: u32 = 2;
const UPDATE_ONLY: u32 = 4;

const ALLOWED_FAMILY: u16 = 1;
const ALLOWED_ADDRESS: u16 = 2;
const ALLOWED_LENGTH: u16 = 3;
const ALLOWED_FLAGS: u16 = 4;
/// `WGALLOWEDIP_F_REMOVE_ME`, Linux 6.16.
const REMOVE_ALLOWED_IP: u32 = 1;

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// A message goes out before it is longer than this; a nest may not reach 64 KiB.
const MESSAGE_BUDGET: usize = 16 << 10;
/// More than one prefix or one peer without prefixes takes.
const ENTRY_BUDGET: usize = 256;

/// How often an interface that changes meanwhile is read anew.
const READINGS: usize = 32;

/// A conversation with the kernel.
pub struct Kernel {
    socket: Socket,
    family: u16,
}

impl Kernel {
    /// Finds the kernel's `WireGuard`.
    ///
    /// # Errors
    /// `NotFound` where the kernel has none (or its module is not loaded).
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::open(Some(rustix::net::netlink::GENERIC), 0)?;
        let mut message = Message::new(CTRL, REQUEST | ACK, &genl(CTRL_GETFAMILY, 1));
        message.text(CTRL_FAMILY_NAME, "wireguard");
        let mut family = None;
        socket.request(message, |message| {
            let attributes = message.payload.get(GENL_HEADER..).unwrap_or_default();
            family = netlink::attributes(attributes)
                .find(|(kind, _)| *kind == CTRL_FAMILY_ID)
                .and_then(|(_, payload)| netlink::u16_of(payload));
            Ok(())
        })?;
        Ok(Self { socket, family: family.ok_or(io::ErrorKind::NotFound)? })
    }

    /// An interface as it is now.
    ///
    /// # Errors
    /// `ENODEV` where it is not there, `EOPNOTSUPP` where it is no `WireGuard` interface, `EAGAIN`
    /// where it changes faster than it can be read.
    pub fn get(&mut self, interface: &InterfaceName) -> io::Result<DeviceSnapshot> {
        for _ in 0..READINGS {
            match self.read(interface) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => return outcome,
            }
        }
        Err(rustix::io::Errno::AGAIN.into())
    }

    fn read(&mut self, interface: &InterfaceName) -> io::Result<DeviceSnapshot> {
        let mut device = DeviceSnapshot::default();
        let mut message = Message::new(self.family, REQUEST | ACK | DUMP, &genl(GET_DEVICE, 1));
        message.text(DEVICE_IFNAME, interface.as_str());
        self.socket.request(message, |message| {
            let attributes = message.payload.get(GENL_HEADER..).unwrap_or_default();
            read_device(&mut device, attributes).ok_or_else(|| io::ErrorKind::InvalidData.into())
        })?;
        Ok(device)
    }

    /// Changes an interface, in as many messages as it takes.
    ///
    /// # Errors
    /// What the kernel says; messages before the one it refused stay in force.
    pub fn set(&mut self, interface: &InterfaceName, change: &DeviceChange) -> io::Result<()> {
        for message in set_messages(self.family, interface, change) {
            self.socket.request(message, |_| Ok(()))?;
        }
        Ok(())
    }
}

/// Reads a message as part of an answer, for the fuzz target.
#[cfg(fuzzing)]
pub(super) fn read(message: &netlink::Received<'_>) {
    let attributes = message.payload.get(GENL_HEADER..).unwrap_or_default();
    let _ = read_device(&mut DeviceSnapshot::default(), attributes);
}

fn genl(command: u8, version: u8) -> [u8; GENL_HEADER] {
    [command, version, 0, 0]
}

fn setting<'a, T>(
    value: &'a Setting<T>,
    expose: impl Fn(&'a T) -> &'a [u8; 32],
) -> Option<&'a [u8; 32]> {
    match value {
        Setting::Keep => None,
        Setting::Clear => Some(&[0; 32]),
        Setting::To(value) => Some(expose(value)),
    }
}

/// The messages of a change: the first has the interface's own fields, and a peer whose prefixes
/// do not fit goes on in the next.
fn set_messages(family: u16, interface: &InterfaceName, change: &DeviceChange) -> Vec<Message> {
    let start = || {
        let mut message = Message::new(family, REQUEST | ACK, &genl(SET_DEVICE, 1));
        message.text(DEVICE_IFNAME, interface.as_str());
        message
    };
    let mut first = start();
    if let Some(key) = setting(&change.private_key, PrivateKey::expose) {
        first.attribute(DEVICE_PRIVATE_KEY, key);
    }
    if let Some(port) = change.listen_port {
        first.attribute(DEVICE_LISTEN_PORT, &port.to_ne_bytes());
    }
    if let Some(mark) = change.fwmark {
        first.attribute(DEVICE_FWMARK, &mark.to_ne_bytes());
    }
    if change.replace_peers {
        first.attribute(DEVICE_FLAGS, &REPLACE_PEERS.to_ne_bytes());
    }
    let mut done = Vec::new();
    let mut message = first;
    let mut peers = message.open(DEVICE_PEERS);
    for change in &change.peers {
        let mut steps = change.allowed_ips.as_slice();
        let mut begun = false;
        loop {
            if message.len() + ENTRY_BUDGET > MESSAGE_BUDGET {
                message.close(&peers);
                done.push(std::mem::replace(&mut message, start()));
                peers = message.open(DEVICE_PEERS);
            }
            steps = put_peer(&mut message, change, steps, begun);
            begun = true;
            if steps.is_empty() {
                break;
            }
        }
    }
    message.close(&peers);
    done.push(message);
    done
}

/// Writes a peer and as many of its prefixes as fit; returns the others.
fn put_peer<'s>(
    message: &mut Message,
    change: &PeerChange,
    mut steps: &'s [AllowedIpChange],
    begun: bool,
) -> &'s [AllowedIpChange] {
    let peer = message.open(0);
    message.attribute(PEER_PUBLIC_KEY, change.public_key.as_bytes());
    let mut flags = 0;
    if change.remove {
        flags |= REMOVE_ME;
    }
    if change.update_only {
        flags |= UPDATE_ONLY;
    }
    if !begun {
        if change.replace_allowed_ips {
            flags |= REPLACE_ALLOWED_IPS;
        }
        if let Some(key) = setting(&change.preshared_key, PresharedKey::expose) {
            message.attribute(PEER_PRESHARED_KEY, key);
        }
        if let Some(endpoint) = change.endpoint {
            message.attribute(PEER_ENDPOINT, &sockaddr(endpoint));
        }
        if let Some(seconds) = change.keepalive {
            message.attribute(PEER_KEEPALIVE, &seconds.to_ne_bytes());
        }
    }
    if flags != 0 {
        message.attribute(PEER_FLAGS, &flags.to_ne_bytes());
    }
    if !steps.is_empty() && !change.remove {
        let list = message.open(PEER_ALLOWED_IPS);
        while let Some((step, rest)) = steps.split_first() {
            if message.len() + ENTRY_BUDGET > MESSAGE_BUDGET {
                break;
            }
            put_allowed_ip(message, *step);
            steps = rest;
        }
        message.close(&list);
    } else {
        steps = &[];
    }
    message.close(&peer);
    steps
}

fn put_allowed_ip(message: &mut Message, step: AllowedIpChange) {
    let (net, remove) = match step {
        AllowedIpChange::Add(net) => (net, false),
        AllowedIpChange::Remove(net) => (net, true),
    };
    let entry = message.open(0);
    match net.addr() {
        IpAddr::V4(address) => {
            message.attribute(ALLOWED_FAMILY, &AF_INET.to_ne_bytes());
            message.attribute(ALLOWED_ADDRESS, &address.octets());
        }
        IpAddr::V6(address) => {
            message.attribute(ALLOWED_FAMILY, &AF_INET6.to_ne_bytes());
            message.attribute(ALLOWED_ADDRESS, &address.octets());
        }
    }
    message.attribute(ALLOWED_LENGTH, &[net.prefix_len()]);
    if remove {
        message.attribute(ALLOWED_FLAGS, &REMOVE_ALLOWED_IP.to_ne_bytes());
    }
    message.close(&entry);
}

/// `struct sockaddr_in` or `struct sockaddr_in6`.
fn sockaddr(endpoint: SocketAddr) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(28);
    match endpoint {
        SocketAddr::V4(v4) => {
            bytes.extend(AF_INET.to_ne_bytes());
            bytes.extend(v4.port().to_be_bytes());
            bytes.extend(v4.ip().octets());
            bytes.extend([0; 8]);
        }
        SocketAddr::V6(v6) => {
            bytes.extend(AF_INET6.to_ne_bytes());
            bytes.extend(v6.port().to_be_bytes());
            bytes.extend(v6.flowinfo().to_be_bytes());
            bytes.extend(v6.ip().octets());
            bytes.extend(v6.scope_id().to_ne_bytes());
        }
    }
    bytes
}

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
fn read_device(device: &mut DeviceSnapshot, attributes: &[u8]) -> Option<()> {
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

    use super::*;

    fn key(number: u16) -> PublicKey {
        let mut bytes = [7; 32];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        PublicKey::from_bytes(bytes)
    }

    /// SET and GET share their attributes, so what is written for the kernel can be read back.
    fn read_back(change: &DeviceChange) -> (DeviceSnapshot, usize) {
        let name = "wg0".parse().unwrap();
        let mut device = DeviceSnapshot::default();
        let messages = set_messages(30, &name, change);
        let count = messages.len();
        for mut message in messages {
            let bytes = message.finish(1).to_vec();
            assert!(bytes.len() <= MESSAGE_BUDGET, "{}", bytes.len());
            let received = netlink::messages(&bytes).next().unwrap();
            assert_eq!(received.payload[..2], [SET_DEVICE, 1]);
            read_device(&mut device, &received.payload[GENL_HEADER..]).unwrap();
        }
        (device, count)
    }

    #[test]
    fn a_large_change_is_cut_into_messages_and_loses_nothing() {
        let peers = (0..500).map(|number| PeerChange {
            endpoint: Some(SocketAddr::from(([192, 0, 2, 1], 1000 + number))),
            keepalive: Some(25),
            replace_allowed_ips: true,
            allowed_ips: (0..number % 300)
                .map(|host| {
                    let [a, b] = host.to_be_bytes();
                    AllowedIpChange::Add(IpNet::from(IpAddr::from([10, 0, a, b])))
                })
                .collect(),
            ..PeerChange::new(key(number))
        });
        let change = DeviceChange {
            listen_port: Some(51820),
            fwmark: Some(0xca6c),
            peers: peers.collect(),
            ..DeviceChange::default()
        };
        let (device, count) = read_back(&change);
        assert!(count > 10);
        assert_eq!((device.listen_port, device.fwmark, device.peers.len()), (51820, 0xca6c, 500));
        for (want, got) in change.peers.iter().zip(&device.peers) {
            assert_eq!(want.public_key, got.public_key);
            assert_eq!((want.endpoint, want.keepalive), (got.endpoint, Some(got.keepalive)));
            let nets: Vec<_> =
                got.allowed_ips.iter().map(|net| AllowedIpChange::Add(*net)).collect();
            assert_eq!(want.allowed_ips, nets);
        }
    }

    /// Attribute by attribute as ipc-linux.h of wireguard-tools builds `wg set wg0 peer … remove`.
    #[test]
    fn a_removal_is_what_wg_sends() {
        let change =
            DeviceChange { peers: vec![PeerChange::removal(key(0))], ..DeviceChange::default() };
        let name = "wg0".parse().unwrap();
        let mut messages = set_messages(30, &name, &change);
        let bytes = messages[0].finish(1);
        let mut want = vec![80, 0, 0, 0, 30, 0, 5, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0];
        want.extend([8, 0, 2, 0]);
        want.extend(b"wg0\0");
        want.extend([52, 0, 8, 0x80, 48, 0, 0, 0x80, 36, 0, 1, 0]);
        want.extend(key(0).as_bytes());
        want.extend([8, 0, 3, 0, 1, 0, 0, 0]);
        assert_eq!(bytes, want);
    }

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
