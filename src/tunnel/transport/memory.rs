//! In-memory doubles: a host whose packets are pushed and pulled by a test, and a network that
//! carries datagrams between the tunnels of one process.

use std::collections::{HashMap, VecDeque};
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::{Bind, BoundSocket, Lane, Local, Received, Remote, Tun, Udp};
use crate::model::Family;
use crate::tunnel::offload::{Accepts, Offload};

/// A queue with an end.
struct Queue<T> {
    state: Mutex<(VecDeque<T>, bool)>,
    arrived: Condvar,
}

impl<T> Queue<T> {
    fn new() -> Arc<Self> {
        let state = Mutex::new((VecDeque::new(), false));
        Arc::new(Self { state, arrived: Condvar::new() })
    }

    fn push(&self, item: T) {
        self.state.lock().0.push_back(item);
        self.arrived.notify_one();
    }

    fn pop(&self) -> Option<T> {
        let mut state = self.state.lock();
        loop {
            if let Some(item) = state.0.pop_front() {
                return Some(item);
            }
            if state.1 {
                return None;
            }
            self.arrived.wait(&mut state);
        }
    }

    /// The next item if it is there, `None` after the end.
    fn try_pop(&self) -> io::Result<Option<T>> {
        let mut state = self.state.lock();
        match state.0.pop_front() {
            None if !state.1 => Err(io::ErrorKind::WouldBlock.into()),
            item => Ok(item),
        }
    }

    fn pop_if(&self, fits: impl FnOnce(&T) -> bool) -> Option<T> {
        let mut state = self.state.lock();
        state.0.front().is_some_and(fits).then(|| state.0.pop_front())?
    }

    fn pop_within(&self, limit: Duration) -> Option<T> {
        let mut state = self.state.lock();
        let deadline = Instant::now() + limit;
        while state.0.is_empty() {
            if self.arrived.wait_until(&mut state, deadline).timed_out() {
                return None;
            }
        }
        state.0.pop_front()
    }

    fn close(&self) {
        self.state.lock().1 = true;
        self.arrived.notify_all();
    }
}

type Packets = Arc<Queue<(Vec<u8>, Offload)>>;

/// A host's IP stack that a test plays.
#[derive(Clone)]
pub struct MemoryHost {
    outgoing: Packets,
    incoming: Packets,
    accepts: Accepts,
}

impl Default for MemoryHost {
    fn default() -> Self {
        Self::accepting(Accepts::default())
    }
}

impl MemoryHost {
    /// A host that takes packets that stand for many.
    #[must_use]
    pub fn accepting(accepts: Accepts) -> Self {
        Self { outgoing: Queue::new(), incoming: Queue::new(), accepts }
    }

    /// The host sends a packet into the tunnel.
    pub fn say(&self, packet: &[u8]) {
        self.say_offloaded(packet, Offload::DONE);
    }

    /// The host sends a packet with which something is left to do.
    pub fn say_offloaded(&self, packet: &[u8], offload: Offload) {
        self.outgoing.push((packet.to_vec(), offload));
    }

    /// The next packet that the tunnel gives to the host, or `None` when the time is over.
    #[must_use]
    pub fn hear(&self, limit: Duration) -> Option<Vec<u8>> {
        self.hear_offloaded(limit).map(|(packet, _)| packet)
    }

    /// Like [`hear`](Self::hear), with what is left to do with the packet.
    #[must_use]
    pub fn hear_offloaded(&self, limit: Duration) -> Option<(Vec<u8>, Offload)> {
        self.incoming.pop_within(limit)
    }
}

fn fill(buffer: &mut [u8], bytes: &[u8]) -> usize {
    let length = bytes.len().min(buffer.len());
    buffer[..length].copy_from_slice(&bytes[..length]);
    length
}

impl Lane for MemoryHost {
    fn recv(&self, packet: &mut [u8]) -> io::Result<Option<(usize, Offload)>> {
        Ok(self.outgoing.pop().map(|(bytes, offload)| (fill(packet, &bytes), offload)))
    }

    fn try_recv(&self, packet: &mut [u8]) -> io::Result<Option<(usize, Offload)>> {
        let popped = self.outgoing.try_pop()?;
        Ok(popped.map(|(bytes, offload)| (fill(packet, &bytes), offload)))
    }
}

impl Tun for MemoryHost {
    fn lanes(&self) -> Vec<Arc<dyn Lane>> {
        vec![Arc::new(self.clone())]
    }

    fn send(&self, parts: &[IoSlice<'_>], offload: &Offload) -> io::Result<()> {
        let packet = parts.iter().flat_map(|part| part.iter().copied()).collect();
        self.incoming.push((packet, *offload));
        Ok(())
    }

    fn accepts(&self) -> Accepts {
        self.accepts
    }

    fn close(&self) {
        self.outgoing.close();
    }
}

/// Bytes, who sent them, and with which traffic class.
type Datagram = (Vec<u8>, SocketAddr, u8);

type Inbox = Arc<Queue<Datagram>>;

/// A network that loses nothing and carries IPv4 and IPv6.
#[derive(Clone, Default)]
pub struct Network(Arc<Mutex<HashMap<SocketAddr, Inbox>>>);

impl Network {
    /// A place in the network: tunnels bound here have this address.
    #[must_use]
    pub fn place(&self, v4: Ipv4Addr, v6: Ipv6Addr) -> Place {
        Place { network: self.clone(), v4, v6 }
    }
}

/// An address pair of a [`Network`].
pub struct Place {
    network: Network,
    v4: Ipv4Addr,
    v6: Ipv6Addr,
}

impl Bind for Place {
    fn bind(&self, family: Family, port: u16, _mark: u32) -> io::Result<Option<BoundSocket>> {
        let ip: IpAddr = match family {
            Family::V4 => self.v4.into(),
            Family::V6 => self.v6.into(),
        };
        let mut sockets = self.network.0.lock();
        let is_free = |port: &u16| !sockets.contains_key(&(ip, *port).into());
        let port = match port {
            0 => (1024..=u16::MAX).find(is_free).ok_or(io::ErrorKind::AddrInUse)?,
            port if is_free(&port) => port,
            _ => return Err(io::Error::from_raw_os_error(98)),
        };
        let (local, inbox) = (SocketAddr::new(ip, port), Queue::new());
        sockets.insert(local, Arc::clone(&inbox));
        Ok(Some((port, Arc::new(Socket { network: self.network.clone(), local, inbox }))))
    }
}

struct Socket {
    network: Network,
    local: SocketAddr,
    inbox: Inbox,
}

impl Udp for Socket {
    /// Joins what has arrived from one sender in one size, as a socket with `UDP_GRO` does.
    fn recv(&self, datagrams: &mut [u8]) -> io::Result<Option<Received>> {
        let Some((bytes, from, traffic_class)) = self.inbox.pop() else { return Ok(None) };
        let stride = fill(datagrams, &bytes).max(1);
        let mut length = stride.min(bytes.len());
        while length > 0 && length.is_multiple_of(stride) {
            let room = stride.min(datagrams.len() - length);
            let fits = |next: &Datagram| {
                (next.1, next.2) == (from, traffic_class)
                    && !next.0.is_empty()
                    && next.0.len() <= room
            };
            let Some((bytes, ..)) = self.inbox.pop_if(fits) else { break };
            length += fill(&mut datagrams[length..], &bytes);
        }
        let to = Some(Local { address: self.local.ip(), interface: 1 });
        let waited = Duration::ZERO;
        Ok(Some(Received { length, stride, from, to, traffic_class, waited }))
    }

    fn send(&self, datagrams: &[u8], stride: usize, to: &Remote) -> io::Result<()> {
        if let Some(inbox) = self.network.0.lock().get(&to.address) {
            for datagram in datagrams.chunks(stride.max(1)) {
                inbox.push((datagram.to_vec(), self.local, to.outer.traffic_class));
            }
        }
        Ok(())
    }

    fn set_mark(&self, _mark: u32) -> io::Result<()> {
        Ok(())
    }

    fn close(&self) {
        self.network.0.lock().remove(&self.local);
        self.inbox.close();
    }
}
