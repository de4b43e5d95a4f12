//! Arguments that every command takes.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// The heading of what every command takes.
pub(super) const COMMON: &str = "Common options";

/// Arguments that every command takes.
#[derive(Debug, Args)]
pub(super) struct Global {
    /// The inventory: a fleet file, a folder that holds fleet.yaml, or - for stdin
    #[arg(
        short,
        long,
        global = true,
        default_value = "fleet.yaml",
        value_name = "PATH",
        help_heading = COMMON
    )]
    pub(super) file: PathBuf,

    /// Lock file of the inventory [default: beside it; none for stdin]
    #[arg(long, global = true, value_name = "FILE", help_heading = COMMON)]
    pub(super) lock: Option<PathBuf>,

    #[arg(
        long,
        global = true,
        value_delimiter = ':',
        value_name = "DIR",
        help_heading = COMMON,
        help = "Further folder that `include` may read from, beside the fleet's own and what git \
                tracks [env: WGFLEET_INCLUDE_FROM]"
    )]
    /// Further folders of includes.
    pub(super) include_from: Vec<PathBuf>,

    #[arg(
        long,
        global = true,
        value_name = "FILE",
        help_heading = COMMON,
        help = "age identity file that opens the vault, or - for stdin [env: WGFLEET_IDENTITY, or \
                WGFLEET_IDENTITY_KEY for the identity itself] [default: where `wgfleet init` put it]"
    )]
    /// The identity file that the operator names.
    pub(super) identity: Option<PathBuf>,

    #[arg(
        long,
        global = true,
        value_name = "FILE",
        help_heading = COMMON,
        help = "Configuration file for ssh(1) instead of ~/.ssh/config [env: WGFLEET_SSH_CONFIG]"
    )]
    /// The configuration file of ssh(1).
    pub(super) ssh_config: Option<PathBuf>,

    /// Fail instead of pinning new addresses in the lock file
    #[arg(long, global = true, help_heading = COMMON)]
    pub(super) locked: bool,

    /// Only errors on stderr
    #[arg(short, long, global = true, help_heading = COMMON)]
    pub(super) quiet: bool,
}

/// What a command prints on stdout.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    #[default]
    Human,
    /// For programs: docs/json.md describes it
    Json,
}

/// The choice of a command that prints for people or for programs.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(super) struct FormatArgs {
    /// What to print on stdout
    #[arg(long, value_enum, default_value_t = Format::Human, value_name = "FORMAT")]
    pub(super) format: Format,
}
