//! The hosts that tests/failures plays, held against the real script: the same conversation brings the
//! same words.

use std::time::{Duration, Instant};

use crate::machine::{Full, Machine, hundredths};
use crate::sandbox::{KEYS, Sandbox};

/// What is there before: an interface with one peer.
fn first(machine: &mut Machine) {
    let [private, public, ..] = KEYS;
    let set = format!(
        "[Interface]\nPrivateKey = {private}\nListenPort = 51900\n[Peer]\nPublicKey = {public}\n"
    );
    let up = "address add 10.9.0.1/24 dev wg0\nlink set dev wg0 mtu 1420 up\n".to_owned();
    let ops = ["create wg0 kernel", "setconf wg0 set", "batch up"].map(str::to_owned);
    let payload = crate::payload(&[("set", set), ("up", up)], &ops, &[], &[]);
    assert_eq!(machine.answer(Duration::ZERO, "apply", &["a0", "60"], &payload), "done\n");
    assert_eq!(machine.answer(Duration::ZERO, "confirm", &["a0"], ""), "confirmed\n");
}

/// A small change; `more` is done after it.
fn change(more: &[&str], files: &[(&str, &str)]) -> String {
    let peer = KEYS[1];
    let keepalive = format!("keepalive wg0 {peer} 7");
    let prepare = "prepare f0 600 /etc/wireguard/wg0.conf";
    let ops = [&["touch wg0", "port wg0 51950", &keepalive, prepare], more].concat();
    let ops: Vec<String> = ops.into_iter().map(str::to_owned).collect();
    let conf = format!("[Interface]\nPrivateKey = {}\n", KEYS[3]);
    let files = files.iter().map(|(name, text)| (*name, (*text).to_owned()));
    let files: Vec<(&str, String)> = [("f0", conf)].into_iter().chain(files).collect();
    crate::payload(&files, &ops, &["keep f0 600 /etc/wireguard/wg0.conf"], &[])
}

/// An answer without what differs from host to host: why an operation failed, digests, sizes.
fn words(answer: &str) -> String {
    let line = |line: &str| {
        let line = match line.split_once(": ") {
            Some((operation, _)) if !line.contains("0 stage") && line.starts_with("failed ") => {
                operation
            }
            _ => line,
        };
        let all: Vec<&str> = line.split(' ').collect();
        let word = |(at, word): (usize, &&str)| match *word {
            digest if digest.len() == 64 => "DIGEST".to_owned(),
            _ if all.get(at + 1) == Some(&"KiB") => "SIZE".to_owned(),
            other => other.to_owned(),
        };
        all.iter().enumerate().map(word).collect::<Vec<_>>().join(" ")
    };
    answer.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// The id of the change that an observation says is armed.
fn armed(observation: &str) -> Option<String> {
    let mut lines = observation.lines();
    lines.find_map(|line| line.strip_prefix("armed ")).map(str::to_owned)
}

#[test]
fn a_host_that_is_played_says_what_a_real_one_says() {
    let sandbox = Sandbox::new("dash");
    let mut machine = Machine::new("played");
    first(&mut machine);
    let begun = Instant::now();
    let whole = change(&[], &[]);
    let fails = change(&["explode"], &[]);
    let cut = &whole[..whole.len() - 9];
    let question = "ab".repeat(32) + "\ninterface wg0\n";
    let moved = change(&[], &[("observe", &question), ("expect", &"00".repeat(32))]);
    let talk: [(&str, &[&str], &str); 17] = [
        ("apply", &["a1", "60"], &whole),
        ("apply", &["a2", "60"], &whole),
        ("confirm", &["a2"], ""),
        ("revert", &["a2"], ""),
        ("observe", &[], &question),
        ("confirm", &["a1"], ""),
        ("confirm", &["a1"], ""),
        ("revert", &["a1"], ""),
        ("observe", &[], &question),
        ("apply", &["b1", "60"], &fails),
        ("apply", &["b2", "60"], cut),
        ("apply", &["b3", "60"], &moved),
        ("apply", &["c1", "60"], &whole),
        ("revert", &["c1"], ""),
        ("confirm", &["c1"], ""),
        ("revert", &["c1"], ""),
        ("apply", &["d1", "2"], &whole),
    ];
    for (verb, arguments, stdin) in talk {
        let real = sandbox.host(verb, arguments, stdin);
        let played = machine.answer(begun.elapsed(), verb, arguments, stdin);
        if verb == "observe" {
            assert_eq!(armed(&played), armed(&real), "{verb} {arguments:?}");
        } else {
            assert_eq!(words(&played), words(&real), "{verb} {arguments:?}: {real}");
        }
    }
    // Its deadline passes.
    sandbox.wait_until_quiet();
    for (verb, arguments) in [("confirm", ["d1"]), ("revert", ["d1"])] {
        let real = sandbox.host(verb, &arguments, "");
        let later = begun.elapsed() + Duration::from_mins(1);
        assert_eq!(machine.answer(later, verb, &arguments, ""), real, "{verb}");
    }
}

#[test]
fn also_where_a_group_changes() {
    let sandbox = Sandbox::new("dash");
    let mut machine = Machine::new("played");
    first(&mut machine);
    let begun = Instant::now();
    // It has run for a while.
    let uptime = || begun.elapsed() + Duration::from_mins(1);
    let (whole, fails) = (change(&[], &[]), change(&["explode"], &[]));
    let real_clock = || {
        let said = sandbox.host("clock", &[], "");
        said.trim().strip_prefix("clock ").expect("a clock").parse::<u64>().expect("a number")
    };
    let same = |machine: &mut Machine, verb: &str, arguments: &[&str], stdin: &str| {
        let real = sandbox.host(verb, arguments, stdin);
        let played = machine.answer(uptime(), verb, arguments, stdin);
        assert_eq!(words(&played), words(&real), "{verb} {arguments:?}: {real}");
    };
    // Seconds from now, on the clock of each.
    let timed = |machine: &mut Machine, verb: &str, id: &str, moments: &[i64]| {
        let moment = |clock: u64| {
            let later = |seconds: &i64| clock.saturating_add_signed(seconds * 100).to_string();
            let moments = moments.iter().map(later);
            [id.to_owned()].into_iter().chain(moments).collect::<Vec<_>>()
        };
        let call = |all: &[String]| all.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
        let (real, played) = (moment(real_clock()), moment(hundredths(uptime())));
        let (real, played) = (call(&real), call(&played));
        let (real, played): (Vec<&str>, Vec<&str>) =
            (real.split(' ').collect(), played.split(' ').collect());
        let real = sandbox.host(verb, &real, "");
        let played = machine.answer(uptime(), verb, &played, "");
        // How late each was is its own affair.
        let first = |answer: &str| match answer.strip_prefix("flipped ") {
            Some(_) => "flipped".to_owned(),
            None => words(answer),
        };
        assert_eq!(first(&played), first(&real), "{verb} {id} {moments:?}: {real}");
    };
    same(&mut machine, "prepare", &["g1", "60"], &whole);
    same(&mut machine, "prepare", &["g2", "60"], &whole);
    same(&mut machine, "apply", &["g2", "60"], &whole);
    same(&mut machine, "revert", &["g1"], "");
    timed(&mut machine, "flip", "g1", &[0, 60]);
    same(&mut machine, "prepare", &["g3", "60"], &whole);
    timed(&mut machine, "flip", "g3", &[0, 60]);
    timed(&mut machine, "flip", "g3", &[0, 60]);
    same(&mut machine, "revert", &["g3"], "");
    same(&mut machine, "prepare", &["g4", "60"], &fails);
    timed(&mut machine, "flip", "g4", &[0, 60]);
    same(&mut machine, "prepare", &["g5", "60"], &whole);
    timed(&mut machine, "flip", "g5", &[-9, 60]);
    same(&mut machine, "prepare", &["g6", "60"], &whole);
    timed(&mut machine, "flip", "g6", &[0, 60]);
    timed(&mut machine, "hold", "g6", &[60]);
    timed(&mut machine, "hold", "g6", &[60]);
    same(&mut machine, "apply", &["g7", "60"], &whole);
    same(&mut machine, "revert", &["g6"], "");
    same(&mut machine, "release", &["g6"], "");
    same(&mut machine, "prepare", &["g8", "60"], &whole);
    timed(&mut machine, "flip", "g8", &[0, 60]);
    timed(&mut machine, "hold", "g8", &[60]);
    same(&mut machine, "release", &["g8"], "");
    same(&mut machine, "revert", &["g8"], "");
}

#[test]
fn also_where_the_disk_is_full() {
    let sandbox = Sandbox::new("dash");
    let mut machine = Machine::new("played");
    first(&mut machine);
    let whole = change(&[], &[]);
    let both = |machine: &mut Machine, verb: &str, arguments: &[&str], stdin: &str| {
        let played = machine.answer(Duration::ZERO, verb, arguments, stdin);
        let real = sandbox.host(verb, arguments, stdin);
        assert_eq!(words(&played), words(&real), "{verb} {arguments:?}: {played}{real}");
        real
    };
    sandbox.sh("mkdir -p /run/wgfleet; mount -t tmpfs -o size=40k none /run/wgfleet");
    machine.full = Some(Full::Stage);
    let said = both(&mut machine, "apply", &["a1", "60"], &whole);
    assert!(said.starts_with("failed 0 stage: "), "{said}");
    sandbox.sh("umount /run/wgfleet");
    machine.full = None;
    both(&mut machine, "apply", &["b1", "60"], &whole);
    sandbox.sh("rm /etc/wireguard/.wg0.conf.wgfleet; mount --bind /etc/wireguard /etc/wireguard
        mount -o remount,ro,bind /etc/wireguard");
    machine.full = Some(Full::Keep);
    let said = both(&mut machine, "confirm", &["b1"], "");
    assert!(said.starts_with("confirmed, but not for the next boot: "), "{said}");
}
