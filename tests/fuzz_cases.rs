//! The bodies of fuzz targets, a few thousand times on stable: that they compile and hold.

use proptest::prelude::*;

#[path = "../fuzz/fuzz_targets/conf/case.rs"]
mod conf;
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
    fn configuration_files(
        lines in proptest::collection::vec(conf_line(), 0..10),
        raw in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        conf::run(lines.join("\n").as_bytes());
        conf::run(&[lines.join("\n").as_bytes(), &raw].concat());
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

/// Often something that wg(8) or wg-quick(8) understands.
fn conf_line() -> impl Strategy<Value = String> {
    let key = "(PublicKey|privatekey|PresharedKey|Preshared Key|PostUp|#) ?= ?(echo |#)?[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=";
    let number = "(ListenPort|MTU|FwMark|PersistentKeepalive|table) = (off|0x)?[0-9]{1,4}";
    let list = "(AllowedIPs|Address|DNS) = (\\+|-)?10\\.[0-9]{1,2}\\.0\\.0/(16|8|33)(, fd00::/8)?";
    let heading = proptest::sample::select(vec!["[Interface]", "[Peer]", "[peer] # a", "[x=y]"]);
    prop_oneof![
        heading.prop_map(str::to_owned),
        key.prop_map(|line| line),
        number.prop_map(|line| line),
        list.prop_map(|line| line),
        "[ -~]{0,20}".prop_map(|line| line),
    ]
}
