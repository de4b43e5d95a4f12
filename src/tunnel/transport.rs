//! The two sides of a tunnel as traits, with in-memory doubles of both.
//!
//! An engine sees IP packets on one side and UDP datagrams on the other, and never a file
//! descriptor. Receiving blocks; `close` ends a receive that blocks, from any thread.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use crate::model::Family;

/// The side of a tunnel that the host's IP stack sees.
pub trait Tun: Send + Sync + 'static {
    /// Waits for the next IP packet and returns its length, or `None` once the side is closed.
    ///
    /// # Errors
    /// Only where the interface is gone or unusable; none of them passes by itself.
    fn recv(&self, packet: &mut [u8]) -> io::Result<Option<usize>>;

    /// Gives an IP packet to the host.
    ///
    /// # Errors
    /// Where the host takes no packets now; the packet is lost.
    fn send(&self, packet: &[u8]) -> io::Result<()>;

    /// Ends every receive.
    fn close(&self);
}

/// One UDP socket of a tunnel.
pub trait Udp: Send + Sync + 'static {
    /// Waits for the next datagram and returns its length and sender, or `None` once closed.
    ///
    /// # Errors
    /// Errors of one datagram; the next call may succeed.
    fn recv(&self, datagram: &mut [u8]) -> io::Result<Option<(usize, SocketAddr)>>;

    /// Sends a datagram.
    ///
    /// # Errors
    /// Where there is no way to `to` now; the datagram is lost.
    fn send(&self, datagram: &[u8], to: SocketAddr) -> io::Result<()>;

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

    /// Both sockets.
    pub fn each(&self) -> impl Iterator<Item = &Arc<dyn Udp>> {
        self.v4.iter().chain(&self.v6)
    }
}

/// Where a tunnel gets its sockets from.
pub trait Bind: Send + Sync + 'static {
    /// Binds `port`, or one of the system's choice for 0, in both address families.
    ///
    /// # Errors
    /// Where the port is taken, or the mark is not allowed.
    fn bind(&self, port: u16, mark: u32) -> io::Result<Bound>;
}

/// In-memory doubles: a host whose packets are pushed and pulled by a test, and a network that
/// carries datagrams between the tunnels of one process.
pub mod memory {
    use std::collections::{HashMap, VecDeque};

    use parking_lot::{Condvar, Mutex};

    use super::{Arc, Bind, Bound, IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, Tun, Udp, io};

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

        fn pop_within(&self, limit: std::time::Duration) -> Option<T> {
            let mut state = self.state.lock();
            let deadline = std::time::Instant::now() + limit;
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

    /// A host's IP stack that a test plays.
    #[derive(Clone)]
    pub struct Host {
        outgoing: Arc<Queue<Vec<u8>>>,
        incoming: Arc<Queue<Vec<u8>>>,
    }

    impl Default for Host {
        fn default() -> Self {
            Self { outgoing: Queue::new(), incoming: Queue::new() }
        }
    }

    impl Host {
        /// The host sends a packet into the tunnel.
        pub fn say(&self, packet: &[u8]) {
            self.outgoing.push(packet.to_vec());
        }

        /// The next packet that the tunnel gives to the host, or `None` when the time is over.
        #[must_use]
        pub fn hear(&self, limit: std::time::Duration) -> Option<Vec<u8>> {
            self.incoming.pop_within(limit)
        }
    }

    fn fill<'b>(buffer: &'b mut [u8], bytes: &[u8]) -> &'b [u8] {
        let length = bytes.len().min(buffer.len());
        buffer[..length].copy_from_slice(&bytes[..length]);
        &buffer[..length]
    }

    impl Tun for Host {
        fn recv(&self, packet: &mut [u8]) -> io::Result<Option<usize>> {
            Ok(self.outgoing.pop().map(|bytes| fill(packet, &bytes).len()))
        }

        fn send(&self, packet: &[u8]) -> io::Result<()> {
            self.incoming.push(packet.to_vec());
            Ok(())
        }

        fn close(&self) {
            self.outgoing.close();
        }
    }

    type Inbox = Arc<Queue<(Vec<u8>, SocketAddr)>>;

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
        fn bind(&self, port: u16, _mark: u32) -> io::Result<Bound> {
            let mut sockets = self.network.0.lock();
            let free =
                |ip: IpAddr| (1024..=u16::MAX).find(|p| !sockets.contains_key(&(ip, *p).into()));
            let port = match port {
                0 => free(self.v4.into()).ok_or(io::ErrorKind::AddrInUse)?,
                port => port,
            };
            let mut open = |ip: IpAddr| -> io::Result<Arc<dyn Udp>> {
                let local = SocketAddr::new(ip, port);
                if sockets.contains_key(&local) {
                    return Err(io::Error::from_raw_os_error(98));
                }
                let inbox = Queue::new();
                sockets.insert(local, Arc::clone(&inbox));
                Ok(Arc::new(Socket { network: self.network.clone(), local, inbox }))
            };
            let v4 = Some(open(self.v4.into())?);
            let v6 = Some(open(self.v6.into())?);
            Ok(Bound { port, v4, v6 })
        }
    }

    struct Socket {
        network: Network,
        local: SocketAddr,
        inbox: Inbox,
    }

    impl Udp for Socket {
        fn recv(&self, datagram: &mut [u8]) -> io::Result<Option<(usize, SocketAddr)>> {
            let received = self.inbox.pop();
            Ok(received.map(|(bytes, from)| (fill(datagram, &bytes).len(), from)))
        }

        fn send(&self, datagram: &[u8], to: SocketAddr) -> io::Result<()> {
            if let Some(inbox) = self.network.0.lock().get(&to) {
                inbox.push((datagram.to_vec(), self.local));
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
}
