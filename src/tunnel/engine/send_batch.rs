//! Messages to one peer that leave in one send.

use std::sync::Arc;

use super::peer::Peer;
use super::state::Core;
use super::turnstile::Turn;
use crate::tunnel::drops::Cause;
use crate::tunnel::noise::{DATA_OVERHEAD, Session, padded};
use crate::tunnel::offload::Split;
use crate::tunnel::transport::{Outer, Remote};

/// Messages of one send: the least that a kernel takes with `UDP_SEGMENT`.
const MOST_MESSAGES: usize = 64;

/// Bytes of one send: the largest datagram less the headers of UDP and IPv6.
const MOST_BYTES: usize = 65535 - 48;

/// Bytes and messages that one of several workers seals before it has to wait for its turn: those of
/// one packet of 64 KiB, in segments of a kilobyte or more.
const MOST_BYTES_OF_A_WORKER: usize = 72 << 10;
const MOST_MESSAGES_OF_A_WORKER: usize = 128;

/// Messages after which the route to a peer is asked for anew.
const MOST_OF_A_WAY: usize = 4 * MOST_MESSAGES;

/// Bytes before the plaintext of a message.
const HEADER: usize = 16;

/// The peer, its session, and where the messages are sent.
struct Route {
    peer: Arc<Peer>,
    session: Arc<Session>,
    to: Remote,
}

/// Sealed messages to one peer, one after the other: all of one size, but for the last.
///
/// The buffer is the only one of its thread and stays in the processor's cache.
pub(super) struct SendBatch {
    buffer: Box<[u8]>,
    route: Option<Route>,
    length: usize,
    count: usize,
    /// Bytes of each message.
    stride: usize,
    /// Messages sealed since the route was asked for.
    sealed: usize,
    /// Messages after which it is full.
    most: usize,
}

impl SendBatch {
    /// The run of the only thread of its direction: one send is all that it holds.
    pub(super) fn new() -> Self {
        Self::with_room(MOST_BYTES, MOST_MESSAGES)
    }

    /// The run of one of several workers: it takes a whole packet, and two sends if need be.
    pub(super) fn of_a_worker() -> Self {
        Self::with_room(MOST_BYTES_OF_A_WORKER, MOST_MESSAGES_OF_A_WORKER)
    }

    fn with_room(bytes: usize, most: usize) -> Self {
        let buffer = vec![0; bytes].into_boxed_slice();
        Self { buffer, route: None, length: 0, count: 0, stride: 0, sealed: 0, most }
    }

    /// Whether the run goes to this peer, so that nothing has to be asked for the next packet.
    pub(super) fn goes_to(&self, peer: &Arc<Peer>) -> bool {
        self.route.as_ref().is_some_and(|route| Arc::ptr_eq(&route.peer, peer))
    }

    /// Begins a run; the one before was sent.
    pub(super) fn begin(&mut self, peer: Arc<Peer>, session: Arc<Session>, to: Remote) {
        self.route = Some(Route { peer, session, to });
        self.sealed = 0;
    }

    /// Gives the messages that follow another outer header. Those of one send have the same.
    pub(super) fn turn_to(&mut self, outer: Outer, core: &Core, turn: &mut impl Turn) {
        if self.route.as_ref().is_some_and(|route| route.to.outer != outer) {
            self.send(core, turn);
        }
        if let Some(route) = &mut self.route {
            route.to.outer = outer;
        }
    }

    /// Whether this is the receiver of the run's own messages: then a message of ours came back to
    /// us as a packet for the same peer, because the route to its endpoint leads into the tunnel.
    pub(super) fn is_to(&self, receiver: u32) -> bool {
        self.route.as_ref().is_some_and(|route| route.session.remote() == receiver)
    }

    /// Takes counters for so many messages of the run, and gives the first; `None` where the
    /// session has none left, which is counted.
    pub(super) fn reserve(&self, messages: usize) -> Option<u64> {
        let route = self.route.as_ref()?;
        let first = route.session.reserve(messages as u64).ok();
        if first.is_none() {
            route.peer.drops.count(Cause::NoSession);
        }
        first
    }

    /// Seals the segments of a packet under counters of [`SendBatch::reserve`], and sends in its turn
    /// whenever the run is full.
    pub(super) fn seal(
        &mut self,
        core: &Core,
        split: &mut Split<'_>,
        mtu: usize,
        counter: u64,
        turn: &mut impl Turn,
    ) {
        let mut counter = counter;
        while let Some(plain) = split.next_length() {
            let length = padded(plain, mtu) + DATA_OVERHEAD;
            if self.count > 0 && !self.has_room(length) {
                self.send(core, turn);
            }
            let Some(route) = &self.route else { return };
            let Some(message) = self.buffer.get_mut(self.length..self.length + length) else {
                route.peer.drops.count(Cause::SendFailed);
                return;
            };
            split.write(&mut message[HEADER..HEADER + plain]);
            message[HEADER + plain..].fill(0);
            route.session.seal_as(counter, message);
            counter += 1;
            if self.count == 0 {
                self.stride = length;
            }
            self.length += length;
            self.count += 1;
            self.sealed += 1;
        }
    }

    /// Whether a message of this length may follow.
    fn has_room(&self, length: usize) -> bool {
        let is_last = !self.length.is_multiple_of(self.stride.max(1));
        !is_last
            && length <= self.stride
            && self.count < self.most
            && self.length + length <= self.buffer.len()
    }

    /// Whether nothing is to be sent.
    pub(super) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether as much is to be sent as one send takes.
    pub(super) const fn is_full(&self) -> bool {
        self.count >= MOST_MESSAGES || self.length + self.stride > MOST_BYTES
    }

    /// Sends what there is, in its turn; the route stays.
    fn send(&mut self, core: &Core, turn: &mut impl Turn) {
        if let Some(route) = &self.route
            && self.count > 0
        {
            turn.wait();
            let most = (MOST_BYTES / self.stride).clamp(1, MOST_MESSAGES);
            // Alike, so that the receiver's threads have as much to do with the one as with another.
            let each = self.count.div_ceil(self.count.div_ceil(most)) * self.stride;
            for messages in self.buffer[..self.length].chunks(each) {
                core.send_to(&route.peer, &route.to, messages, self.stride);
            }
        }
        (self.length, self.count, self.stride) = (0, 0, 0);
    }

    /// Sends what there is, in its turn, and forgets the route: the next packet asks anew.
    pub(super) fn finish(&mut self, core: &Core, turn: &mut impl Turn) {
        self.send(core, turn);
        self.route = None;
    }

    /// Whether so much was sealed that the route should be asked for anew.
    pub(super) const fn is_long(&self) -> bool {
        self.sealed >= MOST_OF_A_WAY
    }
}
