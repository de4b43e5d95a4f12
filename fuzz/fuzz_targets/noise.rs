//! The four messages: no bytes panic, what is changed on the way is refused, and nothing that is
//! refused keeps the real message from being taken.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "noise/case.rs"]
mod case;

fuzz_target!(|input: (u8, Vec<(u8, u8)>, Vec<u8>)| {
    let (which, changes, raw) = input;
    case::run(which, &changes, &raw);
});
