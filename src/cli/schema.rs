//! `wgfleet schema`: the JSON Schemas of the fleet file and of everything that is printed as JSON.

use clap::ValueEnum;

use crate::inventory::schema;

use super::{CommandResult, Exit};

/// Print a JSON Schema: of fleet.yaml for editors, or of what commands print as JSON
///
/// The YAML language server reads the first from a comment in the first line of the file:
/// `# yaml-language-server: $schema=fleet.schema.json`. The others are for programs: each names the
/// `kind` and the `version` of the texts that it is for.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  wgfleet schema > fleet.schema.json
  wgfleet schema plan > plan.schema.json")]
pub(super) struct Args {
    /// Of what
    #[arg(value_enum, default_value_t = Subject::Fleet, value_name = "KIND")]
    of: Subject,
}

/// What has a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Subject {
    /// The fleet file
    Fleet,
    /// `check --format json`
    Findings,
    /// `check --reachability --format json`
    Reachability,
    /// `check --failures --format json`
    Failures,
    /// `why --format json`
    Why,
    /// `explain --format json`
    Explain,
    /// `plan --format json`, `plan --out` and `show --format json`
    Plan,
    /// `plan --offline --base REV --format json`
    Comparison,
    /// `apply --format json`
    Apply,
    /// `rotate --format json`
    Rotate,
    /// What commands with `--format json` tell on stderr while they run, one in each line
    Event,
    /// `status --format json`
    Status,
    /// `history --format json`
    History,
    /// `lock list --format json` and `lock break --format json`
    Locks,
    /// `vault status --format json`
    VaultStatus,
    /// `vault recipients --format json`
    VaultRecipients,
    /// `vault keygen --format json`
    VaultKeygen,
    /// `vault init --format json`
    VaultInit,
    /// `vault import --format json`
    VaultImport,
    /// `vault export --format json`
    VaultExport,
    /// `vault rekey --format json`
    VaultRekey,
    /// `lab up --format json` and `lab status --format json`
    Lab,
    /// `lab down --format json`
    LabDown,
    /// `init --format json`
    Init,
    /// `render --format json`
    Render,
    /// `peer show --format json`, `peer add --format json`, `peer rotate --format json` and `peer remove
    /// --format json`
    Peer,
    /// `import --format json`
    Import,
    /// `export --format json`
    Export,
    /// `export --to json`
    FleetExport,
    /// What each host keeps: docs/records.md
    Record,
}

impl Subject {
    /// The text of its schema.
    fn text(self) -> String {
        let text = match self {
            Self::Fleet => return schema::text(),
            Self::Findings => include_str!("../../schemas/findings.schema.json"),
            Self::Reachability => include_str!("../../schemas/reachability.schema.json"),
            Self::Failures => include_str!("../../schemas/failures.schema.json"),
            Self::Why => include_str!("../../schemas/why.schema.json"),
            Self::Explain => include_str!("../../schemas/explain.schema.json"),
            Self::Plan => include_str!("../../schemas/plan.schema.json"),
            Self::Comparison => include_str!("../../schemas/comparison.schema.json"),
            Self::Apply => include_str!("../../schemas/apply.schema.json"),
            Self::Rotate => include_str!("../../schemas/rotate.schema.json"),
            Self::Event => include_str!("../../schemas/event.schema.json"),
            Self::Status => include_str!("../../schemas/status.schema.json"),
            Self::Locks => include_str!("../../schemas/locks.schema.json"),
            Self::History => include_str!("../../schemas/history.schema.json"),
            Self::VaultStatus => include_str!("../../schemas/vault-status.schema.json"),
            Self::VaultRecipients => include_str!("../../schemas/vault-recipients.schema.json"),
            Self::VaultKeygen => include_str!("../../schemas/vault-keygen.schema.json"),
            Self::VaultInit => include_str!("../../schemas/vault-init.schema.json"),
            Self::VaultImport => include_str!("../../schemas/vault-import.schema.json"),
            Self::VaultExport => include_str!("../../schemas/vault-export.schema.json"),
            Self::VaultRekey => include_str!("../../schemas/vault-rekey.schema.json"),
            Self::Lab => include_str!("../../schemas/lab.schema.json"),
            Self::LabDown => include_str!("../../schemas/lab-down.schema.json"),
            Self::Init => include_str!("../../schemas/init.schema.json"),
            Self::Render => include_str!("../../schemas/render.schema.json"),
            Self::Peer => include_str!("../../schemas/peer.schema.json"),
            Self::Import => include_str!("../../schemas/import.schema.json"),
            Self::Export => include_str!("../../schemas/export.schema.json"),
            Self::FleetExport => include_str!("../../schemas/fleet-export.schema.json"),
            Self::Record => include_str!("../../schemas/record.schema.json"),
        };
        text.to_owned()
    }
}

/// Prints the schema on stdout.
pub(super) fn run(args: &Args) -> CommandResult {
    super::write_stdout(args.of.text().as_bytes())?;
    Ok(Exit::Done)
}

#[cfg(test)]
#[path = "schema_tests.rs"]
mod tests;
