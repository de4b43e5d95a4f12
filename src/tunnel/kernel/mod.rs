//! The kernel's `WireGuard` over generic netlink, as linux/wireguard.h says.

mod answer;
mod numbers;
mod request;

use std::io;

use self::numbers::{DEVICE_IFNAME, GENL_HEADER, GET_DEVICE, genl};
use super::netlink::{self, ACK, DUMP, Message, REQUEST, Socket};
use super::{DeviceChange, DeviceSnapshot};
use crate::model::InterfaceName;

/// `GENL_ID_CTRL` and its command and attributes (linux/genetlink.h).
const CTRL: u16 = 16;
const CTRL_GETFAMILY: u8 = 3;
const CTRL_FAMILY_ID: u16 = 1;
const CTRL_FAMILY_NAME: u16 = 2;

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
            answer::read_device(&mut device, attributes)
                .ok_or_else(|| io::ErrorKind::InvalidData.into())
        })?;
        Ok(device)
    }

    /// Changes an interface, in as many messages as it takes.
    ///
    /// # Errors
    /// What the kernel says; messages before the one it refused stay in force.
    pub fn set(&mut self, interface: &InterfaceName, change: &DeviceChange) -> io::Result<()> {
        for message in request::messages(self.family, interface, change) {
            self.socket.request(message, |_| Ok(()))?;
        }
        Ok(())
    }
}

/// Reads a message as part of an answer, for the fuzz target.
#[cfg(feature = "fuzzing")]
pub(super) fn read(message: &netlink::Received<'_>) {
    let attributes = message.payload.get(GENL_HEADER..).unwrap_or_default();
    let _ = answer::read_device(&mut DeviceSnapshot::default(), attributes);
}
