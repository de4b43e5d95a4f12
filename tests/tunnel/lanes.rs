//! What must not wait does not wait behind streams: lanes of the interface, and who goes first.

use std::collections::BTreeSet;
use std::io::{ErrorKind, IoSlice};
use std::time::{Duration, Instant};

use wgfleet::tunnel::SystemTun;
use wgfleet::tunnel::offload::Offload;
use wgfleet::tunnel::transport::Tun as _;

use crate::namespace::{Folder, Namespace, interface, require_root, run};
use crate::{Backend, tunnel};

const ICMP: u8 = 1;
const TCP: u8 = 6;

/// The checksum of the Internet protocols (RFC 1071).
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let words =
        bytes.chunks(2).map(|pair| u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
    let add = |sum: u16, word: u16| {
        let (sum, carry) = sum.overflowing_add(word);
        sum + u16::from(carry)
    };
    (!words.fold(0, add)).to_be_bytes()
}

/// An IPv4 packet from 10.9.0.2 to 10.9.0.1.
fn packet(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(20 + payload.len()).expect("it is short");
    let mut packet = vec![0x45, 0, 0, length, 0, 0, 0x40, 0, 64, protocol, 0, 0];
    packet.extend([10, 9, 0, 2, 10, 9, 0, 1]);
    let sum = checksum(&packet);
    packet[10..12].copy_from_slice(&sum);
    packet.extend(payload);
    packet
}

fn echo_request() -> Vec<u8> {
    let mut message = vec![8, 0, 0, 0, 0x12, 0x34, 0, 1];
    let sum = checksum(&message);
    message[2..4].copy_from_slice(&sum);
    packet(ICMP, &message)
}

/// A SYN to a port where nobody listens, which is answered with a reset.
fn syn(from: u16) -> Vec<u8> {
    let mut segment = Vec::new();
    segment.extend(from.to_be_bytes());
    segment.extend(81_u16.to_be_bytes());
    segment.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0]);
    let pseudo = [&[10, 9, 0, 2, 10, 9, 0, 1, 0, TCP, 0, 20], &segment[..]].concat();
    let sum = checksum(&pseudo);
    segment[16..18].copy_from_slice(&sum);
    packet(TCP, &segment)
}

#[test]
fn the_host_s_answer_comes_through_the_lane_of_its_flow() {
    require_root();
    let namespace = Namespace::new();
    let name = interface();
    let created = name.clone();
    let tun = namespace.inside(move || {
        SystemTun::create(&created.parse().expect("a name")).expect("an interface")
    });
    namespace.address("10.9.0.1/24", &name);
    namespace.run("ip", ["link", "set", &name, "up"]);

    let lanes = tun.lanes();
    let answer_once = |asked: &[u8], protocol: u8| -> usize {
        tun.send(&[IoSlice::new(asked)], &Offload::DONE).expect("the host takes it");
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline {
            for (index, lane) in lanes.iter().enumerate() {
                let mut packet = [0; 2048];
                match lane.try_recv(&mut packet) {
                    // The host has other things to say as well, over IPv6.
                    Ok(Some(_)) if packet[0] == 0x45 && packet[9] == protocol => return index,
                    Ok(_) => {}
                    Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                }
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("the host answers");
    };
    // The kernel learns of a flow when its first packet has been answered.
    let answer = |asked: &[u8], protocol: u8| {
        answer_once(asked, protocol);
        answer_once(asked, protocol)
    };
    let last = lanes.len() - 1;
    assert!(last >= 1, "there is a lane for streams, and one for the rest");
    assert_eq!(answer(&echo_request(), ICMP), last);
    let streams: BTreeSet<usize> = (40_000..40_064).map(|port| answer(&syn(port), TCP)).collect();
    assert_eq!(streams, (0..last).collect());
    assert_eq!(answer(&echo_request(), ICMP), last);
}

#[test]
fn what_receives_goes_before_what_carries_streams() {
    require_root();
    let folder = Folder::new();
    let (a, _b) = tunnel(Backend::Ours, Backend::Ours, "192.0.2.2", &folder);
    a.namespace.ping("10.9.0.2");
    let pid = a.namespace.pids()[0];
    let text = run(std::process::Command::new("ps").args([
        "-L",
        "-o",
        "comm=,ni=",
        "-p",
        &pid.to_string(),
    ]));
    let nice = |name: &str| -> BTreeSet<i32> {
        let lines = text.lines().filter_map(|line| line.split_once(char::is_whitespace));
        lines
            .filter(|(own, _)| *own == name)
            .map(|(_, nice)| nice.trim().parse().expect("a number"))
            .collect()
    };
    // It needs CAP_SYS_NICE, which root has in all but the smallest containers.
    assert_eq!(nice("udp"), [-10].into(), "{text}");
    assert_eq!(nice("tun"), [-10, 0].into(), "{text}");
    assert_eq!(nice("handshakes"), [5].into(), "{text}");
}
