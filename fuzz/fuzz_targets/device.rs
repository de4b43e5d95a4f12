//! A whole device between in-memory doubles: datagrams of strangers, packets of a peer and of the
//! host. None stops it, and no inner source that the peer may not use gets through.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "device/case.rs"]
mod case;

fuzz_target!(|steps: Vec<case::Step>| case::run(&steps));
