//! A binary on its way to a host: compressed, continued where a line broke, put in place whole.

use wgfleet::sys::{gzip, sha256};

use crate::sandbox::Sandbox;

const HELPER: &str = "/usr/local/lib/wgfleet/wgfleet";

/// Something that runs, and says which version it is.
fn binary(version: &str) -> Vec<u8> {
    let mut text = format!("#!/bin/sh\necho {version}\nexit 0\n").into_bytes();
    text.extend((0..40_000_u32).flat_map(|n| n.wrapping_mul(0x9e37_79b9).to_le_bytes()));
    text
}

fn text(sandbox: &Sandbox, command: &str) -> String {
    String::from_utf8(sandbox.sh(command).stdout).expect("text")
}

/// What is asked about one binary, and what sends it.
struct Sent<'a> {
    sandbox: &'a Sandbox,
    machine: String,
    digest: String,
    packed: Vec<u8>,
    whole: String,
}

impl<'a> Sent<'a> {
    fn new(sandbox: &'a Sandbox, binary: &[u8]) -> Self {
        let packed = gzip(binary);
        let machine = text(sandbox, "uname -m").trim().to_owned();
        let whole = packed.len().to_string();
        Self { sandbox, machine, digest: sha256(binary).to_string(), packed, whole }
    }

    fn part(&self) -> String {
        self.sandbox.host("part", &[&self.digest, &self.whole], "")
    }

    fn send(&self, from: usize, to: usize) -> String {
        let words = [&*self.machine, &self.digest, &self.whole, &from.to_string()];
        self.sandbox.host("helper", &words, &self.packed[from..to])
    }
}

fn a_broken_line(shell: &'static str) {
    let sandbox = Sandbox::new(shell);
    assert!(sandbox.sh("mkdir -p /usr/local/lib/wgfleet; mount -t tmpfs -o mode=755 none /usr/local/lib/wgfleet").status.success());
    let old = Sent::new(&sandbox, &binary("one"));
    assert_eq!(old.part(), "part 0\n");
    assert_eq!(old.send(0, old.packed.len()), "done\n");
    assert_eq!(text(&sandbox, &format!("{HELPER} --version")), "one\n");

    let new = Sent::new(&sandbox, &binary("two"));
    let half = new.packed.len() / 2;
    let said = new.send(0, half);
    let kept = format!("failed the line broke after {half} of {} bytes of the binary;", new.whole);
    assert!(said.starts_with(&kept), "{said}");
    assert_eq!(text(&sandbox, &format!("{HELPER} --version")), "one\n", "the old one works on");
    assert_eq!(new.part(), format!("part {half}\n"));
    assert_eq!(old.part(), "part 0\n", "what is there is part of another binary");

    // Somebody who asked before the line broke does not append to what came meanwhile.
    assert!(new.send(0, 10).starts_with("failed what had arrived of the binary is not"));
    assert_eq!(new.send(half, new.packed.len()), "done\n");
    assert_eq!(
        text(&sandbox, &format!("{HELPER} --version; wg=/usr/local/lib/wgfleet/wg; $wg")),
        "two\ntwo\n"
    );
    let left = text(
        &sandbox,
        "cd /usr/local/lib/wgfleet; find . -name '.wgfleet*'; stat -c '%a %u' wgfleet",
    );
    assert_eq!(left, "755 0\n");
}

#[test]
fn a_broken_line_is_continued_under_dash() {
    a_broken_line("dash");
}

#[test]
fn a_broken_line_is_continued_under_busybox() {
    a_broken_line("busybox sh");
}

#[test]
fn what_arrives_damaged_replaces_nothing() {
    let sandbox = Sandbox::new("dash");
    assert!(sandbox.sh("mkdir -p /usr/local/lib/wgfleet; mount -t tmpfs -o mode=755 none /usr/local/lib/wgfleet").status.success());
    let good = Sent::new(&sandbox, &binary("one"));
    assert_eq!(good.send(0, good.packed.len()), "done\n");

    let mut turned = Sent::new(&sandbox, &binary("two"));
    let middle = turned.packed.len() / 2;
    turned.packed[middle] ^= 1;
    let said = turned.send(0, turned.packed.len());
    assert!(said.starts_with("failed the binary "), "{said}");
    let mut other = Sent::new(&sandbox, &binary("two"));
    other.digest = "ab".repeat(32);
    assert_eq!(
        other.send(0, other.packed.len()),
        "failed the binary arrived damaged; run the command again\n"
    );
    let mut still = Sent::new(&sandbox, b"#!/bin/sh\nexit 1\n");
    assert_eq!(still.send(0, still.packed.len()), "failed the binary does not run here\n");
    still.machine = "vax".to_owned();
    assert_eq!(still.send(0, still.packed.len()), "failed the host is not vax\n");

    assert_eq!(text(&sandbox, &format!("{HELPER} --version")), "one\n");
    assert_eq!(text(&sandbox, "cd /usr/local/lib/wgfleet; find . -name '.wgfleet*'"), "");
}
