//! The network interface as the kernel sees it: up or down, its MTU, gone.
//!
//! Netlink tells, as long as the interface is in the namespace of this process. Once it was moved to
//! another one, which takes privileges to look into, its own device still tells whether it is up.

use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::LinkState;
use super::netlink::{self, ACK, DUMP, Message, REQUEST, Received, Socket};
use super::tun::SystemTun;
use crate::model::InterfaceName;

/// Types of linux/rtnetlink.h.
const NEWLINK: u16 = 16;
const DELLINK: u16 = 17;
const GETLINK: u16 = 18;
/// `RTMGRP_LINK`.
const GROUP_LINK: u32 = 1;
/// `sizeof(struct ifinfomsg)`.
const INFO: usize = 16;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFF_UP: u32 = 1;
/// The largest packet that fits into a UDP datagram over either family, with what is around it.
const LARGEST_MTU: u32 = 65455;
/// How often an interface in another namespace is looked at.
const GLANCE: Duration = Duration::from_secs(1);

/// What happened to the interface that is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkEvent {
    /// It is like this now.
    State(LinkState),
    /// It was deleted.
    Gone,
}

/// A watch over one interface.
pub struct LinkWatch {
    socket: Socket,
    index: u32,
    /// Not what keeps the interface: it goes with the engine.
    tun: Weak<SystemTun>,
    /// What was heard last, once the interface is in another namespace.
    abroad: Option<LinkState>,
    last: LinkState,
}

impl LinkWatch {
    /// Watches the interface of a device from now on.
    ///
    /// # Errors
    /// Where it does not exist or netlink is not there.
    pub fn start(name: &InterfaceName, tun: &Arc<SystemTun>) -> io::Result<Self> {
        let socket = Socket::open(None, GROUP_LINK)?;
        let probe = rustix::net::socket(
            rustix::net::AddressFamily::UNIX,
            rustix::net::SocketType::DGRAM,
            None,
        )?;
        let index = rustix::net::netdevice::name_to_index(&probe, name.as_str())?;
        let last = LinkState { up: false, mtu: crate::model::Mtu::DEFAULT.get().into() };
        Ok(Self { socket, index, tun: Arc::downgrade(tun), abroad: None, last })
    }

    /// How the interface is now.
    ///
    /// # Errors
    /// Where it is gone.
    pub fn state(&self) -> io::Result<LinkState> {
        let mut found = None;
        let message = Message::new(GETLINK, REQUEST | ACK, &info(self.index));
        Socket::open(None, 0)?.request(message, |message| {
            if let Some((index, LinkEvent::State(state))) = event(message)
                && index == self.index
            {
                found = Some(state);
            }
            Ok(())
        })?;
        found.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// What is larger than a message can carry comes back to what fits: with more, every full packet
    /// would be lost.
    fn limit(&self, state: LinkState) {
        // An interface in another namespace cannot be reached.
        if state.mtu > LARGEST_MTU && self.abroad.is_none() {
            match self.set_mtu(LARGEST_MTU) {
                Ok(()) => tracing::warn!(
                    "an MTU of {} does not fit into messages; it is {LARGEST_MTU} now",
                    state.mtu
                ),
                Err(error) => tracing::warn!("failed to lower the MTU to {LARGEST_MTU}: {error}"),
            }
        }
    }

    /// Sets the MTU.
    ///
    /// # Errors
    /// Without the privilege, or where the interface is gone.
    pub fn set_mtu(&self, mtu: u32) -> io::Result<()> {
        let mut message = Message::new(NEWLINK, REQUEST | ACK, &info(self.index));
        message.attribute(IFLA_MTU, &mtu.to_ne_bytes());
        Socket::open(None, 0)?.request(message, |_| Ok(()))
    }

    /// Waits for something to happen, to this interface or to another: the list may be empty.
    ///
    /// # Errors
    /// Where netlink is gone. An overrun of the socket is answered by asking anew.
    pub fn wait(&mut self) -> io::Result<Vec<LinkEvent>> {
        if let Some(known) = self.abroad {
            return self.wait_abroad(known);
        }
        let mut events = self.hear()?;
        for event in &mut events {
            match event {
                LinkEvent::State(state) => {
                    self.limit(*state);
                    self.last = *state;
                }
                LinkEvent::Gone if look(&self.tun, PollFlags::empty(), None)? == Sight::Gone => {}
                LinkEvent::Gone => {
                    // It goes down on its way; its MTU is taken to stay.
                    let state = LinkState { up: false, ..self.last };
                    self.abroad = Some(state);
                    *event = LinkEvent::State(state);
                }
            }
        }
        Ok(events)
    }

    /// What netlink says.
    fn hear(&self) -> io::Result<Vec<LinkEvent>> {
        let mut buffer = vec![0; 64 << 10];
        let length = match self.socket.receive(&mut buffer) {
            Err(error)
                if error.raw_os_error() == Some(rustix::io::Errno::NOBUFS.raw_os_error()) =>
            {
                let nodev = Some(rustix::io::Errno::NODEV.raw_os_error());
                return Ok(vec![match self.state() {
                    Ok(state) => LinkEvent::State(state),
                    Err(error) if error.raw_os_error() == nodev => LinkEvent::Gone,
                    // Who cannot ask has heard nothing.
                    Err(_) => LinkEvent::State(self.last),
                }]);
            }
            outcome => outcome?,
        };
        let events = netlink::messages(&buffer[..length]).filter_map(|message| event(&message));
        Ok(events.filter(|(index, _)| *index == self.index).map(|(_, event)| event).collect())
    }

    /// What the device says, where netlink does not.
    fn wait_abroad(&mut self, known: LinkState) -> io::Result<Vec<LinkEvent>> {
        // It can only be waited for that it goes up.
        let awaited = if known.up { PollFlags::empty() } else { PollFlags::OUT };
        look(&self.tun, awaited, Some(GLANCE))?;
        let up = match look(&self.tun, PollFlags::OUT, None)? {
            Sight::Gone => return Ok(vec![LinkEvent::Gone]),
            Sight::Down => false,
            Sight::Up => true,
        };
        if up == known.up {
            return Ok(Vec::new());
        }
        let state = LinkState { up, ..known };
        self.abroad = Some(state);
        Ok(vec![LinkEvent::State(state)])
    }
}

/// What a device shows of its interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sight {
    Gone,
    Down,
    Up,
}

/// Looks at the device, or waits for one of `flags` to show.
fn look(tun: &Weak<SystemTun>, flags: PollFlags, limit: Option<Duration>) -> io::Result<Sight> {
    let limit = Timespec::try_from(limit.unwrap_or_default());
    let limit = limit.map_err(|_| io::ErrorKind::InvalidInput)?;
    let Some(tun) = tun.upgrade() else { return Ok(Sight::Gone) };
    let mut fds = [PollFd::new(&*tun, flags)];
    match poll(&mut fds, Some(&limit)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let seen = fds[0].revents();
    Ok(if seen.contains(PollFlags::ERR) {
        Sight::Gone
    } else if seen.contains(PollFlags::OUT) {
        Sight::Up
    } else {
        Sight::Down
    })
}

/// The names of the kernel's own `WireGuard` interfaces.
///
/// # Errors
/// Where netlink is not there.
pub fn kernel_interfaces() -> io::Result<Vec<InterfaceName>> {
    let mut names = Vec::new();
    let message = Message::new(GETLINK, REQUEST | DUMP, &info(0));
    Socket::open(None, 0)?.request(message, |message| {
        names.extend(wireguard_name(message));
        Ok(())
    })?;
    Ok(names)
}

/// Reads a message as news of a link, for the fuzz target.
#[cfg(feature = "fuzzing")]
pub(super) fn read(message: &Received<'_>) {
    let _ = (event(message), wireguard_name(message));
}

fn wireguard_name(message: &Received<'_>) -> Option<InterfaceName> {
    let (mut name, mut is_wireguard) = (None, false);
    for (kind, payload) in netlink::attributes(message.payload.get(INFO..)?) {
        match kind {
            IFLA_IFNAME => name = netlink::text_of(payload)?.parse().ok(),
            IFLA_LINKINFO => {
                is_wireguard = netlink::attributes(payload).any(|(kind, payload)| {
                    kind == IFLA_INFO_KIND && netlink::text_of(payload) == Some("wireguard")
                });
            }
            _ => {}
        }
    }
    name.filter(|_| is_wireguard)
}

/// `struct ifinfomsg` that names an interface.
fn info(index: u32) -> [u8; INFO] {
    let mut info = [0; INFO];
    info[4..8].copy_from_slice(&index.to_ne_bytes());
    info
}

fn event(message: &Received<'_>) -> Option<(u32, LinkEvent)> {
    let number = |at: usize| -> Option<u32> {
        Some(u32::from_ne_bytes(*message.payload.get(at..)?.first_chunk()?))
    };
    let index = number(4)?;
    match message.kind {
        DELLINK => Some((index, LinkEvent::Gone)),
        NEWLINK => {
            let up = number(8)? & IFF_UP != 0;
            let mut attributes = netlink::attributes(message.payload.get(INFO..)?);
            let (_, mtu) = attributes.find(|(kind, _)| *kind == IFLA_MTU)?;
            Some((index, LinkEvent::State(LinkState { up, mtu: netlink::u32_of(mtu)? })))
        }
        _ => None,
    }
}
