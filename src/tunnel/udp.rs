//! The UDP sockets of a tunnel: runs of datagrams in one system call each.
//!
//! `UDP_SEGMENT` sends a run and `UDP_GRO` receives one (udp(7)); `IP_PKTINFO` says to which of the
//! host's addresses a datagram came, and makes the answer leave from there. Whatever the kernel or
//! the way to a peer does not support is done without.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt,
    sockopt,
};
use socket2::{Domain, Protocol, Socket, Type};

use super::routes;
use super::transport::{Bind, BoundSocket, Local, Received, Remote, Udp};
use super::wake::Wake;
use crate::model::Family;

/// Bytes that the system may hold for us while we encrypt something else.
const SOCKET_BUFFER: usize = 7 << 20;

/// Datagrams of one send; the least that any kernel with `UDP_SEGMENT` takes.
const MOST_SEGMENTS: usize = 64;

/// Bytes of one send: the largest datagram less the headers of UDP and IPv6.
const MOST_BYTES: usize = 65535 - 48;

/// How long a send waits for room in the socket's buffer before the datagrams are lost.
const ROOM_WAIT: Duration = Duration::from_millis(50);

/// Sockets of the system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemSockets;

impl Bind for SystemSockets {
    fn bind(&self, family: Family, port: u16, mark: u32) -> io::Result<Option<BoundSocket>> {
        let any: IpAddr = match family {
            Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
            Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
        };
        let Some(socket) = tolerate_missing(bind_one((any, port).into(), mark))? else {
            return Ok(None);
        };
        Ok(Some((socket.socket.local_addr()?.port(), Arc::new(socket))))
    }

    fn is_on_the_way(&self, to: &SocketAddr, from: &Local, mark: u32) -> bool {
        let is_bound = match from.address {
            // It goes through its interface whatever routes say.
            IpAddr::V6(address) => address.is_unicast_link_local(),
            IpAddr::V4(_) => false,
        };
        if is_bound || from.interface == 0 {
            return true;
        }
        match routes::way(to.ip(), from.address, mark) {
            Ok(Some(interface)) => interface == from.interface,
            // Without a way, nothing is gained by another source.
            Ok(None) => true,
            Err(error) => error.raw_os_error() != Some(rustix::io::Errno::INVAL.raw_os_error()),
        }
    }
}

/// A host without one of the two families works with the other.
fn tolerate_missing(bound: io::Result<SystemSocket>) -> io::Result<Option<SystemSocket>> {
    const MISSING: [rustix::io::Errno; 2] =
        [rustix::io::Errno::AFNOSUPPORT, rustix::io::Errno::ADDRNOTAVAIL];
    match bound {
        Ok(socket) => Ok(Some(socket)),
        Err(error) if MISSING.iter().any(|e| error.raw_os_error() == Some(e.raw_os_error())) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn bind_one(address: SocketAddr, mark: u32) -> io::Result<SystemSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if mark != 0 {
        socket.set_mark(mark)?;
    }
    socket.set_nonblocking(true)?;
    enlarge(&socket);
    // Where one of these is missing, only speed, delay or the choice of the source suffers.
    let _ = setsockopt(&socket, sockopt::UdpGroSegment, &true);
    let _ = setsockopt(&socket, sockopt::ReceiveTimestampns, &true);
    // Routers may divide what is too large for them, as with the kernel's: where they do not say so,
    // it would be lost for ever. Runs never carry the bit that forbids it.
    if address.is_ipv4() {
        let never = rustix::net::sockopt::Ipv4PathMtuDiscovery::DONT;
        let _ = rustix::net::sockopt::set_ip_mtu_discover(&socket, never);
    }
    let _ = match address {
        SocketAddr::V4(_) => socket.set_recv_tos_v4(true),
        SocketAddr::V6(_) => socket.set_recv_tclass_v6(true),
    };
    let _ = match address {
        SocketAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4PacketInfo, &true),
        SocketAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true),
    };
    socket.bind(&address.into())?;
    let segments = setsockopt(&socket, sockopt::UdpGsoSegment, &0).is_ok();
    Ok(SystemSocket { socket: socket.into(), segments: segments.into(), wake: Wake::new()? })
}

/// Asks for large buffers: beyond the system's limit with `CAP_NET_ADMIN`, up to it without.
fn enlarge(socket: &Socket) {
    use rustix::net::sockopt::{
        set_socket_recv_buffer_size_force, set_socket_send_buffer_size_force,
    };
    if set_socket_recv_buffer_size_force(socket, SOCKET_BUFFER).is_err() {
        let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
    }
    if set_socket_send_buffer_size_force(socket, SOCKET_BUFFER).is_err() {
        let _ = socket.set_send_buffer_size(SOCKET_BUFFER);
    }
}

struct SystemSocket {
    socket: UdpSocket,
    /// Whether the kernel divides what is sent; no longer once a device could not.
    segments: AtomicBool,
    wake: Wake,
}

impl SystemSocket {
    /// Sends a run that the system takes in one call.
    fn send_run(&self, datagrams: &[u8], stride: usize, to: &Remote) -> io::Result<()> {
        let is_run = datagrams.len() > stride;
        if !is_run || self.segments.load(Ordering::Relaxed) {
            match self.send_message(datagrams, is_run.then_some(stride), to) {
                // No device on the way fills in checksums (udp(7)).
                Err(Errno::EIO) if is_run => self.segments.store(false, Ordering::Relaxed),
                // Segments beyond the MTU of the way: only single datagrams are fragmented.
                Err(Errno::EINVAL | Errno::EMSGSIZE) if is_run => {}
                outcome => return Ok(outcome?),
            }
        }
        let mut outcome = Ok(());
        for datagram in datagrams.chunks(stride) {
            outcome = outcome.and(self.send_message(datagram, None, to));
        }
        Ok(outcome?)
    }

    /// Sends one message, from the address that was spoken to while the host still has it.
    fn send_message(
        &self,
        message: &[u8],
        stride: Option<usize>,
        to: &Remote,
    ) -> Result<(), Errno> {
        match self.send_from(message, stride, to) {
            Err(
                Errno::EINVAL | Errno::EADDRNOTAVAIL | Errno::ENETUNREACH | Errno::EHOSTUNREACH,
            ) if to.local.is_some() => {
                self.send_from(message, stride, &Remote { local: None, ..*to })
            }
            outcome => outcome,
        }
    }

    fn send_from(
        &self,
        message: &[u8],
        stride: Option<usize>,
        remote: &Remote,
    ) -> Result<(), Errno> {
        let to = remote.address;
        let stride = stride.and_then(|stride| u16::try_from(stride).ok());
        let (mut v4, mut v6) = (NO_SOURCE_V4, NO_SOURCE_V6);
        let class = i32::from(remote.outer.traffic_class);
        let hops = i32::from(remote.outer.hops);
        let mut control = [const { ControlMessage::UdpGsoSegments(&0) }; 4];
        let mut used = 0;
        if let Some(stride) = &stride {
            control[used] = ControlMessage::UdpGsoSegments(stride);
            used += 1;
        }
        // The interface is left to the routes, as the kernel's WireGuard does; but a link-local
        // address means nothing without it.
        match &remote.local {
            Some(Local { address: IpAddr::V4(address), .. }) if to.is_ipv4() => {
                v4.ipi_spec_dst.s_addr = u32::from_ne_bytes(address.octets());
                control[used] = ControlMessage::Ipv4PacketInfo(&v4);
                used += 1;
            }
            Some(Local { address: IpAddr::V6(address), interface }) if to.is_ipv6() => {
                v6.ipi6_addr.s6_addr = address.octets();
                v6.ipi6_ifindex = if address.is_unicast_link_local() { *interface } else { 0 };
                control[used] = ControlMessage::Ipv6PacketInfo(&v6);
                used += 1;
            }
            _ => {}
        }
        // What is as the system has it for every packet costs nothing.
        if class != 0 {
            control[used] = match to {
                SocketAddr::V4(_) => ControlMessage::Ipv4Tos(&remote.outer.traffic_class),
                SocketAddr::V6(_) => ControlMessage::Ipv6TClass(&class),
            };
            used += 1;
        }
        if hops != 0 {
            control[used] = match to {
                SocketAddr::V4(_) => ControlMessage::Ipv4Ttl(&hops),
                SocketAddr::V6(_) => ControlMessage::Ipv6HopLimit(&hops),
            };
            used += 1;
        }
        let to = SockaddrStorage::from(to);
        let parts = [IoSlice::new(message)];
        let fd = self.socket.as_raw_fd();
        let mut waited = false;
        loop {
            match sendmsg(fd, &parts, &control[..used], MsgFlags::empty(), Some(&to)) {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) if !waited => {
                    waited = true;
                    if !self.wake.writable(&self.socket, ROOM_WAIT).unwrap_or(false) {
                        return Err(Errno::EAGAIN);
                    }
                }
                Err(errno) => return Err(errno),
            }
        }
    }

    fn try_recv(&self, datagrams: &mut [u8]) -> Result<Option<Received>, Errno> {
        let mut control = Control([0; 128]);
        let mut parts = [IoSliceMut::new(datagrams)];
        let fd = self.socket.as_raw_fd();
        let message =
            recvmsg::<SockaddrStorage>(fd, &mut parts, Some(&mut control.0), MsgFlags::empty())?;
        let length = message.bytes;
        let (mut stride, mut to, mut waited) = (length, None, Duration::ZERO);
        let mut traffic_class = 0;
        for control in message.cmsgs()? {
            match control {
                ControlMessageOwned::UdpGroSegments(bytes) => {
                    stride = usize::try_from(bytes).unwrap_or(length);
                }
                ControlMessageOwned::Ipv4PacketInfo(info) => {
                    to = Some(Local {
                        address: Ipv4Addr::from(info.ipi_spec_dst.s_addr.to_ne_bytes()).into(),
                        interface: info.ipi_ifindex.try_into().unwrap_or(0),
                    });
                }
                ControlMessageOwned::Ipv6PacketInfo(info) => {
                    to = Some(Local {
                        address: Ipv6Addr::from(info.ipi6_addr.s6_addr).into(),
                        interface: info.ipi6_ifindex,
                    });
                }
                ControlMessageOwned::Ipv4Tos(class) => traffic_class = class,
                ControlMessageOwned::Ipv6TClass(class) => {
                    traffic_class = class.try_into().unwrap_or(0);
                }
                ControlMessageOwned::ScmTimestampns(arrived) => {
                    waited = since(arrived.tv_sec(), arrived.tv_nsec());
                }
                _ => {}
            }
        }
        let from = message.address.as_ref().and_then(socket_address);
        let stride = stride.max(1);
        Ok(from.map(|from| Received { length, stride, from, to, traffic_class, waited }))
    }
}

/// The time since a timestamp of the kernel; zero where the clock was set back.
fn since(seconds: i64, nanos: i64) -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    let passed = (now.tv_sec - seconds).saturating_mul(1_000_000_000) + (now.tv_nsec - nanos);
    Duration::from_nanos(passed.try_into().unwrap_or(0))
}

/// Room for the control messages of one receive, aligned as they are.
#[repr(align(8))]
struct Control([u8; 128]);

const NO_SOURCE_V4: libc::in_pktinfo = libc::in_pktinfo {
    ipi_ifindex: 0,
    ipi_spec_dst: libc::in_addr { s_addr: 0 },
    ipi_addr: libc::in_addr { s_addr: 0 },
};
const NO_SOURCE_V6: libc::in6_pktinfo =
    libc::in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: [0; 16] }, ipi6_ifindex: 0 };

fn socket_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| SocketAddr::new(v4.ip().into(), v4.port()));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| SocketAddr::V6((*v6).into())))
}

impl Udp for SystemSocket {
    fn recv(&self, datagrams: &mut [u8]) -> io::Result<Option<Received>> {
        loop {
            match self.try_recv(datagrams) {
                Ok(Some(received)) => return Ok(Some(received)),
                Ok(None) | Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => {
                    if !self.wake.readable(&self.socket)? {
                        return Ok(None);
                    }
                }
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    fn send(&self, datagrams: &[u8], stride: usize, to: &Remote) -> io::Result<()> {
        let stride = stride.max(1);
        let run = (MOST_BYTES / stride).clamp(1, MOST_SEGMENTS) * stride;
        let mut outcome = Ok(());
        for run in datagrams.chunks(run) {
            outcome = outcome.and(self.send_run(run, stride, to));
        }
        outcome
    }

    fn set_mark(&self, mark: u32) -> io::Result<()> {
        socket2::SockRef::from(&self.socket).set_mark(mark)
    }

    fn close(&self) {
        self.wake.call_off();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tunnel::transport::Outer;

    /// Everything that arrives until `expected` bytes are there, as datagrams.
    fn datagrams(socket: &dyn Udp, expected: usize) -> (Vec<Vec<u8>>, Received) {
        let mut buffer = vec![0; 65535];
        let mut arrived = Vec::new();
        loop {
            let received = socket.recv(&mut buffer).unwrap().unwrap();
            let run = buffer[..received.length].chunks(received.stride);
            arrived.extend(run.map(<[u8]>::to_vec));
            if arrived.iter().map(Vec::len).sum::<usize>() >= expected {
                return (arrived, received);
            }
        }
    }

    #[test]
    fn a_run_arrives_in_its_order_and_says_where() {
        let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        for (family, address) in [Family::V4, Family::V6].into_iter().zip(loopback) {
            let (port, socket) = SystemSockets.bind(family, 0, 0).unwrap().unwrap();
            let remote = SocketAddr::new(address, port);
            let sent: Vec<u8> = (0..100_u8).flat_map(|number| [number; 600]).take(59_900).collect();
            socket.send(&sent, 600, &remote.into()).unwrap();
            let (arrived, received) = datagrams(&*socket, sent.len());
            assert_eq!(arrived, sent.chunks(600).map(<[u8]>::to_vec).collect::<Vec<_>>());
            assert_eq!(received.from, remote);
            let local = received.to.expect("the system says where a datagram came to");
            assert_eq!(local.address, address);

            assert_eq!(received.traffic_class, 0);

            let outer = Outer { traffic_class: 0x8a, hops: 3 };
            let answer = Remote { address: received.from, local: received.to, outer };
            socket.send(b"answer", 6, &answer).unwrap();
            let (arrived, received) = datagrams(&*socket, 6);
            assert_eq!((arrived, received.traffic_class), (vec![b"answer".to_vec()], 0x8a));
            socket.close();
        }
    }

    #[test]
    fn an_answer_leaves_from_the_address_that_was_spoken_to() {
        let (port, socket) = SystemSockets.bind(Family::V4, 0, 0).unwrap().unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        client.send_to(b"to the third", ("127.0.0.3", port)).unwrap();
        let (_, received) = datagrams(&*socket, 1);
        for local in [received.to, Some(Local { address: [192, 0, 2, 77].into(), interface: 0 })] {
            socket.send(b"answer", 6, &Remote { local, ..Remote::from(received.from) }).unwrap();
        }
        let mut buffer = [0; 16];
        let from = |buffer: &mut [u8]| client.recv_from(buffer).unwrap().1.ip().to_string();
        assert_eq!(from(&mut buffer), "127.0.0.3");
        assert_eq!(from(&mut buffer), "127.0.0.1", "an address that is gone is not insisted on");
        socket.close();
        assert_eq!(socket.recv(&mut buffer).unwrap(), None);
    }
}
