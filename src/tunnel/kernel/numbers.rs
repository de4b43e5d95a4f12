//! The numbers of linux/wireguard.h, and the head of its messages.

pub(super) const GENL_HEADER: usize = 4;

pub(super) const GET_DEVICE: u8 = 0;

pub(super) const DEVICE_IFNAME: u16 = 2;
pub(super) const DEVICE_PRIVATE_KEY: u16 = 3;
pub(super) const DEVICE_LISTEN_PORT: u16 = 6;
pub(super) const DEVICE_FWMARK: u16 = 7;
pub(super) const DEVICE_PEERS: u16 = 8;

pub(super) const PEER_PUBLIC_KEY: u16 = 1;
pub(super) const PEER_PRESHARED_KEY: u16 = 2;
pub(super) const PEER_ENDPOINT: u16 = 4;
pub(super) const PEER_KEEPALIVE: u16 = 5;
pub(super) const PEER_ALLOWED_IPS: u16 = 9;

pub(super) const ALLOWED_FAMILY: u16 = 1;
pub(super) const ALLOWED_ADDRESS: u16 = 2;
pub(super) const ALLOWED_LENGTH: u16 = 3;

pub(super) const AF_INET: u16 = 2;
pub(super) const AF_INET6: u16 = 10;

/// The head of a message to a family.
pub(super) fn genl(command: u8, version: u8) -> [u8; GENL_HEADER] {
    [command, version, 0, 0]
}
