//! The answer of `wgfleet why` for people.

use std::fmt::Write as _;

use crate::check::{FlowOutcome, Why};
use crate::finding::Hop;
use crate::model::{HostName, mask_in};

/// The flow, hop by hop, and what fixes it.
#[must_use]
pub fn human(why: &Why, from: &str, to: &str) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = match why.outcome {
        FlowOutcome::Reachable if why.flows == 1 => writeln!(out, "{from} reaches {to}"),
        FlowOutcome::Reachable => {
            writeln!(out, "{from} reaches {to}: all {} flows work", why.flows)
        }
        FlowOutcome::Broken if why.flows == 1 => writeln!(out, "{from} does not reach {to}"),
        FlowOutcome::Broken => {
            writeln!(
                out,
                "{from} does not reach {to}: {} of {} flows work",
                why.reachable, why.flows
            )
        }
        FlowOutcome::SamePlace => {
            writeln!(out, "{from} and {to} are at one place: no tunnel is between them")
        }
        FlowOutcome::NoFlow => {
            writeln!(
                out,
                "no flow can be from {from} to {to}: they share no address family, or one has no address"
            )
        }
    };
    if let Some(packet) = &why.packet {
        out.push_str("\na packet");
        if let (Some(from), Some(to)) = (&why.from, &why.to) {
            let _ = write!(out, " from {from} to {to}");
        }
        let _ = writeln!(out, ", {} to {}", packet.source, packet.destination);
    }
    hops(&mut out, &why.trace);
    if !why.reply.is_empty() {
        out.push_str("its reply\n");
        hops(&mut out, &why.reply);
    }
    if let Some(reason) = &why.reason {
        let _ = writeln!(out, "\ncause: {reason}");
    }
    if !why.assumed.is_empty() {
        let names: Vec<&str> = why.assumed.iter().map(HostName::as_str).collect();
        let _ = writeln!(out, "\nassumed: {} is configured as the file has it", names.join(", "));
    }
    match (&why.fix, why.outcome) {
        (Some(fix), _) => {
            let _ = write!(out, "\nfix (proved): {}\n\n{}", fix.text, fix.patch);
        }
        (None, FlowOutcome::Broken) => {
            out.push_str("\nwgfleet knows no single change to the file that fixes it\n");
        }
        (None, _) => {}
    }
    mask_in(&mut out);
    out
}

fn hops(out: &mut String, hops: &[Hop]) {
    for hop in hops {
        let _ = writeln!(out, "  {}", super::findings::describe(hop));
    }
}
