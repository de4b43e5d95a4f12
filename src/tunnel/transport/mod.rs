//! The two sides of a tunnel as traits, with in-memory doubles of both.
//!
//! An engine sees IP packets on one side and UDP datagrams on the other, and never a file
//! descriptor. Both sides work in batches: a packet may stand for many segments (see
//! [`Offload`]), and one receive or send carries a run of datagrams of one size. Receiving blocks;
//! `close` ends a receive that blocks, from any thread.

pub mod memory;

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::offload::{Accepts, Offload};
use crate::model::Family;

/// Bytes of a buffer that takes whatever one receive brings.
pub const LARGEST: usize = 65535;

/// A queue of packets from the host, for a thread of its own.
pub trait Lane: Send + Sync + 'static {
    /// To be called by the thread that receives here, before it does. The system may put it in
    /// its place among others; by default it stays where it is.
    fn attend(&self) {}

    /// Whether several threads may receive here, one after the other, so that one flow has more
    /// than one processor. It is worth it where flows are large.
    fn may_be_shared(&self) -> bool {
        true
    }

    /// Waits for the next IP packet and returns its length and what is left to do with it, or
    /// `None` once the side is closed.
    ///
    /// # Errors
    /// Only where the interface is gone or unusable; none of them passes by itself.
    fn recv(&self, packet: &mut [u8]) -> io::Result<Option<(usize, Offload)>>;

    /// Like [`recv`](Self::recv), but does not wait.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] where there is no packet, and those of `recv`.
    fn try_recv(&self, packet: &mut [u8]) -> io::Result<Option<(usize, Offload)>>;
}

/// The side of a tunnel that the host's IP stack sees.
pub trait Tun: Send + Sync + 'static {
    /// Where its packets come from, at least one: a flow has its order within one lane.
    fn lanes(&self) -> Vec<Arc<dyn Lane>>;

    /// Gives an IP packet to the host, put together from its parts.
    ///
    /// # Errors
    /// Where the host takes no packets now; the packet is lost.
    fn send(&self, parts: &[IoSlice<'_>], offload: &Offload) -> io::Result<()>;

    /// Which packets that stand for many may be sent.
    fn accepts(&self) -> Accepts;

    /// Ends every receive.
    fn close(&self);
}

/// Our own side of an exchange of datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Local {
    /// The address that was spoken to.
    pub address: IpAddr,
    /// The index of the interface through which, 0 for any.
    pub interface: u32,
}

/// What of the IP header around datagrams is not always the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outer {
    /// The traffic class, once called type of service, with the two bits of ECN.
    pub traffic_class: u8,
    /// How far they go, 0 for as far as the system lets them.
    pub hops: u8,
}

/// Where datagrams go to, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remote {
    /// The peer's address.
    pub address: SocketAddr,
    /// The address they leave from; the system's choice without one, and where it is gone.
    pub local: Option<Local>,
    /// The header around them.
    pub outer: Outer,
}

impl From<SocketAddr> for Remote {
    fn from(address: SocketAddr) -> Self {
        Self { address, local: None, outer: Outer::default() }
    }
}

/// A run of datagrams from one sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Bytes of all of them.
    pub length: usize,
    /// Bytes of each but the last, which may be shorter; never 0.
    pub stride: usize,
    /// Who sent them.
    pub from: SocketAddr,
    /// To which of our addresses, where the system says so.
    pub to: Option<Local>,
    /// The traffic class in the header around them.
    pub traffic_class: u8,
    /// How long the first of them has waited to be received; zero where nobody knows.
    pub waited: Duration,
}

/// One UDP socket of a tunnel.
pub trait Udp: Send + Sync + 'static {
    /// Waits for the next datagrams, or returns `None` once closed.
    ///
    /// # Errors
    /// Errors of one run; the next call may succeed.
    fn recv(&self, datagrams: &mut [u8]) -> io::Result<Option<Received>>;

    /// Sends datagrams of `stride` bytes each, the last of which may be shorter.
    ///
    /// Any number that fits into 64 KiB may be given; the socket divides them where the system
    /// takes fewer at a time.
    ///
    /// # Errors
    /// Where there is no way to `to` now; the datagrams are lost.
    fn send(&self, datagrams: &[u8], stride: usize, to: &Remote) -> io::Result<()>;

    /// Sets the mark of the packets sent from now on, 0 for none.
    ///
    /// # Errors
    /// Without the privilege.
    fn set_mark(&self, mark: u32) -> io::Result<()>;

    /// Ends every receive.
    fn close(&self);
}

/// The sockets of one port, one for each address family that the host has.
#[derive(Clone)]
pub struct Bound {
    /// The port of both.
    pub port: u16,
    /// The IPv4 socket.
    pub v4: Option<Arc<dyn Udp>>,
    /// The IPv6 socket; it carries no IPv4.
    pub v6: Option<Arc<dyn Udp>>,
}

impl Bound {
    /// The socket that reaches an address.
    #[must_use]
    pub fn toward(&self, to: &SocketAddr) -> Option<&Arc<dyn Udp>> {
        match Family::of_addr(&to.ip()) {
            Family::V4 => self.v4.as_ref(),
            Family::V6 => self.v6.as_ref(),
        }
    }

    /// The socket of a family.
    pub const fn of_mut(&mut self, family: Family) -> &mut Option<Arc<dyn Udp>> {
        match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        }
    }

    /// Both sockets.
    pub fn each(&self) -> impl Iterator<Item = &Arc<dyn Udp>> {
        self.v4.iter().chain(&self.v6)
    }
}

/// A port and its socket.
pub type BoundSocket = (u16, Arc<dyn Udp>);

/// Where a tunnel gets its sockets from.
pub trait Bind: Send + Sync + 'static {
    /// Binds `port`, or one of the system's choice for 0, in one address family; gives the port and
    /// its socket, or `None` where the host does not have the family.
    ///
    /// # Errors
    /// Where the port is taken, or the mark is not allowed.
    fn bind(&self, family: Family, port: u16, mark: u32) -> io::Result<Option<BoundSocket>>;

    /// Whether datagrams with a mark that go from an address of ours to `to` leave through the
    /// interface through which we were spoken to there. True where nobody knows.
    fn is_on_the_way(&self, _to: &SocketAddr, _from: &Local, _mark: u32) -> bool {
        true
    }
}
