//! What a host is told of a packet that has no way: ICMP says so at once, where the application would
//! wait for its time to be over.
//!
//! The answer comes from the address that was to be reached. Any other that the host would believe
//! comes from the tunnel would be one of its own, and it takes no packets from itself.

use std::net::IpAddr;
use std::time::Duration;

use super::packet::addresses;
use crate::tunnel::noise::Moment;
use crate::tunnel::offload::checksum::{fold, sum, word};

const ICMP: u8 = 1;
const ICMP6: u8 = 58;
const FRAGMENT: u8 = 44;
/// Destination unreachable, host unreachable.
const NO_HOST: [u8; 2] = [3, 1];
/// Destination unreachable, address unreachable.
const NO_ADDRESS: [u8; 2] = [1, 3];
/// The most that an answer over IPv4 has (RFC 1812), and one over IPv6 (RFC 4443).
const LARGEST: usize = 576;
const LARGEST_6: usize = 1280;
const HOPS: u8 = 64;

/// Answers in a second, and how many may come at once: as many as the kernel gives to one receiver.
const PER_SECOND: u32 = 100;
const BURST: u32 = 50;
const COST: Duration = Duration::from_nanos(1_000_000_000 / PER_SECOND as u64);

/// How often hosts are told.
#[derive(Default)]
pub(super) struct Refusals {
    /// When all of the credit is there again.
    full: Option<Moment>,
}

impl Refusals {
    /// Whether the host may be told now.
    pub(super) fn allow(&mut self, now: Moment) -> bool {
        let full = self.full.unwrap_or(now).max(now);
        if full.since(now) > COST * (BURST - 1) {
            return false;
        }
        self.full = Some(full.after(COST));
        true
    }
}

/// The answer to a packet that has no way; `None` where none is due.
pub(super) fn refusal(packet: &[u8]) -> Option<Vec<u8>> {
    let (from, to) = addresses(packet)?;
    if from.is_unspecified() || from.is_multicast() || to.is_multicast() {
        return None;
    }
    match (from, to) {
        (IpAddr::V4(_), IpAddr::V4(to)) if !to.is_broadcast() => refusal_v4(packet),
        (IpAddr::V6(_), IpAddr::V6(_)) => refusal_v6(packet),
        _ => None,
    }
}

fn refusal_v4(packet: &[u8]) -> Option<Vec<u8>> {
    let header = usize::from(packet[0] & 0x0f) * 4;
    let is_later = u16::from_be_bytes([packet[6], packet[7]]) & 0x1fff != 0;
    // Queries are answered; what ICMP itself says of packets is not.
    let is_error = packet[9] == ICMP && !matches!(packet.get(header)?, 0 | 8 | 13..=18);
    if header < 20 || is_later || is_error {
        return None;
    }
    let quoted = &packet[..packet.len().min(LARGEST - 28)];
    let mut answer = vec![0; 28];
    answer.extend_from_slice(quoted);
    answer[0] = 0x45;
    let length = u16::try_from(answer.len()).ok()?;
    answer[2..4].copy_from_slice(&length.to_be_bytes());
    (answer[8], answer[9]) = (HOPS, ICMP);
    answer[12..16].copy_from_slice(&packet[16..20]);
    answer[16..20].copy_from_slice(&packet[12..16]);
    let checksum = !fold(sum(&answer[..20]));
    answer[10..12].copy_from_slice(&checksum.to_ne_bytes());
    answer[20..22].copy_from_slice(&NO_HOST);
    let checksum = !fold(sum(&answer[20..]));
    answer[22..24].copy_from_slice(&checksum.to_ne_bytes());
    Some(answer)
}

fn refusal_v6(packet: &[u8]) -> Option<Vec<u8>> {
    let is_later = packet[6] == FRAGMENT
        && u16::from_be_bytes([*packet.get(42)?, *packet.get(43)?]) & 0xfff8 != 0;
    let is_error = packet[6] == ICMP6 && *packet.get(40)? < 128;
    if is_later || is_error {
        return None;
    }
    let quoted = &packet[..packet.len().min(LARGEST_6 - 48)];
    let mut answer = vec![0; 48];
    answer.extend_from_slice(quoted);
    answer[0] = 0x60;
    let length = u16::try_from(answer.len() - 40).ok()?;
    answer[4..6].copy_from_slice(&length.to_be_bytes());
    (answer[6], answer[7]) = (ICMP6, HOPS);
    answer[8..24].copy_from_slice(&packet[24..40]);
    answer[24..40].copy_from_slice(&packet[8..24]);
    answer[40..42].copy_from_slice(&NO_ADDRESS);
    let pseudo = sum(&answer[8..40]) + word(length.into()) + word(ICMP6.into());
    let checksum = !fold(pseudo + sum(&answer[40..]));
    answer[42..44].copy_from_slice(&checksum.to_ne_bytes());
    Some(answer)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn v4(protocol: u8, kind: u8) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 24, 0, 0, 0, 0, 64, protocol, 0, 0];
        packet.extend([10, 0, 0, 1, 10, 0, 0, 2, kind, 0, 0, 0]);
        packet
    }

    fn v6(protocol: u8, kind: u8) -> Vec<u8> {
        let mut packet = vec![0; 44];
        (packet[0], packet[5], packet[6], packet[8], packet[24]) = (0x60, 4, protocol, 0xfd, 0xfd);
        (packet[23], packet[39], packet[40]) = (1, 2, kind);
        packet
    }

    #[test]
    fn a_packet_without_a_way_is_answered_from_where_it_was_to_go() {
        for packet in [v4(17, 0), v4(ICMP, 8), v6(17, 0), v6(ICMP6, 128)] {
            let answer = refusal(&packet).unwrap();
            let (from, to) = addresses(&packet).unwrap();
            assert_eq!(addresses(&answer), Some((to, from)));
            assert!(answer.ends_with(&packet));
            if packet[0] >> 4 == 4 {
                assert_eq!((fold(sum(&answer[..20])), fold(sum(&answer[20..]))), (0xffff, 0xffff));
            } else {
                let length = u32::try_from(answer.len() - 40).unwrap();
                let pseudo = sum(&answer[8..40]) + word(length) + word(ICMP6.into());
                assert_eq!(fold(pseudo + sum(&answer[40..])), 0xffff);
            }
        }
    }

    #[test]
    fn errors_fragments_and_many_are_not_answered() {
        let mut later = v4(17, 0);
        later[7] = 1;
        let mut group = v4(17, 0);
        group[16] = 224;
        for packet in [v4(ICMP, 3), v4(ICMP, 11), v6(ICMP6, 1), v6(ICMP6, 3), later, group] {
            assert_eq!(refusal(&packet), None, "{packet:?}");
        }
        let at = |millis| Moment::since_boot(Duration::from_millis(millis));
        let mut refusals = Refusals::default();
        assert_eq!((0..1000).filter(|_| refusals.allow(at(0))).count(), BURST as usize);
        let later = (0..1000).filter(|millis| refusals.allow(at(1 + millis))).count();
        assert!((99..=101).contains(&later), "{later}");
    }

    proptest! {
        #[test]
        fn an_answer_is_never_larger_than_allowed(
            bytes in proptest::collection::vec(any::<u8>(), 0..1500),
        ) {
            let answer = refusal(&bytes);
            prop_assert!(answer.is_none_or(|answer| answer.len() <= LARGEST_6));
        }
    }
}
