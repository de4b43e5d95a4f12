//! The command line: one file for each subcommand, holding its arguments and its `run`.
//!
//! Data goes to stdout, everything else to stderr.

mod apply;
mod check;
mod error;
mod exit;
mod fleet;
mod global;
mod init;
mod lab;
pub mod load;
mod multicall;
mod passphrase;
mod plan;
mod quick;
mod render;
mod rotate;
mod schema;
mod status;
mod survey;
mod tunnel;
mod vault;
mod wg;

pub use error::{CommandError, CommandResult};
pub use exit::Exit;
pub use global::{Format, Global};

use std::io::Write as _;
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
    Init(init::Args),
    Check(check::CheckArgs),
    Plan(plan::PlanArgs),
    Apply(apply::ApplyArgs),
    Status(status::StatusArgs),
    Rotate(rotate::RotateArgs),
    Render(render::RenderArgs),
    Vault(vault::VaultArgs),
    Lab(lab::LabArgs),
    Tunnel(tunnel::TunnelArgs),
    Wg(wg::WgArgs),
    Quick(quick::QuickArgs),
    Schema(schema::Args),
}

impl Cli {
    fn run(self) -> CommandResult {
        let Self { global, command } = self;
        match command {
            Command::Init(args) => init::run(&args, &global),
            Command::Check(args) => check::run(&args, &global),
            Command::Plan(args) => args.run(&global),
            Command::Apply(args) => args.run(&global),
            Command::Status(args) => args.run(&global),
            Command::Rotate(args) => args.run(&global),
            Command::Render(args) => args.run(&global),
            Command::Vault(args) => args.run(&global),
            Command::Lab(args) => lab::run(&global, args),
            Command::Tunnel(args) => tunnel::cmd_tunnel(&args),
            Command::Wg(args) => wg::cmd_wg(args),
            Command::Quick(args) => quick::cmd_quick(&args),
            Command::Schema(args) => schema::run(&args),
        }
    }
}

/// The runtime of every command that logs in to hosts.
fn runtime() -> Result<tokio::runtime::Runtime, CommandError> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

/// Writes a command's data; a reader that left early has read enough.
fn write_stdout(bytes: &[u8]) -> Result<(), CommandError> {
    let mut stdout = anstream::stdout();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
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
