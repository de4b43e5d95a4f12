//! The bodies of fuzz targets, a few thousand times on stable: that they compile and hold.

use proptest::prelude::*;

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
}
