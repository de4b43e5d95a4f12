//! Reachability for people: the matrix, and what a plan changes about it.

use std::fmt::Write as _;

use crate::check::{Assumed, Cell, Difference, Moved, Reachability, Unread};
use crate::model::Untrusted;

/// Rows that a matrix is drawn with; larger ones are listed.
const DRAWN: usize = 16;
/// Lines of a list before it is cut.
const LISTED: usize = 40;

/// The matrices and the faults.
#[must_use]
pub fn human(reach: &Reachability) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "{} of {} flows work, there and back; the file's shape implies {}",
        reach.reachable, reach.flows, reach.wanted
    );
    let _ = match reach.broken {
        0 => writeln!(out, "every one of those works"),
        broken => writeln!(out, "{broken} of those do not work"),
    };
    let places: Vec<String> = reach
        .places
        .iter()
        .map(|place| match place.count {
            1 => place.name.clone(),
            count => format!("{} (+{})", place.name, count - 1),
        })
        .collect();
    matrix(&mut out, "from \\ to", &places, &reach.cells);
    if reach.networks.len() > 1 {
        matrix(&mut out, "network", &reach.networks, &reach.network_cells);
    }
    for (index, fault) in reach.faults.iter().enumerate().take(LISTED) {
        let code = fault.code.map_or_else(|| "-".to_owned(), |code| code.to_string());
        let _ = writeln!(
            out,
            "\n{}. {} to {} ({}, {}): {}",
            index + 1,
            fault.from,
            fault.to,
            code,
            plural(fault.flows),
            fault.reason
        );
        let _ = writeln!(out, "   {} to {}", fault.witness.source, fault.witness.destination);
        for hop in &fault.trace {
            let _ = writeln!(out, "   {}", super::findings::describe(hop));
        }
    }
    if reach.faults.len() > LISTED {
        let _ = writeln!(out, "\nand {} more", reach.faults.len() - LISTED);
    }
    out
}

pub(super) fn plural(flows: u64) -> String {
    if flows == 1 { "1 flow".to_owned() } else { format!("{flows} flows") }
}

fn text(cell: &Cell) -> String {
    let broken = if cell.broken > 0 { "!" } else { "" };
    match cell.reachable {
        all if all == cell.flows => "all".to_owned(),
        0 => format!("none{broken}"),
        some => format!("{some}/{}{broken}", cell.flows),
    }
}

fn matrix(out: &mut String, corner: &str, names: &[String], cells: &[Cell]) {
    if names.len() > DRAWN {
        let partial = cells.iter().filter(|cell| cell.reachable < cell.flows);
        let listed = partial.clone().count();
        let _ = writeln!(out, "\n{listed} pairs are not whole");
        for cell in partial.take(LISTED) {
            let _ = writeln!(out, "  {} to {}: {}", names[cell.from], names[cell.to], text(cell));
        }
        if listed > LISTED {
            let _ = writeln!(out, "  and {} more", listed - LISTED);
        }
        return;
    }
    let at = |row: usize, column: usize| {
        let cell = cells.iter().find(|cell| cell.from == row && cell.to == column);
        cell.map_or_else(|| "-".to_owned(), text)
    };
    let wide = |column: usize| {
        let cells = (0..names.len()).map(|row| at(row, column).chars().count());
        cells.chain([names[column].chars().count()]).max().unwrap_or(0)
    };
    let first = names.iter().map(|name| name.chars().count()).chain([corner.len()]).max();
    let first = first.unwrap_or(0);
    let _ = write!(out, "\n{corner:first$}");
    for (column, name) in names.iter().enumerate() {
        let _ = write!(out, "  {name:>width$}", width = wide(column));
    }
    for (row, name) in names.iter().enumerate() {
        let _ = write!(out, "\n{name:first$}");
        for column in 0..names.len() {
            let _ = write!(out, "  {:>width$}", at(row, column), width = wide(column));
        }
    }
    out.push('\n');
}

/// Hosts whose state was not read, and where it is taken from, one line each.
fn assumed(out: &mut String, difference: &Difference) {
    for Assumed { hosts, why, commit, dirty } in &difference.assumed {
        let several = hosts.len() > 1;
        let names: Vec<String> =
            hosts.iter().take(LISTED / 4).map(|host| format!("`{host}`")).collect();
        let mut names = names.join(", ");
        if hosts.len() > LISTED / 4 {
            let _ = write!(names, " and {} more", hosts.len() - LISTED / 4);
        }
        let why_not_read = *why;
        let why = match (why, several) {
            (Unread::Unreadable, _) => "could not be read",
            (Unread::OutsideLimit, false) => "is outside --limit and was not read",
            (Unread::OutsideLimit, true) => "are outside --limit and were not read",
            (Unread::Removed, false) => "is not in the inventory any more",
            (Unread::Removed, true) => "are not in the inventory any more",
        };
        let (whose, them) = if several { ("their", "them") } else { ("its", "it") };
        let dirty =
            if *dirty { ", but files that were not committed were applied then" } else { "" };
        let _ = match (commit, why_not_read == Unread::Removed) {
            (Some(commit), _) => writeln!(
                out,
                "{names} {why}: {whose} flows are counted from the inventory at commit {commit}, the \
                 last that a host recorded{dirty}"
            ),
            (None, true) => writeln!(
                out,
                "{names} {why}: {whose} flows are counted from what other hosts have of {them}"
            ),
            (None, false) => writeln!(
                out,
                "{names} {why}, and no commit of {them} is known: {whose} flows are unknown, and \
                 counted as if what the file says ran there"
            ),
        };
    }
}

/// What a plan changes about who reaches whom; empty where it changes nothing.
#[must_use]
pub fn difference(difference: &Difference) -> String {
    let mut out = String::new();
    for (sign, word, moved) in
        [('+', "begin to work", &difference.gained), ('-', "cease to work", &difference.lost)]
    {
        if moved.is_empty() {
            continue;
        }
        let flows: u64 = moved.iter().map(|moved| moved.flows).sum();
        let verb = if flows == 1 {
            word.replacen("begin", "begins", 1).replacen("cease", "ceases", 1)
        } else {
            word.to_owned()
        };
        let _ = writeln!(out, "{} {verb}:", plural(flows));
        for Moved { from, to, pairs, flows, witness, reason } in moved.iter().take(LISTED / 2) {
            let alike = match pairs {
                1 => String::new(),
                pairs => format!(" and {} pairs more", pairs - 1),
            };
            let _ = write!(
                out,
                "  {sign} {from} to {to}{alike} ({}), such as {} to {}",
                plural(*flows),
                witness.source,
                witness.destination
            );
            let _ = match reason {
                Some(reason) if sign == '-' => {
                    writeln!(out, ": {}", Untrusted::new(reason.text.as_str()))
                }
                _ => writeln!(out),
            };
        }
        if moved.len() > LISTED / 2 {
            let _ = writeln!(out, "  and {} more", moved.len() - LISTED / 2);
        }
    }
    assumed(&mut out, difference);
    out
}
