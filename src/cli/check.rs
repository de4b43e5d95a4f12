//! `wgfleet check`: what is wrong with the file, without touching a host.

use clap::Args;

use super::fleet::Fleet;
use super::{CommandResult, Exit, Format, Global};
use crate::{check, finding, report};

/// Check the inventory: its form, its addresses, its sessions. Touches no host, needs no key.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  wgfleet check
  wgfleet check --file inventories/demo.yaml
  wgfleet check --reachability                    # who reaches whom, site by site
  wgfleet check --format json | jq -r '.findings[].code'")]
pub(super) struct CheckArgs {
    /// Show who reaches whom instead: site by site, network by network
    #[arg(long)]
    reachability: bool,
}

pub(super) fn run(args: &CheckArgs, global: &Global) -> CommandResult {
    let reading = Fleet::read(global)?;
    let findings = &reading.findings;
    if let (true, Some(fleet)) = (args.reachability, &reading.fleet) {
        let reach = check::reachability(fleet.inventory(), &fleet.topology);
        let text = match global.format {
            Format::Json => serde_json::to_string_pretty(&reach).unwrap_or_default() + "\n",
            Format::Human => report::reach::human(&reach),
        };
        super::write_stdout(text.as_bytes())?;
    } else if let Some(loaded) = reading.loaded() {
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
