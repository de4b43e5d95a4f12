//! Changing a running device, and telling what it is.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::EngineError;
use super::device::{Core, Settings, Tables};
use super::peer::{Identity, Peer, PeerState};
use crate::model::{PresharedKey, PrivateKey};
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
                peer.state.lock().end();
            }
            self.sessions.lock().clear();
        }
        for peer in change.peers {
            self.change_peer(peer);
        }
        Ok(())
    }

    fn set_mark(&self, settings: &mut Settings, mark: u32) -> Result<(), EngineError> {
        if let Some(bound) = self.sockets.read().as_ref() {
            bound.each().try_for_each(|socket| socket.set_mark(mark)).map_err(EngineError::Mark)?;
        }
        settings.fwmark = mark;
        Ok(())
    }

    /// Moves to another port. "Any port" keeps the one that the system chose before.
    fn set_port(self: &Arc<Self>, settings: &mut Settings, port: u16) -> Result<(), EngineError> {
        let bound = self.sockets.read().as_ref().map(|bound| bound.port);
        let stays = match bound {
            Some(bound) => port == bound || (port == 0 && settings.listen_port == 0),
            None => port == 0,
        };
        if !stays {
            self.bind(port, settings.fwmark)?;
        }
        settings.listen_port = port;
        Ok(())
    }

    fn bind(self: &Arc<Self>, port: u16, mark: u32) -> Result<(), EngineError> {
        let bound =
            self.binder.bind(port, mark).map_err(|source| EngineError::Bind { port, source })?;
        self.use_sockets(bound)
    }

    pub(super) fn set_up(self: &Arc<Self>, up: bool) -> Result<(), EngineError> {
        let settings = self.settings.lock();
        let was_up = self.up.swap(up, Ordering::Relaxed);
        if up && self.sockets.read().is_none() {
            self.bind(settings.listen_port, settings.fwmark)?;
        }
        if up && !was_up {
            // Peers with a keepalive say hello at once.
            let peers: Vec<_> = self.tables.read().peers.values().cloned().collect();
            for peer in peers {
                self.tick_peer(&peer, &mut peer.state.lock());
            }
        }
        if was_up && !up {
            self.close_sockets();
            for peer in self.tables.read().peers.values() {
                peer.state.lock().forget_sessions();
            }
            self.sessions.lock().clear();
        }
        Ok(())
    }

    /// A new key expires every session for sending, as the kernel has it: peers that do not know the
    /// key yet are still heard. Counters and endpoints stay.
    fn set_identity(&self, key: PrivateKey) {
        let identity = Arc::new(Identity::new(key));
        let unchanged =
            self.identity.read().as_ref().is_some_and(|old| old.public == identity.public);
        if unchanged {
            return;
        }
        // One's own key is nobody's peer.
        self.remove_peer(&identity.public);
        *self.identity.write() = Some(identity);
        self.drain_peers();
    }

    pub(super) fn forget_keys(&self) {
        *self.identity.write() = None;
        self.restart_peers();
    }

    fn drain_peers(&self) {
        let identity = self.identity.read().clone();
        let mut indices: HashMap<*const Peer, HashSet<u32>> = HashMap::new();
        for (index, peer) in self.sessions.lock().iter() {
            indices.entry(Arc::as_ptr(peer)).or_default().insert(*index);
        }
        for peer in self.tables.read().peers.values() {
            let indices = indices.remove(&Arc::as_ptr(peer)).unwrap_or_default();
            peer.state.lock().drain(&peer.key, identity.as_deref(), &self.indices, indices);
        }
    }

    fn restart_peers(&self) {
        let identity = self.identity.read().clone();
        for peer in self.tables.read().peers.values() {
            peer.state.lock().restart(&peer.key, identity.as_deref(), &self.indices);
        }
        self.sessions.lock().clear();
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
        peer.state.lock().end();
        self.sessions.lock().retain(|_, other| !Arc::ptr_eq(peer, other));
    }

    fn change_peer(&self, change: PeerChange) {
        let key = change.public_key;
        if change.remove {
            self.remove_peer(&key);
            return;
        }
        let identity = self.identity.read().clone();
        if identity.as_ref().is_some_and(|identity| identity.public == key) {
            return;
        }
        let known = self.tables.read().peers.get(&key).cloned();
        let peer = match known {
            Some(peer) => peer,
            None if change.update_only => return,
            None => {
                let peer = Arc::new(Peer::new(key));
                let mut state = peer.state.lock();
                state.restart(&key, identity.as_deref(), &self.indices);
                drop(state);
                self.tables.write().peers.insert(key, Arc::clone(&peer));
                peer
            }
        };
        change_routes(&mut self.tables.write(), &peer, &change);
        let mut state = peer.state.lock();
        change_state(&mut state, change);
        if self.up.load(Ordering::Relaxed) {
            self.tick_peer(&peer, &mut state);
        }
    }

    pub(super) fn snapshot(&self) -> DeviceSnapshot {
        let settings = self.settings.lock();
        let identity = self.identity.read().clone();
        let private = |identity: &Identity| {
            PrivateKey::from_random(zeroize::Zeroizing::new(*identity.private.expose()))
        };
        let bound = self.sockets.read().as_ref().map(|bound| bound.port);
        DeviceSnapshot {
            private_key: identity.as_deref().map(private),
            public_key: identity.as_deref().map(|identity| identity.public),
            listen_port: bound.unwrap_or(settings.listen_port),
            fwmark: settings.fwmark,
            peers: self.tables.read().peers.values().map(|peer| peer.snapshot()).collect(),
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

fn change_state(state: &mut PeerState, change: PeerChange) {
    let preshared = match change.preshared_key {
        Setting::Keep => None,
        Setting::Clear => Some(None),
        Setting::To(key) => Some(Some(key)),
    };
    if let Some(preshared) = preshared {
        let bytes = preshared.as_ref().map(|key: &PresharedKey| *key.expose());
        state.preshared = preshared;
        if let Some(tunnel) = state.tunnel.as_mut() {
            tunnel.set_preshared_key(bytes);
        }
    }
    if let Some(endpoint) = change.endpoint {
        state.endpoint = Some(endpoint);
        state.retry_at = None;
    }
    if let Some(seconds) = change.keepalive
        && seconds != state.keepalive
    {
        state.keepalive = seconds;
        state.retry_at = None;
        if let Some(tunnel) = state.tunnel.as_mut() {
            tunnel.set_persistent_keepalive(Some(seconds).filter(|seconds| *seconds > 0));
        }
    }
}
