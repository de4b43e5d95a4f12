//! `wgfleet check`: what is wrong with the file, without touching a host.

use clap::Args;

use super::fleet::Fleet;
use super::{CommandResult, Exit, Format, Global};
use crate::finding;
use crate::report;

/// Check the inventory: its form, its addresses, its sessions. Touches no host, needs no key.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  wgfleet check
  wgfleet check --file inventories/demo.yaml
  wgfleet check --format json | jq -r '.findings[].code'")]
pub(super) struct CheckArgs {}

pub(super) fn run(_args: &CheckArgs, global: &Global) -> CommandResult {
    let reading = Fleet::read(global)?;
    let findings = &reading.findings;
    if let Some(loaded) = reading.loaded() {
        let text = match global.format {
            Format::Json => {
                let json = report::findings::json(findings, &loaded.sources);
                format!("{}\n", serde_json::to_string_pretty(&json).unwrap_or_default())
            }
            Format::Human => {
                let mut text = report::findings::human(findings, &loaded.sources, true);
                text.push_str(&report::findings::summary(findings));
                text.push('\n');
                text
            }
        };
        super::write_stdout(text.as_bytes())?;
    }
    if finding::any_error(findings) {
        return Ok(Exit::Findings);
    }
    if let Some(fleet) = &reading.fleet {
        fleet.pin(global)?;
    }
    Ok(Exit::Done)
}
