//! Reading alone, and whole-process figures of `check` and `render`: a mesh of 1,000 gateways with a
//! LAN each, and 10,000 spokes on two hubs. `WGFLEET` names another binary than the one just built,
//! `ROUNDS` how often each command runs; `-- rollout` measures the planning of rollouts alone,
//! `-- growth` what `check` takes as three shapes of fleets grow.

#![expect(clippy::print_stdout, reason = "the figures are what a benchmark prints")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Kernel ticks per second in `/proc/PID/stat` (`USER_HZ`, 100 on every Linux).
const TICKS: f64 = 100.0;

/// One run of one command.
#[derive(Debug, Clone, Copy)]
struct Run {
    wall: f64,
    cpu: f64,
    /// Peak resident memory in MiB.
    peak: f64,
}

fn mesh(hosts: usize) -> String {
    let mut text = String::from(
        "fleet: bench\nnetworks:\n  backbone: { prefixes: 10.64.0.0/16, links: mesh, psk: pairwise }\nsites:\n",
    );
    for host in 0..hosts {
        let (high, low) = (16 + host / 256, host % 256);
        let _ = writeln!(
            text,
            "  site-{host}:\n    subnets: 172.{high}.{low}.0/24\n    hosts:\n      gw-{host}: {{ \
             ssh: gw-{host}, endpoint: \"gw-{host}.example.com:51820\", gateway: true }}"
        );
    }
    let _ = writeln!(text, "expect:\n  - allow: {{ from: site-0, to: site-{} }}", hosts - 1);
    text
}

fn hubs(spokes: usize) -> String {
    on_hubs(spokes, |_| String::new())
}

/// Spokes of two hubs, each with what it has of its own.
fn on_hubs(spokes: usize, own: impl Fn(usize) -> String) -> String {
    let mut text = String::from(
        "fleet: bench\nnetworks:\n  wan: { prefixes: 10.64.0.0/16, links: { hub: [hub-0, hub-1] }, psk: pairwise }\nhosts:\n",
    );
    for hub in 0..2 {
        let _ = writeln!(
            text,
            "  hub-{hub}: {{ ssh: hub-{hub}, endpoint: \"hub-{hub}.example.com:51820\" }}"
        );
    }
    for spoke in 0..spokes {
        let own = own(spoke);
        let _ = writeln!(text, "  spoke-{spoke}: {{ {own}ssh: spoke-{spoke}, nat: true }}");
    }
    let _ = writeln!(text, "expect:\n  - allow: {{ from: spoke-0, to: spoke-{} }}", spokes - 1);
    text
}

/// Runs the binary in a folder and watches it until it ends.
fn run(binary: &Path, folder: &Path, arguments: &[&str]) -> Run {
    let begin = Instant::now();
    let mut child = Command::new(binary)
        .args(["--identity", "identity.txt", "--quiet"])
        .args(arguments)
        .current_dir(folder)
        .stdout(Stdio::null())
        .spawn()
        .expect("the binary runs");
    let process = Path::new("/proc").join(child.id().to_string());
    let (mut cpu, mut peak) = (0.0_f64, 0.0_f64);
    let status = loop {
        // The peak never falls, so the last look before the end has it to within 2 ms.
        if let Ok(text) = fs::read_to_string(process.join("status")) {
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
            peak = peak.max(kib.unwrap_or_default() / 1024.0);
        }
        if let Ok(text) = fs::read_to_string(process.join("stat")) {
            let after = text.rsplit(')').next().unwrap_or_default();
            let ticks = after.split_whitespace().skip(11).take(2);
            cpu = cpu.max(ticks.filter_map(|tick| tick.parse::<f64>().ok()).sum::<f64>() / TICKS);
        }
        if let Some(status) = child.try_wait().expect("the child is ours") {
            break status;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    assert!(status.success(), "{arguments:?} ended with {status}");
    Run { wall: begin.elapsed().as_secs_f64(), cpu, peak }
}

fn median(runs: &[Run], of: impl Fn(&Run) -> f64) -> f64 {
    let mut values: Vec<f64> = runs.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn report(what: &str, runs: &[Run]) {
    println!(
        "{what:<36} {:>8.2} s wall {:>8.2} s CPU {:>7.0} MiB   (median of {})",
        median(runs, |run| run.wall),
        median(runs, |run| run.cpu),
        median(runs, |run| run.peak),
        runs.len()
    );
}

/// Reading alone: from the text of 10,002 hosts to an inventory, in this process.
fn read(rounds: usize) {
    let text = hubs(10_000);
    let mut times: Vec<f64> = (0..rounds)
        .map(|_| {
            let (path, text) = (std::path::PathBuf::from("fleet.yaml"), text.clone());
            let begin = Instant::now();
            let parsed = wgfleet::inventory::parse(path, text);
            let took = begin.elapsed().as_secs_f64();
            let hosts = parsed.inventory.map_or(0, |inventory| inventory.hosts.len());
            assert_eq!(hosts, 10_002, "{:?}", parsed.findings.first());
            took
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!(
        "{:<36} {:>8.3} s wall   (median of {rounds}, {} bytes)",
        "reading, 10,002 hosts",
        times[times.len() / 2],
        text.len()
    );
}

/// The rollout of a change to every host of a mesh, beside one proof of it, in this process.
fn rollouts(rounds: usize) {
    let parse = |text: String| {
        let parsed = wgfleet::inventory::parse(std::path::PathBuf::from("fleet.yaml"), text);
        let inventory = parsed.inventory.expect("the file is valid");
        let none = |_: &_, _: &_| -> Vec<std::net::IpAddr> { Vec::new() };
        let topology = wgfleet::topology::build(&inventory, &none);
        (inventory, topology)
    };
    let hosts = 1_000;
    let addressed = |first: usize| {
        let mut text = mesh(hosts);
        for host in 0..hosts {
            let plain = format!("gw-{host}: {{ ");
            let (high, low) = ((host + first) / 250, 1 + (host + first) % 250);
            text = text.replacen(&plain, &format!("{plain}address: 10.64.{high}.{low}, "), 1);
        }
        text
    };
    let (before, after) = (parse(addressed(0)), parse(addressed(0).replace("51820", "51821")));
    let mut changing = wgfleet::check::Changing::default();
    for host in &before.0.hosts {
        changing.roles.insert(host.name.value.clone(), wgfleet::check::Role::Changes);
    }
    let state = |fleet: &'static (_, _)| wgfleet::check::State::new(&fleet.0, &fleet.1);
    let (before, after) = (&*Box::leak(Box::new(before)), &*Box::leak(Box::new(after)));
    for (name, after) in [("nothing but hooks", before), ("every port", after)] {
        let (mut proofs, mut plans) = (Vec::new(), Vec::new());
        let mut largest = 0;
        for _ in 0..rounds {
            let begin = Instant::now();
            let reach = wgfleet::check::reachability(&before.0, &before.1);
            proofs.push(begin.elapsed().as_secs_f64());
            assert!(reach.flows > 0);
            let begin = Instant::now();
            let settings = wgfleet::plan::RolloutSettings::default();
            let rollout =
                wgfleet::plan::rollout(state(before), state(after), &changing, &settings, None);
            plans.push(begin.elapsed().as_secs_f64());
            largest = rollout.groups().map(|group| group.hosts.len()).max().unwrap_or_default();
        }
        proofs.sort_by(f64::total_cmp);
        plans.sort_by(f64::total_cmp);
        let (proof, plan) = (proofs[rounds / 2], plans[rounds / 2]);
        println!(
            "{:<36} {plan:>8.3} s wall, {:.1} times one proof ({proof:.3} s); largest group {largest}",
            format!("rollout of 1,000, {name}"),
            plan / proof
        );
    }
}

/// Gateways of which no two are alike: each leads to one more address than the one before.
fn unlike(hosts: usize) -> String {
    let mut text = mesh(hosts);
    for host in 0..hosts {
        let plain = format!("gw-{host}: {{ ssh: gw-{host}, ");
        let (high, low) = (host / 250, 1 + host % 250);
        // Nested in the LAN of the next one, so that nothing of the two is alike.
        let next = (host + 1) % hosts;
        let (far, near) = (16 + next / 256, next % 256);
        let with = format!("{plain}subnets: 172.{far}.{near}.{}/32, ", high + low);
        text = text.replacen(&plain, &with, 1);
    }
    // A site whose LAN is taken apart like that is not reached as a whole.
    text.split_once("expect:").map_or(text.clone(), |(before, _)| before.to_owned())
}

/// Spokes of two hubs with a LAN each: their lists differ in one prefix.
fn lans(spokes: usize) -> String {
    on_hubs(spokes, |spoke| format!("subnets: 10.{}.{}.0/24, ", 128 + spoke / 256, spoke % 256))
}

/// What `check` takes as a fleet grows, and how much more than at the size before.
fn growth(binary: &Path, rounds: usize) {
    type Shape<'a> = (&'a str, fn(usize) -> String, &'a [usize]);
    let shapes: [Shape<'_>; 3] = [
        ("mesh", mesh, &[100, 300, 1_000]),
        ("spokes", hubs, &[1_000, 3_000, 10_000, 30_000]),
        ("spokes with a LAN", lans, &[1_000, 3_000, 10_000]),
    ];
    for (shape, text, sizes) in shapes {
        let mut before: Option<(usize, Run)> = None;
        for size in sizes.iter().copied() {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let folder = folder.path();
            fs::write(folder.join("fleet.yaml"), text(size)).expect("the inventory is written");
            run(binary, folder, &["check"]);
            let runs: Vec<Run> = (0..rounds).map(|_| run(binary, folder, &["check"])).collect();
            report(&format!("check, {size} {shape}"), &runs);
            let (cpu, peak) = (median(&runs, |run| run.cpu), median(&runs, |run| run.peak));
            if let Some((least, run)) = before {
                let hosts = f64::from(u32::try_from(size).expect("a size"))
                    / f64::from(u32::try_from(least).expect("a size"));
                println!(
                    "  {hosts:.1} times the hosts: {:.1} times the CPU, {:.1} times the memory",
                    cpu / run.cpu.max(0.01),
                    peak / run.peak
                );
            }
            before = Some((size, Run { wall: median(&runs, |run| run.wall), cpu, peak }));
        }
    }
}

/// The proof of every flow as a fleet grows, and one broken entry among half a thousand hosts.
fn grow(binary: &Path, rounds: usize) {
    let broken = {
        let plain = "gw-250.example.com:51820\", gateway: true";
        let with = format!("{plain}, peers: {{ gw-3: {{ allowed_ips: 10.64.255.9/32 }} }}");
        mesh(500).replace(plain, &with)
    };
    let sizes = [100, 300, 1_000, 3_000].map(|hosts| (format!("mesh of {hosts}"), mesh(hosts)));
    let sizes = sizes.into_iter().chain([("mesh of 300, none alike".to_owned(), unlike(300))]);
    let broken = ("mesh of 500, one broken entry".to_owned(), broken);
    for (name, text) in sizes.chain([broken]) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let folder = folder.path();
        fs::write(folder.join("fleet.yaml"), text).expect("the inventory is written");
        run(binary, folder, &["check"]);
        let runs: Vec<Run> = (0..rounds).map(|_| run(binary, folder, &["check"])).collect();
        report(&format!("proof, {name}"), &runs);
        if name.contains("broken") {
            let output = Command::new(binary)
                .args(["check", "--format", "json"])
                .current_dir(folder)
                .output()
                .expect("the binary runs");
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            println!("  findings: {}", text.matches("\"code\"").count());
        }
    }
}

fn main() {
    let built = env!("CARGO_BIN_EXE_wgfleet");
    let binary = std::env::var_os("WGFLEET").map_or_else(|| built.into(), std::path::PathBuf::from);
    let rounds = std::env::var("ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(5);
    if std::env::args().any(|argument| argument == "rollout") {
        return rollouts(rounds);
    }
    if std::env::args().any(|argument| argument == "growth") {
        return growth(&binary, rounds);
    }
    read(rounds);
    rollouts(rounds);
    grow(&binary, rounds);
    for (name, text) in [("mesh of 1,000", mesh(1_000)), ("10,000 spokes, 2 hubs", hubs(10_000))] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let folder = folder.path();
        fs::write(folder.join("fleet.yaml"), text).expect("the inventory is written");
        // Addresses are pinned, and keys are made, before anything is measured.
        run(&binary, folder, &["check"]);
        let several = |arguments: &[&str]| -> Vec<Run> {
            (0..rounds).map(|_| run(&binary, folder, arguments)).collect()
        };
        report(&format!("check, {name}"), &several(&["check"]));
        run(&binary, folder, &["vault", "init", "--fleet", "bench"]);
        run(&binary, folder, &["vault", "keygen"]);
        report(&format!("render, {name}"), &several(&["render", "-o", "out"]));
    }
}
