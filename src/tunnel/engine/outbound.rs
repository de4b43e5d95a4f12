//! From the host to a peer: which peer, through which session, and what waits for one.

use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use super::clock::{now, random};
use super::outer::{HANDSHAKE, outer};
use super::packet::{addresses, carried_receiver};
use super::peer::{Peer, PeerState};
use super::refusal::refusal;
use super::send_batch::SendBatch;
use super::state::Core;
use super::turnstile::{Alone, Turn, Turnstile};
use crate::tunnel::drops::Cause;
use crate::tunnel::noise::{DATA_OVERHEAD, Moment, Session, padded};
use crate::tunnel::offload::{Offload, Split};
use crate::tunnel::transport::{LARGEST, Lane, Remote};

/// Bytes of a packet that is worth another thread: sealing it takes longer than waking one.
const LARGE: usize = 8 << 10;

/// The way to a peer, for a run of packets.
pub(super) enum SendState {
    /// Packets are sealed with this session and sent there. That packets are sent is noted by the
    /// timers already; [`Core::send_to`] counts their bytes.
    Open(Arc<Session>, Remote),
    /// Packets wait for a session, which was asked for: [`Core::stage`].
    Waits,
    /// There is none, and the cause is counted.
    Closed,
}

/// A packet that is to be sealed with a run's session.
struct Share<'p> {
    split: Split<'p>,
    /// Of its first message; the others follow.
    counter: u64,
}

/// What a lane gave; `None` where it ends.
fn received_packet(received: io::Result<Option<(usize, Offload)>>) -> Option<(usize, Offload)> {
    received.unwrap_or_else(|error| {
        // The interface is gone; the daemon learns it from the kernel as well.
        tracing::debug!("no more packets from the host: {error}");
        None
    })
}

impl Core {
    /// Carries what the host sends through a lane, as its only thread, until the lane ends.
    pub(super) fn read_lane(&self, lane: &dyn Lane) {
        lane.attend();
        let mut packet = vec![0; LARGEST];
        let mut run = SendBatch::new();
        loop {
            // Nothing is held back while there is nothing to do.
            let received = match lane.try_recv(&mut packet) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    run.finish(self, &mut Alone);
                    lane.recv(&mut packet)
                }
                received => received,
            };
            let Some((length, offload)) = received_packet(received) else { return };
            let packet = &mut packet[..length];
            if let Some(mut share) = self.take_share(packet, &offload, &mut run, &mut Alone) {
                self.seal_share(&mut share, &mut run, &mut Alone);
            }
        }
    }

    /// Carries what the host sends through a lane, as one of several threads, until the lane ends.
    ///
    /// Small packets are read and sealed while nobody else reads: it is the sends that they save
    /// together which matters. A large one leaves room for the next thread as soon as it has its
    /// counters.
    pub(super) fn share_lane(&self, lane: &dyn Lane, turnstile: &Turnstile) {
        lane.attend();
        let mut packet = vec![0; LARGEST];
        let mut run = SendBatch::of_a_worker();
        'reads: loop {
            let mut entry = turnstile.enter();
            while !run.is_full() {
                let received = match lane.try_recv(&mut packet) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        if !run.is_empty() {
                            break;
                        }
                        run.finish(self, &mut entry);
                        lane.recv(&mut packet)
                    }
                    received => received,
                };
                let Some((length, offload)) = received_packet(received) else { return };
                let packet = &mut packet[..length];
                let Some(mut share) = self.take_share(packet, &offload, &mut run, &mut entry)
                else {
                    continue;
                };
                if length >= LARGE {
                    let mut ticket = entry.leave();
                    self.seal_share(&mut share, &mut run, &mut ticket);
                    run.finish(self, &mut ticket);
                    continue 'reads;
                }
                self.seal_share(&mut share, &mut run, &mut entry);
            }
            run.finish(self, &mut entry.leave());
        }
    }

    /// What of a packet depends on those before it: the way to its peer, which becomes the run's,
    /// and the counters of its messages. `None` where there is nothing to seal.
    fn take_share<'p>(
        &self,
        packet: &'p mut [u8],
        offload: &Offload,
        run: &mut SendBatch,
        turn: &mut impl Turn,
    ) -> Option<Share<'p>> {
        if !self.is_up() {
            return None;
        }
        let destination = addresses(packet).map(|(_, destination)| destination);
        let carried = carried_receiver(packet);
        let Ok(outer) = outer(packet, carried.is_some()) else {
            self.drops.count(Cause::Loop);
            return None;
        };
        let split = destination.and_then(|to| Some((to, Split::new(packet, offload).ok()?)));
        let Some((destination, mut split)) = split else {
            self.drops.count(Cause::Malformed);
            return None;
        };
        let Some(peer) = self.peer_for(destination) else {
            self.refuse(split.whole());
            return None;
        };
        if !run.goes_to(&peer) || run.is_long() {
            run.finish(self, turn);
            let now = now();
            match self.way(&peer, now) {
                SendState::Open(session, to) => run.begin(peer, session, to),
                SendState::Waits => {
                    // It may be sent at once.
                    turn.wait();
                    while let Some(length) = split.next_length() {
                        let mut segment = vec![0; length];
                        split.write(&mut segment);
                        self.stage(&peer, &segment, now);
                    }
                    return None;
                }
                SendState::Closed => {
                    self.refuse(split.whole());
                    return None;
                }
            }
        }
        // Sealed again it would come back again, larger, for ever.
        if carried.is_some_and(|receiver| run.is_to(receiver)) {
            self.drops.count(Cause::Loop);
            return None;
        }
        run.turn_to(outer, self, turn);
        let counter = run.reserve(split.count())?;
        Some(Share { split, counter })
    }

    /// Tells the host that a packet has no way.
    fn refuse(&self, packet: &[u8]) {
        let allowed = self.refusals.lock().allow(now());
        if let Some(answer) = allowed.then(|| refusal(packet)).flatten()
            && let Err(error) = self.tun.send(&[IoSlice::new(&answer)], &Offload::DONE)
        {
            tracing::debug!("failed to tell the host that a packet has no way: {error}");
        }
    }

    fn seal_share(&self, share: &mut Share<'_>, run: &mut SendBatch, turn: &mut impl Turn) {
        let mtu = self.mtu.load(Ordering::Relaxed) as usize;
        run.seal(self, &mut share.split, mtu, share.counter, turn);
    }

    /// The peer that a destination belongs to; where there is none, that is counted.
    pub(super) fn peer_for(&self, destination: IpAddr) -> Option<Arc<Peer>> {
        let peer = self.tables.read().routes.find(destination).cloned();
        if peer.is_none() {
            self.drops.count(Cause::NoPeer);
        }
        peer
    }

    /// The way to a peer for packets that are there now. Asks for a handshake where one is needed.
    pub(super) fn way(&self, peer: &Arc<Peer>, now: Moment) -> SendState {
        let mut state = peer.state.lock();
        let Some(to) = state.endpoint else {
            peer.drops.count(Cause::NoEndpoint);
            return SendState::Closed;
        };
        let outgoing = state.protocol.outgoing(now);
        if outgoing.session.is_some() {
            state.protocol.sent(false, now);
        }
        if outgoing.initiate {
            self.initiate(peer, &mut state, false, now);
        }
        self.settle(peer, &mut state, now);
        match outgoing.session {
            Some(session) => SendState::Open(session, to),
            None if state.is_removed || self.identity.read().is_none() => {
                peer.drops.count(Cause::NoSession);
                SendState::Closed
            }
            None => SendState::Waits,
        }
    }

    /// Lets a packet wait for a session, or sends it if there is one by now.
    pub(super) fn stage(&self, peer: &Arc<Peer>, packet: &[u8], now: Moment) {
        let mut state = peer.state.lock();
        if state.is_removed {
            return;
        }
        if !state.stage(packet) {
            peer.drops.count(Cause::QueueFull);
        }
        self.flush(peer, &mut state, now);
        self.settle(peer, &mut state, now);
    }

    /// Sends what waits, if there is a session; says whether anything was sent.
    pub(super) fn flush(&self, peer: &Arc<Peer>, state: &mut PeerState, now: Moment) -> bool {
        let (Some(to), Some(session)) = (state.endpoint, state.protocol.outgoing(now).session)
        else {
            return false;
        };
        let waiting = std::mem::take(&mut state.waiting);
        for (sent, packet) in waiting.iter().enumerate() {
            state.protocol.sent(false, now);
            if !self.seal_and_send(peer, &session, &to, packet) {
                // Each of the others may wait as long as this one did, under the peer's lock.
                let others = waiting.len() - sent - 1;
                peer.drops.add(Cause::SendFailed, others as u64);
                break;
            }
        }
        !waiting.is_empty()
    }

    /// Seals one packet, or an empty message, and sends it; says whether that worked.
    fn seal_and_send(&self, peer: &Peer, session: &Session, to: &Remote, packet: &[u8]) -> bool {
        let mtu = self.mtu.load(Ordering::Relaxed) as usize;
        let Ok(outer) = outer(packet, carried_receiver(packet).is_some()) else {
            peer.drops.count(Cause::Loop);
            // The others that wait have done nothing wrong.
            return true;
        };
        let mut message = vec![0; padded(packet.len(), mtu) + DATA_OVERHEAD];
        message[16..16 + packet.len()].copy_from_slice(packet);
        if session.seal(&mut message).is_err() {
            peer.drops.count(Cause::NoSession);
            return false;
        }
        self.send_to(peer, &Remote { outer, ..*to }, &message, message.len())
    }

    /// Sends datagrams of `stride` bytes to a peer and counts their bytes; says whether that worked.
    pub(super) fn send_to(
        &self,
        peer: &Peer,
        to: &Remote,
        datagrams: &[u8],
        stride: usize,
    ) -> bool {
        // Before they leave: whoever hears of them finds them counted.
        let bytes = datagrams.len() as u64;
        peer.tx_bytes.fetch_add(bytes, Ordering::Relaxed);
        if let Err(error) = self.send(to, datagrams, stride) {
            peer.tx_bytes.fetch_sub(bytes, Ordering::Relaxed);
            let cause = match error.kind() {
                io::ErrorKind::NotConnected => Cause::NoSocket,
                _ => Cause::SendFailed,
            };
            peer.drops.add(cause, datagrams.len().div_ceil(stride.max(1)) as u64);
            tracing::debug!("failed to send to {}: {error}", to.address);
            return false;
        }
        true
    }

    /// Sends datagrams.
    pub(super) fn send(&self, to: &Remote, datagrams: &[u8], stride: usize) -> io::Result<()> {
        let sockets = self.sockets.read();
        let socket = sockets.as_ref().and_then(|bound| bound.toward(&to.address)).cloned();
        drop(sockets);
        socket.ok_or(io::ErrorKind::NotConnected)?.send(datagrams, stride, to)
    }

    /// Sends an initiation, unless one was sent a moment ago.
    pub(super) fn initiate(
        &self,
        peer: &Arc<Peer>,
        state: &mut PeerState,
        retry: bool,
        now: Moment,
    ) {
        let Some(owner) = self.owner() else { return };
        if state.endpoint.is_none() || state.is_removed {
            return;
        }
        let made = state.protocol.initiate(
            &owner.identity,
            retry,
            (now, self.calendar.read(SystemTime::now(), now)),
            &mut || self.indices.reserve(peer),
            &mut random,
        );
        if let (Some(message), Some(to)) = (made, state.endpoint) {
            let to = Remote { outer: HANDSHAKE, ..to };
            self.send_to(peer, &to, &message, message.len());
        }
    }

    /// Sends an empty message, or what waits; asks for a session where there is none.
    pub(super) fn greet(&self, peer: &Arc<Peer>, state: &mut PeerState, now: Moment) {
        let outgoing = state.protocol.outgoing(now);
        if outgoing.initiate {
            self.initiate(peer, state, false, now);
        }
        if self.flush(peer, state, now) {
            return;
        }
        if let (Some(to), Some(session)) = (state.endpoint, outgoing.session) {
            state.protocol.sent(true, now);
            self.seal_and_send(peer, &session, &to, &[]);
        }
    }

    /// To be called before a peer is unlocked whose protocol was spoken to: indices that are gone
    /// are free, and the timers' thread knows when to look.
    pub(super) fn settle(&self, peer: &Peer, state: &mut PeerState, now: Moment) {
        let due = state.protocol.next_due(now);
        peer.set_due(due);
        self.indices.release(&state.protocol.take_released());
    }
}
