//! Ours at one side and the kernel's at the other, with a preshared key: each begins, both families
//! inside and outside, while addresses change under a stream, and over the renewal of a session.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use crate::ends::{Backend, End, tunnel};
use crate::namespace::{Folder, require_root, until};

/// Who begins, and who answers.
const WAYS: [(Backend, Backend); 2] =
    [(Backend::Ours, Backend::Kernel), (Backend::Kernel, Backend::Ours)];

/// Where the second end is, and the network of both.
const OUTER: [(&str, &str, u8); 2] =
    [("192.0.2.2", "192.0.2.", 24), ("[2001:db8::2]", "2001:db8::", 64)];

#[test]
fn each_begins_over_each_family() {
    require_root();
    for (first, second) in WAYS {
        for (outer, net, _) in OUTER {
            let folder = Folder::new();
            let (a, b) = tunnel(first, second, outer, &folder);
            a.speaks_with(&b);
            assert!(b.endpoint_of(&a).contains(&format!("{net}1")), "{}", b.dump());
            for (from, to) in [(&a, &b), (&b, &a)] {
                from.namespace.ping(&to.inner6());
                let big = ["-c", "2", "-M", "do", "-s", "1392", "-W", "5", &to.inner()];
                from.namespace.run("ping", big);
            }
        }
    }
}

/// A TCP stream that checks what it carries.
struct Stream {
    received: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
    writer: thread::JoinHandle<u64>,
    reader: thread::JoinHandle<()>,
}

impl Stream {
    fn start(from: &End, to: &End) -> Self {
        let place = SocketAddr::new(to.inner().parse().expect("an address"), 5001);
        let listener = to.namespace.inside(move || TcpListener::bind(place).expect("a port"));
        let mut writing =
            from.namespace.inside(move || TcpStream::connect(place).expect("it is listening"));
        let (mut reading, _) = listener.accept().expect("somebody comes");
        let (received, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let writer = thread::spawn({
            let ended = Arc::clone(&ended);
            move || {
                let mut number = 0_u64;
                while !ended.load(Ordering::Relaxed) {
                    let block: Vec<u8> =
                        (number..number + 128).flat_map(u64::to_be_bytes).collect();
                    writing.write_all(&block).expect("the stream goes on");
                    number += 128;
                }
                number
            }
        });
        let reader = thread::spawn({
            let received = Arc::clone(&received);
            move || {
                let mut next = [0; 8];
                while reading.read_exact(&mut next).is_ok() {
                    let number = received.fetch_add(1, Ordering::Relaxed);
                    assert_eq!(u64::from_be_bytes(next), number);
                }
            }
        });
        Self { received, ended, writer, reader }
    }

    /// Waits until another 64 KiB came.
    fn goes_on(&self) {
        let before = self.received.load(Ordering::Relaxed);
        until("the stream goes on", || self.received.load(Ordering::Relaxed) > before + 8192);
    }

    /// All that was sent has come.
    fn end(self) {
        self.ended.store(true, Ordering::Relaxed);
        let sent = self.writer.join().expect("the writer ends");
        self.reader.join().expect("the reader ends");
        assert_eq!(self.received.load(Ordering::Relaxed), sent);
    }
}

#[test]
fn either_address_changes_under_a_stream() {
    require_root();
    for (first, second) in WAYS {
        for (outer, net, length) in OUTER {
            let folder = Folder::new();
            let (a, b) = tunnel(first, second, outer, &folder);
            a.speaks_with(&b);
            for (moving, other) in [(&a, &b), (&b, &a)] {
                let stream = Stream::start(moving, other);
                stream.goes_on();
                let namespace = &moving.namespace;
                namespace.sysctl("net/ipv4/conf/all/promote_secondaries", "1");
                let new = format!("{net}{0}{0}", moving.number);
                namespace.address(&format!("{new}/{length}"), "eth");
                namespace.forget_address(&format!("{net}{}/{length}", moving.number), "eth");
                until("the other side has learned the new address", || {
                    other.endpoint_of(moving).contains(&new)
                });
                stream.goes_on();
                stream.end();
                other.namespace.ping(&moving.inner6());
            }
        }
    }
}

/// Who began renews: each way once, both at once.
#[test]
fn each_renews_its_session_without_a_lost_packet() {
    require_root();
    let folder = Folder::new();
    let running = WAYS.map(|(first, second)| {
        let (a, b) = tunnel(first, second, "192.0.2.2", &folder);
        a.speaks_with(&b);
        let begun = a.handshake_of(&b);
        let mut ping = a.namespace.command("ping");
        ping.args(["-q", "-i", "0.1", "-c", "1350", "-W", "5", &b.inner()]);
        let ping = ping.stdout(Stdio::piped()).spawn().expect("ping starts");
        (first, a, b, begun, ping)
    });
    for (first, a, b, begun, ping) in running {
        let output = ping.wait_with_output().expect("ping ends");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("1350 packets transmitted, 1350 received"), "{first:?}: {text}");
        let passed = a.handshake_of(&b) - begun;
        assert!(passed >= 115, "{first:?}: renewed after {passed} s");
    }
}
