//! What a host's script answers to a change: any text has one meaning, which survives being written
//! and read, and nothing that a terminal obeys comes out.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wgfleet::model::is_deceptive;
use wgfleet::remote::Answer;

fuzz_target!(|text: &str| {
    let answer = Answer::parse(text);
    let written = answer.to_string();
    assert_eq!(Answer::parse(&written), answer);
    assert!(!written.chars().any(|c| c != '\n' && is_deceptive(c)));
});
