//! The TUN interface of a tunnel, with packets that stand for many where the kernel has them.
//!
//! `IFF_VNET_HDR` puts a `struct virtio_net_hdr` before each packet: what comes from the host may
//! be up to 64 KiB of one flow, with a checksum that is not filled in, and so may what we give it.

mod lane;
mod virtio;

use std::fs::File;
use std::io::{self, IoSlice, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use self::lane::SystemLane;
use self::virtio::VirtioHeader;
use super::offload::{Accepts, Offload};
use super::transport::{Lane, Tun};
use super::wake::Wake;
use crate::model::InterfaceName;

/// `TUNSETIFF` of `linux/if_tun.h`.
const TUNSETIFF: rustix::ioctl::Opcode = 0x4004_54ca;
/// `TUNSETOFFLOAD` of `linux/if_tun.h`.
const TUNSETOFFLOAD: rustix::ioctl::Opcode = 0x4004_54d0;
/// `IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE` of `linux/if_tun.h`: IP packets without the header of
/// the TUN device, through several queues.
const FLAGS: u16 = 0x0001 | 0x1000 | 0x0100;
/// `IFF_TUN_EXCL`: only where no interface of that name exists.
const NEW: u16 = 0x8000;
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

/// A TUN interface; it is gone when this is dropped and nobody reads its lanes.
#[derive(Debug)]
pub struct SystemTun {
    /// Never empty.
    lanes: Vec<Arc<SystemLane>>,
    /// Whether a `virtio_net_hdr` comes before each packet.
    headed: bool,
    accepts: Accepts,
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
        let device = open_queue(name, FLAGS | virtio | NEW)?;
        let headed = virtio != 0;
        let mut accepts = Accepts { tcp: headed, udp: false };
        // What the kernel does not leave to us it does itself: then packets only come smaller.
        if headed && set_offloads(&device, TCP_OFFLOADS | UDP_OFFLOADS).is_ok() {
            accepts.udp = true;
        } else if headed {
            let _ = set_offloads(&device, TCP_OFFLOADS);
        }
        let count = lane::count();
        let mut devices = vec![device];
        for _ in 1..count {
            devices.push(open_queue(name, FLAGS | virtio)?);
        }
        let created = |source| TunError::Create { name: name.clone(), source };
        let lanes = devices.into_iter().enumerate().map(|(index, device)| {
            let wake = Wake::new().map_err(created)?;
            let is_for_streams = index + 1 < count;
            Ok(Arc::new(SystemLane { device, headed, is_for_streams, wake }))
        });
        Ok(Self { lanes: lanes.collect::<Result<_, _>>()?, headed, accepts })
    }

    /// The queue through which packets of a flow are given to the host.
    fn device(&self, packet: &[u8]) -> &File {
        &self.lanes[lane::choose(packet, self.lanes.len())].device
    }
}

/// Opens a queue of an interface; the first one creates it.
fn open_queue(name: &InterfaceName, flags: u16) -> Result<File, TunError> {
    let opened = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let device = rustix::fs::open("/dev/net/tun", opened, Mode::empty())
        .map_err(|errno| TunError::Open(errno.into()))?;
    let mut request = InterfaceRequest { name: [0; 16], flags, rest: [0; 22] };
    let bytes = name.as_str().as_bytes();
    request.name[..bytes.len()].copy_from_slice(bytes);
    #[expect(unsafe_code, reason = "no safe interface to TUNSETIFF exists")]
    // SAFETY: TUNSETIFF reads and writes one `struct ifreq` of 40 bytes; `InterfaceRequest` has
    // its size and layout and lives across the call.
    let created = unsafe {
        let request = rustix::ioctl::Updater::<TUNSETIFF, _>::new(&mut request);
        rustix::ioctl::ioctl(&device, request)
    };
    created.map_err(|errno| match errno {
        Errno::BUSY | Errno::EXIST => TunError::Exists(name.clone()),
        errno => TunError::Create { name: name.clone(), source: errno.into() },
    })?;
    Ok(File::from(device))
}

impl AsFd for SystemTun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.lanes[0].device.as_fd()
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
    fn lanes(&self) -> Vec<Arc<dyn Lane>> {
        self.lanes.iter().map(|lane| Arc::clone(lane) as Arc<dyn Lane>).collect()
    }

    fn send(&self, parts: &[IoSlice<'_>], offload: &Offload) -> io::Result<()> {
        // The first part holds the headers.
        let mut device = self.device(parts.first().map_or(&[], |part| &**part));
        if !self.headed {
            return device.write_vectored(parts).map(|_| ());
        }
        let header = VirtioHeader::new(offload).0;
        let header = IoSlice::new(&header);
        let written = match parts {
            // Spares the long list where there is one part, which is most often.
            [packet] => device.write_vectored(&[header, *packet]),
            parts => {
                let mut all = [IoSlice::new(&[]); MOST_PARTS + 1];
                let all = all.get_mut(..=parts.len()).ok_or(io::ErrorKind::InvalidInput)?;
                all[0] = header;
                all[1..].copy_from_slice(parts);
                device.write_vectored(all)
            }
        };
        written.map(|_| ())
    }

    fn accepts(&self) -> Accepts {
        self.accepts
    }

    fn close(&self) {
        for lane in &self.lanes {
            lane.wake.call_off();
        }
    }
}
