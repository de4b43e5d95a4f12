//! Messages of the kernel, of WireGuard's family and of links: no bytes panic or take long.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| wgfleet::tunnel::read_netlink(bytes));
