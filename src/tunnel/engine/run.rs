//! Messages to one peer that leave in one send.

use std::sync::Arc;

use super::device::Core;
use super::peer::Peer;
use crate::tunnel::drops::Cause;
use crate::tunnel::noise::{DATA_OVERHEAD, Session, padded};
use crate::tunnel::offload::Split;
use crate::tunnel::transport::Remote;

/// Messages of one send: the least that a kernel takes with `UDP_SEGMENT`.
const MOST_MESSAGES: usize = 64;

/// Bytes of one send: the largest datagram less the headers of UDP and IPv6.
const MOST_BYTES: usize = 65535 - 48;

/// Messages after which the way to a peer is asked for anew.
const MOST_OF_A_WAY: usize = 4 * MOST_MESSAGES;

/// Bytes before the plaintext of a message.
const HEADER: usize = 16;

/// To whom, with what, whither.
struct Way {
    peer: Arc<Peer>,
    session: Arc<Session>,
    to: Remote,
}

/// Sealed messages to one peer, one after the other: all of one size, but for the last.
///
/// The buffer is the only one of its direction and stays in the processor's cache.
pub(super) struct Run {
    buffer: Box<[u8]>,
    way: Option<Way>,
    length: usize,
    count: usize,
    /// Bytes of each message.
    stride: usize,
    /// Messages sealed since the way was asked for.
    sealed: usize,
}

impl Run {
    pub(super) fn new() -> Self {
        let buffer = vec![0; MOST_BYTES].into_boxed_slice();
        Self { buffer, way: None, length: 0, count: 0, stride: 0, sealed: 0 }
    }

    /// Whether the run goes to this peer, so that nothing has to be asked for the next packet.
    pub(super) fn goes_to(&self, peer: &Arc<Peer>) -> bool {
        self.way.as_ref().is_some_and(|way| Arc::ptr_eq(&way.peer, peer))
    }

    /// Begins a run; the one before was sent.
    pub(super) fn begin(&mut self, peer: Arc<Peer>, session: Arc<Session>, to: Remote) {
        self.way = Some(Way { peer, session, to });
        self.sealed = 0;
    }

    /// Whether this is the receiver of the run's own messages: then a message of ours came back to
    /// us as a packet for the same peer, because the way to its endpoint leads into the tunnel.
    pub(super) fn is_to(&self, receiver: u32) -> bool {
        self.way.as_ref().is_some_and(|way| way.session.remote() == receiver)
    }

    /// Seals the segments of a packet, and sends whenever the run is full.
    pub(super) fn seal(&mut self, core: &Core, split: &mut Split<'_>, mtu: usize) {
        while let Some(plain) = split.next_length() {
            let length = padded(plain, mtu) + DATA_OVERHEAD;
            let is_last = !self.length.is_multiple_of(self.stride.max(1));
            let is_full = is_last
                || length > self.stride
                || self.count == MOST_MESSAGES
                || self.length + length > self.buffer.len();
            if self.count > 0 && is_full {
                self.send(core);
            }
            let Some(way) = &self.way else { return };
            let Some(message) = self.buffer.get_mut(self.length..self.length + length) else {
                way.peer.drops.count(Cause::SendFailed);
                return;
            };
            split.write(&mut message[HEADER..HEADER + plain]);
            message[HEADER + plain..].fill(0);
            if way.session.seal(message).is_err() {
                way.peer.drops.count(Cause::NoSession);
                return;
            }
            if self.count == 0 {
                self.stride = length;
            }
            self.length += length;
            self.count += 1;
            self.sealed += 1;
        }
    }

    /// Sends what there is; the way stays.
    fn send(&mut self, core: &Core) {
        if let Some(way) = &self.way
            && self.count > 0
        {
            core.send_to(&way.peer, &way.to, &self.buffer[..self.length], self.stride);
        }
        (self.length, self.count, self.stride) = (0, 0, 0);
    }

    /// Sends what there is and forgets the way: the next packet asks anew.
    pub(super) fn finish(&mut self, core: &Core) {
        self.send(core);
        self.way = None;
    }

    /// Whether so much was sealed that the way should be asked for anew.
    pub(super) const fn is_long(&self) -> bool {
        self.sealed >= MOST_OF_A_WAY
    }
}
