//! What is lost with each thing that fails, for people.

use std::fmt::Write as _;

use super::reach::plural;
use crate::check::{Failing, Failures, LostRole, Without};

/// Things that are told one by one, and kinds of lost flows of each.
const TOLD: usize = 40;
const LISTED: usize = 12;

/// The losses, the worst first; then what takes no flow of others with it.
#[must_use]
pub fn human(failures: &Failures) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "{} that the file's shape implies {} while nothing fails",
        plural(failures.flows),
        if failures.flows == 1 { "works" } else { "work" }
    );
    let (worse, rest): (Vec<&Without>, Vec<&Without>) =
        failures.without.iter().partition(|without| without.lost > 0);
    for without in worse.iter().take(TOLD) {
        one(&mut out, without);
    }
    if worse.len() > TOLD {
        let _ = writeln!(out, "\nand {} more; --format json has all of them", worse.len() - TOLD);
    }
    let harmless: usize = rest.iter().map(|without| without.count).sum();
    if harmless > 0 {
        let names: Vec<String> =
            rest.iter().take(4).map(|without| title(&without.failing)).collect();
        let _ = writeln!(
            out,
            "\nNothing but flows that end there is lost with {}, {} in all",
            names.join(", "),
            things(harmless)
        );
    }
    out
}

fn things(count: usize) -> String {
    match count {
        1 => "1 host, link or uplink".to_owned(),
        count => format!("{count} hosts, links and uplinks"),
    }
}

fn one(out: &mut String, without: &Without) {
    let Without { failing, count, ends, lost, survive, flows, more, .. } = without;
    let alike = match count {
        1 => String::new(),
        2 => " (and another one that is like it)".to_owned(),
        count => format!(" (and {} others that are like it)", count - 1),
    };
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "\nWithout {}{alike}: {} lost, {} {}",
        title(failing),
        verb(*lost, "is", "are"),
        plural(*survive),
        if *survive == 1 { "survives" } else { "survive" },
    );
    if *ends > 0 {
        let _ = writeln!(out, "  beside {} that begin or end there", plural(*ends));
    }
    for flow in flows.iter().take(LISTED) {
        let _ = writeln!(
            out,
            "  {} to {} ({}), such as {} to {}: {}",
            flow.from,
            flow.to,
            plural(flow.flows),
            flow.witness.source,
            flow.witness.destination,
            flow.reason
        );
    }
    let hidden = more + flows.len().saturating_sub(LISTED);
    if hidden > 0 {
        let _ = writeln!(out, "  and {hidden} kinds of flows more");
    }
}

fn verb(count: u64, one: &str, several: &str) -> String {
    format!("{} {}", plural(count), if count == 1 { one } else { several })
}

/// What fails, in words.
#[must_use]
pub fn title(failing: &Failing) -> String {
    match failing {
        Failing::Host { host, role } => {
            let role = match role {
                LostRole::Hub => "hub",
                LostRole::Gateway => "gateway",
                LostRole::Exit => "exit",
                LostRole::Host => "host",
                LostRole::Peer => "unmanaged peer",
            };
            format!("{role} `{host}`")
        }
        Failing::Link { a, b, network } => {
            format!("the link between `{a}` and `{b}` in network `{network}`")
        }
        Failing::Uplink { site } => format!("the uplink of site `{site}`"),
    }
}
