//! What a tunnel has to know of an IP packet: from where, to where, how long.

use std::net::IpAddr;

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

    proptest! {
        #[test]
        fn a_length_never_exceeds_the_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = addresses(&bytes);
            prop_assert!(total_length(&bytes).is_none_or(|length| length <= bytes.len()));
        }
    }
}
