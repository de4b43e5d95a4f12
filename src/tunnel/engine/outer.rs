//! What inner and outer IP headers tell one another: marks of congestion, and how deep a packet is
//! wrapped already.
//!
//! Marks follow RFC 6040: the two bits of ECN go outside with the packet, and what a router made of
//! them comes back into it. The rest of the traffic class is not copied, as with the kernel's
//! tunnel: it would tell what is inside.
//!
//! A packet that carries a message of a tunnel is given less of a way than it had itself. So two
//! tunnels that lead into one another, in whichever processes, come to an end, as RFC 2473 limits
//! the encapsulations of a packet.

use crate::tunnel::transport::Outer;

/// `IPPROTO_UDP`.
const UDP: u8 = 17;
/// `IPPROTO_FRAGMENT`.
const FRAGMENT: u8 = 44;
/// The two bits of ECN.
const ECN: u8 = 3;
/// Congestion was experienced.
const CE: u8 = 3;
const ECT_0: u8 = 2;
const ECT_1: u8 = 1;

/// Hops that each further tunnel around a packet costs: eight of them fit into the usual 64, and
/// what is in three still gets around the world.
const HOPS_OF_A_TUNNEL: u8 = 8;

/// Of handshakes: AF41, as with the kernel's tunnel, so that they get through where packets do not.
pub(super) const HANDSHAKE: Outer = Outer { traffic_class: 0x88, hops: 0 };

/// The packet was in so many tunnels that it is in a loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Looping;

/// The outer header for a packet, which carries a message of some tunnel or not.
pub(super) fn outer(packet: &[u8], carries: bool) -> Result<Outer, Looping> {
    let mut outer = Outer { traffic_class: ecn(packet).unwrap_or(0), hops: 0 };
    if carries || is_later_fragment(packet) {
        let hops = hops(packet).unwrap_or(0);
        outer.hops = hops.checked_sub(HOPS_OF_A_TUNNEL).filter(|hops| *hops > 0).ok_or(Looping)?;
    }
    Ok(outer)
}

/// Carries over what routers said of the outer header.
pub(super) fn receive(packet: &mut [u8], outer: u8) {
    let Some(inner) = ecn(packet) else { return };
    match (outer & ECN, inner) {
        (CE, ECT_0 | ECT_1) => set_ecn(packet, CE),
        (ECT_1, ECT_0) => set_ecn(packet, ECT_1),
        _ => {}
    }
}

fn ecn(packet: &[u8]) -> Option<u8> {
    match packet {
        [first, class, rest @ ..] if first >> 4 == 4 && rest.len() >= 18 => Some(class & ECN),
        [first, second, ..] if first >> 4 == 6 => Some(second >> 4 & ECN),
        _ => None,
    }
}

fn hops(packet: &[u8]) -> Option<u8> {
    match packet.first()? >> 4 {
        4 => packet.get(8).copied(),
        6 => packet.get(7).copied(),
        _ => None,
    }
}

/// A piece of a datagram whose beginning, and so what it carries, is in another packet.
fn is_later_fragment(packet: &[u8]) -> bool {
    let offset =
        |at: usize| -> Option<u16> { Some(u16::from_be_bytes(*packet.get(at..)?.first_chunk()?)) };
    match packet.first().map(|first| first >> 4) {
        Some(4) => packet.get(9) == Some(&UDP) && offset(6).is_some_and(|at| at & 0x1fff != 0),
        Some(6) if packet.get(6) == Some(&FRAGMENT) => {
            packet.get(40) == Some(&UDP) && offset(42).is_some_and(|at| at & 0xfff8 != 0)
        }
        _ => false,
    }
}

fn set_ecn(packet: &mut [u8], ecn: u8) {
    match packet {
        [first, class, rest @ ..] if *first >> 4 == 4 && rest.len() >= 18 => {
            let old = u16::from_be_bytes([*first, *class]);
            *class = *class & !ECN | ecn;
            let new = u16::from_be_bytes([*first, *class]);
            // RFC 1624, equation 3: ~(~sum + ~old + new).
            let sum = u16::from_be_bytes([rest[8], rest[9]]);
            let total = u32::from(!sum) + u32::from(!old) + u32::from(new);
            let total = (total & 0xffff) + (total >> 16);
            let folded = (total & 0xffff) + (total >> 16);
            let sum = !u16::try_from(folded).unwrap_or(u16::MAX);
            rest[8..10].copy_from_slice(&sum.to_be_bytes());
        }
        // The two bits lie in the middle of the second byte.
        [first, second, ..] if *first >> 4 == 6 => *second = *second & !(ECN << 4) | ecn << 4,
        _ => {}
    }
}

/// Marks an IP packet as having met congestion (RFC 3168); `false` where its ends do not know of
/// marks, so that only its loss tells them.
pub(super) fn mark(packet: &mut [u8]) -> bool {
    let knows = ecn(packet).is_some_and(|ecn| ecn != 0);
    if knows {
        set_ecn(packet, CE);
    }
    knows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tunnel::offload::checksum::{fold, sum};

    fn v4(class: u8, hops: u8) -> Vec<u8> {
        let mut packet = vec![0x45, class, 0, 20, 1, 2, 0, 0, hops, UDP, 0, 0, 10, 0, 0, 1];
        packet.extend([10, 0, 0, 2]);
        let checksum = !fold(sum(&packet));
        packet[10..12].copy_from_slice(&checksum.to_ne_bytes());
        packet
    }

    fn v6(class: u8, hops: u8) -> Vec<u8> {
        let mut packet = vec![0; 40];
        packet[..2].copy_from_slice(&[0x60 | class >> 4, class << 4 | 0x5]);
        (packet[6], packet[7]) = (UDP, hops);
        packet
    }

    /// Rows of RFC 6040, figure 4, but for the drop: as with the kernel's, it is for nobody to make.
    #[test]
    fn marks_go_out_and_come_back() {
        const NONE: u8 = 0;
        for make in [v4, v6] {
            for inner in 0..4 {
                // A class of its own beside the marks stays inside.
                let packet = make(0xb8 | inner, 64);
                assert_eq!(outer(&packet, false), Ok(Outer { traffic_class: inner, hops: 0 }));
                for outer in 0..4 {
                    let mut packet = packet.clone();
                    receive(&mut packet, 0xb8 | outer);
                    let arrived = match (inner, outer) {
                        (NONE, _) => NONE,
                        (_, CE) => CE,
                        (ECT_0, ECT_1) => ECT_1,
                        (inner, _) => inner,
                    };
                    assert_eq!(packet, make(0xb8 | arrived, 64), "{inner} in {outer}");
                }
            }
        }
    }

    #[test]
    fn a_mark_keeps_the_header_sound() {
        for make in [v4, v6] {
            let (mut knows, mut knows_not) = (make(2, 64), make(0, 64));
            assert!(mark(&mut knows) && !mark(&mut knows_not));
            assert_eq!((knows, knows_not), (make(3, 64), make(0, 64)));
        }
        assert!(!mark(&mut [0x45]) && !mark(&mut []));
    }

    #[test]
    fn each_tunnel_around_a_message_shortens_its_way_until_there_is_none() {
        for make in [v4, v6] {
            let mut hops = 64;
            let mut tunnels = 0;
            while let Ok(next) = outer(&make(0, hops), true) {
                (hops, tunnels) = (next.hops, tunnels + 1);
            }
            assert_eq!(tunnels, 7);
        }
        // What is no message keeps the usual way, however short its own is.
        assert_eq!(outer(&v4(0, 1), false), Ok(Outer::default()));
        let mut later = v4(0, 8);
        later[7] = 185;
        assert_eq!(outer(&later, false), Err(Looping));
        let mut later = vec![0x60; 48];
        (later[6], later[7], later[40], later[42]) = (FRAGMENT, 9, UDP, 1);
        assert_eq!(outer(&later, false).map(|outer| outer.hops), Ok(1));
    }
}
