//! The thread that answers handshake messages.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, SystemTime};

use super::clock::{now, random};
use super::handshakes::{Letter, MOST_WAITING};
use super::inbound::cause;
use super::outer::HANDSHAKE;
use super::peer::{Peer, PeerState};
use super::state::{Core, Owner};
use crate::tunnel::drops::Cause;
use crate::tunnel::noise::{
    Introduction, Kind, MacState, Moment, cookie_receiver, kind, response_receiver,
};
use crate::tunnel::transport::Remote;

/// How long a flood's messages gather before they are answered together: waking this thread for
/// each of them would cost the stream more than the answers do.
const BREATH: Duration = Duration::from_millis(2);

/// How much less urgent answering handshakes is than carrying packets.
const NICE: i32 = 5;

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
            let to = Remote { local: letter.to, outer: HANDSHAKE, ..Remote::from(letter.from) };
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
                self.received(&peer, &mut state, letter);
                if let Some(to) = state.endpoint {
                    let to = Remote { outer: HANDSHAKE, ..to };
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
                self.received(&peer, &mut state, letter);
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

    fn received(&self, peer: &Peer, state: &mut PeerState, letter: &Letter) {
        peer.rx_bytes.fetch_add(letter.length as u64, Ordering::Relaxed);
        state.roam(letter.from, letter.to, |to| self.is_on_the_way(&letter.from, to));
    }
}
