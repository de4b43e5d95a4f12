//! Who reaches whom as a table; a cell that fails leads to its cause.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::text::escape;
use crate::check::{Cell, Reachability};

/// Rows that a page has; more are for `--reachability --format json`.
const ROWS: usize = 40;

/// The tables of places and, where there are several, networks.
pub(super) fn tables(reach: &Reachability) -> String {
    let mut text = format!(
        "<section id=\"reach\"><h2>Who reaches whom</h2><p>{} of {} flows work, there and back; the \
         file implies {}, of which {} fail. A row sends to a column: ● all, ◐ some, · none, ✗ something that \
         is implied fails.</p>",
        reach.reachable, reach.flows, reach.wanted, reach.broken
    );
    let places: Vec<String> = reach
        .places
        .iter()
        .map(|place| match place.count {
            1 => place.name.clone(),
            count => format!("{} +{}", place.name, count - 1),
        })
        .collect();
    if places.len() > ROWS {
        let _ = write!(
            text,
            "<p class=\"empty\">{} places: `wgfleet check --reachability` lists them.</p>",
            places.len()
        );
    } else {
        table(&mut text, &places, &reach.cells);
    }
    if reach.networks.len() > 1 && reach.networks.len() <= ROWS {
        text.push_str("<h2>Network by network</h2>");
        table(&mut text, &reach.networks, &reach.network_cells);
    }
    text.push_str("</section>\n");
    text
}

fn table(text: &mut String, names: &[String], cells: &[Cell]) {
    text.push_str("<table><thead><tr><th></th>");
    for name in names {
        // Writing to a String cannot fail.
        let _ = write!(text, "<th scope=\"col\"><span>{}</span></th>", escape(name));
    }
    text.push_str("</tr></thead><tbody>\n");
    for (from, name) in names.iter().enumerate() {
        let _ = write!(text, "<tr><th scope=\"row\">{}</th>", escape(name));
        for (to, other) in names.iter().enumerate() {
            let found = cells.iter().find(|cell| cell.from == from && cell.to == to);
            let Some(cell) = found.filter(|cell| cell.flows > 0) else {
                text.push_str("<td class=\"none\"></td>");
                continue;
            };
            let (class, mark) = if cell.broken > 0 {
                ("bad", "✗")
            } else if cell.reachable == cell.flows {
                ("all", "●")
            } else if cell.reachable > 0 {
                ("some", "◐")
            } else {
                ("no", "·")
            };
            let title = format!(
                "{name} to {}: {} of {} flows work, {} of {} that are implied fail",
                other, cell.reachable, cell.flows, cell.broken, cell.wanted
            );
            let title = escape(&title);
            let _ = match cell.fault.filter(|_| cell.broken > 0) {
                Some(fault) => write!(
                    text,
                    "<td class=\"{class}\" title=\"{title}\"><button data-fault=\"{fault}\" \
                     aria-label=\"{title}\">{mark}</button></td>"
                ),
                None => write!(text, "<td class=\"{class}\" title=\"{title}\">{mark}</td>"),
            };
        }
        text.push_str("</tr>\n");
    }
    text.push_str("</tbody></table>\n");
}

/// What fails, in the form of a finding.
pub(super) fn faults(reach: &Reachability) -> Vec<Value> {
    let one = |fault: &crate::check::Fault| {
        json!({
            "code": fault.code,
            "severity": "error",
            "title": format!("{} does not reach {}: {}", fault.from, fault.to, fault.reason),
            "count": fault.flows,
            "labels": [],
            "witness": fault.witness,
            "trace": super::trace::trace(&fault.trace),
            "help": null,
            "hosts": [],
        })
    };
    reach.faults.iter().map(one).collect()
}
