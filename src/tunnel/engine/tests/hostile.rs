//! A network that repeats, changes and floods.

use std::thread;

use parking_lot::Mutex;

use super::*;
use crate::tunnel::noise::{INITIATION_LENGTH, Identity, Kind, Moment, Protocol, kind};
use crate::tunnel::transport::{Bind as _, Remote, Udp};

/// Datagrams and where they went.
type Seen = Arc<Mutex<Vec<(Vec<u8>, SocketAddr)>>>;

/// Stands between two sides, passes on what comes from either, and keeps what it saw.
struct Relay {
    socket: Arc<dyn Udp>,
    seen: Seen,
}

const RELAY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 200);

impl Relay {
    fn between(network: &Network, a: &Side, b: &Side) -> Self {
        let place = network.place(RELAY, Ipv6Addr::LOCALHOST);
        let socket = place.bind(Family::V4, 51820, 0).unwrap().unwrap().1;
        let seen = Seen::default();
        let [one, other] = [a, b].map(|side| SocketAddr::new(side.outer.into(), 51820));
        let (ours, record) = (Arc::clone(&socket), Arc::clone(&seen));
        thread::spawn(move || {
            let mut buffer = vec![0; 65535];
            while let Ok(Some(received)) = ours.recv(&mut buffer) {
                let to = if received.from == one { other } else { one };
                for datagram in buffer[..received.length].chunks(received.stride) {
                    record.lock().push((datagram.to_vec(), to));
                    ours.send(datagram, datagram.len(), &Remote::from(to)).unwrap();
                }
            }
        });
        for (side, other) in [(a, b), (b, a)] {
            let endpoint = Some(SocketAddr::new(RELAY.into(), 51820));
            side.set_peer(PeerChange { endpoint, ..side.peer(other) });
        }
        Self { socket, seen }
    }

    fn say(&self, message: &[u8], to: SocketAddr) {
        self.socket.send(message, message.len(), &Remote::from(to)).unwrap();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.socket.close();
    }
}

#[test]
fn what_is_repeated_or_changed_on_the_way_is_dropped() {
    let network = Network::default();
    let (a, b) = (Side::new(&network, 1), Side::new(&network, 2));
    let relay = Relay::between(&network, &a, &b);
    let packet = a.say(&b, "once");
    assert_eq!(b.host.hear(PATIENCE), Some(packet));
    let seen = relay.seen.lock().clone();
    let to_b = SocketAddr::new(b.outer.into(), 51820);
    let of = |wanted| {
        let found = seen.iter().find(|(bytes, to)| kind(bytes) == Some(wanted) && *to == to_b);
        found.map(|(bytes, _)| bytes.clone()).unwrap()
    };
    let (initiation, data) = (of(Kind::Initiation), of(Kind::Data));
    let answers = |relay: &Relay| relay.seen.lock().len();
    let before = answers(&relay);

    relay.say(&data, to_b);
    relay.say(&initiation, to_b);
    until("both repetitions are seen", || b.dropped(Cause::Replay) == 2);
    for byte in 16..data.len() {
        let mut bad = data.clone();
        bad[8] = 99;
        bad[byte] ^= 1;
        relay.say(&bad, to_b);
    }
    until("each change is seen", || b.dropped(Cause::Forged) == data.len() as u64 - 16);
    let mut elsewhere = data.clone();
    elsewhere[4] ^= 1;
    relay.say(&elsewhere, to_b);
    until("no such session", || b.dropped(Cause::NoSession) == 1);
    for length in 0..32 {
        relay.say(&data[..length], to_b);
    }
    let mut bad = initiation.clone();
    bad[INITIATION_LENGTH - 20] ^= 1;
    relay.say(&bad, to_b);
    until("the MAC is wrong", || b.dropped(Cause::BadMac) == 1);
    assert_eq!(b.host.hear(SILENCE), None);
    assert_eq!(answers(&relay), before, "nothing of it is answered");
    let packet = a.say(&b, "and on it goes");
    assert_eq!(b.host.hear(PATIENCE), Some(packet));
}

/// Initiations by strangers that know the public key, each with its own ephemeral key.
fn initiations(to: u8, count: usize) -> Vec<[u8; INITIATION_LENGTH]> {
    let identity = Identity::new(private(66));
    let now = (Moment::since_boot(Duration::from_secs(1)), std::time::SystemTime::now());
    let make = |_| {
        let mut protocol = Protocol::new(private(to).public());
        let mut random = |bytes: &mut [u8]| getrandom::fill(bytes).unwrap();
        protocol.initiate(&identity, false, now, &mut || 5, &mut random).unwrap()
    };
    (0..count).map(make).collect()
}

#[test]
fn a_flood_of_initiations_stops_nobody_else() {
    let network = Network::default();
    let (a, b) = (Side::new(&network, 1), Side::new(&network, 2));
    a.knows(&b);
    b.knows(&a);
    let packet = a.say(&b, "before");
    assert_eq!(b.host.hear(PATIENCE), Some(packet));
    let to_b = Remote::from(SocketAddr::new(b.outer.into(), 51820));
    let flood = initiations(b.seed, 300);
    let sockets: Vec<Arc<dyn Udp>> = (0..40)
        .map(|number| {
            let place = network
                .place(Ipv4Addr::new(198, 51, 100, number), Ipv6Addr::from(u128::from(number)));
            place.bind(Family::V4, 9, 0).unwrap().unwrap().1
        })
        .collect();
    for round in 0..40 {
        for (number, message) in flood.iter().enumerate() {
            sockets[number % sockets.len()].send(message, message.len(), &to_b).unwrap();
        }
        let packet = a.say(&b, &round.to_string());
        assert_eq!(b.host.hear(PATIENCE), Some(packet));
    }
    until("a proof of the address was asked for", || b.dropped(Cause::UnderLoad) > 0);
    // Which is small: no more goes out than came in.
    let mut reply = [0; 2048];
    let received = sockets[0].recv(&mut reply).unwrap().unwrap();
    assert_eq!(kind(&reply[..received.stride]), Some(Kind::Cookie));
    assert_eq!(b.indices(), 1, "strangers leave nothing behind");
    // Somebody new comes in, with the proof.
    let c = Side::new(&network, 3);
    c.knows(&b);
    b.knows(&c);
    let packet = c.say(&b, "with a cookie, at the second try");
    assert_eq!(b.host.hear(PATIENCE * 2), Some(packet));
}
