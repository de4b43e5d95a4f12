//! What a kernel with offloads leaves for the tunnel to do with a packet.
//!
//! A TUN interface with `IFF_VNET_HDR` exchanges packets of up to 64 KiB that stand for many
//! segments of one flow, and packets whose checksum is not filled in yet. [`Offload`] says which.
//! [`Split`] makes segments of such a packet, [`Coalescer`] makes such packets of segments.

pub mod checksum;
mod coalesce;
mod headers;
mod split;
#[cfg(test)]
pub(super) mod tests;

pub use coalesce::Coalescer;
pub use headers::{Headers, Transport};
pub use split::{Malformed, Split};

/// How a packet that stands for many is divided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Segmentation {
    /// Not at all: the packet is one packet.
    #[default]
    None,
    /// Into segments of TCP over IPv4.
    Tcp4,
    /// Into segments of TCP over IPv6.
    Tcp6,
    /// Into datagrams of UDP, over IPv4 or IPv6.
    Udp,
}

/// What is left to do with a packet (`virtio_net_hdr` of the kernel, host byte order).
///
/// Each field comes from outside: nothing about it holds until it is checked against the packet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Offload {
    /// How the packet is divided.
    pub segments: Segmentation,
    /// Payload bytes of each segment but the last.
    pub segment: u16,
    /// Bytes of all headers together, IP and transport.
    pub header: u16,
    /// Where the bytes of the checksum begin, and how far behind that it belongs; `None` where it
    /// is filled in.
    pub checksum: Option<(u16, u16)>,
}

impl Offload {
    /// Nothing is left to do.
    pub const DONE: Self =
        Self { segments: Segmentation::None, segment: 0, header: 0, checksum: None };
}

/// What an interface takes from us.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Accepts {
    /// Packets that stand for many segments of TCP.
    pub tcp: bool,
    /// Packets that stand for many datagrams of UDP.
    pub udp: bool,
}
