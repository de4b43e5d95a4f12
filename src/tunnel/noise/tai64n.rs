//! The timestamp of an initiation, which only ever grows (`WireGuard` paper, section 5.4.2).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// 12 bytes that sort as the time does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Tai64N(pub(super) [u8; 12]);

/// TAI64 label of the epoch, with the ten seconds of leap that it had.
const EPOCH: u64 = (1 << 62) + 10;
/// Fine enough for the initiations that one may send; coarse, so that it tells little of the
/// machine's load and clock. As in the kernel.
const COARSE: u32 = 1 << 24;

impl Tai64N {
    pub(super) fn at(wall: SystemTime) -> Self {
        let passed = wall.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&EPOCH.saturating_add(passed.as_secs()).to_be_bytes());
        let nanos = passed.subsec_nanos() / COARSE * COARSE;
        bytes[8..].copy_from_slice(&nanos.to_be_bytes());
        Self(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_sorts_as_the_time_does() {
        let at = |millis| Tai64N::at(UNIX_EPOCH + Duration::from_millis(millis));
        assert_eq!(at(0).0, [0x40, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 0]);
        assert!(at(999) < at(1000) && at(1000) < at(1020) && at(1000) == at(1001));
    }
}
