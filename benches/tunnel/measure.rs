//! What is measured, and how.

use std::thread;
use std::time::Duration;

use crate::candidate::Candidate;
use crate::flood::Flooder;
use crate::yard::{Background, End, Pair};

/// Something to measure; each gives one or more results.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Measure {
    /// One TCP stream, there and back, with the CPU seconds and the memory that it took.
    Tcp,
    /// Four TCP streams.
    Four,
    /// A flood of UDP datagrams that fill the MTU.
    Udp,
    /// The round trip while nothing else happens.
    Ping,
    /// The round trip beside a TCP stream.
    Load,
    /// One TCP stream alone, beside datagrams to nobody, and beside as many handshake initiations
    /// from invented sources.
    Flood,
    /// Memory and time of 1,000 and 10,000 peers.
    Peers,
}

/// Results by name, in the order in which they came.
#[derive(Default)]
pub(crate) struct Results(pub(crate) Vec<(&'static str, f64)>);

impl Results {
    fn add(&mut self, name: &'static str, value: f64) {
        self.0.push((name, value));
    }
}

impl Measure {
    pub(crate) const ALL: [Self; 7] =
        [Self::Tcp, Self::Four, Self::Udp, Self::Ping, Self::Load, Self::Flood, Self::Peers];

    pub(crate) fn named(name: &str) -> Result<Self, String> {
        let name = name.to_lowercase();
        let found = Self::ALL.into_iter().find(|of| format!("{of:?}").to_lowercase() == name);
        found.ok_or_else(|| format!("nothing is measured as {name}"))
    }

    pub(crate) fn take(self, candidate: &Candidate, seconds: u32, results: &mut Results) {
        if matches!(self, Self::Peers) {
            return peers(candidate, results);
        }
        let pair = Pair::new(candidate);
        let server = pair.b.namespace.command("iperf3", &["-s"]);
        let _server = Background::start(server);
        thread::sleep(Duration::from_millis(300));
        match self {
            Self::Tcp => {
                results.add("memory idle, MB", pair.a.memory());
                let cpu = pair.cpu();
                let there = iperf(&pair, seconds, &[]);
                let spent = pair.cpu() - cpu;
                results.add("tcp one stream, Gbit/s", there.rate);
                results.add("tcp back, Gbit/s", iperf(&pair, seconds, &["-R"]).rate);
                results.add("tcp CPU, s/GB", spent / there.gigabytes);
                results.add("memory under load, MB", pair.a.peak().max(pair.b.peak()));
            }
            Self::Four => {
                results.add("tcp four streams, Gbit/s", iperf(&pair, seconds, &["-P", "4"]).rate);
            }
            Self::Udp => {
                let flood = iperf(&pair, seconds, &["-u", "-b", "0", "-l", "1392"]);
                results.add("udp received, Gbit/s", flood.rate);
            }
            Self::Ping => results.add("ping idle, ms", ping(&pair, "200", "0.01")),
            Self::Load => {
                let time = (seconds + 1).to_string();
                let words = ["-c", "10.9.0.2", "-t", &time];
                let _stream = Background::start(pair.a.namespace.command("iperf3", &words));
                thread::sleep(Duration::from_millis(500));
                let count = (seconds * 50).to_string();
                results.add("ping under load, ms", ping(&pair, &count, "0.02"));
            }
            Self::Flood => flood(&pair, seconds, results),
            Self::Peers => {}
        }
    }
}

fn flood(pair: &Pair, seconds: u32, results: &mut Results) {
    /// Where nothing listens: what the flooder and the network cost the stream by themselves.
    const NOBODY: u16 = 9;
    let flooder = Flooder::new(&pair.b);
    let alone = iperf(pair, seconds, &[]).rate;
    let before = pair.b.memory();
    let beside = |port| {
        let flood = flooder.start(port);
        thread::sleep(Duration::from_millis(500));
        let rate = iperf(pair, seconds, &[]).rate;
        (rate, flood.end())
    };
    let (unheard, _) = beside(NOBODY);
    let (kept, sent) = beside(pair.b.port());
    results.add("stream alone, Gbit/s", alone);
    results.add("stream beside others, Gbit/s", unheard);
    results.add("stream flooded, Gbit/s", kept);
    results.add("stream kept, %", 100.0 * kept / alone);
    results.add("flood, initiations/s", sent.rate);
    results.add("flood's own cost, cores", sent.cores);
    results.add("memory before flood, MB", before);
    results.add("memory most in flood, MB", pair.b.peak());
    thread::sleep(Duration::from_secs(2));
    results.add("memory after flood, MB", pair.b.memory());
}

fn peers(candidate: &Candidate, results: &mut Results) {
    let end = End::start(candidate, 1);
    end.set_peers(1000);
    results.add("memory of 1,000 peers, MB", end.memory());
    drop(end);
    let end = End::start(candidate, 1);
    let before = end.memory();
    results.add("setconf of 10,000, s", end.set_peers(10_000));
    results.add("memory of 10,000 peers, MB", end.memory());
    results.add("memory of a peer, kB", (end.memory() - before) * 1024.0 / 10_000.0);
}

struct Transfer {
    /// Gbit/s that were received.
    rate: f64,
    gigabytes: f64,
}

fn iperf(pair: &Pair, seconds: u32, more: &[&str]) -> Transfer {
    let time = seconds.to_string();
    let words = ["-c", "10.9.0.2", "-J", "-t", &time];
    let text = pair.a.namespace.run("iperf3", &[&words[..], more].concat());
    let json: serde_json::Value = serde_json::from_str(&text).expect("iperf3 prints JSON");
    let number = |name: &str| json["end"]["sum_received"][name].as_f64().unwrap_or(f64::NAN);
    Transfer { rate: number("bits_per_second") / 1e9, gigabytes: number("bytes") / 1e9 }
}

/// The median round trip, in ms. Echoes that are lost count as the worst.
fn ping(pair: &Pair, count: &str, interval: &str) -> f64 {
    let words = ["-c", count, "-i", interval, "-W", "2", "10.9.0.2"];
    let output = pair.a.namespace.command("ping", &words).output().expect("ping runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let time =
        |line: &str| -> Option<f64> { line.split_once("time=")?.1.split_once(' ')?.0.parse().ok() };
    let mut times: Vec<f64> = text.lines().filter_map(time).collect();
    times.resize(count.parse().unwrap_or(times.len()), f64::INFINITY);
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}
