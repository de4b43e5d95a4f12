//! A host's answer: no text panics, and one that ends early is refused.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wgfleet::observed::parse;

fuzz_target!(|text: &str| {
    if parse(text).is_ok() {
        let cut = text.trim_end().rsplit_once('\n').map_or("", |(before, _)| before);
        assert!(parse(cut).is_err(), "an answer without its last line is taken");
    }
});
