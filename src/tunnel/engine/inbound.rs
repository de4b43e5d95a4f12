//! From a peer to the host: which session, whether it is authentic, and whose the source is.

use std::io::IoSlice;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, SystemTime};

use super::clock::now;
use super::device::Core;
use super::packet::{addresses, total_length};
use super::peer::Peer;
use crate::tunnel::drops::Cause;
use crate::tunnel::noise::{Kind, Moment, Rejected, Session, kind, receiver};
use crate::tunnel::offload::Offload;
use crate::tunnel::transport::{LARGEST, Local, Received, Udp};

/// How long a thread waits after an error of its socket, so that a lasting one costs nothing.
const AFTER_ERROR: Duration = Duration::from_millis(20);

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

impl Core {
    pub(super) fn read_udp(&self, socket: &dyn Udp) {
        let mut datagrams = vec![0; LARGEST];
        loop {
            match socket.recv(&mut datagrams) {
                Ok(Some(received)) => self.take_datagrams(&mut datagrams, &received),
                Ok(None) => return,
                Err(error) => {
                    tracing::debug!("failed to receive a datagram: {error}");
                    thread::sleep(AFTER_ERROR);
                }
            }
        }
    }

    fn take_datagrams(&self, datagrams: &mut [u8], received: &Received) {
        if !self.is_up() {
            return;
        }
        let now = now();
        for datagram in datagrams[..received.length].chunks_mut(received.stride.max(1)) {
            match kind(datagram) {
                Some(Kind::Data) => self.take_data(datagram, received, now),
                Some(_) => self.take_handshake(datagram, received),
                None => self.drops.count(Cause::Malformed),
            }
        }
    }

    /// Hands a handshake message to the thread that answers them.
    pub(super) fn take_handshake(&self, message: &[u8], received: &Received) {
        if !self.handshakes.push(message, received) {
            self.drops.count(Cause::HandshakesFull);
        }
    }

    fn take_data(&self, message: &mut [u8], received: &Received, now: Moment) {
        let Some(inlet) = receiver(message).and_then(|index| self.inlet(index, now)) else {
            return;
        };
        let bytes = message.len() as u64;
        match inlet.session.open(message) {
            Ok(text) => {
                let is_empty = text.is_empty();
                let run = Run { bytes, is_empty, from: received.from, to: received.to };
                if self.heard(&inlet, &run, now) && !is_empty {
                    self.give_packet(&inlet.peer, text);
                }
            }
            Err(rejected) => inlet.peer.drops.count(cause(rejected)),
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

    /// Whether an inner source belongs to a peer.
    pub(super) fn owns(&self, peer: &Arc<Peer>, source: IpAddr) -> bool {
        let tables = self.tables.read();
        tables.routes.find(source).is_some_and(|owner| Arc::ptr_eq(owner, peer))
    }

    /// Gives a packet to the host, if its source belongs to the peer that sent it.
    fn give_packet(&self, peer: &Arc<Peer>, packet: &[u8]) {
        let (Some((source, _)), Some(length)) = (addresses(packet), total_length(packet)) else {
            peer.drops.count(Cause::Malformed);
            return;
        };
        if !self.owns(peer, source) {
            peer.drops.count(Cause::SourceNotAllowed);
            return;
        }
        let part = [IoSlice::new(&packet[..length])];
        if let Err(error) = self.tun.send(&part, &Offload::DONE) {
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
