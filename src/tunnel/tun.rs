//! The TUN interface of a tunnel, with packets that stand for many where the kernel has them.
//!
//! `IFF_VNET_HDR` puts a `struct virtio_net_hdr` before each packet: what comes from the host may
//! be up to 64 KiB of one flow, with a checksum that is not filled in, and so may what we give it.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::offload::{Accepts, Offload, Segmentation};
use super::transport::Tun;
use super::wake::Wake;
use crate::model::InterfaceName;

/// `TUNSETIFF` of `linux/if_tun.h`.
const TUNSETIFF: rustix::ioctl::Opcode = 0x4004_54ca;
/// `TUNSETOFFLOAD` of `linux/if_tun.h`.
const TUNSETOFFLOAD: rustix::ioctl::Opcode = 0x4004_54d0;
/// `IFF_TUN | IFF_NO_PI | IFF_TUN_EXCL` of `linux/if_tun.h`: IP packets without the header of the
/// TUN device, and only where no interface of that name exists.
const FLAGS: u16 = 0x0001 | 0x1000 | 0x8000;
/// `IFF_VNET_HDR`.
const VNET_HDR: u16 = 0x4000;

/// `TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN`.
const TCP_OFFLOADS: usize = 0x01 | 0x02 | 0x04 | 0x08;
/// `TUN_F_USO4 | TUN_F_USO6`, of Linux 6.2.
const UDP_OFFLOADS: usize = 0x20 | 0x40;

/// Why there is no TUN interface.
#[derive(Debug, thiserror::Error)]
pub enum TunError {
    /// The device node is missing or forbidden.
    #[error("failed to open /dev/net/tun (the tun module and CAP_NET_ADMIN are needed)")]
    Open(#[source] io::Error),
    /// An interface of that name is there already.
    #[error("interface {0} already exists")]
    Exists(InterfaceName),
    /// The kernel refused.
    #[error("failed to create interface {name}")]
    Create {
        /// The interface.
        name: InterfaceName,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// `struct ifreq` as `TUNSETIFF` reads it.
#[repr(C)]
struct InterfaceRequest {
    name: [u8; 16],
    flags: u16,
    rest: [u8; 22],
}

/// A TUN interface; it is gone when this is dropped.
#[derive(Debug)]
pub struct SystemTun {
    device: File,
    /// Whether a `virtio_net_hdr` comes before each packet.
    headed: bool,
    accepts: Accepts,
    wake: Wake,
}

impl SystemTun {
    /// Creates the interface, with as many offloads as the kernel has.
    ///
    /// # Errors
    /// [`TunError`].
    pub fn create(name: &InterfaceName) -> Result<Self, TunError> {
        match Self::open(name, VNET_HDR) {
            Err(TunError::Create { .. }) => Self::open(name, 0),
            outcome => outcome,
        }
    }

    fn open(name: &InterfaceName, virtio: u16) -> Result<Self, TunError> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let device = rustix::fs::open("/dev/net/tun", flags, Mode::empty())
            .map_err(|errno| TunError::Open(errno.into()))?;
        let mut request = InterfaceRequest { name: [0; 16], flags: FLAGS | virtio, rest: [0; 22] };
        let bytes = name.as_str().as_bytes();
        request.name[..bytes.len()].copy_from_slice(bytes);
        #[expect(unsafe_code, reason = "no safe interface to TUNSETIFF exists")]
        // SAFETY: TUNSETIFF reads and writes one `struct ifreq` of 40 bytes; `InterfaceRequest`
        // has its size and layout and lives across the call.
        let created = unsafe {
            let request = rustix::ioctl::Updater::<TUNSETIFF, _>::new(&mut request);
            rustix::ioctl::ioctl(&device, request)
        };
        created.map_err(|errno| match errno {
            Errno::BUSY | Errno::EXIST => TunError::Exists(name.clone()),
            errno => TunError::Create { name: name.clone(), source: errno.into() },
        })?;
        let created = |source| TunError::Create { name: name.clone(), source };
        let device = File::from(device);
        let headed = virtio != 0;
        let mut accepts = Accepts { tcp: headed, udp: false };
        // What the kernel does not leave to us it does itself: then packets only come smaller.
        if headed && set_offloads(&device, TCP_OFFLOADS | UDP_OFFLOADS).is_ok() {
            accepts.udp = true;
        } else if headed {
            let _ = set_offloads(&device, TCP_OFFLOADS);
        }
        Ok(Self { device, headed, accepts, wake: Wake::new().map_err(created)? })
    }
}

impl AsFd for SystemTun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}

/// Says what may come from the kernel unfinished.
fn set_offloads(device: &File, offloads: usize) -> rustix::io::Result<()> {
    #[expect(unsafe_code, reason = "no safe interface to TUNSETOFFLOAD exists")]
    // SAFETY: TUNSETOFFLOAD takes an integer, no pointer.
    unsafe {
        let request = rustix::ioctl::IntegerSetter::<TUNSETOFFLOAD>::new_usize(offloads);
        rustix::ioctl::ioctl(device, request)
    }
}

/// Parts of the largest packet that is sent: one for each segment that stands for itself.
const MOST_PARTS: usize = 256;

impl Tun for SystemTun {
    fn recv(&self, packet: &mut [u8]) -> io::Result<Option<(usize, Offload)>> {
        // Who waits has seen that there is nothing.
        while self.wake.readable(&self.device)? {
            match self.try_recv(packet) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                received => return received,
            }
        }
        Ok(None)
    }

    fn try_recv(&self, packet: &mut [u8]) -> io::Result<Option<(usize, Offload)>> {
        loop {
            let mut header = [0; VirtioHeader::LENGTH];
            let received = if self.headed {
                let mut parts = [IoSliceMut::new(&mut header), IoSliceMut::new(packet)];
                (&self.device).read_vectored(&mut parts)
            } else {
                (&self.device).read(packet)
            };
            match received {
                Ok(length) if self.headed => {
                    let length = length.saturating_sub(VirtioHeader::LENGTH);
                    return Ok(Some((length, VirtioHeader(header).offload())));
                }
                Ok(length) => return Ok(Some((length, Offload::DONE))),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn send(&self, parts: &[IoSlice<'_>], offload: &Offload) -> io::Result<()> {
        if !self.headed {
            return (&self.device).write_vectored(parts).map(|_| ());
        }
        let header = VirtioHeader::new(offload).0;
        let header = IoSlice::new(&header);
        let written = match parts {
            // Spares the long list where there is one part, which is most often.
            [packet] => (&self.device).write_vectored(&[header, *packet]),
            parts => {
                let mut all = [IoSlice::new(&[]); MOST_PARTS + 1];
                let all = all.get_mut(..=parts.len()).ok_or(io::ErrorKind::InvalidInput)?;
                all[0] = header;
                all[1..].copy_from_slice(parts);
                (&self.device).write_vectored(all)
            }
        };
        written.map(|_| ())
    }

    fn accepts(&self) -> Accepts {
        self.accepts
    }

    fn close(&self) {
        self.wake.call_off();
    }
}

/// `struct virtio_net_hdr` of `linux/virtio_net.h`, in the host's byte order.
struct VirtioHeader([u8; Self::LENGTH]);

impl VirtioHeader {
    const LENGTH: usize = 10;
    /// `VIRTIO_NET_HDR_F_NEEDS_CSUM`.
    const NEEDS_CHECKSUM: u8 = 1;
    /// `VIRTIO_NET_HDR_GSO_TCPV4`, `_TCPV6`, `_UDP_L4` and the flag `_ECN`.
    const TCP4: u8 = 1;
    const TCP6: u8 = 4;
    const UDP: u8 = 5;
    const ECN: u8 = 0x80;

    fn new(offload: &Offload) -> Self {
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

    fn offload(&self) -> Offload {
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
