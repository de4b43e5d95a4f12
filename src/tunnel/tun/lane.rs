//! The lanes of a TUN interface: one queue of the kernel each, and one thread of ours or several.
//!
//! A stream fills its queue with a few milliseconds of packets, and whatever is behind them waits.
//! So streams have lanes of their own, and everything else, which is small or cannot wait, has the
//! last one to itself. The kernel hands the packets of a flow to the lane through which it was last
//! given packets of that flow, there or back (its flow table; `tun_flow_update`), so that
//! [`choose`] decides for both directions. A flow that only leaves is spread by the kernel's hash,
//! and so are the first packets of others.

use std::fs::File;
use std::io::{self, IoSliceMut, Read as _};

use rustix::io::Errno;

use super::virtio::VirtioHeader;
use crate::tunnel::engine::Workers;
use crate::tunnel::offload::Offload;
use crate::tunnel::priority;
use crate::tunnel::transport::Lane;
use crate::tunnel::wake::Wake;

/// The most lanes for streams; more threads than that find nothing to do beside one receiver.
const MOST_STREAM_LANES: usize = 4;

/// `IPPROTO_TCP`.
const TCP: u8 = 6;

/// One queue of the interface.
#[derive(Debug)]
pub(super) struct SystemLane {
    pub(super) device: File,
    /// Whether a `virtio_net_hdr` comes before each packet.
    pub(super) headed: bool,
    /// Whether what comes here may wait for others.
    pub(super) is_for_streams: bool,
    pub(super) wake: Wake,
}

impl Lane for SystemLane {
    fn attend(&self) {
        if self.is_for_streams {
            priority::step_back();
        }
    }

    fn may_be_shared(&self) -> bool {
        self.is_for_streams
    }

    fn recv(&self, packet: &mut [u8]) -> io::Result<Option<(usize, Offload)>> {
        // Who waits has seen that there is nothing.
        while self.wake.readable(&self.device)? {
            match self.try_recv(packet) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                received => return received,
            }
        }
        Ok(None)
    }

    fn try_recv(&self, packet: &mut [u8]) -> io::Result<Option<(usize, Offload)>> {
        loop {
            let mut header = [0; VirtioHeader::LENGTH];
            let received = if self.headed {
                let mut parts = [IoSliceMut::new(&mut header), IoSliceMut::new(packet)];
                (&self.device).read_vectored(&mut parts)
            } else {
                (&self.device).read(packet)
            };
            match received {
                Ok(length) if self.headed => {
                    let length = length.saturating_sub(VirtioHeader::LENGTH);
                    return Ok(Some((length, VirtioHeader(header).offload())));
                }
                Ok(length) => return Ok(Some((length, Offload::DONE))),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A packet whose kind the header cannot say: the kernel has dropped it.
                Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// How many lanes an interface has: one for streams on two processors, more on more, and one for
/// the rest.
pub(super) fn count() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    1 + stream_lanes(processors)
}

/// How many lanes there are for streams. Their threads together are no more than the processors:
/// several threads of one lane serve several flows as well, but several lanes not one flow.
fn stream_lanes(processors: usize) -> usize {
    let threads = Workers::suiting(processors).count();
    (processors / threads.max(2)).clamp(1, MOST_STREAM_LANES)
}

/// The lane of a packet's flow, of so many; the same for both directions.
pub(super) fn choose(packet: &[u8], lanes: usize) -> usize {
    let streams = lanes.saturating_sub(1);
    let flow = match packet.first().map(|first| first >> 4) {
        Some(4) if packet.get(9) == Some(&TCP) => {
            packet.get(12..20).zip(packet.get(usize::from(packet[0] & 0x0f) * 4..))
        }
        Some(6) if packet.get(6) == Some(&TCP) => packet.get(8..40).zip(packet.get(40..)),
        _ => None,
    };
    let Some((addresses, ports)) = flow else { return streams };
    if streams < 2 {
        return 0;
    }
    // Both ends are mixed in alike, so that the other direction has the same sum.
    let pairs = addresses.chunks_exact(2).chain(ports.chunks_exact(2).take(2));
    let sum = pairs.fold(0_u16, |sum, pair| sum ^ u16::from_be_bytes([pair[0], pair[1]]));
    // The upper bits of a multiplication by 2^16 over the golden ratio are spread well.
    usize::from(sum.wrapping_mul(40_503) >> 8) % streams
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn v4(protocol: u8, ends: [[u8; 6]; 2]) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64, protocol, 0, 0];
        packet.extend(ends.iter().flat_map(|end| &end[..4]));
        packet.extend(ends.iter().flat_map(|end| &end[4..]));
        packet.resize(40, 0);
        packet
    }

    fn v6(protocol: u8, ends: [[u8; 18]; 2]) -> Vec<u8> {
        let mut packet = vec![0x60, 0, 0, 0, 0, 20, protocol, 64];
        packet.extend(ends.iter().flat_map(|end| &end[..16]));
        packet.extend(ends.iter().flat_map(|end| &end[16..]));
        packet.resize(60, 0);
        packet
    }

    #[test]
    fn streams_are_spread_and_never_in_the_last_lane() {
        let stream = |port: u16| {
            let [high, low] = port.to_be_bytes();
            v4(TCP, [[10, 0, 0, 1, high, low], [10, 0, 0, 2, 0, 80]])
        };
        for lanes in 2..6 {
            let met: BTreeSet<_> = (40_000..40_100).map(|p| choose(&stream(p), lanes)).collect();
            assert_eq!(met, (0..lanes - 1).collect());
        }
        for packet in [v4(1, [[10; 6]; 2]), v6(17, [[1; 18]; 2]), vec![], vec![0x45; 9]] {
            assert_eq!(choose(&packet, 5), 4);
        }
    }

    #[test]
    fn the_threads_of_streams_are_no_more_than_the_processors() {
        for processors in 1..200 {
            let lanes = stream_lanes(processors);
            let threads = lanes * Workers::suiting(processors).count();
            assert!((1..=MOST_STREAM_LANES).contains(&lanes) && threads <= processors.max(1));
        }
        assert_eq!([1, 2, 3, 4, 6, 8, 16, 64].map(stream_lanes), [1, 1, 1, 2, 3, 2, 4, 4]);
    }

    proptest! {
        #[test]
        fn the_other_direction_is_the_same(
            four in any::<[[u8; 6]; 2]>(),
            six in any::<[[u8; 16]; 2]>(),
            lanes in 1_usize..6,
        ) {
            let [a, b] = four;
            prop_assert_eq!(choose(&v4(TCP, [a, b]), lanes), choose(&v4(TCP, [b, a]), lanes));
            let [a, b] = six.map(|end| {
                let mut longer = [7; 18];
                longer[..16].copy_from_slice(&end);
                longer
            });
            prop_assert_eq!(choose(&v6(TCP, [a, b]), lanes), choose(&v6(TCP, [b, a]), lanes));
        }

        #[test]
        fn a_lane_is_always_there(
            bytes in proptest::collection::vec(any::<u8>(), 0..80),
            lanes in 1_usize..6,
        ) {
            prop_assert!(choose(&bytes, lanes) < lanes);
        }
    }
}
