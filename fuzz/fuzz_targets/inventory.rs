//! Any bytes as an inventory: `cargo +nightly fuzz run inventory`.

#![no_main]

use std::path::PathBuf;

use libfuzzer_sys::fuzz_target;
use wgfleet::inventory::{self, LockFile, allocate};
use wgfleet::report::findings;

fuzz_target!(|text: &str| {
    let parsed = inventory::parse(PathBuf::from("fleet.yaml"), text.to_owned());
    let shown = findings::human(&parsed.findings, &parsed.sources, false);
    assert!(parsed.inventory.is_some() || !shown.is_empty());
    if let Some(inventory) = parsed.inventory {
        let (lock, _) = allocate(&inventory, &LockFile::default());
        assert_eq!(LockFile::parse(&lock.to_text()).expect("its own text"), lock);
    }
});
