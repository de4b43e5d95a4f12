//! One flow through one device: packets of 64 KiB sealed as fast as they are taken, and their
//! messages opened again, with one thread for each queue and with several.
//!
//! Neither an interface nor a socket is there: a read is a copy, and what is sent is counted and
//! swallowed. So this shows what the workers are for, encryption; the system calls, which keep their
//! order, come on top. `WORKERS` (`1,2`) says how many threads, `ROUNDS` (5) how often,
//! `PACKETS` (4000) how many of 64 KiB.

#![expect(clippy::print_stdout, reason = "the figures are what a benchmark prints")]

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rustix::time::{ClockId, clock_gettime};
use wgfleet::model::{Family, PrivateKey};
use wgfleet::tunnel::offload::{Accepts, Offload, Segmentation};
use wgfleet::tunnel::transport::{Bind, BoundSocket, Lane, Received, Remote, Tun, Udp};
use wgfleet::tunnel::{
    AllowedIpChange, DeviceChange, Engine as _, LinkState, PeerChange, Setting, Userspace, Workers,
};
use zeroize::Zeroizing;

const MTU: u32 = 1420;
const HEADERS: usize = 40;
const SEGMENT: usize = 1380;
const SEGMENTS: usize = 47;
/// Payload of a packet.
const PAYLOAD: usize = SEGMENT * SEGMENTS;
/// A message less its packet.
const OVERHEAD: usize = 32;

/// The two sides between which everything happens: 0 seals, 1 opens.
#[derive(Default)]
struct Yard {
    state: Mutex<State>,
    changed: Condvar,
    /// Bytes of messages that side 0 has sent.
    sealed: AtomicU64,
    /// Payload that side 1 was given.
    opened: AtomicU64,
}

#[derive(Default)]
struct State {
    /// Handshakes and keepalives.
    inboxes: [VecDeque<Vec<u8>>; 2],
    closed: [bool; 2],
    /// Packets that side 0 has still to be given, and the sequence number of the next.
    packets: usize,
    sequence: u32,
    /// Where messages with packets are kept instead of swallowed.
    kept: Option<VecDeque<Vec<u8>>>,
    /// They are given to side 1.
    replays: bool,
}

struct Side(Arc<Yard>, usize);

fn address(side: usize) -> SocketAddr {
    let last = if side == 0 { 1 } else { 2 };
    SocketAddr::new(Ipv4Addr::new(192, 0, 2, last).into(), 51820)
}

/// A packet that the kernel would make 47 segments of.
fn template() -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    let length = u16::try_from(HEADERS + PAYLOAD).expect("below 64 KiB");
    packet[2..4].copy_from_slice(&length.to_be_bytes());
    packet.extend([0x9c, 0x40, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10, 1, 0, 0, 0, 0, 0]);
    packet.resize(HEADERS + PAYLOAD, 0x5a);
    packet
}

struct Source(Arc<Yard>, Vec<u8>, usize);

impl Source {
    fn take(&self, packet: &mut [u8], state: &mut State) -> Option<(usize, Offload)> {
        if self.2 != 0 || state.packets == 0 {
            return None;
        }
        state.packets -= 1;
        packet[..self.1.len()].copy_from_slice(&self.1);
        packet[24..28].copy_from_slice(&state.sequence.to_be_bytes());
        state.sequence = state.sequence.wrapping_add(u32::try_from(PAYLOAD).expect("small"));
        let offload = Offload {
            segments: Segmentation::Tcp4,
            segment: 1380,
            header: 40,
            checksum: Some((20, 16)),
        };
        Some((self.1.len(), offload))
    }
}

impl Lane for Source {
    fn recv(&self, packet: &mut [u8]) -> io::Result<Option<(usize, Offload)>> {
        let mut state = self.0.state.lock();
        loop {
            if state.closed[self.2] {
                return Ok(None);
            }
            if let Some(taken) = self.take(packet, &mut state) {
                return Ok(Some(taken));
            }
            self.0.changed.wait(&mut state);
        }
    }

    fn try_recv(&self, packet: &mut [u8]) -> io::Result<Option<(usize, Offload)>> {
        let taken = self.take(packet, &mut self.0.state.lock());
        taken.map(Some).ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }
}

impl Tun for Side {
    fn lanes(&self) -> Vec<Arc<dyn Lane>> {
        vec![Arc::new(Source(Arc::clone(&self.0), template(), self.1))]
    }

    fn send(&self, parts: &[IoSlice<'_>], _offload: &Offload) -> io::Result<()> {
        let payload = parts.iter().map(|part| part.len()).sum::<usize>() - HEADERS;
        self.0.opened.fetch_add(payload as u64, Ordering::Relaxed);
        Ok(())
    }

    fn accepts(&self) -> Accepts {
        Accepts { tcp: true, udp: true }
    }

    fn close(&self) {
        self.0.state.lock().closed[self.1] = true;
        self.0.changed.notify_all();
    }
}

impl Bind for Side {
    fn bind(&self, family: Family, port: u16, _mark: u32) -> io::Result<Option<BoundSocket>> {
        let socket = Self(Arc::clone(&self.0), self.1);
        Ok((family == Family::V4).then(|| -> BoundSocket { (port, Arc::new(socket)) }))
    }
}

impl Udp for Side {
    fn recv(&self, datagrams: &mut [u8]) -> io::Result<Option<Received>> {
        let from = address(1 - self.1);
        let received = |length, stride| {
            Ok(Some(Received {
                length,
                stride,
                from,
                to: None,
                traffic_class: 0,
                waited: Duration::ZERO,
            }))
        };
        let mut state = self.0.state.lock();
        loop {
            if state.closed[self.1] {
                return Ok(None);
            }
            if let Some(message) = state.inboxes[self.1].pop_front() {
                datagrams[..message.len()].copy_from_slice(&message);
                return received(message.len(), message.len());
            }
            if self.1 == 1 && state.replays {
                let run = state.kept.as_mut().and_then(VecDeque::pop_front);
                if let Some(run) = run {
                    drop(state);
                    datagrams[..run.len()].copy_from_slice(&run);
                    return received(run.len(), HEADERS + SEGMENT + OVERHEAD);
                }
            }
            self.0.changed.wait(&mut state);
        }
    }

    fn send(&self, datagrams: &[u8], _stride: usize, _to: &Remote) -> io::Result<()> {
        let has_packets = datagrams[0] == 4 && datagrams.len() > OVERHEAD;
        if has_packets {
            let mut state = self.0.state.lock();
            if let Some(kept) = &mut state.kept {
                kept.push_back(datagrams.to_vec());
            }
            drop(state);
            self.0.sealed.fetch_add(datagrams.len() as u64, Ordering::Relaxed);
            return Ok(());
        }
        self.0.state.lock().inboxes[1 - self.1].push_back(datagrams.to_vec());
        self.0.changed.notify_all();
        Ok(())
    }

    fn set_mark(&self, _mark: u32) -> io::Result<()> {
        Ok(())
    }

    fn close(&self) {
        self.0.state.lock().closed[self.1] = true;
        self.0.changed.notify_all();
    }
}

fn private(side: usize) -> PrivateKey {
    PrivateKey::from_random(Zeroizing::new([if side == 0 { 1 } else { 2 }; 32]))
}

fn device(yard: &Arc<Yard>, side: usize, workers: Workers) -> Userspace {
    let new = || Side(Arc::clone(yard), side);
    let device = Userspace::start_with(Arc::new(new()), Box::new(new()), MTU, workers);
    let device = device.expect("threads");
    device.link(LinkState { up: true, mtu: MTU }).expect("a socket");
    let other = 1 - side;
    let peer = PeerChange {
        endpoint: Some(address(other)),
        allowed_ips: vec![AllowedIpChange::Add("10.0.0.0/8".parse().expect("a prefix"))],
        keepalive: (side == 0).then_some(25),
        ..PeerChange::new(private(other).public())
    };
    let change = DeviceChange {
        private_key: Setting::To(private(side)),
        peers: vec![peer],
        ..DeviceChange::default()
    };
    device.apply(change).expect("a socket");
    device
}

/// Gbit/s of packets, and CPU seconds for each GB.
#[derive(Clone, Copy)]
struct Rate {
    gbits: f64,
    cpu: f64,
}

fn cpu() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
        .as_secs_f64()
}

/// Starts something, and measures until a counter has reached its end.
fn measure(counter: &AtomicU64, end: usize, packets: usize, start: impl FnOnce()) -> Rate {
    let (begin, cpu_before) = (Instant::now(), cpu());
    start();
    while counter.load(Ordering::Relaxed) < end as u64 {
        assert!(begin.elapsed() < Duration::from_mins(2), "packets are missing");
        thread::sleep(Duration::from_micros(500));
    }
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let bytes = (packets * (HEADERS + PAYLOAD)) as f64;
    let seconds = begin.elapsed().as_secs_f64();
    Rate { gbits: bytes * 8e-9 / seconds, cpu: (cpu() - cpu_before) / bytes * 1e9 }
}

/// Two devices that have spoken to one another.
fn pair(workers: [Workers; 2]) -> (Arc<Yard>, [Userspace; 2]) {
    let yard = Arc::<Yard>::default();
    let sides = [0, 1].map(|side| device(&yard, side, workers[side]));
    while sides.iter().any(|side| side.snapshot().peers[0].last_handshake.is_zero()) {
        thread::sleep(Duration::from_millis(1));
    }
    (yard, sides)
}

/// Seals so many packets, and measures it.
fn seal(yard: &Yard, packets: usize, keep: bool) -> Rate {
    let messages = packets * SEGMENTS * (HEADERS + SEGMENT + OVERHEAD);
    measure(&yard.sealed, messages, packets, || {
        let mut state = yard.state.lock();
        state.kept = keep.then(VecDeque::new);
        state.packets = packets;
        drop(state);
        yard.changed.notify_all();
    })
}

/// Seals so many packets, and opens what one thread has sealed.
fn round(workers: Workers, packets: usize) -> [Rate; 2] {
    let (yard, _sides) = pair([workers, Workers::ONE]);
    let sealed = seal(&yard, packets, false);
    let (yard, _sides) = pair([Workers::ONE, workers]);
    seal(&yard, packets, true);
    let opened = measure(&yard.opened, packets * PAYLOAD, packets, || {
        yard.state.lock().replays = true;
        yard.changed.notify_all();
    });
    [sealed, opened]
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn setting<T>(name: &str, default: T, parse: impl Fn(&str) -> Option<T>) -> T {
    std::env::var(name).map_or(default, |text| parse(&text).unwrap_or_else(|| panic!("{name}?")))
}

fn main() {
    let number = |text: &str| text.parse::<NonZeroUsize>().ok();
    let numbers = |text: &str| text.split(',').map(number).collect::<Option<Vec<_>>>();
    let default: Vec<_> = [1, 2].into_iter().filter_map(NonZeroUsize::new).collect();
    let counts = setting("WORKERS", default, numbers);
    let rounds = setting("ROUNDS", 5, |text| text.parse::<usize>().ok());
    let packets = setting("PACKETS", 4000, |text| text.parse::<usize>().ok());
    let mut rates = vec![Vec::new(); counts.len()];
    for index in 0..rounds {
        for (rates, count) in rates.iter_mut().zip(&counts) {
            let [seal, open] = round(Workers::new(*count), packets);
            println!(
                "round {index}, {count} workers: seal {:.2} Gbit/s, open {:.2}; CPU s/GB {:.2}, {:.2}",
                seal.gbits, open.gbits, seal.cpu, open.cpu
            );
            rates.push([seal, open]);
        }
    }
    println!("\nmedians    seal Gbit/s (ratio)  CPU s/GB    open Gbit/s (ratio)  CPU s/GB");
    let of = |rates: &[[Rate; 2]], which: usize, figure: fn(&Rate) -> f64| {
        median(rates.iter().map(|rate| figure(&rate[which])).collect())
    };
    for (own, count) in rates.iter().zip(&counts) {
        let [seal, open] = [0, 1].map(|which| {
            let gbits = of(own, which, |rate| rate.gbits);
            let ratio = gbits / of(&rates[0], which, |rate| rate.gbits);
            format!("{gbits:>11.2} ({ratio:.2}) {:>13.2}", of(own, which, |rate| rate.cpu))
        });
        println!("{count} workers {seal}    {open}");
    }
}
