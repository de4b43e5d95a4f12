//! The configuration file: no bytes panic, and what is understood survives being written and read
//! again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wgfleet::tunnel::conf::{Conf, Dialect, strip};

fuzz_target!(|bytes: &[u8]| {
    let _ = Conf::parse(bytes, Dialect::Wg);
    if let Ok(conf) = Conf::parse(bytes, Dialect::Quick) {
        let written = conf.render();
        let again =
            Conf::parse(written.as_bytes(), Dialect::Quick).expect("what was written is read");
        assert_eq!(*again.render(), *written);
    }
    let _ = strip(bytes);
});
