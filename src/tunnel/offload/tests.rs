//! Split and coalesce against one another, and against a slow reference.

use std::io::IoSlice;

use proptest::prelude::*;

use super::checksum::tests::slow;
use super::{Accepts, Coalescer, Headers, Offload, Segmentation, Split, Transport};

/// A packet that stands for many, as a kernel would give it to us.
#[derive(Debug, Clone)]
pub(in crate::tunnel) struct Large {
    pub(in crate::tunnel) packet: Vec<u8>,
    pub(in crate::tunnel) offload: Offload,
}

#[derive(Debug, Clone)]
pub(in crate::tunnel) struct Shape {
    is_v6: bool,
    transport: Transport,
    /// Bytes of TCP options, a multiple of 4.
    options: usize,
    /// FIN, SYN…: bits of TCP's 13th byte besides ACK.
    flags: u8,
    class: u8,
    sequence: u32,
    id: u16,
    dont_fragment: bool,
    port: u16,
    segment: usize,
    payload: Vec<u8>,
}

impl Shape {
    pub(in crate::tunnel) fn large(&self) -> Large {
        let mut packet = if self.is_v6 {
            let mut ip = vec![0x60 | self.class >> 4, self.class << 4, 0, 0, 0, 0, 0, 64];
            ip.extend([0xfd; 16]);
            ip.extend([0xfe; 16]);
            ip
        } else {
            let mut ip = vec![0x45, self.class, 0, 0];
            ip.extend(self.id.to_be_bytes());
            ip.extend([u8::from(self.dont_fragment) << 6, 0, 64, 0, 0, 0]);
            ip.extend([10, 0, 0, 1, 10, 0, 0, 2]);
            ip
        };
        let ip = packet.len();
        packet.extend(self.port.to_be_bytes());
        packet.extend(80_u16.to_be_bytes());
        let number = match self.transport {
            Transport::Tcp => {
                packet.extend(self.sequence.to_be_bytes());
                packet.extend([1, 2, 3, 4]);
                let words = u8::try_from(5 + self.options / 4).unwrap();
                packet.extend([words << 4, 0x10 | self.flags, 1, 0, 0, 0, 0, 0]);
                packet.extend(vec![1; self.options]);
                6
            }
            Transport::Udp => {
                packet.extend([0; 4]);
                17
            }
        };
        let header = packet.len();
        packet.extend(&self.payload);
        let whole = u16::try_from(packet.len()).unwrap();
        let above = whole - u16::try_from(ip).unwrap();
        if self.is_v6 {
            packet[4..6].copy_from_slice(&above.to_be_bytes());
            packet[6] = number;
        } else {
            packet[2..4].copy_from_slice(&whole.to_be_bytes());
            packet[9] = number;
            let checksum = !slow(&packet[..20]);
            packet[10..12].copy_from_slice(&checksum.to_be_bytes());
        }
        if self.transport == Transport::Udp {
            packet[ip + 4..ip + 6].copy_from_slice(&above.to_be_bytes());
        }
        let offset = self.transport.checksum_offset();
        let pseudo = slow(&pseudo_header(&packet, ip));
        packet[ip + offset..ip + offset + 2].copy_from_slice(&pseudo.to_be_bytes());
        let segments = match (self.transport, self.is_v6) {
            (Transport::Tcp, false) => Segmentation::Tcp4,
            (Transport::Tcp, true) => Segmentation::Tcp6,
            (Transport::Udp, _) => Segmentation::Udp,
        };
        let small = |number: usize| u16::try_from(number).unwrap();
        let offload = Offload {
            segments,
            segment: small(self.segment),
            header: small(header),
            checksum: Some((small(ip), small(offset))),
        };
        Large { packet, offload }
    }
}

/// RFC 9293, section 3.1, and RFC 8200, section 8.1.
fn pseudo_header(packet: &[u8], ip: usize) -> Vec<u8> {
    let length = u32::try_from(packet.len() - ip).unwrap().to_be_bytes();
    let (addresses, protocol) =
        if packet[0] >> 4 == 6 { (8..40, packet[6]) } else { (12..20, packet[9]) };
    [&packet[addresses], &length, &[0, 0, 0, protocol]].concat()
}

/// Whether a packet's checksums are right, by the slow reference.
fn is_sound(packet: &[u8]) -> bool {
    let is_v6 = packet[0] >> 4 == 6;
    let ip = if is_v6 { 40 } else { 20 };
    let covered = [&*pseudo_header(packet, ip), &packet[ip..]].concat();
    (is_v6 || slow(&packet[..20]) == 0xffff) && slow(&covered) == 0xffff
}

pub(in crate::tunnel) fn split(large: &Large) -> Vec<Vec<u8>> {
    let mut packet = large.packet.clone();
    let mut split = Split::new(&mut packet, &large.offload).unwrap();
    let mut segments = Vec::new();
    let count = split.count();
    while let Some(length) = split.next_length() {
        assert_eq!(split.count() + segments.len(), count);
        let mut segment = vec![0xaa; length];
        split.write(&mut segment);
        segments.push(segment);
    }
    assert_eq!((split.count(), segments.len()), (0, count));
    segments
}

/// Packets one after the other in a buffer, as they are when they come out of their messages.
fn coalesce(packets: &[Vec<u8>], accepts: Accepts) -> Vec<Large> {
    let mut buffer = Vec::new();
    let mut places = Vec::new();
    for packet in packets {
        buffer.extend([0x55; 16]);
        places.push(buffer.len()..buffer.len() + packet.len());
        buffer.extend(packet);
        buffer.extend([0x55; 23]);
    }
    let mut sent = Vec::new();
    let mut give = |parts: &[IoSlice<'_>], offload: &Offload| {
        let packet = parts.iter().flat_map(|part| part.to_vec()).collect();
        sent.push(Large { packet, offload: *offload });
    };
    let mut coalescer = Coalescer::new(accepts);
    for place in places {
        coalescer.push(&mut buffer, place, &mut give);
    }
    coalescer.finish(&mut buffer, &mut give);
    sent
}

const ALL: Accepts = Accepts { tcp: true, udp: true };

fn shapes() -> impl Strategy<Value = Shape> {
    let payload = prop_oneof![
        proptest::collection::vec(any::<u8>(), 1..40),
        proptest::collection::vec(any::<u8>(), 1..9000),
    ];
    let flags = prop_oneof![Just(0), Just(8), Just(0x81), any::<u8>()];
    let numbers = (any::<u32>(), any::<u16>(), any::<bool>(), 1000_u16..1003);
    let sizes = (prop_oneof![Just(1400_usize), 1_usize..2000], 0_usize..=10, flags, 0_u8..4);
    (any::<bool>(), any::<bool>(), sizes, numbers, payload).prop_map(
        |(is_v6, tcp, (segment, words, flags, class), numbers, payload)| {
            let (sequence, id, dont_fragment, port) = numbers;
            // Each segment needs a part of its own; more than 128 are several packets.
            let segment = segment.max(payload.len().div_ceil(100));
            let transport = if tcp { Transport::Tcp } else { Transport::Udp };
            let options = words * 4;
            let (flags, class) = (flags & !0x10, class);
            Shape {
                is_v6,
                transport,
                options,
                flags,
                class,
                sequence,
                id,
                dont_fragment,
                port,
                segment,
                payload,
            }
        },
    )
}

/// Where a packet may not be fragmented its identification says nothing (RFC 6864), and joining
/// does not keep it.
fn forget_id(packet: &mut [u8]) {
    if packet[0] >> 4 == 4 && packet[6] & 0x40 != 0 {
        packet[4..6].fill(0);
        packet[10..12].fill(0);
    }
}

proptest! {
    /// What the peer receives is what the host sent, in segments that each are sound.
    #[test]
    fn segments_are_sound_and_hold_the_payload(shape in shapes()) {
        let large = shape.large();
        let segments = split(&large);
        prop_assert_eq!(segments.len(), shape.payload.len().div_ceil(shape.segment));
        let header = usize::from(large.offload.header);
        let payload: Vec<u8> =
            segments.iter().flat_map(|segment| segment[header..].to_vec()).collect();
        prop_assert_eq!(&payload, &shape.payload);
        let last = segments.len() - 1;
        for (index, segment) in segments.iter().enumerate() {
            prop_assert!(is_sound(segment), "{:?}", segment);
            if shape.transport == Transport::Tcp {
                let tcp = if shape.is_v6 { 40 } else { 20 };
                let mut flags = shape.flags | 0x10;
                flags &= if index == last { 0xff } else { !0x09 };
                flags &= if index == 0 { 0xff } else { !0x80 };
                prop_assert_eq!(segment[tcp + 13], flags);
                let sequence = u32::from_be_bytes(*segment[tcp + 4..].first_chunk().unwrap());
                let done = u32::try_from(index * shape.segment).unwrap();
                prop_assert_eq!(sequence, shape.sequence.wrapping_add(done));
            }
            if !shape.is_v6 {
                let id = u16::from_be_bytes([segment[4], segment[5]]);
                prop_assert_eq!(id, shape.id.wrapping_add(u16::try_from(index).unwrap()));
            }
        }
    }

    /// Segments of several flows survive being joined and divided again, byte for byte, and each
    /// flow in its order.
    #[test]
    fn coalescing_loses_nothing(
        large in proptest::collection::vec(shapes(), 1..5),
        turns in proptest::collection::vec(0_usize..4, 0..200),
        tcp in any::<bool>(),
        udp in any::<bool>(),
    ) {
        let mut queues: Vec<_> =
            large.iter().map(|shape| split(&shape.large()).into_iter()).collect();
        // Flows interleave, and each keeps its order.
        let mut sent: Vec<Vec<u8>> = Vec::new();
        for turn in turns {
            let index = turn % queues.len();
            sent.extend(queues[index].next());
        }
        sent.extend(queues.into_iter().flatten());
        let joined = coalesce(&sent, Accepts { tcp, udp });
        let mut heard: Vec<Vec<u8>> = joined.iter().flat_map(split).collect();
        let accepted = joined.iter().all(|large| match large.offload.segments {
            Segmentation::None => true,
            Segmentation::Udp => udp,
            Segmentation::Tcp4 | Segmentation::Tcp6 => tcp,
        });
        prop_assert!(accepted);
        let flow = |packet: &Vec<u8>| {
            let headers = Headers::parse(packet).unwrap();
            (headers.is_v6, packet[headers.ip..][..4].to_vec(), headers.transport as u8)
        };
        // A stable sort by flow keeps the order within each.
        sent.sort_by_key(flow);
        heard.sort_by_key(flow);
        sent.iter_mut().chain(&mut heard).for_each(|packet| forget_id(packet));
        prop_assert_eq!(sent, heard);
    }

    #[test]
    fn hostile_packets_never_panic(
        mut packet in proptest::collection::vec(any::<u8>(), 0..200),
        version in prop_oneof![Just(0x45_u8), Just(0x60), Just(0x4f), any::<u8>()],
        protocol in prop_oneof![Just(6_u8), Just(17), any::<u8>()],
        segments in 0_u8..4,
        segment in 0_u16..300,
        checksum in proptest::option::of((0_u16..300, any::<u16>())),
    ) {
        if packet.len() > 9 {
            packet[0] = version;
            packet[if version == 0x60 { 6 } else { 9 }] = protocol;
        }
        let segments = match segments {
            0 => Segmentation::None,
            1 => Segmentation::Tcp4,
            2 => Segmentation::Tcp6,
            _ => Segmentation::Udp,
        };
        let offload = Offload { segments, segment, header: 0, checksum };
        coalesce(&[packet.clone(), packet.clone()], ALL);
        if let Ok(mut split) = Split::new(&mut packet, &offload) {
            while let Some(length) = split.next_length() {
                split.write(&mut vec![0; length]);
            }
        }
    }
}

pub(in crate::tunnel) fn bulk(is_v6: bool, transport: Transport) -> Shape {
    Shape {
        is_v6,
        transport,
        options: 12,
        flags: 8,
        class: 0,
        sequence: u32::MAX - 5000,
        id: 65530,
        dont_fragment: true,
        port: 1000,
        segment: 1300,
        payload: (0..60_000).map(|number| u8::try_from(number % 251).unwrap()).collect(),
    }
}

#[test]
fn a_bulk_transfer_becomes_one_packet_again() {
    for is_v6 in [false, true] {
        for transport in [Transport::Tcp, Transport::Udp] {
            let large = bulk(is_v6, transport).large();
            let joined = coalesce(&split(&large), ALL);
            assert_eq!(joined.len(), 1);
            assert_eq!(joined[0].offload, large.offload);
            assert_eq!(joined[0].packet, large.packet);
        }
    }
}

#[test]
fn a_wrong_checksum_stays_wrong() {
    let mut segments = split(&bulk(false, Transport::Tcp).large());
    segments[3][100] ^= 1;
    let joined = coalesce(&segments, ALL);
    assert!(joined.iter().any(|large| large.packet == segments[3]));
}

#[test]
fn flows_in_turns_are_collected_beside_one_another() {
    let flows: Vec<_> = (0..4_u16)
        .map(|port| split(&Shape { port, ..bulk(port % 2 == 0, Transport::Tcp) }.large()))
        .collect();
    let turns: Vec<_> =
        (0..20).flat_map(|index| flows.iter().map(move |flow| flow[index].clone())).collect();
    assert_eq!(coalesce(&turns, ALL).len(), 4);
}

#[test]
fn a_checksum_of_a_single_packet_is_completed() {
    let mut shape = bulk(true, Transport::Udp);
    shape.payload.truncate(7);
    let mut large = shape.large();
    large.offload.segments = Segmentation::None;
    let packets = split(&large);
    assert_eq!(packets.len(), 1);
    assert!(is_sound(&packets[0]));
}
