//! What a hostile host sends costs a few times its size in memory, not more.
//!
//! Each shape of an answer is read in a process of its own, which is what is measured.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use wgfleet::observed::parse;

const SIZE: usize = 32 << 20;

/// What it is called, its head, and its lines by number.
type Shape<'a> = (&'a str, &'a str, &'a dyn Fn(usize) -> String);

/// A line of `/proc/self/status` in bytes.
fn status(key: &str) -> usize {
    let text = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = text.lines().find(|line| line.starts_with(key)).expect("the line is there");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<usize>().ok()).expect("a number")
        << 10
}

#[test]
fn an_answer_costs_a_few_times_its_size() {
    let key = |number: usize| {
        let mut bytes = [0_u8; 32];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        wgfleet::model::PublicKey::from_bytes(bytes)
    };
    let shapes: [Shape<'_>; 7] = [
        ("prefixes of one peer", "", &|n| {
            let a = u32::try_from(n).unwrap_or(0);
            format!("{}/32,", std::net::Ipv4Addr::from(a))
        }),
        ("peers", "interface wg0 kernel yes 1420\n", &|n| {
            format!("peer\twg0\t{}\tnone\t(none)\t(none)\t0\t0\t0\toff\n", key(n))
        }),
        ("losses", "interface wg0 embedded yes 1420\n", &|n| {
            let key = key(n / 2);
            if n % 2 == 1 {
                return format!("dropped wg0 {key} replay 1\n");
            }
            format!("peer\twg0\t{key}\tnone\t(none)\t(none)\t0\t0\t0\toff\n")
        }),
        ("units", "", &|n| format!("unit {n:x}.service no no\n")),
        ("files", "", &|n| format!("file 600 yes {} /{n:x}\n", "ab".repeat(32))),
        ("addresses", "interface wg0 kernel yes 1420\n", &|n| {
            format!("address wg0 fd00::{:x}:{:x}/128\n", n >> 16, n & 0xffff)
        }),
        (
            "lines of a file",
            "file 600 yes abababababababababababababababababababababababababababababababab /x\n",
            &|_| "| \n".to_owned(),
        ),
    ];
    let Ok(chosen) = std::env::var("BUDGET_SHAPE") else {
        // What one shape leaves in the heap would hide what the next one takes.
        for number in 0..shapes.len() {
            let test = Command::new(std::env::current_exe().expect("this program"))
                .args(["--exact", "an_answer_costs_a_few_times_its_size", "--nocapture"])
                .env("BUDGET_SHAPE", number.to_string())
                .status();
            assert!(test.expect("it starts").success());
        }
        return;
    };
    let chosen: usize = chosen.parse().expect("a number");
    for (what, head, line) in shapes.into_iter().skip(chosen).take(1) {
        let one_line = what.starts_with("prefixes");
        let mut text = String::with_capacity(SIZE + 1024);
        text.push_str("observe 3\n");
        text.push_str(head);
        if one_line {
            text.push_str("interface wg0 kernel yes 1420\n");
            let _ = write!(text, "peer\twg0\t{}\tnone\t(none)\t", key(0));
        }
        let mut number = 0;
        while text.len() < SIZE {
            text.push_str(&line(number));
            number += 1;
        }
        text.push_str(if one_line { "1.2.3.4/32\t0\t0\t0\toff\nend\n" } else { "end\n" });
        // Resets the peak.
        fs::write("/proc/self/clear_refs", "5").expect("it is ours");
        let before = status("VmRSS:");
        let _host = parse(&text);
        let peak = status("VmHWM:").saturating_sub(before);
        // Twice its size would do for most; the shortest lines cost an allocation each, but there are
        // never more than two million of them.
        assert!(peak < 10 * SIZE, "{what}: {} MiB for {} MiB", peak >> 20, text.len() >> 20);
    }
}
