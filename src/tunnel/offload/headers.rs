//! The headers of a TCP or UDP packet that segmentation has to understand.

use super::checksum::{sum, word};

/// The protocol above IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Transport {
    /// Bytes from the beginning of its header to its checksum.
    #[must_use]
    pub const fn checksum_offset(self) -> usize {
        match self {
            Self::Tcp => 16,
            Self::Udp => 6,
        }
    }

    const fn number(self) -> u32 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }
}

/// The flags of TCP that segmentation looks at.
pub(super) mod flag {
    pub(in super::super) const FIN: u8 = 0x01;
    pub(in super::super) const PSH: u8 = 0x08;
    pub(in super::super) const ACK: u8 = 0x10;
    pub(in super::super) const CWR: u8 = 0x80;
}

/// Where the headers of an unfragmented TCP or UDP packet lie. All of them are within the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headers {
    /// IPv6, or else IPv4.
    pub is_v6: bool,
    /// Bytes of the IP header with its options or extension headers.
    pub ip: usize,
    /// Bytes of all headers.
    pub length: usize,
    /// What is above IP.
    pub transport: Transport,
}

impl Headers {
    /// Finds the headers; `None` for everything that is not a whole TCP or UDP packet, and for an
    /// IPv6 packet whose routing header changes what its checksum covers.
    #[must_use]
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let (is_v6, ip, protocol) = match packet.first()? >> 4 {
            4 => {
                let header: &[u8; 20] = packet.first_chunk()?;
                let length = usize::from(header[0] & 0xf) * 4;
                let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff;
                if length < 20 || fragment != 0 {
                    return None;
                }
                (false, length, header[9])
            }
            6 => {
                let header: &[u8; 40] = packet.first_chunk()?;
                let (mut at, mut next) = (40, header[6]);
                // Hop-by-hop options and destination options.
                while next == 0 || next == 60 {
                    next = *packet.get(at)?;
                    at += (usize::from(*packet.get(at + 1)?) + 1) * 8;
                }
                (true, at, next)
            }
            _ => return None,
        };
        let above = packet.get(ip..)?;
        let (transport, least, length) = match protocol {
            6 => (Transport::Tcp, 20, usize::from(above.get(12)? >> 4) * 4),
            17 => (Transport::Udp, 8, 8),
            _ => return None,
        };
        let length = (least..=above.len()).contains(&length).then_some(ip + length)?;
        Some(Self { is_v6, ip, length, transport })
    }

    /// The sum of the pseudo-header for `bytes` of transport header and payload.
    #[must_use]
    pub fn pseudo_sum(&self, packet: &[u8], bytes: usize) -> u64 {
        let addresses = if self.is_v6 { 8..40 } else { 12..20 };
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        sum(&packet[addresses]) + word(self.transport.number()) + word(bytes)
    }
}

/// The big-endian number at a place.
pub(super) fn number16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

pub(super) fn number32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Writes a length that fits into 16 bits because no packet is longer.
pub(super) fn put_length(bytes: &mut [u8], at: usize, length: usize) {
    let length = u16::try_from(length).unwrap_or(u16::MAX);
    bytes[at..at + 2].copy_from_slice(&length.to_be_bytes());
}

/// Writes a folded sum, or its complement, which are in the host's byte order already.
pub(super) fn put_sum(bytes: &mut [u8], at: usize, sum: u16) {
    bytes[at..at + 2].copy_from_slice(&sum.to_ne_bytes());
}
