//! Packets from a kernel: whatever their offload says, the segments hold the payload and no more.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wgfleet::tunnel::offload::{Headers, Offload, Segmentation, Split};

fuzz_target!(|input: (u8, u16, u16, Option<(u16, u16)>, Vec<u8>)| {
    let (segments, segment, header, checksum, mut packet) = input;
    let segments = match segments % 4 {
        0 => Segmentation::None,
        1 => Segmentation::Tcp4,
        2 => Segmentation::Tcp6,
        _ => Segmentation::Udp,
    };
    let headers = Headers::parse(&packet).map_or(0, |headers| headers.length);
    let length = packet.len();
    let Ok(mut split) = Split::new(&mut packet, &Offload { segments, segment, header, checksum })
    else {
        return;
    };
    let mut payload = 0;
    while let Some(length) = split.next_length() {
        let mut segment = vec![0; length];
        split.write(&mut segment);
        payload += if segments == Segmentation::None { length } else { length - headers };
    }
    let expected = if segments == Segmentation::None { length } else { length - headers };
    assert_eq!(payload, expected);
});
