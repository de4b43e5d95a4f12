//! `wgfleet-helper`: what hosts that lack something get. The tunnel and the tools beside it, without
//! what only a controller needs; a fifth of its size.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use super::failure::{fail, refuse};
use super::{CommandResult, multicall, quick, tunnel, wg};

/// The part of wgfleet that runs on hosts: a userspace tunnel, and what wg(8) and wg-quick(8) do
#[derive(Debug, Parser)]
#[command(
    name = "wgfleet",
    version,
    arg_required_else_help = true,
    after_help = "wgfleet pushes it to hosts and starts it there. It reads no inventory and no vault."
)]
struct Helper {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Tunnel(tunnel::TunnelArgs),
    Wg(wg::WgArgs),
    Quick(quick::QuickArgs),
}

impl Helper {
    fn run(self) -> CommandResult {
        match self.command {
            Command::Tunnel(args) => tunnel::cmd_tunnel(&args),
            Command::Wg(args) => wg::cmd_wg(args),
            Command::Quick(args) => quick::cmd_quick(&args),
        }
    }
}

/// Parses the arguments, runs the command and reports how it ended.
#[must_use]
pub fn helper_main() -> ExitCode {
    let helper = match Helper::try_parse_from(multicall::arguments(std::env::args_os())) {
        Ok(helper) => helper,
        Err(error) => return refuse(&error),
    };
    match helper.run() {
        Ok(exit) => exit.into(),
        Err(error) => fail(&error),
    }
}
