//! Segments of a packet that stands for many.

use super::checksum::{fold, sum};
use super::headers::{Headers, Transport, flag, number16, number32, put_length, put_sum};
use super::{Offload, Segmentation};

/// What the kernel said of a packet does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the packet is not what its offload says")]
pub struct Malformed;

/// The segments of a packet, one after the other.
///
/// Each is written straight to where it is needed: ask for [`next_length`](Self::next_length),
/// find that much room, [`write`](Self::write). A packet that stands for itself is its own only
/// segment, with its checksum filled in.
#[derive(Debug)]
pub struct Split<'p> {
    packet: &'p [u8],
    /// `None` for a packet that stands for itself.
    headers: Option<Headers>,
    /// Payload bytes of a segment.
    segment: usize,
    /// Where the payload that comes next begins; the end of the packet after the last.
    at: usize,
    /// Number of the next segment.
    index: u16,
}

impl<'p> Split<'p> {
    /// Looks at a packet from the host. Its checksum is completed in place.
    ///
    /// # Errors
    /// [`Malformed`] where packet and offload contradict one another.
    pub fn new(packet: &'p mut [u8], offload: &Offload) -> Result<Self, Malformed> {
        if offload.segments == Segmentation::None {
            if let Some((start, offset)) = offload.checksum {
                complete(packet, start.into(), offset.into()).ok_or(Malformed)?;
            }
            return Ok(Self { packet, headers: None, segment: 0, at: 0, index: 0 });
        }
        let headers = Headers::parse(packet).ok_or(Malformed)?;
        let said = match (headers.transport, headers.is_v6) {
            (Transport::Tcp, false) => Segmentation::Tcp4,
            (Transport::Tcp, true) => Segmentation::Tcp6,
            (Transport::Udp, _) => Segmentation::Udp,
        };
        let segment = usize::from(offload.segment);
        let starts = offload.checksum.is_none_or(|(start, _)| usize::from(start) == headers.ip);
        if said != offload.segments || segment == 0 || !starts || packet.len() > 65575 {
            return Err(Malformed);
        }
        Ok(Self { packet, headers: Some(headers), segment, at: headers.length, index: 0 })
    }

    /// The packet as the host gave it, with its checksum filled in where it stands for itself.
    #[must_use]
    pub const fn whole(&self) -> &[u8] {
        self.packet
    }

    /// How many segments are still to come.
    #[must_use]
    pub fn count(&self) -> usize {
        let left = self.packet.len() - self.at;
        match &self.headers {
            None => usize::from(left > 0),
            Some(_) => left.div_ceil(self.segment).max(usize::from(self.index == 0)),
        }
    }

    /// Bytes of the next segment with its headers; `None` after the last.
    #[must_use]
    pub fn next_length(&self) -> Option<usize> {
        let left = self.packet.len() - self.at;
        match &self.headers {
            None => (left > 0).then_some(left),
            Some(headers) => {
                let is_first = self.index == 0;
                (left > 0 || is_first).then_some(headers.length + left.min(self.segment))
            }
        }
    }

    /// Writes the next segment; `segment` has the length that was asked for.
    ///
    /// # Panics
    /// Where it has not.
    pub fn write(&mut self, segment: &mut [u8]) {
        let Some(headers) = self.headers else {
            segment.copy_from_slice(&self.packet[self.at..]);
            self.at = self.packet.len();
            return;
        };
        let payload = self.packet.len().min(self.at + self.segment) - self.at;
        segment[..headers.length].copy_from_slice(&self.packet[..headers.length]);
        segment[headers.length..].copy_from_slice(&self.packet[self.at..self.at + payload]);
        let done = self.at - headers.length;
        self.at += payload;
        let is_last = self.at == self.packet.len();

        if headers.is_v6 {
            put_length(segment, 4, segment.len() - 40);
        } else {
            put_length(segment, 2, segment.len());
            let id = number16(segment, 4).wrapping_add(self.index);
            segment[4..6].copy_from_slice(&id.to_be_bytes());
            put_header_checksum(&mut segment[..headers.ip]);
        }
        let at = headers.ip;
        match headers.transport {
            Transport::Tcp => {
                let done = u32::try_from(done).unwrap_or(u32::MAX);
                let sequence = number32(segment, at + 4).wrapping_add(done);
                segment[at + 4..at + 8].copy_from_slice(&sequence.to_be_bytes());
                if !is_last {
                    segment[at + 13] &= !(flag::FIN | flag::PSH);
                }
                if self.index > 0 {
                    segment[at + 13] &= !flag::CWR;
                }
            }
            Transport::Udp => put_length(segment, at + 4, segment.len() - at),
        }
        let checksum = at + headers.transport.checksum_offset();
        put_sum(segment, checksum, 0);
        let total = headers.pseudo_sum(segment, segment.len() - at) + sum(&segment[at..]);
        put_sum(segment, checksum, complement(fold(total), headers.transport));
        self.index = self.index.wrapping_add(1);
    }
}

/// The checksum of a folded sum. A UDP checksum of 0 would mean that there is none (RFC 768).
fn complement(folded: u16, transport: Transport) -> u16 {
    match (!folded, transport) {
        (0, Transport::Udp) => 0xffff,
        (checksum, _) => checksum,
    }
}

/// Writes the checksum of an IPv4 header.
pub(super) fn put_header_checksum(header: &mut [u8]) {
    put_sum(header, 10, 0);
    let checksum = !fold(sum(header));
    put_sum(header, 10, checksum);
}

/// Completes a checksum whose place holds the sum of the pseudo-header.
fn complete(packet: &mut [u8], start: usize, offset: usize) -> Option<()> {
    let at = start.checked_add(offset)?;
    let covered = packet.get(start..).filter(|covered| covered.len() >= offset + 2)?;
    // Of the two checksums that a kernel leaves to us, the one at 6 is UDP's.
    let udp = Transport::Udp.checksum_offset();
    let transport = if offset == udp { Transport::Udp } else { Transport::Tcp };
    let checksum = complement(fold(sum(covered)), transport);
    put_sum(packet, at, checksum);
    Some(())
}
