//! The TUN interface of a tunnel.

use std::fs::File;
use std::io::{self, IoSlice, Read as _, Write as _};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::offload::{Accepts, Offload};
use super::transport::Tun;
use super::wake::Wake;
use crate::model::InterfaceName;

/// `TUNSETIFF` of `linux/if_tun.h`.
const TUNSETIFF: rustix::ioctl::Opcode = 0x4004_54ca;
/// `IFF_TUN | IFF_NO_PI | IFF_TUN_EXCL` of `linux/if_tun.h`: IP packets without a header of their
/// own, and only where no interface of that name exists.
const FLAGS: u16 = 0x0001 | 0x1000 | 0x8000;

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
    wake: Wake,
}

impl SystemTun {
    /// Creates the interface.
    ///
    /// # Errors
    /// [`TunError`].
    pub fn create(name: &InterfaceName) -> Result<Self, TunError> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let device = rustix::fs::open("/dev/net/tun", flags, Mode::empty())
            .map_err(|errno| TunError::Open(errno.into()))?;
        let mut request = InterfaceRequest { name: [0; 16], flags: FLAGS, rest: [0; 22] };
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
        Ok(Self { device: File::from(device), wake: Wake::new().map_err(created)? })
    }
}

impl Tun for SystemTun {
    fn recv(&self, packet: &mut [u8]) -> io::Result<Option<(usize, Offload)>> {
        loop {
            match self.try_recv(packet) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !self.wake.readable(&self.device)? {
                        return Ok(None);
                    }
                }
                received => return received,
            }
        }
    }

    fn try_recv(&self, packet: &mut [u8]) -> io::Result<Option<(usize, Offload)>> {
        loop {
            match (&self.device).read(packet) {
                Ok(length) => return Ok(Some((length, Offload::DONE))),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn send(&self, parts: &[IoSlice<'_>], _offload: &Offload) -> io::Result<()> {
        (&self.device).write_vectored(parts).map(|_| ())
    }

    fn accepts(&self) -> Accepts {
        Accepts::default()
    }

    fn close(&self) {
        self.wake.call_off();
    }
}
