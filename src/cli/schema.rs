//! `wgfleet schema`: the JSON Schema of the file.

use crate::inventory::schema;

use super::{CommandResult, Exit};

/// Print the JSON Schema of fleet.yaml, for editors
///
/// The YAML language server reads it from a comment in the first line of the file:
/// `# yaml-language-server: $schema=fleet.schema.json`
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  wgfleet schema > fleet.schema.json")]
pub(super) struct Args {}

/// Prints the schema on stdout.
pub(super) fn run(_args: &Args) -> CommandResult {
    super::write_stdout(schema::text().as_bytes())?;
    Ok(Exit::Done)
}
