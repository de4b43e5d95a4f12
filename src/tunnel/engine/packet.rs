//! What a tunnel has to know of an IP packet: from where, to where, how long.

use std::net::IpAddr;

use crate::tunnel::noise::{Kind, kind, receiver};

/// `IPPROTO_UDP`.
const UDP: u8 = 17;
/// `IPPROTO_FRAGMENT`.
const FRAGMENT: u8 = 44;

/// Source and destination of an IP packet.
pub(super) fn addresses(packet: &[u8]) -> Option<(IpAddr, IpAddr)> {
    match packet.first()? >> 4 {
        4 => {
            let header: &[u8; 20] = packet.first_chunk()?;
            let address = |at: usize| -> Option<IpAddr> {
                Some(IpAddr::from(*header.get(at..)?.first_chunk::<4>()?))
            };
            Some((address(12)?, address(16)?))
        }
        6 => {
            let header: &[u8; 40] = packet.first_chunk()?;
            let address = |at: usize| -> Option<IpAddr> {
                Some(IpAddr::from(*header.get(at..)?.first_chunk::<16>()?))
            };
            Some((address(8)?, address(24)?))
        }
        _ => None,
    }
}

/// The length that an IP packet says it has, without the padding; `None` where it lies.
pub(super) fn total_length(packet: &[u8]) -> Option<usize> {
    let number = |at: usize| -> Option<usize> {
        Some(usize::from(u16::from_be_bytes(*packet.get(at..)?.first_chunk()?)))
    };
    let (length, least) = match packet.first()? >> 4 {
        4 => (number(2)?, 20),
        6 => (number(4)? + 40, 40),
        _ => return None,
    };
    (least..=packet.len()).contains(&length).then_some(length)
}

/// The receiver of the data message that a packet carries over UDP, where it carries one.
pub(super) fn carried_receiver(packet: &[u8]) -> Option<u32> {
    let header = match packet.first()? >> 4 {
        4 if packet.get(9) == Some(&UDP) => usize::from(packet[0] & 0x0f) * 4,
        6 if packet.get(6) == Some(&UDP) => 40,
        6 if packet.get(6) == Some(&FRAGMENT) && packet.get(40) == Some(&UDP) => 48,
        _ => return None,
    };
    let message = packet.get(header + 8..)?;
    (kind(message) == Some(Kind::Data)).then(|| receiver(message))?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_families_are_read() {
        let mut v4 = vec![0; 32];
        v4[0] = 0x45;
        v4[3] = 21;
        v4[12..20].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        let both = |from: &str, to: &str| Some((from.parse().unwrap(), to.parse().unwrap()));
        assert_eq!(addresses(&v4), both("10.0.0.1", "10.0.0.2"));
        assert_eq!(total_length(&v4), Some(21));
        let mut v6 = vec![0; 48];
        v6[0] = 0x60;
        v6[5] = 8;
        (v6[8], v6[39]) = (0xfd, 1);
        assert_eq!(addresses(&v6), both("fd00::", "::1"));
        assert_eq!(total_length(&v6), Some(48));
    }

    #[test]
    fn a_message_is_found_in_whole_packets_and_in_first_fragments() {
        let udp_with_message: Vec<u8> =
            [&[0; 8][..], &[4, 0, 0, 0, 0x78, 0x56, 0x34, 0x12], &[0; 24]].concat();
        let headers = |length: usize, places: &[(usize, u8)]| {
            let mut header = vec![0; length];
            for (at, byte) in places {
                header[*at] = *byte;
            }
            header
        };
        let sound = [
            headers(20, &[(0, 0x45), (9, UDP)]),
            headers(24, &[(0, 0x46), (9, UDP)]),
            headers(40, &[(0, 0x60), (6, UDP)]),
            headers(48, &[(0, 0x60), (6, FRAGMENT), (40, UDP)]),
        ];
        for header in sound {
            let packet = [&header[..], &udp_with_message].concat();
            assert_eq!(carried_receiver(&packet), Some(0x1234_5678), "{header:?}");
            assert_eq!(carried_receiver(&packet[..packet.len() - 1]), None, "{header:?}");
        }
        let tcp = headers(20, &[(0, 0x45), (9, 6)]);
        assert_eq!(carried_receiver(&[&tcp[..], &udp_with_message].concat()), None);
    }

    proptest! {
        #[test]
        fn a_length_never_exceeds_the_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = (addresses(&bytes), carried_receiver(&bytes));
            prop_assert!(total_length(&bytes).is_none_or(|length| length <= bytes.len()));
        }
    }
}
