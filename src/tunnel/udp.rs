//! The UDP sockets of a tunnel.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};

use super::transport::{Bind, Bound, Received, Remote, Udp};
use super::wake::Wake;

/// Bytes that the system may hold for us while we encrypt something else.
const SOCKET_BUFFER: usize = 4 << 20;

/// How often another random port is tried where only one family of it is free.
const RANDOM_PORT_TRIES: u32 = 16;

/// Sockets of the system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemSockets;

impl Bind for SystemSockets {
    fn bind(&self, port: u16, mark: u32) -> io::Result<Bound> {
        let mut tries = 0;
        loop {
            match bind_both(port, mark) {
                Err(error)
                    if port == 0
                        && error.kind() == io::ErrorKind::AddrInUse
                        && tries < RANDOM_PORT_TRIES =>
                {
                    tries += 1;
                }
                outcome => return outcome,
            }
        }
    }
}

fn bind_both(port: u16, mark: u32) -> io::Result<Bound> {
    let v4 = tolerate_missing(bind_one((Ipv4Addr::UNSPECIFIED, port).into(), mark))?;
    let port = match &v4 {
        Some(socket) => socket.socket.local_addr()?.port(),
        None => port,
    };
    let v6 = tolerate_missing(bind_one((Ipv6Addr::UNSPECIFIED, port).into(), mark))?;
    let port = match (&v4, &v6) {
        (None, Some(socket)) => socket.socket.local_addr()?.port(),
        (None, None) => return Err(rustix::io::Errno::AFNOSUPPORT.into()),
        _ => port,
    };
    let erase = |socket: SystemSocket| -> Arc<dyn Udp> { Arc::new(socket) };
    Ok(Bound { port, v4: v4.map(erase), v6: v6.map(erase) })
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
    // The system caps both at its own limit; less only costs speed.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER);
    socket.bind(&address.into())?;
    Ok(SystemSocket { socket: socket.into(), wake: Wake::new()? })
}

struct SystemSocket {
    socket: UdpSocket,
    wake: Wake,
}

impl Udp for SystemSocket {
    fn recv(&self, datagrams: &mut [u8]) -> io::Result<Option<Received>> {
        loop {
            match self.socket.recv_from(datagrams) {
                Ok((length, from)) => {
                    return Ok(Some(Received { length, stride: length.max(1), from, to: None }));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !self.wake.readable(&self.socket)? {
                        return Ok(None);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn send(&self, datagrams: &[u8], stride: usize, to: &Remote) -> io::Result<()> {
        // A full send buffer loses the datagram, as it does in the kernel's WireGuard.
        for datagram in datagrams.chunks(stride.max(1)) {
            self.socket.send_to(datagram, to.address)?;
        }
        Ok(())
    }

    fn set_mark(&self, mark: u32) -> io::Result<()> {
        socket2::SockRef::from(&self.socket).set_mark(mark)
    }

    fn close(&self) {
        self.wake.call_off();
    }
}
