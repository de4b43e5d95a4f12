//! Both directions of the userspace protocol: no text panics, and what is understood survives
//! being written and read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wgfleet::tunnel::uapi::{
    Request, RequestParser, SnapshotParser, render_change, render_snapshot,
};

fn read(text: &str) -> Option<Request> {
    let mut parser = RequestParser::default();
    text.lines().find_map(|line| parser.line(line))?.ok()
}

fuzz_target!(|text: &str| {
    if let Some(Request::Set(change)) = read(text) {
        let written = render_change(&change);
        let Some(Request::Set(again)) = read(&written) else {
            panic!("what was written is refused")
        };
        assert_eq!(*render_change(&again), *written);
    }
    let mut parser = SnapshotParser::default();
    for line in text.lines() {
        match parser.line(line) {
            Ok(Some((snapshot, _))) => drop(render_snapshot(&snapshot)),
            Ok(None) => {}
            Err(_) => break,
        }
    }
});
