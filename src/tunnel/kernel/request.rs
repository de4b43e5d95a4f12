//! What the kernel is told: a change in as many messages as it takes.

use std::net::{IpAddr, SocketAddr};

use super::numbers::{
    AF_INET, AF_INET6, ALLOWED_ADDRESS, ALLOWED_FAMILY, ALLOWED_LENGTH, DEVICE_FWMARK,
    DEVICE_IFNAME, DEVICE_LISTEN_PORT, DEVICE_PEERS, DEVICE_PRIVATE_KEY, PEER_ALLOWED_IPS,
    PEER_ENDPOINT, PEER_KEEPALIVE, PEER_PRESHARED_KEY, PEER_PUBLIC_KEY, genl,
};
use crate::model::{InterfaceName, PresharedKey, PrivateKey};
use crate::tunnel::netlink::{ACK, Message, REQUEST};
use crate::tunnel::{AllowedIpChange, DeviceChange, PeerChange, Setting};

const SET_DEVICE: u8 = 1;
const DEVICE_FLAGS: u16 = 5;
const REPLACE_PEERS: u32 = 1;
const PEER_FLAGS: u16 = 3;
const REMOVE_ME: u32 = 1;
const REPLACE_ALLOWED_IPS: u32 = 2;
const UPDATE_ONLY: u32 = 4;
const ALLOWED_FLAGS: u16 = 4;
/// `WGALLOWEDIP_F_REMOVE_ME`, Linux 6.16.
const REMOVE_ALLOWED_IP: u32 = 1;

/// A message goes out before it is longer than this; a nest may not reach 64 KiB.
const MESSAGE_BUDGET: usize = 16 << 10;
/// More than one prefix or one peer without prefixes takes.
const ENTRY_BUDGET: usize = 256;

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
pub(super) fn messages(
    family: u16,
    interface: &InterfaceName,
    change: &DeviceChange,
) -> Vec<Message> {
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
pub(super) fn sockaddr(endpoint: SocketAddr) -> Vec<u8> {
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

#[cfg(test)]
mod tests {
    use ipnet::IpNet;

    use super::super::answer;
    use super::super::numbers::GENL_HEADER;
    use super::*;
    use crate::model::PublicKey;
    use crate::tunnel::{DeviceSnapshot, netlink};

    fn key(number: u16) -> PublicKey {
        let mut bytes = [7; 32];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        PublicKey::from_bytes(bytes)
    }

    /// SET and GET share their attributes, so what is written for the kernel can be read back.
    fn read_back(change: &DeviceChange) -> (DeviceSnapshot, usize) {
        let name = "wg0".parse().unwrap();
        let mut device = DeviceSnapshot::default();
        let messages = super::messages(30, &name, change);
        let count = messages.len();
        for mut message in messages {
            let bytes = message.finish(1).to_vec();
            assert!(bytes.len() <= MESSAGE_BUDGET, "{}", bytes.len());
            let received = netlink::messages(&bytes).next().unwrap();
            assert_eq!(received.payload[..2], [SET_DEVICE, 1]);
            answer::read_device(&mut device, &received.payload[GENL_HEADER..]).unwrap();
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
        let mut messages = super::messages(30, &name, &change);
        let bytes = messages[0].finish(1);
        let mut want = vec![80, 0, 0, 0, 30, 0, 5, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0];
        want.extend([8, 0, 2, 0]);
        want.extend(b"wg0\0");
        want.extend([52, 0, 8, 0x80, 48, 0, 0, 0x80, 36, 0, 1, 0]);
        want.extend(key(0).as_bytes());
        want.extend([8, 0, 3, 0, 1, 0, 0, 0]);
        assert_eq!(bytes, want);
    }
}
