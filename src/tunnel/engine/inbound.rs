//! From a peer to the host: which session, whether it is authentic, and whose the source is.

use std::io::IoSlice;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, SystemTime};

use super::clock::now;
use super::codel::{Codel, mark};
use super::device::Core;
use super::packet::{addresses, total_length};
use super::peer::Peer;
use crate::tunnel::drops::Cause;
use crate::tunnel::noise::{Kind, Moment, Rejected, Session, kind, receiver};
use crate::tunnel::offload::{Coalescer, Offload, Segmentation};
use crate::tunnel::transport::{LARGEST, Local, Received, Udp};

/// Bytes before the plaintext of a message.
const HEADER: usize = 16;

/// Bytes of a packet that is no part of a stream.
const SMALL: usize = 512;

/// How long a thread waits after an error of its socket, so that a lasting one costs nothing.
const AFTER_ERROR: Duration = Duration::from_millis(20);

/// Bytes of joined UDP datagrams after which the host gets a pause. A receiver's buffer of the
/// default size holds about a hundred datagrams, so two full runs: what comes before the receiver
/// was scheduled is lost there, after we have paid for it. Ours is larger, and what does not fit
/// into it costs nothing.
const BURST: usize = 32 << 10;

/// How long that pause is; the system adds about as much again.
const PAUSE: Duration = Duration::from_micros(60);

/// Where a run of data messages comes in: a session, and whose it is.
#[derive(Clone)]
pub(super) struct Inlet {
    pub(super) peer: Arc<Peer>,
    pub(super) session: Arc<Session>,
}

/// What a run of authentic messages of one session was.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    /// Bytes of all its datagrams.
    pub(super) bytes: u64,
    /// Whether all of them are keepalives.
    pub(super) is_empty: bool,
    /// Who sent them.
    pub(super) from: SocketAddr,
    /// To which of our addresses.
    pub(super) to: Option<Local>,
}

/// What came out of the messages of one receive.
struct Arrivals {
    /// The session of the run that is being opened.
    inlet: Option<(u32, Inlet)>,
    /// Bytes of its messages.
    bytes: u64,
    /// Whether any of its messages was authentic.
    is_heard: bool,
    /// Where its packets lie in the buffer, with their padding.
    packets: Vec<Range<usize>>,
    coalescer: Coalescer,
    codel: Codel,
    /// One packet has to go, or to be marked.
    is_late: bool,
    /// Bytes of joined UDP datagrams that the host was given since the last pause.
    burst: usize,
}

impl Core {
    pub(super) fn read_udp(&self, socket: &dyn Udp) {
        let mut buffer = vec![0; LARGEST];
        let mut arrivals = Arrivals {
            inlet: None,
            bytes: 0,
            is_heard: false,
            packets: Vec::with_capacity(64),
            coalescer: Coalescer::new(self.tun.accepts()),
            codel: Codel::default(),
            is_late: false,
            burst: 0,
        };
        loop {
            match socket.recv(&mut buffer) {
                Ok(Some(received)) => self.take_datagrams(&mut buffer, &received, &mut arrivals),
                Ok(None) => return,
                Err(error) => {
                    tracing::debug!("failed to receive a datagram: {error}");
                    thread::sleep(AFTER_ERROR);
                }
            }
        }
    }

    fn take_datagrams(&self, buffer: &mut [u8], received: &Received, arrivals: &mut Arrivals) {
        if !self.is_up() {
            return;
        }
        let now = now();
        arrivals.is_late = arrivals.codel.is_due(received.waited, now);
        let stride = received.stride.max(1);
        for at in (0..received.length).step_by(stride) {
            let place = at..received.length.min(at + stride);
            let datagram = &mut buffer[place.clone()];
            match kind(datagram) {
                Some(Kind::Data) => {
                    let index = receiver(datagram);
                    let is_same = arrivals.inlet.as_ref().map(|(of, _)| *of) == index;
                    if !is_same {
                        self.end_run(buffer, received, arrivals, now);
                        let inlet = index.and_then(|index| self.inlet(index, now));
                        arrivals.inlet = index.zip(inlet);
                    }
                    Self::open(buffer, place, arrivals);
                }
                Some(_) => self.take_handshake(datagram, received),
                None => self.drops.count(Cause::Malformed),
            }
        }
        self.end_run(buffer, received, arrivals, now);
        let Arrivals { coalescer, burst, .. } = arrivals;
        coalescer.finish(buffer, &mut |parts, offload| self.give(parts, offload, burst));
        if *burst >= BURST {
            *burst = 0;
            thread::sleep(PAUSE);
        }
    }

    /// Opens a message of the run in place.
    fn open(buffer: &mut [u8], place: Range<usize>, arrivals: &mut Arrivals) {
        let Some((_, inlet)) = &arrivals.inlet else { return };
        match inlet.session.open(&mut buffer[place.clone()]) {
            Ok(text) => {
                arrivals.is_heard = true;
                arrivals.bytes += place.len() as u64;
                if !text.is_empty() {
                    let begin = place.start + HEADER;
                    arrivals.packets.push(begin..begin + text.len());
                }
            }
            Err(rejected) => inlet.peer.drops.count(cause(rejected)),
        }
    }

    /// Notes the run that ends, and gives its packets to the host.
    fn end_run(
        &self,
        buffer: &mut [u8],
        received: &Received,
        arrivals: &mut Arrivals,
        now: Moment,
    ) {
        let (bytes, is_heard) = (arrivals.bytes, arrivals.is_heard);
        (arrivals.bytes, arrivals.is_heard) = (0, false);
        let Some((_, inlet)) = arrivals.inlet.take() else { return };
        let is_empty = arrivals.packets.is_empty();
        let run = Run { bytes, is_empty, from: received.from, to: received.to };
        if is_heard && self.heard(&inlet, &run, now) {
            self.admit_packets(&inlet.peer, buffer, &mut arrivals.packets);
            if arrivals.is_late {
                arrivals.is_late = !Self::slow_down(&inlet.peer, buffer, &mut arrivals.packets);
            }
            let Arrivals { packets, coalescer, burst, .. } = arrivals;
            let mut send =
                |parts: &[IoSlice<'_>], offload: &Offload| self.give(parts, offload, burst);
            for packet in packets.drain(..) {
                coalescer.push(buffer, packet, &mut send);
            }
        }
        arrivals.packets.clear();
    }

    /// Hands a handshake message to the thread that answers them.
    pub(super) fn take_handshake(&self, message: &[u8], received: &Received) {
        if !self.handshakes.push(message, received) {
            self.drops.count(Cause::HandshakesFull);
        }
    }

    /// The session of an index; where there is none, that is counted.
    pub(super) fn inlet(&self, index: u32, now: Moment) -> Option<Inlet> {
        let entry = self.indices.get(index);
        let inlet = entry.and_then(|entry| {
            let session = entry.session.filter(|session| !session.is_expired(now))?;
            Some(Inlet { peer: entry.peer, session })
        });
        if inlet.is_none() {
            self.drops.count(Cause::NoSession);
        }
        inlet
    }

    /// Notes a run of authentic messages: bytes, endpoint, timers, and what waited for a session
    /// that is confirmed by it. `false` for a peer that was removed meanwhile.
    pub(super) fn heard(&self, inlet: &Inlet, run: &Run, now: Moment) -> bool {
        let peer = &inlet.peer;
        let mut state = peer.state.lock();
        if state.is_removed {
            return false;
        }
        peer.rx_bytes.fetch_add(run.bytes, Ordering::Relaxed);
        state.roam(run.from, run.to);
        let heard = state.protocol.heard(&inlet.session, run.is_empty, now);
        if heard.completed {
            state.last_handshake = Some(SystemTime::now());
            self.flush(peer, &mut state, now);
        }
        if heard.initiate {
            self.initiate(peer, &mut state, false, now);
        }
        self.settle(peer, &mut state, now);
        true
    }

    /// Leaves only the IP packets whose source belongs to the peer, without their padding.
    fn admit_packets(&self, peer: &Arc<Peer>, buffer: &[u8], packets: &mut Vec<Range<usize>>) {
        let tables = self.tables.read();
        let mut last = None;
        packets.retain_mut(|place| {
            let packet = &buffer[place.clone()];
            let (Some((source, _)), Some(length)) = (addresses(packet), total_length(packet))
            else {
                peer.drops.count(Cause::Malformed);
                return false;
            };
            place.end = place.start + length;
            if last != Some(source) {
                let owner = tables.routes.find(source);
                if !owner.is_some_and(|owner| Arc::ptr_eq(owner, peer)) {
                    peer.drops.count(Cause::SourceNotAllowed);
                    return false;
                }
                last = Some(source);
            }
            true
        });
    }

    /// Marks or drops one packet of a stream, so that its sender slows down. Small ones are no
    /// stream, and who sends them waits for others; `false` where there is none but these.
    fn slow_down(peer: &Peer, buffer: &mut [u8], packets: &mut Vec<Range<usize>>) -> bool {
        let Some(index) = packets.iter().position(|place| place.len() > SMALL) else {
            return false;
        };
        if !mark(&mut buffer[packets[index].clone()]) {
            packets.remove(index);
            peer.drops.count(Cause::QueueDelay);
        }
        true
    }

    fn give(&self, parts: &[IoSlice<'_>], offload: &Offload, burst: &mut usize) {
        if offload.segments == Segmentation::Udp {
            *burst += parts.iter().map(|part| part.len()).sum::<usize>();
        }
        if let Err(error) = self.tun.send(parts, offload) {
            self.drops.count(Cause::HostRefused);
            tracing::debug!("failed to give a packet to the host: {error}");
        }
    }
}

/// What a rejected message is counted as.
pub(super) const fn cause(rejected: Rejected) -> Cause {
    match rejected {
        Rejected::Malformed => Cause::Malformed,
        Rejected::Forged => Cause::Forged,
        Rejected::Replayed => Cause::Replay,
        Rejected::Flood => Cause::RateLimited,
        Rejected::Unasked => Cause::NoSession,
    }
}
