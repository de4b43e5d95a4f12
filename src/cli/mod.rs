//! The command line: one file for each subcommand, holding its arguments and its `run`.
//!
//! Data goes to stdout, everything else to stderr.

mod error;
mod exit;
mod global;
mod multicall;
mod quick;
mod tunnel;
mod wg;

pub use error::{CommandError, CommandResult};
pub use exit::Exit;
pub use global::{Format, Global};

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Declarative WireGuard fleets: proved before a packet moves, applied without dropping one.
#[derive(Debug, Parser)]
#[command(name = "wgfleet", version, max_term_width = 100, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Tunnel(tunnel::TunnelArgs),
    Wg(wg::WgArgs),
    Quick(quick::QuickArgs),
}

impl Cli {
    fn run(self) -> CommandResult {
        let Self { global: _, command } = self;
        match command {
            Command::Tunnel(args) => tunnel::cmd_tunnel(&args),
            Command::Wg(args) => wg::cmd_wg(args),
            Command::Quick(args) => quick::cmd_quick(&args),
        }
    }
}

/// Parses the arguments, runs the command and reports how it ended.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse_from(multicall::arguments(std::env::args_os())) {
        Ok(cli) => cli,
        Err(error) => {
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Done };
            // A closed stdout is no reason to fail while showing help.
            let _ = error.print();
            return exit.into();
        }
    };
    match cli.run() {
        Ok(exit) => exit.into(),
        Err(error) => {
            anstream::eprintln!("wgfleet: {error}");
            error.exit.into()
        }
    }
}
