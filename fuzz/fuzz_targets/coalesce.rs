//! Packets from a peer: no bytes panic, and what is joined divides into as many bytes as came.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wgfleet::tunnel::offload::{Accepts, Coalescer, Offload, Segmentation, Split};

fuzz_target!(|packets: Vec<Vec<u8>>| {
    let mut buffer = packets.concat();
    let mut sent: Vec<(Vec<u8>, Offload)> = Vec::new();
    let mut send = |parts: &[std::io::IoSlice<'_>], offload: &Offload| {
        sent.push((parts.iter().flat_map(|part| part.to_vec()).collect(), *offload));
    };
    let mut coalescer = Coalescer::new(Accepts { tcp: true, udp: true });
    let mut at = 0;
    for packet in &packets {
        coalescer.push(&mut buffer, at..at + packet.len(), &mut send);
        at += packet.len();
    }
    coalescer.finish(&mut buffer, &mut send);
    let mut bytes = 0;
    for (mut packet, offload) in sent {
        if offload.segments == Segmentation::None {
            bytes += packet.len();
            continue;
        }
        let mut split = Split::new(&mut packet, &offload).expect("what we joined is sound");
        while let Some(length) = split.next_length() {
            split.write(&mut vec![0; length]);
            bytes += length;
        }
    }
    assert_eq!(bytes, at);
});
