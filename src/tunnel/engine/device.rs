//! The device: its peers, its sockets, and the threads that carry packets.
//!
//! One thread reads the TUN side, one each UDP socket, and one keeps the timers. Locks are taken
//! in the order configuration, sockets, tables, peer; the tables are only held to look
//! something up, so a change of one peer never stops the packets of another.

use std::collections::HashMap;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use gotatun::noise::TunnResult;
use gotatun::noise::handshake::parse_handshake_anon;
use gotatun::noise::index_table::IndexTable;
use gotatun::packet::{Packet, WgKind};
use gotatun::tun::MtuWatcher;
use indexmap::IndexMap;
use parking_lot::{Condvar, Mutex, RwLock};

use super::packet::{addresses, total_length};
use super::peer::{Identity, Peer, PeerState, x25519};
use super::{AllowedIps, Engine, EngineError, LinkState};
use crate::model::PublicKey;
use crate::tunnel::offload::Offload;
use crate::tunnel::transport::{Bind, Bound, LARGEST, Tun, Udp};
use crate::tunnel::{DeviceChange, DeviceSnapshot};

/// How often timers are looked at.
const TICK: Duration = Duration::from_millis(250);
/// Header and tag of a data message.
const OVERHEAD: usize = 32;
/// How long a thread waits after an error of its socket, so that a lasting one costs nothing.
const AFTER_ERROR: Duration = Duration::from_millis(20);

/// A userspace `WireGuard` device around gotatun's noise protocol.
pub struct Userspace {
    pub(super) core: Arc<Core>,
}

/// What the threads share.
pub(super) struct Core {
    tun: Arc<dyn Tun>,
    pub(super) binder: Box<dyn Bind>,
    /// Held while the configuration changes.
    pub(super) settings: Mutex<Settings>,
    pub(super) identity: RwLock<Option<Arc<Identity>>>,
    pub(super) tables: RwLock<Tables>,
    pub(super) sessions: Mutex<HashMap<u32, Arc<Peer>>>,
    pub(super) indices: IndexTable,
    pub(super) sockets: RwLock<Option<Bound>>,
    mtu: AtomicU32,
    pub(super) up: AtomicBool,
    stopped: Mutex<bool>,
    stopping: Condvar,
}

/// What was asked for, where the answer may differ.
#[derive(Debug, Default)]
pub(super) struct Settings {
    /// 0 for any.
    pub(super) listen_port: u16,
    pub(super) fwmark: u32,
}

/// The peers, by key and by prefix.
#[derive(Default)]
pub(super) struct Tables {
    pub(super) peers: IndexMap<PublicKey, Arc<Peer>>,
    pub(super) routes: AllowedIps<Arc<Peer>>,
}

impl Userspace {
    /// Starts a device that is down and has no key.
    ///
    /// # Errors
    /// [`EngineError::Thread`].
    pub fn start(tun: Arc<dyn Tun>, binder: Box<dyn Bind>, mtu: u32) -> Result<Self, EngineError> {
        let core = Arc::new(Core {
            tun,
            binder,
            settings: Mutex::default(),
            identity: RwLock::default(),
            tables: RwLock::default(),
            sessions: Mutex::default(),
            indices: IndexTable::from_os_rng(),
            sockets: RwLock::default(),
            mtu: AtomicU32::new(mtu),
            up: AtomicBool::new(false),
            stopped: Mutex::new(false),
            stopping: Condvar::new(),
        });
        spawn("tun", &core, |core| core.read_tun())?;
        spawn("timers", &core, |core| core.keep_timers())?;
        Ok(Self { core })
    }
}

impl Drop for Userspace {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Engine for Userspace {
    fn apply(&self, change: DeviceChange) -> Result<(), EngineError> {
        self.core.apply(change)
    }

    fn snapshot(&self) -> DeviceSnapshot {
        self.core.snapshot()
    }

    fn link(&self, state: LinkState) -> Result<(), EngineError> {
        self.core.mtu.store(state.mtu, Ordering::Relaxed);
        self.core.set_up(state.up)
    }

    fn stop(&self) {
        let mut stopped = self.core.stopped.lock();
        *stopped = true;
        self.core.stopping.notify_all();
        drop(stopped);
        self.core.tun.close();
        self.core.close_sockets();
        self.core.forget_keys();
    }
}

fn spawn(
    name: &str,
    core: &Arc<Core>,
    work: impl FnOnce(Arc<Core>) + Send + 'static,
) -> Result<(), EngineError> {
    let core = Arc::clone(core);
    let named = thread::Builder::new().name(name.to_owned());
    named.spawn(move || work(core)).map(drop).map_err(EngineError::Thread)
}

impl Core {
    /// Uses these sockets from now on; the ones before are closed once nobody reads them.
    pub(super) fn use_sockets(self: &Arc<Self>, bound: Bound) -> Result<(), EngineError> {
        for socket in bound.each() {
            let socket = Arc::clone(socket);
            spawn("udp", self, move |core| core.read_udp(&*socket))?;
        }
        if let Some(old) = self.sockets.write().replace(bound) {
            old.each().for_each(|socket| socket.close());
        }
        Ok(())
    }

    pub(super) fn close_sockets(&self) {
        if let Some(old) = self.sockets.write().take() {
            old.each().for_each(|socket| socket.close());
        }
    }

    fn read_tun(&self) {
        let mut packet = vec![0; LARGEST];
        loop {
            match self.tun.recv(&mut packet) {
                Ok(Some((length, _))) => self.take_packet(&packet[..length]),
                Ok(None) => return,
                Err(error) => {
                    // The interface is gone; the daemon learns it from the kernel as well.
                    tracing::debug!("no more packets from the host: {error}");
                    return;
                }
            }
        }
    }

    fn read_udp(&self, socket: &dyn Udp) {
        let mut datagrams = vec![0; LARGEST];
        loop {
            match socket.recv(&mut datagrams) {
                Ok(Some(received)) => {
                    for datagram in datagrams[..received.length].chunks(received.stride) {
                        self.take_datagram(datagram, received.from);
                    }
                }
                Ok(None) => return,
                Err(error) => {
                    tracing::debug!("failed to receive a datagram: {error}");
                    thread::sleep(AFTER_ERROR);
                }
            }
        }
    }

    fn keep_timers(&self) {
        let mut stopped = self.stopped.lock();
        while !*stopped {
            let _ = self.stopping.wait_for(&mut stopped, TICK);
            if *stopped {
                return;
            }
            if !self.up.load(Ordering::Relaxed) {
                continue;
            }
            parking_lot::MutexGuard::unlocked(&mut stopped, || self.tick());
        }
    }

    fn tick(&self) {
        if let Some(identity) = self.identity.read().as_ref() {
            identity.limiter.try_reset_count();
        }
        self.sessions.lock().retain(|index, _| self.indices.in_use(*index));
        let peers: Vec<Arc<Peer>> = self.tables.read().peers.values().cloned().collect();
        for peer in peers {
            self.tick_peer(&peer, &mut peer.state.lock());
        }
    }

    /// Sends what a peer's timers ask for: a handshake, a keepalive.
    pub(super) fn tick_peer(&self, peer: &Arc<Peer>, state: &mut PeerState) {
        state.end_draining();
        let Some(tunnel) = state.tunnel.as_mut() else { return };
        match tunnel.update_timers() {
            Ok(Some(message)) => self.transmit(peer, state, message),
            // Nobody answered for 90 s. The kernel's keepalive timer goes on; this one would not.
            Err(_) if state.keepalive > 0 && state.endpoint.is_some() => {
                let now = Instant::now();
                match state.retry_at {
                    Some(due) if now >= due => {
                        state.retry_at = None;
                        let knock = tunnel.handle_outgoing_packet(Packet::default(), None);
                        if let Some(message) = knock {
                            self.transmit(peer, state, message);
                        }
                    }
                    Some(_) => {}
                    None => {
                        state.retry_at = Some(now + Duration::from_secs(state.keepalive.into()));
                    }
                }
            }
            Ok(None) | Err(_) => {}
        }
    }

    fn take_packet(&self, packet: &[u8]) {
        if !self.up.load(Ordering::Relaxed) {
            return;
        }
        let Some((_, destination)) = addresses(packet) else { return };
        let Some(peer) = self.tables.read().routes.find(destination).cloned() else { return };
        let packet = self.pad(packet);
        let mut state = peer.state.lock();
        if state.endpoint.is_none() {
            return;
        }
        let Some(tunnel) = state.tunnel.as_mut() else { return };
        if let Some(message) = tunnel.handle_outgoing_packet(packet, None) {
            self.transmit(&peer, &mut state, message);
        }
    }

    /// A packet with zeros up to a multiple of 16 bytes, but not beyond the MTU (`WireGuard`
    /// paper, section 5.4.6).
    fn pad(&self, packet: &[u8]) -> Packet {
        let mtu = self.mtu.load(Ordering::Relaxed) as usize;
        let length = packet.len().next_multiple_of(16).min(mtu).max(packet.len());
        let mut bytes = BytesMut::with_capacity(length + OVERHEAD);
        bytes.extend_from_slice(packet);
        bytes.resize(length, 0);
        Packet::from_bytes(bytes)
    }

    /// Sends a message to where the peer is.
    fn transmit(&self, peer: &Arc<Peer>, state: &mut PeerState, message: WgKind) {
        let index = match &message {
            WgKind::HandshakeInit(message) => Some(message.sender_idx.get()),
            WgKind::HandshakeResp(message) => Some(message.sender_idx.get()),
            WgKind::CookieReply(_) | WgKind::Data(_) => None,
        };
        if let Some(index) = index {
            self.sessions.lock().insert(index, Arc::clone(peer));
        }
        let Some(to) = state.endpoint else { return };
        let datagram: Packet = message.into();
        match self.send(&datagram, to) {
            Ok(()) => state.tx_bytes += datagram.len() as u64,
            Err(error) => tracing::debug!("failed to send to {to}: {error}"),
        }
    }

    fn send(&self, datagram: &[u8], to: SocketAddr) -> std::io::Result<()> {
        let sockets = self.sockets.read();
        let socket = sockets.as_ref().and_then(|bound| bound.toward(&to));
        let socket = socket.ok_or(std::io::ErrorKind::NotConnected)?;
        socket.send(datagram, datagram.len(), &to.into())
    }

    fn take_datagram(&self, datagram: &[u8], from: SocketAddr) {
        if !self.up.load(Ordering::Relaxed) {
            return;
        }
        let Some(identity) = self.identity.read().clone() else { return };
        let message = match identity.limiter.verify_packet(from, Packet::copy_from(datagram)) {
            Ok(message) => message,
            Err(TunnResult::WriteToNetwork(cookie)) => {
                let cookie: Packet = cookie.into();
                let _ = self.send(&cookie, from);
                return;
            }
            Err(_) => return,
        };
        let Some(peer) = self.sender(&identity, &message) else { return };
        let is_response = matches!(message, WgKind::HandshakeResp(_));
        let index = match &message {
            WgKind::Data(message) => Some(message.header.receiver_idx.get()),
            _ => None,
        };
        let mut state = peer.state.lock();
        let message = match message {
            WgKind::Data(message) => {
                if let Some(old) = state.draining(message.header.receiver_idx.get()) {
                    if let Ok(packet) = old.decapsulate_with_session(message) {
                        state.rx_bytes += datagram.len() as u64;
                        state.endpoint = Some(from);
                        drop(state);
                        self.give_packet(&peer, &packet);
                    }
                    return;
                }
                WgKind::Data(message)
            }
            other => other,
        };
        let Some(tunnel) = state.tunnel.as_mut() else { return };
        match tunnel.handle_incoming_packet(message) {
            TunnResult::Done | TunnResult::Err(_) => {}
            TunnResult::WriteToNetwork(reply) => {
                state.rx_bytes += datagram.len() as u64;
                state.endpoint = Some(from);
                match &reply {
                    WgKind::HandshakeResp(reply) => {
                        state.unconfirmed = Some(reply.sender_idx.get());
                    }
                    _ => state.handshake_done(),
                }
                self.transmit(&peer, &mut state, reply);
                if is_response {
                    self.flush(&peer, &mut state);
                }
            }
            TunnResult::WriteToTunnel(packet) => {
                state.rx_bytes += datagram.len() as u64;
                state.endpoint = Some(from);
                if index.is_some() && index == state.unconfirmed {
                    state.handshake_done();
                }
                self.flush(&peer, &mut state);
                drop(state);
                self.give_packet(&peer, &packet);
            }
        }
    }

    /// The peer that a message claims to be from; the message itself is not proven yet.
    fn sender(&self, identity: &Identity, message: &WgKind) -> Option<Arc<Peer>> {
        let index = match message {
            WgKind::HandshakeInit(message) => {
                let public = x25519(&identity.public);
                let half = parse_handshake_anon(&identity.secret, &public, message).ok()?;
                let key = PublicKey::from_bytes(half.peer_static_public);
                return self.tables.read().peers.get(&key).cloned();
            }
            WgKind::HandshakeResp(message) => message.receiver_idx.get(),
            WgKind::CookieReply(message) => message.receiver_idx.get(),
            WgKind::Data(message) => message.header.receiver_idx.get(),
        };
        self.sessions.lock().get(&index).cloned()
    }

    /// Sends the packets that waited for a session, which there is now.
    fn flush(&self, peer: &Arc<Peer>, state: &mut PeerState) {
        let Some(tunnel) = state.tunnel.as_mut() else { return };
        // The packets were padded before they were queued.
        let messages: Vec<WgKind> = tunnel.get_queued_packets(&mut MtuWatcher::new(0)).collect();
        for message in messages {
            self.transmit(peer, state, message);
        }
    }

    /// Gives a packet to the host, if its source belongs to the peer that sent it.
    fn give_packet(&self, peer: &Arc<Peer>, packet: &[u8]) {
        if packet.is_empty() {
            return;
        }
        let Some((source, _)) = addresses(packet) else { return };
        let owns = self.tables.read().routes.find(source).is_some_and(|p| Arc::ptr_eq(p, peer));
        if !owns {
            tracing::debug!("a peer sent a packet from {source}, which is not its own");
            return;
        }
        let Some(length) = total_length(packet) else { return };
        let part = [IoSlice::new(&packet[..length])];
        if let Err(error) = self.tun.send(&part, &Offload::DONE) {
            tracing::debug!("failed to give a packet to the host: {error}");
        }
    }
}
