//! Handshake messages: a short queue, and the thread that answers them.
//!
//! Each may cost milliseconds of a stream that runs meanwhile, so they are kept away from the
//! threads that carry packets, and a queue that grows makes senders prove their address first.

use std::collections::{HashSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, SystemTime};

use parking_lot::{Condvar, Mutex};

use super::clock::{now, random};
use super::device::{Core, Owner};
use super::guard::Guard;
use super::inbound::cause;
use super::peer::{Peer, PeerState};
use crate::tunnel::drops::Cause;
use crate::tunnel::noise::{
    INITIATION_LENGTH, Introduction, Kind, MacState, Moment, cookie_receiver, kind,
    response_receiver,
};
use crate::tunnel::transport::{Local, Received, Remote};

/// Messages that may wait; an eighth of it is a load.
const MOST_WAITING: usize = 1024;
/// How long a flood's messages gather before they are answered together: waking this thread for
/// each of them would cost the stream more than the answers do.
const BREATH: Duration = Duration::from_millis(2);
/// How much less urgent answering handshakes is than carrying packets.
const NICE: i32 = 5;

/// A handshake message and where it came from.
struct Letter {
    bytes: [u8; INITIATION_LENGTH],
    length: usize,
    from: SocketAddr,
    to: Option<Local>,
}

/// Handshake messages that wait for an answer.
#[derive(Default)]
pub(super) struct Handshakes {
    queue: Mutex<Queue>,
    arrived: Condvar,
    guard: Mutex<Guard>,
}

#[derive(Default)]
struct Queue {
    letters: VecDeque<Letter>,
    closed: bool,
}

impl Handshakes {
    /// Lets a message wait; `false` where too many do.
    pub(super) fn push(&self, message: &[u8], received: &Received) -> bool {
        let mut letter = Letter {
            bytes: [0; INITIATION_LENGTH],
            length: message.len().min(INITIATION_LENGTH),
            from: received.from,
            to: received.to,
        };
        letter.bytes[..letter.length].copy_from_slice(&message[..letter.length]);
        let mut queue = self.queue.lock();
        if queue.closed || queue.letters.len() >= MOST_WAITING {
            return false;
        }
        queue.letters.push_back(letter);
        drop(queue);
        self.arrived.notify_one();
        true
    }

    /// The next message and how many wait behind it, or `None` once closed.
    fn pop(&self) -> Option<(Letter, usize)> {
        let mut queue = self.queue.lock();
        loop {
            if queue.closed {
                return None;
            }
            if let Some(letter) = queue.letters.pop_front() {
                if queue.letters.is_empty() {
                    // The memory of a flood goes with it.
                    queue.letters.shrink_to(16);
                }
                return Some((letter, queue.letters.len()));
            }
            self.arrived.wait(&mut queue);
        }
    }

    pub(super) fn close(&self) {
        let mut queue = self.queue.lock();
        queue.closed = true;
        queue.letters = VecDeque::new();
        drop(queue);
        self.arrived.notify_all();
    }

    /// Forgets sources that have been quiet.
    pub(super) fn forget(&self, now: Moment) {
        self.guard.lock().forget(now);
    }
}

impl Core {
    pub(super) fn answer_handshakes(&self) {
        // Where it is not allowed, the flood costs a little more.
        let _ = rustix::process::setpriority_process(None, NICE);
        while let Some((letter, waiting)) = self.handshakes.pop() {
            let now = now();
            if self.is_up()
                && let Some(owner) = self.owner()
            {
                self.answer_letter(&owner, &letter, waiting, now);
            }
            if waiting == 0 && self.handshakes.guard.lock().load.is_believed(now) {
                thread::sleep(BREATH);
            }
        }
    }

    fn answer_letter(&self, owner: &Arc<Owner>, letter: &Letter, waiting: usize, now: Moment) {
        let message = &letter.bytes[..letter.length];
        let kind = kind(message);
        let outcome = match kind {
            Some(Kind::Initiation | Kind::Response) => {
                let admitted = self.admit(owner, letter, waiting, now);
                admitted.and_then(|()| match kind {
                    Some(Kind::Initiation) => self.take_initiation(owner, message, letter, now),
                    _ => self.take_response(owner, message, letter, now),
                })
            }
            Some(Kind::Cookie) => self.take_cookie(message, now),
            Some(Kind::Data) | None => Err(Cause::Malformed),
        };
        if let Err(cause) = outcome {
            self.drops.count(cause);
        }
    }

    /// Whether a message is worth the work: its MACs, and the proof of its address under load.
    fn admit(
        &self,
        owner: &Owner,
        letter: &Letter,
        waiting: usize,
        now: Moment,
    ) -> Result<(), Cause> {
        let message = &letter.bytes[..letter.length];
        let macs = owner.checker.lock().check(message, letter.from, now);
        if macs == MacState::Invalid {
            return Err(Cause::BadMac);
        }
        let mut guard = self.handshakes.guard.lock();
        if !guard.load.is_high(waiting, MOST_WAITING, now) {
            return Ok(());
        }
        if macs == MacState::Proven {
            let allowed = guard.sources.allow(letter.from.ip(), now);
            return if allowed { Ok(()) } else { Err(Cause::RateLimited) };
        }
        let is_welcome = guard.may_have_cookie(letter.from.ip(), now, || self.places());
        drop(guard);
        if !is_welcome {
            return Err(Cause::UnderLoad);
        }
        let reply = owner.checker.lock().reply(message, letter.from, now, &mut random);
        if let Some(reply) = reply {
            let to = Remote { address: letter.from, local: letter.to };
            if let Err(error) = self.send(&to, &reply, reply.len()) {
                tracing::debug!("failed to send a cookie: {error}");
            }
        }
        Err(Cause::UnderLoad)
    }

    /// Where peers are now.
    fn places(&self) -> HashSet<IpAddr> {
        let peers: Vec<Arc<Peer>> = self.tables.read().peers.values().cloned().collect();
        let endpoint = |peer: &Arc<Peer>| Some(peer.state.lock().endpoint?.address.ip());
        peers.iter().filter_map(endpoint).collect()
    }

    fn take_initiation(
        &self,
        owner: &Arc<Owner>,
        message: &[u8],
        letter: &Letter,
        now: Moment,
    ) -> Result<(), Cause> {
        let introduction = Introduction::read(&owner.identity, message).map_err(cause)?;
        let peer = self.tables.read().peers.get(&introduction.remote()).cloned();
        let peer = peer.ok_or(Cause::UnknownPeer)?;
        let mut state = peer.state.lock();
        // A key that was set meanwhile has drained the peer under this lock: what an answer with the
        // old one remembers would stay.
        let is_owner = self.owner().is_some_and(|now| Arc::ptr_eq(&now, owner));
        if state.is_removed || !is_owner {
            return Err(Cause::UnknownPeer);
        }
        let answered = state.protocol.answer(
            &owner.identity,
            introduction,
            now,
            &mut || self.indices.reserve(&peer),
            &mut random,
        );
        match answered {
            Ok((response, session)) => {
                self.indices.install(&session);
                received(&peer, &mut state, letter);
                if let Some(to) = state.endpoint {
                    self.send_to(&peer, &to, &response, response.len());
                }
            }
            Err(rejected) => peer.drops.count(cause(rejected)),
        }
        self.settle(&peer, &mut state, now);
        Ok(())
    }

    fn take_response(
        &self,
        owner: &Owner,
        message: &[u8],
        letter: &Letter,
        now: Moment,
    ) -> Result<(), Cause> {
        let entry = response_receiver(message).and_then(|index| self.indices.get(index));
        let peer = entry.ok_or(Cause::NoSession)?.peer;
        let mut state = peer.state.lock();
        if state.is_removed {
            return Err(Cause::UnknownPeer);
        }
        match state.protocol.complete(&owner.identity, message, now) {
            Ok(session) => {
                self.indices.install(&session);
                received(&peer, &mut state, letter);
                state.last_handshake = Some(SystemTime::now());
                // Also with nothing to say: only then does the peer know that we have the session.
                self.greet(&peer, &mut state, now);
            }
            Err(rejected) => peer.drops.count(cause(rejected)),
        }
        self.settle(&peer, &mut state, now);
        Ok(())
    }

    fn take_cookie(&self, message: &[u8], now: Moment) -> Result<(), Cause> {
        let entry = cookie_receiver(message).and_then(|index| self.indices.get(index));
        let peer = entry.ok_or(Cause::NoSession)?.peer;
        let mut state = peer.state.lock();
        if let Err(rejected) = state.protocol.take_cookie(message, now) {
            peer.drops.count(cause(rejected));
        }
        Ok(())
    }
}

fn received(peer: &Peer, state: &mut PeerState, letter: &Letter) {
    peer.rx_bytes.fetch_add(letter.length as u64, Ordering::Relaxed);
    state.roam(letter.from, letter.to);
}
