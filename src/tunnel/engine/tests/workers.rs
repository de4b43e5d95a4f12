//! Several threads for each queue: the order is that of one.

use std::collections::HashMap;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Weak;

use parking_lot::Mutex;

use super::*;
use crate::tunnel::engine::clock::now;
use crate::tunnel::engine::state::Core;
use crate::tunnel::noise::{DATA_OVERHEAD, Kind, kind, receiver};
use crate::tunnel::offload::checksum::{fold, sum};
use crate::tunnel::offload::tests::{Large, split};
use crate::tunnel::offload::{Accepts, Offload, Segmentation};
use crate::tunnel::transport::{BoundSocket, Received, Remote, Udp};

const COUNTS: [usize; 3] = [1, 2, 4];

/// Receiver and counter of each data message with a packet, in the order of sending.
type Record = Arc<Mutex<Vec<(u32, u64)>>>;

/// A place in the network whose sockets note what is sent.
struct Tapped(Place, Record);

struct Tap {
    socket: Arc<dyn Udp>,
    record: Record,
}

impl Bind for Tapped {
    fn bind(&self, family: Family, port: u16, mark: u32) -> io::Result<Option<BoundSocket>> {
        let bound = self.0.bind(family, port, mark)?;
        Ok(bound.map(|(port, socket)| -> BoundSocket {
            (port, Arc::new(Tap { socket, record: Arc::clone(&self.1) }))
        }))
    }
}

impl Udp for Tap {
    fn recv(&self, datagrams: &mut [u8]) -> io::Result<Option<Received>> {
        self.socket.recv(datagrams)
    }

    fn send(&self, datagrams: &[u8], stride: usize, to: &Remote) -> io::Result<()> {
        let mut record = self.record.lock();
        for message in datagrams.chunks(stride) {
            if kind(message) == Some(Kind::Data) && message.len() > DATA_OVERHEAD {
                let counter = u64::from_le_bytes(message[8..16].try_into().unwrap());
                record.push((receiver(message).unwrap(), counter));
            }
        }
        self.socket.send(datagrams, stride, to)
    }

    fn set_mark(&self, mark: u32) -> io::Result<()> {
        self.socket.set_mark(mark)
    }

    fn close(&self) {
        self.socket.close();
    }
}

fn side(network: &Network, seed: u8, workers: usize) -> (Side, Record) {
    let record = Record::default();
    let workers = Workers::new(NonZeroUsize::new(workers).unwrap());
    let host = MemoryHost::accepting(Accepts { tcp: true, udp: true });
    let tapped = Tapped(Side::place(network, seed), Arc::clone(&record));
    (Side::with(Box::new(tapped), seed, host, workers), record)
}

/// Two sides that have spoken to one another.
fn pair_of(workers: usize) -> [(Side, Record); 2] {
    let network = Network::default();
    let (a, b) = (side(&network, 1, workers), side(&network, 2, workers));
    a.0.knows(&b.0);
    b.0.knows(&a.0);
    a.0.say(&b.0, "first");
    assert!(b.0.host.hear(PATIENCE).is_some());
    b.0.say(&a.0, "second");
    assert!(a.0.host.hear(PATIENCE).is_some());
    [a, b]
}

/// A packet of a TCP stream that carries so many bytes; a segment has 1380.
fn stream(from: &Side, to: &Side, port: u16, sequence: u32, bytes: usize) -> Large {
    let mut packet = packet(from.inner, to.inner, &"\0".repeat(20 + bytes));
    (packet[1], packet[8]) = (0, 64);
    packet[4..8].copy_from_slice(&[0, 0, 0x40, 0]);
    packet[9..12].copy_from_slice(&[6, 0, 0]);
    let checksum = !fold(sum(&packet[..20]));
    packet[10..12].copy_from_slice(&checksum.to_ne_bytes());
    packet[20..22].copy_from_slice(&port.to_be_bytes());
    packet[22..24].copy_from_slice(&80_u16.to_be_bytes());
    packet[24..28].copy_from_slice(&sequence.to_be_bytes());
    (packet[32], packet[33]) = (0x50, 0x10);
    for (index, byte) in packet[40..].iter_mut().enumerate() {
        *byte = u8::try_from((index + sequence as usize) % 251).unwrap();
    }
    let segments = if bytes > 1380 { Segmentation::Tcp4 } else { Segmentation::None };
    // The sum of the pseudo-header, as a kernel leaves it.
    let numbers = packet[12..20].chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    let pseudo = numbers.map(u32::from).sum::<u32>() + 6 + u32::try_from(20 + bytes).unwrap();
    let folded = u16::try_from((pseudo & 0xffff) + (pseudo >> 16)).unwrap();
    packet[36..38].copy_from_slice(&folded.to_be_bytes());
    let offload = Offload { segments, segment: 1380, header: 40, checksum: Some((20, 16)) };
    Large { packet, offload }
}

/// Says packets of two streams, large ones and small ones by turns; gives their segments.
fn say_streams(from: &Side, to: &Side, rounds: u32) -> Vec<Vec<u8>> {
    let mut said = Vec::new();
    let mut sequences = [1_u32, 1 << 31];
    for round in 0..rounds {
        let bytes = match round % 7 {
            0 | 1 | 4 => 60_000,
            2 => 1380,
            3 => 1 + round as usize % 900,
            5 => 64_000,
            _ => 3 * 1380,
        };
        let which = usize::from(round % 5 == 0);
        let port = 4000 + u16::try_from(which).unwrap();
        let large = stream(from, to, port, sequences[which], bytes);
        sequences[which] = sequences[which].wrapping_add(u32::try_from(bytes).unwrap());
        said.extend(split(&large));
        from.host.say_offloaded(&large.packet, large.offload);
    }
    said
}

/// The port that a packet comes from: which stream it is of.
fn port(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[20], packet[21]])
}

/// Ports, sequence numbers and payload of each stream, one after the other: what must not change.
fn streams(segments: &[Vec<u8>]) -> HashMap<u16, Vec<(u32, Vec<u8>)>> {
    let mut streams = HashMap::<_, Vec<_>>::new();
    for segment in segments {
        let sequence = u32::from_be_bytes(segment[24..28].try_into().unwrap());
        streams.entry(port(segment)).or_default().push((sequence, segment[40..].to_vec()));
    }
    streams
}

fn hear(side: &Side, count: usize) -> Vec<Vec<u8>> {
    let mut heard = Vec::new();
    while heard.len() < count {
        let (packet, offload) = side.host.hear_offloaded(PATIENCE).expect("something is heard");
        heard.extend(split(&Large { packet, offload }));
    }
    heard
}

/// Hears everything up to a packet.
fn hear_past(side: &Side, last: &[u8]) {
    while side.host.hear(PATIENCE).expect("something is heard") != last {}
}

/// The counters of each session were used in their order, and none twice.
fn assert_ordered(record: &Record) {
    let mut last = HashMap::new();
    for (session, counter) in record.lock().iter() {
        let before = last.insert(*session, *counter);
        assert!(before.is_none_or(|before| before < *counter), "{before:?} before {counter}");
    }
}

#[test]
fn streams_keep_their_order_both_ways_at_once() {
    for workers in COUNTS {
        let [(a, of_a), (b, of_b)] = pair_of(workers);
        let (to_b, to_a) = (say_streams(&a, &b, 120), say_streams(&b, &a, 120));
        assert_eq!(streams(&hear(&b, to_b.len())), streams(&to_b), "{workers}");
        assert_eq!(streams(&hear(&a, to_a.len())), streams(&to_a), "{workers}");
        assert_ordered(&of_a);
        assert_ordered(&of_b);
    }
}

#[test]
fn small_packets_keep_their_order_to_several_peers() {
    for workers in COUNTS {
        let network = Network::default();
        let (hub, record) = side(&network, 1, workers);
        let spokes: Vec<Side> = (2..5).map(|seed| side(&network, seed, workers).0).collect();
        let hear = |spoke: &Side, said: &[Vec<u8>]| {
            let heard: Vec<_> = said.iter().map(|_| spoke.host.hear(PATIENCE).unwrap()).collect();
            assert_eq!(heard, said, "{workers}");
        };
        for spoke in &spokes {
            hub.knows(spoke);
            spoke.knows(&hub);
            // They wait for the session.
            let said: Vec<_> = (0..100).map(|n| hub.say(spoke, &format!("waits {n}"))).collect();
            hear(spoke, &said);
        }
        let mut said: Vec<Vec<Vec<u8>>> = vec![Vec::new(); spokes.len()];
        for number in 0..800_usize {
            let to = number % 7 % spokes.len();
            said[to].push(hub.say(&spokes[to], &"x".repeat(number * 13 % 1380)));
        }
        spokes.iter().zip(&said).for_each(|(spoke, said)| hear(spoke, said));
        assert_ordered(&record);
    }
}

#[test]
fn a_new_session_in_the_middle_of_a_stream_loses_nothing() {
    for workers in COUNTS {
        let [(a, of_a), (b, _)] = pair_of(workers);
        let mut said = say_streams(&a, &b, 60);
        // The other end's turn: ours was the last, and too short ago for another.
        let core = &b.engine.core;
        let peer = core.tables.read().peers.values().next().cloned().unwrap();
        core.initiate(&peer, &mut peer.state.lock(), false, now());
        let sessions = || {
            of_a.lock()
                .iter()
                .map(|(session, _)| *session)
                .collect::<std::collections::HashSet<_>>()
        };
        let mut heard = Vec::new();
        until("the new session is used", || {
            let more = again(&a, &b, &mut said);
            heard.extend(hear(&b, more));
            sessions().len() == 2
        });
        heard.extend(hear(&b, said.len() - heard.len()));
        assert_eq!(streams(&heard), streams(&said), "{workers}");
        assert_ordered(&of_a);
    }
}

/// Another large packet of a stream of its own; says how many segments it has.
fn again(from: &Side, to: &Side, said: &mut Vec<Vec<u8>>) -> usize {
    let sequence = u32::try_from(said.len()).unwrap() * 1380;
    let large = stream(from, to, 5000, sequence, 20 * 1380);
    said.extend(split(&large));
    from.host.say_offloaded(&large.packet, large.offload);
    20
}

#[test]
fn a_peer_that_is_removed_in_the_middle_is_forgotten_and_may_come_back() {
    for workers in COUNTS {
        let [(a, _), (b, _)] = pair_of(workers);
        let weak = Arc::downgrade(a.engine.core.tables.read().peers.values().next().unwrap());
        say_streams(&a, &b, 50);
        a.set_peer(PeerChange::removal(private(b.seed).public()));
        say_streams(&a, &b, 50);
        until("nobody holds the peer", || weak.upgrade().is_none());
        until("the rest is dropped", || a.dropped(Cause::NoPeer) > 0);
        // The fastest that a peer's initiations are answered.
        std::thread::sleep(Duration::from_millis(40));
        a.knows(&b);
        let last = a.say(&b, "after");
        hear_past(&b, &last);
    }
}

/// Every thread has ended once nobody holds what they share.
fn assert_ended(core: &Weak<Core>) {
    until("every thread has ended", || core.upgrade().is_none());
}

#[test]
fn every_thread_ends_with_the_device_also_in_the_middle_of_a_stream() {
    for workers in COUNTS {
        let [(a, _), (b, _)] = pair_of(workers);
        let cores = [&a, &b].map(|side| Arc::downgrade(&side.engine.core));
        say_streams(&a, &b, 100);
        say_streams(&b, &a, 100);
        drop((a, b));
        cores.iter().for_each(assert_ended);
        // And where nothing ever came.
        let idle = side(&Network::default(), 3, workers).0;
        let core = Arc::downgrade(&idle.engine.core);
        drop(idle);
        assert_ended(&core);
    }
}

#[test]
fn another_port_in_the_middle_of_a_stream_ends_the_threads_of_the_old_one() {
    for workers in COUNTS {
        let [(a, _), (b, _)] = pair_of(workers);
        for port in [4000, 51820, 4000, 4001] {
            let sockets: Vec<Weak<dyn Udp>> = {
                let bound = b.engine.core.sockets.read();
                bound.as_ref().unwrap().each().map(Arc::downgrade).collect()
            };
            say_streams(&a, &b, 30);
            b.set(DeviceChange { listen_port: Some(port), ..DeviceChange::default() });
            until("the old sockets are gone", || sockets.iter().all(|s| s.upgrade().is_none()));
            // From the new port, so that the other side knows it.
            let here = b.say(&a, "here");
            hear_past(&a, &here);
        }
        let last = a.say(&b, "last");
        hear_past(&b, &last);
    }
}

#[test]
fn counts_suit_processors() {
    let counts = [0, 1, 2, 3, 4, 7, 8, 64].map(|processors| Workers::suiting(processors).count());
    assert_eq!(counts, [1, 1, 1, 1, 2, 2, 4, 4]);
}
