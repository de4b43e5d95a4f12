//! Changing a running device, and telling what it is.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::EngineError;
use super::clock::now;
use super::peer::{Peer, PeerState};
use super::state::{Core, DeviceSettings, Owner, Tables};
use crate::model::PrivateKey;
use crate::tunnel::noise::Moment;
use crate::tunnel::{AllowedIpChange, DeviceChange, DeviceSnapshot, PeerChange, Setting};

impl Core {
    pub(super) fn apply(self: &Arc<Self>, change: DeviceChange) -> Result<(), EngineError> {
        let mut settings = self.settings.lock();
        if let Some(mark) = change.fwmark {
            self.set_mark(&mut settings, mark)?;
        }
        if let Some(port) = change.listen_port {
            self.set_port(&mut settings, port)?;
        }
        match change.private_key {
            Setting::Keep => {}
            Setting::Clear => self.forget_keys(),
            Setting::To(key) => self.set_identity(key),
        }
        if change.replace_peers {
            let removed: Vec<_> = {
                let mut tables = self.tables.write();
                let tables = &mut *tables;
                tables.routes = super::AllowedIps::default();
                tables.peers.drain(..).map(|(_, peer)| peer).collect()
            };
            for peer in removed {
                self.retire(&peer);
            }
        }
        for peer in change.peers {
            self.change_peer(peer);
        }
        Ok(())
    }

    fn set_mark(&self, settings: &mut DeviceSettings, mark: u32) -> Result<(), EngineError> {
        if let Some(bound) = self.sockets.read().as_ref() {
            bound.each().try_for_each(|socket| socket.set_mark(mark)).map_err(EngineError::Mark)?;
        }
        settings.fwmark = mark;
        self.mark.store(mark, Ordering::Relaxed);
        // Another mark may mean another way, and the source belongs to the old one.
        for peer in self.peers() {
            peer.state.lock().look_at_route(|_, _| false);
        }
        Ok(())
    }

    /// Moves to another port. "Any port" keeps the one that the system chose before.
    fn set_port(
        self: &Arc<Self>,
        settings: &mut DeviceSettings,
        port: u16,
    ) -> Result<(), EngineError> {
        let bound = self.sockets.read().as_ref().map(|bound| bound.port);
        let stays = match bound {
            Some(bound) => port == bound || (port == 0 && settings.listen_port == 0),
            // While the interface is up, its port is asked for at once.
            None => port == 0 && !self.is_up(),
        };
        if !stays {
            self.move_to(settings, port)?;
        }
        settings.listen_port = port;
        Ok(())
    }

    pub(super) fn set_up(self: &Arc<Self>, up: bool) -> Result<(), EngineError> {
        let mut settings = self.settings.lock();
        let was_up = self.up.swap(up, Ordering::Relaxed);
        let mut outcome = Ok(());
        if up && self.sockets.read().is_none() {
            outcome = self.listen(&mut settings);
        }
        if up && !was_up {
            self.knock();
        }
        if was_up && !up {
            self.close_sockets(&mut settings);
            self.forget_sessions(now());
        }
        outcome
    }

    /// Peers with a keepalive say hello at once.
    pub(super) fn knock(&self) {
        let now = now();
        for peer in self.peers() {
            let mut state = peer.state.lock();
            state.protocol.knock(now);
            self.tick_peer(&peer, &mut state, now);
        }
    }

    fn peers(&self) -> Vec<Arc<Peer>> {
        self.tables.read().peers.values().cloned().collect()
    }

    fn forget_sessions(&self, now: Moment) {
        for peer in self.peers() {
            let mut state = peer.state.lock();
            state.protocol.forget_sessions();
            state.waiting = std::collections::VecDeque::new();
            self.settle(&peer, &mut state, now);
        }
    }

    /// A new key expires every session for sending, as the kernel has it: peers that do not know the
    /// key yet are still heard. Counters and endpoints stay.
    fn set_identity(&self, key: PrivateKey) {
        let owner = Arc::new(Owner::new(key));
        let public = owner.identity.public();
        if self.owner().is_some_and(|old| old.identity.public() == public) {
            return;
        }
        // One's own key is nobody's peer.
        self.remove_peer(&public);
        let is_first = self.identity.write().replace(owner).is_none();
        let now = now();
        for peer in self.peers() {
            let mut state = peer.state.lock();
            state.protocol.drain();
            if is_first && self.is_up() {
                // Whoever could say nothing before says it now.
                state.protocol.knock(now);
                self.tick_peer(&peer, &mut state, now);
            } else {
                self.settle(&peer, &mut state, now);
            }
        }
    }

    pub(super) fn forget_keys(&self) {
        *self.identity.write() = None;
        self.forget_sessions(now());
    }

    fn remove_peer(&self, key: &crate::model::PublicKey) {
        let removed = {
            let mut tables = self.tables.write();
            let removed = tables.peers.shift_remove(key);
            if let Some(peer) = &removed {
                for net in &peer.state.lock().allowed_ips {
                    tables.routes.remove(*net);
                }
            }
            removed
        };
        if let Some(peer) = removed {
            self.retire(&peer);
        }
    }

    /// Ends a peer that the tables have forgotten, also for a thread that still holds it.
    fn retire(&self, peer: &Arc<Peer>) {
        let mut state = peer.state.lock();
        state.is_removed = true;
        state.protocol.forget_sessions();
        state.protocol.set_preshared(None);
        state.waiting = std::collections::VecDeque::new();
        self.settle(peer, &mut state, now());
    }

    fn change_peer(&self, change: PeerChange) {
        let key = change.public_key;
        if change.remove {
            self.remove_peer(&key);
            return;
        }
        if self.owner().is_some_and(|owner| owner.identity.public() == key) {
            return;
        }
        let known = self.tables.read().peers.get(&key).cloned();
        let peer = match known {
            Some(peer) => peer,
            None if change.update_only => return,
            None => {
                let peer = Arc::new(Peer::new(key));
                self.tables.write().peers.insert(key, Arc::clone(&peer));
                peer
            }
        };
        change_routes(&mut self.tables.write(), &peer, &change);
        let now = now();
        let mut state = peer.state.lock();
        change_state(&mut state, change, now);
        if self.is_up() {
            if !state.waiting.is_empty() && state.protocol.outgoing(now).session.is_none() {
                // What waits may have waited for this.
                self.initiate(&peer, &mut state, false, now);
            }
            self.tick_peer(&peer, &mut state, now);
        } else {
            self.settle(&peer, &mut state, now);
        }
    }

    pub(super) fn snapshot(&self) -> DeviceSnapshot {
        let settings = self.settings.lock();
        let owner = self.owner();
        let identity = owner.as_deref().map(|owner| &owner.identity);
        let copy =
            |key: &PrivateKey| PrivateKey::from_random(zeroize::Zeroizing::new(*key.expose()));
        let bound = self.sockets.read().as_ref().map(|bound| bound.port);
        DeviceSnapshot {
            private_key: identity.map(|identity| copy(identity.private())),
            public_key: identity.map(crate::tunnel::noise::Identity::public),
            listen_port: bound.unwrap_or(settings.listen_port),
            fwmark: settings.fwmark,
            peers: self.peers().iter().map(|peer| peer.snapshot()).collect(),
            drops: self.drops.snapshot(),
        }
    }
}

fn change_routes(tables: &mut Tables, peer: &Arc<Peer>, change: &PeerChange) {
    if change.replace_allowed_ips {
        let old = std::mem::take(&mut peer.state.lock().allowed_ips);
        for net in old {
            tables.routes.remove(net);
        }
    }
    for step in &change.allowed_ips {
        match step {
            AllowedIpChange::Add(net) => {
                let net = net.trunc();
                let before = tables.routes.insert(net, Arc::clone(peer));
                if let Some(before) = before.filter(|before| !Arc::ptr_eq(before, peer)) {
                    before.state.lock().allowed_ips.shift_remove(&net);
                }
                peer.state.lock().allowed_ips.insert(net);
            }
            AllowedIpChange::Remove(net) => {
                let net = net.trunc();
                if peer.state.lock().allowed_ips.shift_remove(&net) {
                    tables.routes.remove(net);
                }
            }
        }
    }
}

fn change_state(state: &mut PeerState, change: PeerChange, now: Moment) {
    match change.preshared_key {
        Setting::Keep => {}
        Setting::Clear => state.protocol.set_preshared(None),
        Setting::To(key) => state.protocol.set_preshared(Some(&key)),
    }
    if let Some(endpoint) = change.endpoint {
        state.endpoint = Some(endpoint.into());
    }
    if let Some(seconds) = change.keepalive
        && seconds != state.protocol.interval()
    {
        state.protocol.set_interval(seconds, now);
    }
}
