//! The bodies of fuzz targets, a few thousand times on stable: that they compile and hold.

use proptest::prelude::*;

#[path = "../fuzz/fuzz_targets/device/case.rs"]
mod device;
#[path = "../fuzz/fuzz_targets/noise/case.rs"]
mod noise;

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn messages(
        which in any::<u8>(),
        changes in proptest::collection::vec(any::<(u8, u8)>(), 0..4),
        raw in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        noise::run(which, &changes, &raw);
    }

    #[test]
    fn a_device(steps in proptest::collection::vec(step(), 0..6)) {
        device::run(&steps);
    }
}

/// Often something that is a packet or a message at first sight.
fn step() -> impl Strategy<Value = device::Step> {
    let starts: [&[u8]; 7] =
        [&[], &[0x45], &[0x60], &[1, 0, 0, 0], &[2, 0, 0, 0], &[3, 0, 0, 0], &[4, 0, 0, 0]];
    let bytes =
        (proptest::sample::select(starts.to_vec()), proptest::collection::vec(any::<u8>(), 0..200));
    let bytes = bytes.prop_map(|(start, rest)| [start, &rest].concat());
    (any::<u8>(), any::<u16>(), any::<u16>(), bytes)
}
