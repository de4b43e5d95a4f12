//! The embedded tunnel beside other userspace tunnels, in alternating rounds of one run.
//!
//! Two namespaces, one veth pair, the same program at both ends. Needs root; `make bench-tunnel`
//! installs what is measured. Words after `--` choose a part:
//!
//! ```text
//! --only tcp,four,udp,ping,load,flood,peers   what is measured (all)
//! --peers gotatun,boringtun,wireguard-go  beside what (all that are there)
//! --rounds 3   --seconds 5
//! ```
//!
//! `WGFLEET` names our binary, `WGFLEET_BENCH_PEER` any other that is started as `PATH INTERFACE`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark talks to people")]

mod candidate;
mod flood;
mod measure;
mod yard;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::ExitCode;

use candidate::Candidate;
use measure::{Measure, Results};

struct Options {
    only: Vec<Measure>,
    candidates: Vec<Candidate>,
    rounds: usize,
    seconds: u32,
}

impl Options {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut only = Measure::ALL.to_vec();
        let (mut peers, mut rounds, mut seconds) = (None, 3, 5);
        while let Some(word) = words.next() {
            // What `cargo bench` says to every benchmark.
            if word == "--bench" {
                continue;
            }
            let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
            let number =
                || value.parse::<u32>().map_err(|error| format!("{word} {value}: {error}"));
            match &*word {
                "--only" => {
                    only = value.split(',').map(Measure::named).collect::<Result<_, _>>()?;
                }
                "--peers" => peers = Some(value.split(',').map(str::to_owned).collect()),
                "--rounds" => rounds = number()?.max(1) as usize,
                "--seconds" => seconds = number()?.max(1),
                _ => return Err(format!("{word} is not known")),
            }
        }
        let candidates = candidate::all(peers)?;
        Ok(Self { only, candidates, rounds, seconds })
    }
}

fn main() -> ExitCode {
    match Options::parse(std::env::args().skip(1)) {
        Ok(options) => {
            yard::clean_up_on_signals();
            run(&options);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bench-tunnel: {error}");
            ExitCode::from(64)
        }
    }
}

/// Every result of every candidate, by measure.
type Table = BTreeMap<&'static str, BTreeMap<usize, Vec<f64>>>;

fn run(options: &Options) {
    let mut table = Table::new();
    for round in 0..options.rounds {
        for (index, candidate) in options.candidates.iter().enumerate() {
            let mut results = Results::default();
            for measure in &options.only {
                measure.take(candidate, options.seconds, &mut results);
            }
            let mut line = format!("round {} {:14}", round + 1, candidate.name);
            for (name, value) in results.0 {
                let _ = write!(line, "  {name} {value:.3}");
                table.entry(name).or_default().entry(index).or_default().push(value);
            }
            eprintln!("{line}");
        }
    }
    print(&table, options);
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        0 => f64::midpoint(values[middle - 1], values[middle]),
        _ => values[middle],
    }
}

/// Medians, and in brackets how many times theirs ours is.
fn print(table: &Table, options: &Options) {
    println!("medians of {} rounds; in brackets ours divided by theirs", options.rounds);
    print!("{:28}", "");
    for candidate in &options.candidates {
        print!(" {:>20}", candidate.name);
    }
    println!();
    for (name, row) in table {
        print!("{name:28}");
        let ours = row.get(&0).map(|values| median(values));
        for index in 0..options.candidates.len() {
            let cell = row.get(&index).map_or_else(String::new, |values| {
                let value = median(values);
                match ours {
                    Some(ours) if index > 0 && value > 0.0 => {
                        format!("{value:.3} ({:.2})", ours / value)
                    }
                    _ => format!("{value:.3}"),
                }
            });
            print!(" {cell:>20}");
        }
        println!();
    }
}
