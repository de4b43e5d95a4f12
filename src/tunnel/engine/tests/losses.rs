//! What is dropped, and what it is counted as.

use super::*;

#[test]
fn packets_without_a_peer_or_an_endpoint_are_counted() {
    let (a, b) = pair();
    a.host.say(&packet(a.inner, Ipv4Addr::new(10, 99, 0, 1), "to nobody"));
    a.host.say(&[0x45, 0, 0]);
    let net: ipnet::IpNet = "10.98.0.0/16".parse().unwrap();
    a.set_peer(PeerChange {
        allowed_ips: vec![AllowedIpChange::Add(net)],
        ..PeerChange::new(private(9).public())
    });
    a.host.say(&packet(a.inner, Ipv4Addr::new(10, 98, 0, 1), "somewhere"));
    let counts = || [Cause::NoPeer, Cause::Malformed, Cause::NoEndpoint].map(|c| a.dropped(c));
    until("all are counted", || counts() == [1, 1, 1]);
    a.say(&b, "mine");
    assert!(b.host.hear(PATIENCE).is_some());
    a.host.say(&packet(Ipv4Addr::new(10, 0, 0, 99), b.inner, "forged"));
    until("the source is counted", || b.dropped(Cause::SourceNotAllowed) == 1);
    let snapshot = b.engine.snapshot();
    assert_eq!(
        snapshot.peers[0].drops.counted().collect::<Vec<_>>(),
        [(Cause::SourceNotAllowed, 1)]
    );
}

#[test]
fn of_what_waits_the_newest_128_are_kept() {
    let network = Network::default();
    let (a, b) = (Side::new(&network, 1), Side::new(&network, 2));
    a.knows(&b);
    let said: Vec<_> = (0..200).map(|number| a.say(&b, &number.to_string())).collect();
    until("the first were dropped", || a.dropped(Cause::QueueFull) == 72);
    // The other end begins: ours may not again so soon.
    let mut peer = b.peer(&a);
    peer.keepalive = Some(25);
    b.set_peer(peer);
    let heard: Vec<_> = (0..128).map(|_| b.host.hear(PATIENCE).unwrap()).collect();
    assert_eq!(said[72..], heard);
    assert_eq!(b.host.hear(SILENCE), None);
    let core = &a.engine.core;
    let peer = core.tables.read().peers.values().next().cloned().unwrap();
    assert_eq!(peer.state.lock().waiting.capacity(), 0);
}

#[test]
fn an_unknown_initiator_and_another_key_are_counted() {
    let network = Network::default();
    let (a, b) = (Side::new(&network, 1), Side::new(&network, 2));
    a.knows(&b);
    a.say(&b, "who is this?");
    until("nobody knows it", || b.dropped(Cause::UnknownPeer) == 1);
    let mut other = a.peer(&b);
    other.public_key = private(77).public();
    other.endpoint = Some(SocketAddr::new(b.outer.into(), 51820));
    a.set_peer(other);
    a.say(&b, "for another key");
    until("the MAC is wrong", || b.dropped(Cause::BadMac) == 1);
}
