// One case, as an ordinary function: tests/fuzz_cases.rs runs it on stable, too.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use wgfleet::model::{Family, PrivateKey};
use wgfleet::tunnel::offload::{Accepts, Offload, Segmentation};
use wgfleet::tunnel::transport::memory::{MemoryHost, Network};
use wgfleet::tunnel::transport::{Bind as _, Udp};
use wgfleet::tunnel::{
    AllowedIpChange, DeviceChange, Engine as _, LinkState, PeerChange, Setting, Userspace,
};
use zeroize::Zeroizing;

/// A datagram or a packet: what it is, its offload, its bytes.
pub(crate) type Step = (u8, u16, u16, Vec<u8>);

const A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const B: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const PORT: u16 = 51820;

struct Side {
    host: MemoryHost,
    engine: Userspace,
}

/// Two devices with a session between them, and a stranger's socket: the same for every case.
struct World {
    a: Side,
    b: Side,
    stranger: Arc<dyn Udp>,
}

fn outer(seed: u8) -> (Ipv4Addr, Ipv6Addr) {
    (Ipv4Addr::new(192, 0, 2, seed), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, seed.into()))
}

fn private(seed: u8) -> PrivateKey {
    PrivateKey::from_random(Zeroizing::new([seed; 32]))
}

impl Side {
    fn new(network: &Network, seed: u8, other: u8, nets: &[&str]) -> Self {
        let host = MemoryHost::accepting(Accepts { tcp: true, udp: true });
        let (v4, v6) = outer(seed);
        let place = Box::new(network.place(v4, v6));
        let engine = Userspace::start(Arc::new(host.clone()), place, 1420).expect("threads");
        engine.link(LinkState { up: true, mtu: 1420 }).expect("a free port");
        let peer = PeerChange {
            endpoint: Some(SocketAddr::new(outer(other).0.into(), PORT)),
            allowed_ips: nets
                .iter()
                .map(|net| AllowedIpChange::Add(net.parse().expect("a prefix")))
                .collect(),
            ..PeerChange::new(private(other).public())
        };
        let change = DeviceChange {
            private_key: Setting::To(private(seed)),
            listen_port: Some(PORT),
            peers: vec![peer],
            ..DeviceChange::default()
        };
        engine.apply(change).expect("a free port");
        Self { host, engine }
    }
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let network = Network::default();
    // The one side sends whatever the host says; the other takes one address from it.
    let a = Side::new(&network, 1, 2, &["0.0.0.0/0", "::/0"]);
    let b = Side::new(&network, 2, 1, &["10.0.0.1/32", "fd00::1/128"]);
    let (v4, v6) = outer(3);
    let stranger = network.place(v4, v6).bind(Family::V4, PORT, 0).expect("a free port");
    let (_, stranger) = stranger.expect("it has both families");
    World { a, b, stranger }
});

/// An IPv4 packet that says which case it ends.
fn mark(number: u64) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 28, 0, 0, 0, 0, 64, 253, 0, 0];
    packet.extend(A.octets());
    packet.extend(B.octets());
    packet.extend(number.to_be_bytes());
    packet
}

fn source(packet: &[u8]) -> Option<&[u8]> {
    match packet.first()? >> 4 {
        4 => packet.get(12..16),
        6 => packet.get(8..24),
        _ => None,
    }
}

/// Takes every step, then waits until a packet that is known to be sound has crossed behind them.
pub(crate) fn run(steps: &[Step]) {
    static NUMBER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let world = &*WORLD;
    let to_b = SocketAddr::new(outer(2).0.into(), PORT).into();
    for (what, first, second, bytes) in steps.iter().take(64) {
        let mut bytes = bytes.clone();
        bytes.truncate(65535);
        match what % 4 {
            0 => {
                let stride = usize::from(*first).max(1);
                let socket = &world.stranger;
                let _ = socket.send(&bytes, stride, &to_b);
            }
            1 => world.a.host.say(&bytes),
            2 => {
                // A source that is allowed, so that the packet goes on.
                if bytes.first().is_some_and(|byte| byte >> 4 == 4) && bytes.len() >= 20 {
                    bytes[12..16].copy_from_slice(&A.octets());
                }
                world.a.host.say(&bytes);
            }
            _ => {
                let segments = match first % 4 {
                    0 => Segmentation::None,
                    1 => Segmentation::Tcp4,
                    2 => Segmentation::Tcp6,
                    _ => Segmentation::Udp,
                };
                let header = first >> 8;
                let checksum = (first & 4 != 0).then_some((header & 0x3f, second & 0x1f));
                let offload = Offload { segments, segment: *second, header, checksum };
                world.a.host.say_offloaded(&bytes, offload);
            }
        }
    }
    let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let last = mark(number);
    // A flood of handshakes costs answers, never the packets of a session.
    world.a.host.say(&last);
    loop {
        let heard = world.b.host.hear(Duration::from_secs(20));
        let heard = heard.expect("the tunnel carries no packets any more");
        if heard == last {
            break;
        }
        let allowed = [&A.octets()[..], &[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]];
        let source = source(&heard).expect("only IP packets reach the host");
        assert!(allowed.contains(&source), "a source that the peer may not use: {source:?}");
    }
    let snapshot = world.b.engine.snapshot();
    assert_eq!(snapshot.peers.len(), 1, "nobody else is a peer");
}
