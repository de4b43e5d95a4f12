//! Two `WireGuard` tunnels inside one process: no interface, no socket, no privilege.
//!
//! The engine sees its host through [`Tun`](wgfleet::tunnel::transport::Tun) and its network
//! through [`Bind`](wgfleet::tunnel::transport::Bind); here both are in memory. Run it with
//! `cargo run --example embedded_tunnel`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use wgfleet::model::{PrivateKey, PublicKey};
use wgfleet::tunnel::transport::memory::{MemoryHost, Network};
use wgfleet::tunnel::{
    AllowedIpChange, DeviceChange, Engine as _, EngineError, LinkState, PeerChange, Setting,
    Userspace,
};
use zeroize::Zeroizing;

const PORT: u16 = 51820;
const MTU: u32 = 1420;

/// One tunnel, and the IP stack behind it, which we play ourselves.
struct Side {
    host: MemoryHost,
    engine: Userspace,
    public: PublicKey,
    outer: Ipv4Addr,
    inner: Ipv4Addr,
}

impl Side {
    fn start(network: &Network, number: u8) -> Result<Self, Box<dyn Error>> {
        let mut random = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *random)?;
        let private = PrivateKey::from_random(random);
        let public = private.public();
        let outer = Ipv4Addr::new(192, 0, 2, number);
        let host = MemoryHost::default();
        let place = network.place(outer, Ipv6Addr::from(u128::from(number)));
        let engine = Userspace::start(Arc::new(host.clone()), Box::new(place), MTU)?;
        engine.apply(DeviceChange {
            private_key: Setting::To(private),
            listen_port: Some(PORT),
            ..DeviceChange::default()
        })?;
        engine.link(LinkState { up: true, mtu: MTU })?;
        Ok(Self { host, engine, public, outer, inner: Ipv4Addr::new(10, 0, 0, number) })
    }

    fn add_peer(&self, other: &Self) -> Result<(), EngineError> {
        let peer = PeerChange {
            endpoint: Some(SocketAddr::new(other.outer.into(), PORT)),
            allowed_ips: vec![AllowedIpChange::Add(IpAddr::from(other.inner).into())],
            ..PeerChange::new(other.public)
        };
        self.engine.apply(DeviceChange { peers: vec![peer], ..DeviceChange::default() })
    }
}

/// An IPv4 packet without a payload but this text.
fn packet(from: Ipv4Addr, to: Ipv4Addr, text: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut packet = vec![0; 20];
    packet[0] = 0x45;
    packet[2..4].copy_from_slice(&u16::try_from(20 + text.len())?.to_be_bytes());
    packet[12..16].copy_from_slice(&from.octets());
    packet[16..20].copy_from_slice(&to.octets());
    packet.extend_from_slice(text.as_bytes());
    Ok(packet)
}

fn main() -> Result<(), Box<dyn Error>> {
    let network = Network::default();
    let (a, b) = (Side::start(&network, 1)?, Side::start(&network, 2)?);
    a.add_peer(&b)?;
    b.add_peer(&a)?;
    for (from, to, text) in [(&a, &b, "hello"), (&b, &a, "and back")] {
        from.host.say(&packet(from.inner, to.inner, text)?);
        let heard = to.host.hear(Duration::from_secs(5)).ok_or("nothing arrived")?;
        println!("{} heard {:?}", to.inner, String::from_utf8_lossy(&heard[20..]));
    }
    for peer in a.engine.snapshot().peers {
        println!("{}: {} bytes sent, {} received", peer.public_key, peer.tx_bytes, peer.rx_bytes);
    }
    Ok(())
}
