//! From a peer to the host: which session, whether it is authentic, and whose the source is.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;

use super::clock::now;
use super::codel::Codel;
use super::outer::{mark, receive};
use super::packet::{addresses, total_length};
use super::peer::Peer;
use super::state::Core;
use super::turnstile::{Turn as _, Turnstile};
use crate::tunnel::drops::Cause;
use crate::tunnel::noise::{
    DATA_OVERHEAD, Kind, Moment, Rejected, Session, Window, kind, receiver,
};
use crate::tunnel::offload::{Accepts, Coalescer, Offload, Segmentation};
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

/// The time in which a receiver empties its buffer.
const LULL: Duration = Duration::from_millis(1);

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
pub(super) struct ReceiveBatch {
    /// Bytes of all its datagrams.
    pub(super) bytes: u64,
    /// Whether all of them are keepalives.
    pub(super) is_empty: bool,
    /// Who sent them.
    pub(super) from: SocketAddr,
    /// To which of our addresses.
    pub(super) to: Option<Local>,
}

/// What the threads of one socket share.
#[derive(Default)]
pub(super) struct SharedSocket {
    turnstile: Turnstile,
    /// Only taken by the thread whose turn it is.
    flow: Mutex<Flow>,
}

/// What depends on the order in which datagrams came.
#[derive(Default)]
struct Flow {
    codel: Codel,
    /// Bytes of joined UDP datagrams that the host was given since the last pause, all within a
    /// moment.
    burst: usize,
    /// When it was given packets last.
    given: Option<Moment>,
}

/// A run of messages of one session that were opened.
struct Opened {
    inlet: Inlet,
    /// The end of its messages in the list of all.
    end: usize,
}

/// A message that is authentic, but may have been seen before.
struct Message {
    counter: u64,
    /// Where it lies in the buffer.
    place: Range<usize>,
}

/// What came out of the messages of one receive.
struct Arrivals {
    runs: Vec<Opened>,
    /// Batch by batch.
    messages: Vec<Message>,
    /// What the session of the last run had seen when the run began: what was replayed long ago
    /// costs no decryption, and no lock for each message.
    seen: Window,
    /// Where the packets of a run lie, with their padding.
    packets: Vec<Range<usize>>,
    coalescer: Coalescer,
}

impl Arrivals {
    fn new(accepts: Accepts) -> Self {
        Self {
            runs: Vec::with_capacity(1),
            messages: Vec::with_capacity(64),
            seen: Window::default(),
            packets: Vec::with_capacity(64),
            coalescer: Coalescer::new(accepts),
        }
    }
}

impl Core {
    /// Carries what comes to a socket, as its only thread, until it is closed.
    pub(super) fn read_udp(&self, socket: &dyn Udp) {
        let mut buffer = vec![0; LARGEST];
        let mut arrivals = Arrivals::new(self.tun.accepts());
        let mut flow = Flow::default();
        loop {
            match socket.recv(&mut buffer) {
                Ok(Some(received)) if self.is_up() => {
                    let now = now();
                    self.open_datagrams(&mut buffer, &received, &mut arrivals, now);
                    self.pass_on(&mut buffer, &received, &mut arrivals, &mut flow, now);
                }
                Ok(Some(_)) => {}
                Ok(None) => return,
                Err(error) => wait_after(&error),
            }
        }
    }

    /// Carries what comes to a socket, as one of several threads, until it is closed. They open
    /// side by side what they received one after the other.
    pub(super) fn share_udp(&self, socket: &dyn Udp, shared: &SharedSocket) {
        let mut buffer = vec![0; LARGEST];
        let mut arrivals = Arrivals::new(self.tun.accepts());
        loop {
            let entry = shared.turnstile.enter();
            match socket.recv(&mut buffer) {
                Ok(Some(received)) if self.is_up() => {
                    let now = now();
                    let mut ticket = entry.leave();
                    self.open_datagrams(&mut buffer, &received, &mut arrivals, now);
                    ticket.wait();
                    let mut flow = shared.flow.lock();
                    self.pass_on(&mut buffer, &received, &mut arrivals, &mut flow, now);
                }
                Ok(Some(_)) => {}
                Ok(None) => return,
                Err(error) => wait_after(&error),
            }
        }
    }

    /// Opens messages in place, and notes what they are. Nothing here depends on what came before.
    fn open_datagrams(
        &self,
        buffer: &mut [u8],
        received: &Received,
        arrivals: &mut Arrivals,
        now: Moment,
    ) {
        // The index of the last run, also where there is no session of it.
        let mut last = None;
        let mut is_open = false;
        let stride = received.stride.max(1);
        for at in (0..received.length).step_by(stride) {
            let place = at..received.length.min(at + stride);
            let datagram = &mut buffer[place.clone()];
            match kind(datagram) {
                Some(Kind::Data) => {
                    let index = receiver(datagram);
                    if !is_open || last != index {
                        let inlet = index.and_then(|index| self.inlet(index, now));
                        is_open = inlet.is_some();
                        last = index;
                        if let Some(inlet) = inlet {
                            arrivals.seen.clone_from(&inlet.session.window());
                            let end = arrivals.messages.len();
                            arrivals.runs.push(Opened { inlet, end });
                        }
                    }
                    if is_open {
                        Self::open(datagram, place, arrivals);
                    }
                }
                Some(_) => self.take_handshake(datagram, received),
                None => self.drops.count(Cause::Malformed),
            }
        }
    }

    /// Opens a message of the last run in place.
    fn open(datagram: &mut [u8], place: Range<usize>, arrivals: &mut Arrivals) {
        let Some(run) = arrivals.runs.last_mut() else { return };
        match run.inlet.session.decrypt(datagram, |counter| arrivals.seen.is_new(counter)) {
            Ok((counter, _)) => {
                arrivals.messages.push(Message { counter, place });
                run.end = arrivals.messages.len();
            }
            Err(rejected) => run.inlet.peer.drops.count(cause(rejected)),
        }
    }

    /// Notes the runs that were opened, and gives their packets to the host: in the order in which
    /// they came.
    fn pass_on(
        &self,
        buffer: &mut [u8],
        received: &Received,
        arrivals: &mut Arrivals,
        flow: &mut Flow,
        now: Moment,
    ) {
        let Arrivals { runs, messages, packets, coalescer, .. } = arrivals;
        // What came a while ago has found its receiver.
        if flow.given.replace(now).is_none_or(|last| now.since(last) > LULL) {
            flow.burst = 0;
        }
        let Flow { codel, burst, .. } = flow;
        // One packet has to go, or to be marked.
        let mut is_late = codel.is_due(received.waited, now);
        let mut begin = 0;
        for Opened { inlet, end } in runs.drain(..) {
            let bytes = note(&inlet, &messages[begin..end], packets);
            begin = end;
            let is_empty = packets.is_empty();
            let run = ReceiveBatch { bytes, is_empty, from: received.from, to: received.to };
            if bytes == 0 || !self.heard(&inlet, &run, now) {
                continue;
            }
            self.admit_packets(&inlet.peer, buffer, packets);
            if received.traffic_class != 0 {
                for place in &*packets {
                    receive(&mut buffer[place.clone()], received.traffic_class);
                }
            }
            if is_late {
                is_late = !Self::slow_down(&inlet.peer, buffer, packets);
            }
            let mut send =
                |parts: &[IoSlice<'_>], offload: &Offload| self.give(parts, offload, burst);
            for packet in packets.drain(..) {
                coalescer.push(buffer, packet, &mut send);
            }
        }
        messages.clear();
        coalescer.finish(buffer, &mut |parts, offload| self.give(parts, offload, burst));
        if *burst >= BURST {
            *burst = 0;
            thread::sleep(PAUSE);
        }
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
    pub(super) fn heard(&self, inlet: &Inlet, run: &ReceiveBatch, now: Moment) -> bool {
        let peer = &inlet.peer;
        let mut state = peer.state.lock();
        if state.is_removed {
            return false;
        }
        peer.rx_bytes.fetch_add(run.bytes, Ordering::Relaxed);
        state.roam(run.from, run.to, |to| self.is_on_the_way(&run.from, to));
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

/// Notes the messages of a run in the window of their session. Gives the bytes of those that were
/// not seen before, and where their packets lie.
fn note(inlet: &Inlet, messages: &[Message], packets: &mut Vec<Range<usize>>) -> u64 {
    packets.clear();
    let mut bytes = 0;
    let mut window = inlet.session.window();
    for Message { counter, place } in messages {
        if !window.note(*counter) {
            inlet.peer.drops.count(Cause::Replay);
            continue;
        }
        bytes += place.len() as u64;
        if place.len() > DATA_OVERHEAD {
            packets.push(place.start + HEADER..place.end - (DATA_OVERHEAD - HEADER));
        }
    }
    bytes
}

/// Waits after an error of a socket.
fn wait_after(error: &io::Error) {
    tracing::debug!("failed to receive a datagram: {error}");
    thread::sleep(AFTER_ERROR);
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
