//! What a plan says of the records that hosts keep.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use crate::plan::Plan;

const BAD: Style = AnsiColor::Red.on_default().bold();

/// Hosts that are told one by one.
const NAMED: usize = 4;

/// Hosts that were changed from newer files than those of the plan.
pub(super) fn newer(plan: &Plan) -> String {
    let mut out = String::new();
    for newer in plan.newer.iter().take(NAMED) {
        let (host, record, because) = (&newer.host, &newer.record, newer.because.words());
        let _ = writeln!(
            out,
            "{BAD}these files are older than what {host} was changed from{BAD:#}: by {record}; {because}"
        );
    }
    if let Some(more) = plan.newer.len().checked_sub(NAMED).filter(|more| *more > 0) {
        let _ = writeln!(out, "{BAD}and {more} more hosts were changed from newer files{BAD:#}");
    }
    out
}
