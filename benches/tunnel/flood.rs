//! A third party that floods a tunnel with handshake initiations from invented sources.
//!
//! Each is what a stranger who knows the public key can send: its MAC1 is valid, and its static key
//! is nobody's. The sources are out of 198.18.0.0/15, so what is answered goes to the flooder, which
//! reads none of it.

use std::io::IoSlice;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use nix::libc::in_pktinfo;
use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrIn, sendmsg};
use rustix::time::{ClockId, clock_gettime};
use wgfleet::model::{PrivateKey, PublicKey};
use wgfleet::tunnel::noise::{INITIATION_LENGTH, Identity, Moment, Protocol};
use zeroize::Zeroizing;

use crate::yard::{End, Namespace};

/// Initiations in a second.
const RATE: f64 = 20_000.0;
/// How long the flooder sleeps between bursts: a loop without sleep would win a whole core.
const PAUSE: Duration = Duration::from_millis(1);
/// Messages that are made beforehand and sent in turn; each costs as much as it costs to answer.
const MADE: usize = 1000;
/// Source addresses, each of which comes in turn.
const SOURCES: u32 = 100_000;
/// Sockets, so that the ports differ as well.
const PORTS: usize = 16;

/// What an end is flooded from; made before it is needed.
pub(crate) struct Flooder {
    /// Where the sockets are.
    _namespace: Namespace,
    sockets: Arc<Vec<UdpSocket>>,
    messages: Arc<Vec<[u8; INITIATION_LENGTH]>>,
}

/// A flood that goes on.
pub(crate) struct Flood {
    ended: Arc<AtomicBool>,
    thread: JoinHandle<Sent>,
}

/// What a flood was.
pub(crate) struct Sent {
    /// Messages in a second.
    pub(crate) rate: f64,
    /// The part of a core that sending took, with the way to the other end's socket.
    pub(crate) cores: f64,
}

const HERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
const THERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);

impl Flooder {
    /// Beside this end, by a cable of its own.
    pub(crate) fn new(end: &End) -> Self {
        let namespace = Namespace::new();
        let addresses = [format!("{HERE}/24"), format!("{THERE}/24")];
        namespace.cable(&end.namespace, "far", [&addresses[0], &addresses[1]]);
        let here = HERE.to_string();
        end.namespace.run("ip", &["route", "add", "198.18.0.0/15", "via", &here]);
        // All of them are its own addresses: it may send from each.
        namespace.run("ip", &["route", "add", "local", "198.18.0.0/15", "dev", "lo"]);
        let sockets = namespace.inside(|| {
            let bind = |_| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a port");
            (0..PORTS).map(bind).collect()
        });
        let to: PublicKey = end.public().parse().expect("wg prints keys");
        Self {
            _namespace: namespace,
            sockets: Arc::new(sockets),
            messages: Arc::new(initiations(to)),
        }
    }

    /// Floods a port of the other end.
    pub(crate) fn start(&self, port: u16) -> Flood {
        let (sockets, messages) = (Arc::clone(&self.sockets), Arc::clone(&self.messages));
        let ended = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let ended = Arc::clone(&ended);
            move || send(&sockets, &messages, SocketAddrV4::new(THERE, port), &ended)
        });
        Flood { ended, thread }
    }
}

impl Flood {
    pub(crate) fn end(self) -> Sent {
        self.ended.store(true, Ordering::Relaxed);
        self.thread.join().expect("the flooder does not panic")
    }
}

/// Initiations by a stranger, each with an ephemeral key of its own.
fn initiations(to: PublicKey) -> Vec<[u8; INITIATION_LENGTH]> {
    let mut random = |bytes: &mut [u8]| getrandom::fill(bytes).expect("random bytes");
    let mut private = Zeroizing::new([0; 32]);
    random(&mut *private);
    let identity = Identity::new(PrivateKey::from_random(private));
    let now = (Moment::since_boot(Duration::from_secs(1)), SystemTime::now());
    let make = |_| {
        let initiation = Protocol::new(to).initiate(&identity, false, now, &mut || 5, &mut random);
        initiation.expect("a new peer may begin")
    };
    (0..MADE).map(make).collect()
}

fn send(
    sockets: &[UdpSocket],
    messages: &[[u8; INITIATION_LENGTH]],
    to: SocketAddrV4,
    ended: &AtomicBool,
) -> Sent {
    let to = SockaddrIn::from(to);
    let first = Ipv4Addr::new(198, 18, 0, 1).to_bits();
    let (began, cpu) = (Instant::now(), thread_seconds());
    let (mut turn, mut sources) = (0_u32, 0_u32);
    // What a busy machine has not let it send is not made up for in one burst.
    let mut due = Instant::now();
    while !ended.load(Ordering::Relaxed) {
        let now = Instant::now();
        let passed = now.duration_since(due).min(PAUSE * 10);
        due = now;
        let mut burst = passed.as_secs_f64() * RATE;
        while burst >= 1.0 {
            burst -= 1.0;
            let source = Ipv4Addr::from_bits(first + sources);
            sources = (sources + 1) % SOURCES;
            let index = turn as usize;
            let info = in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: nix::libc::in_addr { s_addr: u32::from_ne_bytes(source.octets()) },
                ipi_addr: nix::libc::in_addr { s_addr: 0 },
            };
            let parts = [IoSlice::new(&messages[index % messages.len()])];
            let socket = sockets[index % sockets.len()].as_raw_fd();
            let control = [ControlMessage::Ipv4PacketInfo(&info)];
            // What does not go out is not counted.
            if sendmsg(socket, &parts, &control, MsgFlags::MSG_DONTWAIT, Some(&to)).is_ok() {
                turn += 1;
            }
        }
        due -= Duration::from_secs_f64(burst / RATE);
        thread::sleep(PAUSE);
    }
    let passed = began.elapsed().as_secs_f64();
    Sent { rate: f64::from(turn) / passed, cores: (thread_seconds() - cpu) / passed }
}

/// CPU seconds of this thread.
fn thread_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).map_or(0.0, |time| time.as_secs_f64())
}
