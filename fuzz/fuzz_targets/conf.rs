//! The configuration file: no bytes panic or get lost, no key is left where they are hidden, and what is
//! understood survives being written and read again.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "conf/case.rs"]
mod case;

fuzz_target!(|bytes: &[u8]| case::run(bytes));
