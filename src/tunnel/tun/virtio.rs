//! What stands before each packet that may be unfinished.

use crate::tunnel::offload::{Offload, Segmentation};

/// `struct virtio_net_hdr` of `linux/virtio_net.h`, in the host's byte order.
pub(super) struct VirtioHeader(pub(super) [u8; Self::LENGTH]);

impl VirtioHeader {
    pub(super) const LENGTH: usize = 10;
    /// `VIRTIO_NET_HDR_F_NEEDS_CSUM`.
    const NEEDS_CHECKSUM: u8 = 1;
    /// `VIRTIO_NET_HDR_GSO_TCPV4`, `_TCPV6`, `_UDP_L4` and the flag `_ECN`.
    const TCP4: u8 = 1;
    const TCP6: u8 = 4;
    const UDP: u8 = 5;
    const ECN: u8 = 0x80;

    pub(super) fn new(offload: &Offload) -> Self {
        let mut header = [0; Self::LENGTH];
        header[1] = match offload.segments {
            Segmentation::None => 0,
            Segmentation::Tcp4 => Self::TCP4,
            Segmentation::Tcp6 => Self::TCP6,
            Segmentation::Udp => Self::UDP,
        };
        header[2..4].copy_from_slice(&offload.header.to_ne_bytes());
        header[4..6].copy_from_slice(&offload.segment.to_ne_bytes());
        if let Some((start, offset)) = offload.checksum {
            header[0] = Self::NEEDS_CHECKSUM;
            header[6..8].copy_from_slice(&start.to_ne_bytes());
            header[8..10].copy_from_slice(&offset.to_ne_bytes());
        }
        Self(header)
    }

    pub(super) fn offload(&self) -> Offload {
        let number = |at: usize| u16::from_ne_bytes([self.0[at], self.0[at + 1]]);
        let segments = match self.0[1] & !Self::ECN {
            Self::TCP4 => Segmentation::Tcp4,
            Self::TCP6 => Segmentation::Tcp6,
            Self::UDP => Segmentation::Udp,
            _ => Segmentation::None,
        };
        let checksum = (self.0[0] & Self::NEEDS_CHECKSUM != 0).then(|| (number(6), number(8)));
        Offload { segments, segment: number(4), header: number(2), checksum }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_survives_the_kernel_s_form() {
        let large = Offload {
            segments: Segmentation::Tcp6,
            segment: 1340,
            header: 72,
            checksum: Some((40, 16)),
        };
        for offload in [large, Offload::DONE] {
            assert_eq!(VirtioHeader::new(&offload).offload(), offload);
        }
        let mut header = VirtioHeader::new(&large);
        header.0[1] |= VirtioHeader::ECN;
        assert_eq!(header.offload(), large);
    }
}
