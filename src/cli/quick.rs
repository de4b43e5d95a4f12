//! `wgfleet quick`: what wg-quick(8) does, where wireguard-tools is missing.

use std::io::Write as _;

use clap::{Args, Subcommand};

use super::{CommandError, CommandResult, Exit};
use crate::tunnel::quick::{Aim, Quick, strip_file};
use crate::tunnel::{Retries, UserspaceCommand};

/// Start and stop WireGuard interfaces as wg-quick(8) does
///
/// Takes the arguments of wg-quick(8). Where the kernel has no WireGuard, `wgfleet tunnel` runs
/// the interface, or the program that `WG_QUICK_USERSPACE_IMPLEMENTATION` names.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  wgfleet quick up wg0                    # reads /etc/wireguard/wg0.conf
  wgfleet quick down ./wg0.conf
  wgfleet quick strip wg0 > wg0.set && wg syncconf wg0 wg0.set
  wgfleet quick save wg0")]
pub(super) struct QuickArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Start an interface, or leave everything as it was
    Up(Target),
    /// Stop an interface
    Down(Target),
    /// Write a running interface into its file
    Save(Target),
    /// Print the file as `wg setconf` takes it
    Strip(Target),
}

/// Which interface.
#[derive(Debug, Args)]
struct Target {
    /// An interface with a file under /etc/wireguard, or a file called INTERFACE.conf
    #[arg(value_name = "INTERFACE|FILE")]
    target: String,
}

pub(super) fn cmd_quick(args: &QuickArgs) -> CommandResult {
    let mut report = |line: &str| anstream::eprintln!("{line}");
    let (Action::Up(target) | Action::Down(target) | Action::Save(target) | Action::Strip(target)) =
        &args.action;
    if matches!(args.action, Action::Strip(_)) {
        let text = strip_file(&target.target);
        let text = text.map_err(|error| CommandError::new(Exit::Failed, &error))?;
        let out = rustix::io::dup(rustix::stdio::stdout()).map_err(std::io::Error::from)?;
        std::fs::File::from(out).write_all(&text)?;
        return Ok(Exit::Done);
    }
    let userspace = match std::env::var_os("WG_QUICK_USERSPACE_IMPLEMENTATION") {
        Some(program) if !program.is_empty() => UserspaceCommand::Program(program),
        _ => UserspaceCommand::Own,
    };
    let retries = match std::env::var("WG_ENDPOINT_RESOLUTION_RETRIES") {
        Ok(text) => text.parse().map_err(|error| CommandError::new(Exit::Usage, &error))?,
        Err(_) => Retries::default(),
    };
    let aim = if matches!(args.action, Action::Up(_)) { Aim::Start } else { Aim::Other };
    let mut quick = Quick::open(&target.target, aim, userspace, retries, &mut report)
        .map_err(|error| CommandError::new(Exit::Failed, &error))?;
    let outcome = match &args.action {
        Action::Up(_) => quick.up(),
        Action::Down(_) => quick.down(),
        Action::Save(_) => quick.save(),
        // Has returned above.
        Action::Strip(_) => Ok(()),
    };
    outcome.map(|()| Exit::Done).map_err(|error| CommandError::new(Exit::Failed, &error))
}
