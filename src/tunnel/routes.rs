//! The routes of the host, as far as they say where messages leave: asked for, and watched.

use std::io;
use std::net::IpAddr;
use std::sync::Weak;
use std::time::{Duration, Instant};

use super::Engine;
use super::netlink::{self, ACK, Message, REQUEST, Socket};

/// Types of linux/rtnetlink.h.
const NEWROUTE: u16 = 24;
const GETROUTE: u16 = 26;
const RTA_DST: u16 = 1;
const RTA_SRC: u16 = 2;
const RTA_OIF: u16 = 4;
const RTA_MARK: u16 = 16;
/// `sizeof(struct rtmsg)`.
const INFO: usize = 12;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
/// Links, addresses, routes and rules of both families: `RTMGRP_LINK`, `RTMGRP_IPV4_IFADDR`, `_ROUTE`
/// and `_RULE`, `RTMGRP_IPV6_IFADDR` and `_ROUTE`, and `RTNLGRP_IPV6_RULE`.
const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x80 | 0x100 | 0x400 | 1 << 18;

/// Changes of routes seldom come alone.
const GATHER: Duration = Duration::from_millis(20);
/// How much longer nothing is looked at than looking took, where routes change all the time.
const REST: u32 = 10;

/// The interface through which a datagram leaves that goes from one address to another with a mark.
///
/// # Errors
/// What the kernel says: `InvalidInput` where the host does not have the source.
pub(super) fn way(to: IpAddr, from: IpAddr, mark: u32) -> io::Result<Option<u32>> {
    let mut found = None;
    Socket::open(None, 0)?.request(question(to, from, mark), |message| {
        if message.kind == NEWROUTE {
            found = message.payload.get(INFO..).and_then(interface);
        }
        Ok(())
    })?;
    Ok(found)
}

fn question(to: IpAddr, from: IpAddr, mark: u32) -> Message {
    let (family, bits) = if to.is_ipv4() { (AF_INET, 32) } else { (AF_INET6, 128) };
    let mut info = [0; INFO];
    info[..3].copy_from_slice(&[family, bits, bits]);
    let mut message = Message::new(GETROUTE, REQUEST | ACK, &info);
    for (kind, address) in [(RTA_DST, to), (RTA_SRC, from)] {
        match address {
            IpAddr::V4(address) => message.attribute(kind, &address.octets()),
            IpAddr::V6(address) => message.attribute(kind, &address.octets()),
        }
    }
    if mark != 0 {
        message.attribute(RTA_MARK, &mark.to_ne_bytes());
    }
    message
}

fn interface(attributes: &[u8]) -> Option<u32> {
    let (_, index) = netlink::attributes(attributes).find(|(kind, _)| *kind == RTA_OIF)?;
    netlink::u32_of(index)
}

/// Tells an engine of each change of the host's routes, for as long as it is there.
///
/// # Errors
/// Where netlink or the thread cannot be had.
pub(super) fn watch(engine: Weak<dyn Engine>) -> io::Result<()> {
    let socket = Socket::open(None, GROUPS)?;
    let overrun = Some(rustix::io::Errno::NOBUFS.raw_os_error());
    let named = std::thread::Builder::new().name("routes".to_owned());
    let spawned = named.spawn(move || {
        let mut buffer = vec![0; 16 << 10];
        loop {
            match socket.receive(&mut buffer) {
                Err(error) if error.raw_os_error() != overrun => {
                    return tracing::warn!("changes of routes are not heard any more: {error}");
                }
                // What was lost was a change, too.
                _ => {}
            }
            std::thread::sleep(GATHER);
            let began = Instant::now();
            match engine.upgrade() {
                Some(engine) => engine.routes_changed(),
                None => return,
            }
            std::thread::sleep(began.elapsed() * REST);
        }
    });
    spawned.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_oneself_is_the_loopback() {
        for address in ["127.0.0.1", "::1"] {
            let address: IpAddr = address.parse().unwrap();
            let index = way(address, address, 0).unwrap().expect("there is a route");
            assert_eq!(index, 1, "it is the first of every host");
        }
        let foreign = way("127.0.0.1".parse().unwrap(), "192.0.2.77".parse().unwrap(), 0);
        assert!(foreign.is_err());
    }
}
