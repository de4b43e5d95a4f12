//! Packets that stand for many, through the whole engine.

use super::*;
use crate::tunnel::noise::DATA_OVERHEAD;
use crate::tunnel::offload::tests::{Large, bulk, split};
use crate::tunnel::offload::{Accepts, Transport};

/// The packets that a host hears, as segments, until there are so many.
fn segments(side: &Side, count: usize) -> Vec<Vec<u8>> {
    let mut heard = Vec::new();
    while heard.len() < count {
        let (packet, offload) = side.host.hear_offloaded(PATIENCE).expect("something is heard");
        heard.extend(split(&Large { packet, offload }));
    }
    heard
}

fn pair_accepting(accepts: Accepts) -> (Side, Side) {
    let network = Network::default();
    let a = Side::new(&network, 1);
    let b = Side::with_host(&network, 2, MemoryHost::accepting(accepts));
    a.knows(&b);
    b.knows(&a);
    (a, b)
}

#[test]
fn large_packets_arrive_as_their_segments_with_and_without_a_session() {
    for accepts in [Accepts::default(), Accepts { tcp: true, udp: true }] {
        let (a, b) = pair_accepting(accepts);
        for transport in [Transport::Tcp, Transport::Udp, Transport::Tcp] {
            // The first waits for the session.
            let large = bulk(false, transport).large();
            a.host.say_offloaded(&large.packet, large.offload);
            let said = split(&large);
            assert_eq!(segments(&b, said.len()), said);
        }
        let (of_a, of_b) = (a.engine.snapshot(), b.engine.snapshot());
        let bytes = |side: &crate::tunnel::DeviceSnapshot| side.peers[0].rx_bytes;
        assert!(bytes(&of_b) > 180_000 && of_a.peers[0].tx_bytes > 180_000);
    }
}

#[test]
fn a_large_packet_of_which_nothing_holds_is_counted() {
    let (a, _b) = pair();
    let mut large = bulk(false, Transport::Tcp).large();
    large.offload.segments = crate::tunnel::offload::Segmentation::Tcp6;
    a.host.say_offloaded(&large.packet, large.offload);
    until("it is counted", || a.dropped(Cause::Malformed) == 1);
}

#[test]
fn a_burst_to_several_peers_reaches_all_of_them_in_order() {
    let network = Network::default();
    let sides: Vec<Side> = (1..=4).map(|seed| Side::new(&network, seed)).collect();
    let (hub, spokes) = sides.split_first().unwrap();
    for spoke in spokes {
        hub.knows(spoke);
        spoke.knows(hub);
        hub.say(spoke, "first");
        assert!(spoke.host.hear(PATIENCE).is_some());
    }
    let mut said = vec![Vec::new(); spokes.len()];
    for number in 0..300_usize {
        let to = number % spokes.len();
        let text = "x".repeat(number * 7 % 1300);
        said[to].push(hub.say(&spokes[to], &text));
    }
    for (spoke, said) in spokes.iter().zip(said) {
        let heard: Vec<_> = said.iter().map(|_| spoke.host.hear(PATIENCE).unwrap()).collect();
        assert_eq!(heard, said);
    }
}

/// Messages of one size travel together, and none is larger than its segment needs.
#[test]
fn a_message_is_as_long_as_its_padded_packet() {
    let (a, b) = pair();
    a.say(&b, "first");
    assert!(b.host.hear(PATIENCE).is_some());
    until("the session is confirmed", || b.engine.snapshot().peers[0].tx_bytes > 0);
    let before = a.engine.snapshot().peers[0].tx_bytes;
    let packets: Vec<_> = [0, 1, 12, 13, 1380, 1400].map(|n| a.say(&b, &"y".repeat(n))).into();
    for packet in &packets {
        assert_eq!(b.host.hear(PATIENCE).as_ref(), Some(packet));
    }
    let padded = |packet: &Vec<u8>| packet.len().next_multiple_of(16).min(1420) + DATA_OVERHEAD;
    let expected: usize = packets.iter().map(padded).sum();
    until("all are counted", || a.engine.snapshot().peers[0].tx_bytes - before >= expected as u64);
}
