//! `wgfleet check`: what is wrong with the file, without touching a host.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde::Serialize;

use super::{CommandError, CommandResult, Context, Exit, Format};
use crate::finding::{self, Finding, Severity};
use crate::fleet::{self, Fleet, Reading};
use crate::model::{SourceMap, beginning};
use crate::{check, report};

/// Check the inventory: its form, its addresses, its sessions. Touches no host, needs no key.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  wgfleet check
  wgfleet check --file inventories/demo.yaml
  wgfleet check --explain WG0301
  wgfleet check --at 2027-02-01                   # once access that has an `until` before is over
  wgfleet check --reachability                    # who reaches whom, site by site
  wgfleet check --failures                        # what is lost with each hub, gateway, link and uplink
  wgfleet check --format json | jq -r '.findings[].code'
  wgfleet check --format sarif > wgfleet.sarif
  wgfleet check --html report.html                # the same as --format html, beside the findings")]
pub(super) struct CheckArgs {
    /// Print what a code means, why, and what to do; read no inventory
    #[arg(long, value_name = "CODE")]
    explain: Option<String>,
    /// Check the fleet as it will be at that time: whose `until` is over, is left out. A day, or a moment
    /// with its zone
    #[arg(long, value_name = "DATE", value_parser = moment)]
    at: Option<Timestamp>,
    /// Show who reaches whom instead: site by site, network by network
    #[arg(long)]
    reachability: bool,
    /// Show what is lost with each hub, gateway, link and uplink instead, one at a time
    #[arg(long, conflicts_with = "reachability")]
    failures: bool,
    /// Also write a page with the topology drawn and every finding; it needs nothing from outside
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// What to print on stdout
    #[arg(long, value_enum, default_value_t = CheckFormat::Human, value_name = "FORMAT")]
    format: CheckFormat,
}

/// What a check prints on stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CheckFormat {
    /// For people
    Human,
    /// For programs: docs/json.md describes it
    Json,
    /// For code scanning: SARIF 2.1.0
    Sarif,
    /// For test reports of CI systems
    Junit,
    /// For a browser: the page of --html
    Html,
}

impl CheckArgs {
    /// How errors of the inventory are told on stderr.
    pub(super) const fn format(&self) -> Format {
        match self.format {
            CheckFormat::Json => Format::Json,
            _ => Format::Human,
        }
    }
}

/// The moment that a day begins with, or that a text says.
fn moment(text: &str) -> Result<Timestamp, String> {
    beginning(text).map_err(|error| error.to_string())
}

pub(super) fn run(args: &CheckArgs, context: &Context) -> CommandResult {
    let format = args.format;
    if let Some(code) = &args.explain {
        return explain(code);
    }
    let fleet = fleet::Context { now: args.at, ..context.fleet.clone() };
    let reading = Fleet::read(&fleet)?;
    let findings = &reading.findings;
    if let (true, Some(fleet)) = (args.reachability, &reading.fleet) {
        let reach = check::reachability(fleet.inventory(), &fleet.topology);
        let text = match format {
            CheckFormat::Json => pretty(&reach),
            CheckFormat::Human => report::reach::human(&reach),
            // The page has the matrix and the findings.
            CheckFormat::Html => page(&reading),
            CheckFormat::Sarif | CheckFormat::Junit => {
                return Err(CommandError::message(
                    Exit::Usage,
                    "--reachability cannot be written as sarif or junit",
                )
                .hint("use --format human, json or html"));
            }
        };
        super::write_stdout(text.as_bytes())?;
    } else if let (true, Some(fleet)) = (args.failures, &reading.fleet) {
        let failures = check::failures(fleet.inventory(), &fleet.topology);
        let text = match format {
            CheckFormat::Json => pretty(&failures),
            CheckFormat::Human => report::failures::human(&failures),
            // The page tells them host by host.
            CheckFormat::Html => page(&reading),
            CheckFormat::Sarif | CheckFormat::Junit => {
                return Err(CommandError::message(
                    Exit::Usage,
                    "--failures cannot be written as sarif or junit",
                )
                .hint("use --format human, json or html"));
            }
        };
        super::write_stdout(text.as_bytes())?;
    } else if let Some(loaded) = reading.loaded() {
        let text = match format {
            CheckFormat::Json => {
                pretty(&report::document::Findings::new(findings, &loaded.sources))
            }
            CheckFormat::Sarif => pretty(&report::sarif::log(findings, &loaded.sources)),
            CheckFormat::Junit => report::junit::report(findings, &loaded.sources),
            CheckFormat::Human => human(findings, &loaded.sources),
            CheckFormat::Html => page(&reading),
        };
        super::write_stdout(text.as_bytes())?;
    }
    if let Some(path) = args.html.as_ref().filter(|_| reading.loaded().is_some()) {
        crate::sys::write_atomic(path, page(&reading).as_bytes(), crate::sys::Mode::Public)
            .map_err(|error| CommandError::new(Exit::Failed, &error))?;
    }
    if finding::any_error(findings) {
        return Ok(Exit::Findings);
    }
    if let Some(fleet) = &reading.fleet
        && fleet.loaded.lock_path.is_some()
    {
        fleet.pin(&context.fleet)?;
    }
    Ok(Exit::Done)
}

/// The page with the topology drawn, every finding and who reaches whom.
fn page(reading: &Reading) -> String {
    let Some(loaded) = reading.loaded() else { return String::new() };
    let proved = reading.fleet.as_ref().map(|fleet| {
        let (inventory, topology) = (fleet.inventory(), &fleet.topology);
        let (reach, failures) = rayon::join(
            || check::reachability(inventory, topology),
            || check::failures(inventory, topology),
        );
        (inventory, topology, reach, failures)
    });
    let shown = proved.as_ref().map(|(inventory, topology, reach, failures)| report::html::Shown {
        inventory,
        topology,
        reach,
        failures,
    });
    report::html::page(shown, &reading.findings, &loaded.sources)
}

fn human(findings: &[Finding], sources: &SourceMap) -> String {
    let mut text = report::findings::human(findings, sources, true);
    text.push_str(&report::findings::summary(findings));
    text.push('\n');
    let worst = findings.iter().max_by_key(|finding| finding.severity);
    if let Some(worst) = worst.filter(|worst| worst.severity > Severity::Info) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "`wgfleet check --explain {}` says more", worst.code);
    }
    text
}

fn pretty(value: &impl Serialize) -> String {
    report::json::pretty(value).unwrap_or_default()
}

fn explain(text: &str) -> CommandResult {
    let Some(code) = report::explain::find(text) else {
        return Err(CommandError::message(
            Exit::Usage,
            format!("no finding has the code {text:?}"),
        )
        .hint("docs/findings.md lists them; they look like WG0301"));
    };
    super::write_stdout(report::explain::page(code).as_bytes())?;
    Ok(Exit::Done)
}
