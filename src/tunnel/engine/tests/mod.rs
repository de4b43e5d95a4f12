//! The engine between in-memory doubles: no privilege, no interface, no socket.

mod batches;
mod hostile;
mod losses;
mod workers;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::{Engine, LinkState, Userspace, Workers};
use crate::model::{Family, PresharedKey, PrivateKey};
use crate::tunnel::transport::Bind;
use crate::tunnel::transport::memory::{MemoryHost, Network, Place};
use crate::tunnel::{AllowedIpChange, Cause, DeviceChange, PeerChange, Setting};

const PATIENCE: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_millis(300);

struct Side {
    host: MemoryHost,
    engine: Userspace,
    outer: Ipv4Addr,
    inner: Ipv4Addr,
    seed: u8,
}

fn private(seed: u8) -> PrivateKey {
    PrivateKey::from_random(Zeroizing::new([seed; 32]))
}

impl Side {
    fn new(network: &Network, seed: u8) -> Self {
        Self::with_host(network, seed, MemoryHost::default())
    }

    fn with_host(network: &Network, seed: u8, host: MemoryHost) -> Self {
        Self::with(Box::new(Self::place(network, seed)), seed, host, Workers::ONE)
    }

    fn outer(seed: u8) -> Ipv4Addr {
        Ipv4Addr::new(192, 0, 2, seed)
    }

    fn place(network: &Network, seed: u8) -> Place {
        let outer6 = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, seed.into());
        network.place(Self::outer(seed), outer6)
    }

    fn with(place: Box<dyn Bind>, seed: u8, host: MemoryHost, workers: Workers) -> Self {
        let outer = Self::outer(seed);
        let tun = Arc::new(host.clone());
        let engine = Userspace::start_with(tun, place, 1420, workers).unwrap();
        engine.link(LinkState { up: true, mtu: 1420 }).unwrap();
        let side = Self { host, engine, outer, inner: Ipv4Addr::new(10, 0, 0, seed), seed };
        side.set(DeviceChange {
            private_key: Setting::To(private(seed)),
            listen_port: Some(51820),
            ..DeviceChange::default()
        });
        side
    }

    fn set(&self, change: DeviceChange) {
        self.engine.apply(change).unwrap();
    }

    fn knows(&self, other: &Self) {
        self.set_peer(self.peer(other));
    }

    fn peer(&self, other: &Self) -> PeerChange {
        let pair = [self.seed.min(other.seed) ^ 0x55; 32];
        PeerChange {
            preshared_key: Setting::To(PresharedKey::from_bytes(Zeroizing::new(pair))),
            endpoint: Some(SocketAddr::new(other.outer.into(), 51820)),
            allowed_ips: vec![AllowedIpChange::Add(IpAddr::from(other.inner).into())],
            ..PeerChange::new(private(other.seed).public())
        }
    }

    fn set_peer(&self, peer: PeerChange) {
        self.set(DeviceChange { peers: vec![peer], ..DeviceChange::default() });
    }

    /// An IPv4 packet without a payload but this text.
    fn say(&self, to: &Self, text: &str) -> Vec<u8> {
        let packet = packet(self.inner, to.inner, text);
        self.host.say(&packet);
        packet
    }
}

impl Side {
    /// What was dropped for a cause, by the interface and its peers together.
    fn dropped(&self, cause: Cause) -> u64 {
        let snapshot = self.engine.snapshot();
        let peers = snapshot.peers.iter().map(|peer| peer.drops.of(cause)).sum::<u64>();
        snapshot.drops.of(cause) + peers
    }

    fn indices(&self) -> usize {
        self.engine.core.indices.len()
    }
}

/// Waits until something holds.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn packet(from: Ipv4Addr, to: Ipv4Addr, text: &str) -> Vec<u8> {
    let mut packet = vec![0x45; 20];
    let length = u16::try_from(20 + text.len()).unwrap();
    packet[2..4].copy_from_slice(&length.to_be_bytes());
    packet[12..16].copy_from_slice(&from.octets());
    packet[16..20].copy_from_slice(&to.octets());
    packet.extend(text.as_bytes());
    packet
}

fn pair() -> (Side, Side) {
    let network = Network::default();
    let (a, b) = (Side::new(&network, 1), Side::new(&network, 2));
    a.knows(&b);
    b.knows(&a);
    (a, b)
}

#[test]
fn packets_cross_both_ways_and_are_counted() {
    let (a, b) = pair();
    let packet = a.say(&b, "one");
    assert_eq!(b.host.hear(PATIENCE).as_deref(), Some(&*packet));
    let answer = b.say(&a, "a longer answer that is no multiple of sixteen");
    assert_eq!(a.host.hear(PATIENCE).as_deref(), Some(&*answer));
    let (of_a, of_b) = (a.engine.snapshot(), b.engine.snapshot());
    let (of_a, of_b) = (&of_a.peers[0], &of_b.peers[0]);
    assert!(of_a.tx_bytes > 0 && of_b.tx_bytes > 0);
    assert_eq!((of_a.tx_bytes, of_a.rx_bytes), (of_b.rx_bytes, of_b.tx_bytes));
    assert!(!of_a.last_handshake.is_zero() && !of_b.last_handshake.is_zero());
}

#[test]
fn a_source_that_belongs_to_another_peer_is_dropped() {
    let (a, b) = pair();
    a.say(&b, "mine");
    assert!(b.host.hear(PATIENCE).is_some());
    a.host.say(&packet(Ipv4Addr::new(10, 0, 0, 99), b.inner, "forged"));
    assert_eq!(b.host.hear(SILENCE), None);
}

#[test]
fn packets_wait_for_the_session_in_their_order() {
    let (a, b) = pair();
    let said: Vec<_> = (0..50).map(|number| a.say(&b, &number.to_string())).collect();
    let heard: Vec<_> = (0..50).map(|_| b.host.hear(PATIENCE).unwrap()).collect();
    assert_eq!(said, heard);
}

/// The order that loses nothing (LAB): the host first, then its neighbour in one step.
#[test]
fn a_new_key_loses_nothing_when_the_neighbour_follows() {
    let (mut a, b) = pair();
    a.say(&b, "before");
    assert!(b.host.hear(PATIENCE).is_some());
    let before = a.engine.snapshot().peers[0].tx_bytes;

    let old = private(a.seed).public();
    a.set(DeviceChange { private_key: Setting::To(private(77)), ..DeviceChange::default() });
    // The session is gone: nothing that is said now may go out under the old key.
    let said: Vec<_> = (0..20).map(|number| a.say(&b, &number.to_string())).collect();
    assert_eq!(b.host.hear(SILENCE), None);
    assert!(a.engine.snapshot().peers[0].tx_bytes >= before, "counters stay");
    // But the neighbour, which knows nothing of it yet, is still heard.
    let packet = b.say(&a, "under the old key");
    assert_eq!(a.host.hear(PATIENCE), Some(packet));

    let preshared = b.peer(&a).preshared_key;
    a.seed = 77;
    let mut follower = b.peer(&a);
    follower.preshared_key = preshared;
    follower.keepalive = Some(25);
    b.set(DeviceChange {
        peers: vec![PeerChange::removal(old), follower],
        ..DeviceChange::default()
    });
    let heard: Vec<_> = (0..20).map(|_| b.host.hear(PATIENCE).unwrap()).collect();
    assert_eq!(said, heard);
}

#[test]
fn a_change_of_one_peer_leaves_the_others_alone() {
    let network = Network::default();
    let (a, b, c) = (Side::new(&network, 1), Side::new(&network, 2), Side::new(&network, 3));
    a.knows(&b);
    b.knows(&a);
    a.say(&b, "hello");
    assert!(b.host.hear(PATIENCE).is_some());
    let before = a.engine.snapshot();
    a.knows(&c);
    a.set_peer(PeerChange { keepalive: Some(9), ..PeerChange::new(private(3).public()) });
    a.set_peer(PeerChange::removal(private(3).public()));
    let after = a.engine.snapshot();
    assert_eq!(before.listen_port, after.listen_port);
    assert_eq!(before.peers[0].last_handshake, after.peers[0].last_handshake);
    assert_eq!(before.peers[0].tx_bytes, after.peers[0].tx_bytes);
    let packet = a.say(&b, "again");
    assert_eq!(b.host.hear(PATIENCE), Some(packet));
}

#[test]
fn a_prefix_moves_to_the_peer_that_names_it_last() {
    let (a, b) = pair();
    let net: ipnet::IpNet = "10.7.0.0/16".parse().unwrap();
    let other = private(9).public();
    for key in [private(b.seed).public(), other] {
        a.set_peer(PeerChange {
            allowed_ips: vec![AllowedIpChange::Add(net)],
            ..PeerChange::new(key)
        });
    }
    let snapshot = a.engine.snapshot();
    let has = |index: usize| snapshot.peers[index].allowed_ips.contains(&net);
    assert_eq!((has(0), has(1)), (false, true));
}

#[test]
fn update_only_and_ones_own_key_add_nobody() {
    let (a, _b) = pair();
    a.set_peer(PeerChange { update_only: true, ..PeerChange::new(private(50).public()) });
    a.set_peer(PeerChange::new(private(a.seed).public()));
    assert_eq!(a.engine.snapshot().peers.len(), 1);
}

#[test]
fn peers_may_come_before_the_key_and_stay_after_it() {
    let network = Network::default();
    let (a, b) = (Side::new(&network, 1), Side::new(&network, 2));
    a.set(DeviceChange { private_key: Setting::Clear, ..DeviceChange::default() });
    assert!(a.engine.snapshot().private_key.is_none());
    a.knows(&b);
    b.knows(&a);
    a.say(&b, "lost");
    assert_eq!(b.host.hear(SILENCE), None);
    a.set(DeviceChange { private_key: Setting::To(private(1)), ..DeviceChange::default() });
    let packet = a.say(&b, "heard");
    assert_eq!(b.host.hear(PATIENCE), Some(packet));
}

#[test]
fn a_taken_port_is_refused_and_the_old_one_stays() {
    let network = Network::default();
    let a = Side::new(&network, 1);
    let outer6 = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    let squatter = network.place(a.outer, outer6);
    crate::tunnel::transport::Bind::bind(&squatter, Family::V4, 4000, 0).unwrap();
    let change = DeviceChange { listen_port: Some(4000), ..DeviceChange::default() };
    assert_eq!(a.engine.apply(change).unwrap_err().errno(), 98);
    assert_eq!(a.engine.snapshot().listen_port, 51820);
}

#[test]
fn a_peer_that_speaks_from_elsewhere_is_answered_there() {
    let (a, b) = pair();
    a.say(&b, "before");
    assert!(b.host.hear(PATIENCE).is_some());
    b.set(DeviceChange { listen_port: Some(4444), ..DeviceChange::default() });
    b.say(&a, "from another port");
    assert!(a.host.hear(PATIENCE).is_some());
    let endpoint = a.engine.snapshot().peers[0].endpoint;
    assert_eq!(endpoint, Some(SocketAddr::new(b.outer.into(), 4444)));
    let packet = a.say(&b, "to it");
    assert_eq!(b.host.hear(PATIENCE), Some(packet));
}

#[test]
fn an_interface_that_was_down_starts_over() {
    let (a, b) = pair();
    a.say(&b, "before");
    assert!(b.host.hear(PATIENCE).is_some());
    assert_eq!((a.indices(), b.indices()), (1, 1));
    a.engine.link(LinkState { up: false, mtu: 1420 }).unwrap();
    assert_eq!(a.indices(), 0);
    a.say(&b, "lost");
    b.say(&a, "lost as well");
    assert_eq!(b.host.hear(SILENCE), None);
    a.engine.link(LinkState { up: true, mtu: 1420 }).unwrap();
    let packet = a.say(&b, "after");
    assert_eq!(b.host.hear(PATIENCE), Some(packet));
}

#[test]
fn a_keepalive_that_is_switched_on_makes_a_session_at_once() {
    let (a, b) = pair();
    let keepalive = Some(25);
    a.set_peer(PeerChange { keepalive, ..PeerChange::new(private(b.seed).public()) });
    until("both have a session", || {
        let has = |side: &Side| !side.engine.snapshot().peers[0].last_handshake.is_zero();
        has(&a) && has(&b)
    });
}

#[test]
fn indices_and_peers_that_are_gone_take_no_memory() {
    let (a, b) = pair();
    for round in 0..20 {
        let text = round.to_string();
        a.say(&b, &text);
        assert!(b.host.hear(PATIENCE).is_some());
        a.engine.link(LinkState { up: false, mtu: 1420 }).unwrap();
        a.engine.link(LinkState { up: true, mtu: 1420 }).unwrap();
        // The fastest that a peer's initiations are answered.
        std::thread::sleep(Duration::from_millis(40));
    }
    assert!(a.indices() <= 1 && b.indices() <= 3, "{} {}", a.indices(), b.indices());
    let peer = Arc::downgrade(b.engine.core.tables.read().peers.values().next().unwrap());
    b.set_peer(PeerChange::removal(private(a.seed).public()));
    assert_eq!(b.indices(), 0);
    until("nobody holds the peer", || peer.upgrade().is_none());
}

/// Ten thousand peers are 60 MB at most; what is counted here is most of it.
#[test]
fn a_peer_is_small_and_so_is_a_session() {
    assert!(size_of::<super::peer::Peer>() <= 1024, "{}", size_of::<super::peer::Peer>());
    let session = size_of::<crate::tunnel::noise::Session>();
    assert!(session <= 2560, "{session}");
}

/// One family of the port is another program's: the other works, and both once it is free.
#[test]
fn what_is_taken_of_a_port_is_asked_for_again() {
    let network = Network::default();
    let (a, b) = (Side::new(&network, 1), Side::new(&network, 2));
    a.knows(&b);
    b.knows(&a);
    a.engine.link(LinkState { up: false, mtu: 1420 }).unwrap();
    let squatter = Side::place(&network, 1);
    let (_, held) = Bind::bind(&squatter, Family::V4, 51820, 0).unwrap().unwrap();
    assert!(a.engine.link(LinkState { up: true, mtu: 1420 }).is_err());
    {
        let sockets = a.engine.core.sockets.read();
        let bound = sockets.as_ref().expect("one family is free");
        assert!(bound.v4.is_none() && bound.v6.is_some());
    }
    a.say(&b, "not heard");
    assert_eq!(b.host.hear(SILENCE), None);
    assert!(a.dropped(Cause::NoSocket) > 1);
    held.close();
    until("it is bound", || {
        a.engine.core.sockets.read().as_ref().is_some_and(|bound| bound.v4.is_some())
    });
    // What waited was lost with the handshake that could not be sent.
    until("it is heard", || {
        a.say(&b, "heard");
        b.host.hear(SILENCE).is_some()
    });
}

/// `wg set` may name the key after everything else.
#[test]
fn the_first_key_lets_keepalives_begin_at_once() {
    let network = Network::default();
    let (a, b) = (Side::new(&network, 1), Side::new(&network, 2));
    b.knows(&a);
    a.set(DeviceChange { private_key: Setting::Clear, ..DeviceChange::default() });
    a.set_peer(PeerChange { keepalive: Some(25), ..a.peer(&b) });
    let heard = || a.engine.snapshot().peers[0].rx_bytes > 0;
    std::thread::sleep(SILENCE);
    assert!(!heard());
    let private_key = Setting::To(private(1));
    a.set(DeviceChange { private_key, ..DeviceChange::default() });
    let began = std::time::Instant::now();
    until("there is a session", heard);
    assert!(began.elapsed() < Duration::from_secs(2));
}
