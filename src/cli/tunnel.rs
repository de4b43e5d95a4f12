//! `wgfleet tunnel`: the embedded tunnel.

use std::ffi::OsString;
use std::fs::File;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{CommandError, CommandResult, Exit};
use crate::model::InterfaceName;
use crate::tunnel::{Announce, TunnelError, ended, run, start_in_background};

/// Run a userspace WireGuard interface on this machine
///
/// Creates the interface and answers wg(8) on its socket under /var/run/wireguard. Returns once
/// both are there, and goes on in the background until the interface is deleted. wg-quick(8)
/// starts it where `WG_QUICK_USERSPACE_IMPLEMENTATION` names a link called wgfleet-tunnel.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  wgfleet tunnel wg0 && wg setconf wg0 wg0.conf && ip link set wg0 up
  wgfleet tunnel wg0 --foreground --log-level debug")]
pub(super) struct TunnelArgs {
    /// The interface to create
    #[arg(value_name = "INTERFACE")]
    interface: InterfaceName,

    /// Stay in the foreground
    #[arg(long, short = 'F')]
    foreground: bool,

    /// How much to log
    #[arg(long, value_enum, default_value_t = LogLevel::Warn, value_name = "LEVEL")]
    log_level: LogLevel,

    /// Where to log [default: stderr in the foreground, nowhere in the background]
    #[arg(long, value_name = "FILE")]
    log_file: Option<PathBuf>,

    /// Say "ready" on stdout, then let go of the terminal
    #[arg(long, hide = true, conflicts_with = "foreground")]
    announce: bool,

    /// What its service runs when the tunnel has ended
    #[arg(long, hide = true, conflicts_with = "announce")]
    ended: bool,
}

/// How much a tunnel logs.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogLevel {
    /// Nothing.
    Off,
    /// What ends the tunnel or a request.
    Error,
    /// What is refused.
    Warn,
    /// Start and end as well.
    Info,
    /// Each handshake and each lost packet.
    Debug,
}

impl From<LogLevel> for tracing_subscriber::filter::LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Off => Self::OFF,
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
        }
    }
}

pub(super) fn cmd_tunnel(args: &TunnelArgs) -> CommandResult {
    if args.ended {
        ended(&args.interface);
        return Ok(Exit::Done);
    }
    if !args.foreground && !args.announce {
        let started = start_in_background(&args.interface, &background_options(args));
        started.map_err(|error| explain(&error))?;
        return Ok(Exit::Done);
    }
    let logged = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::from(args.log_level))
        .with_ansi(false);
    // Fails only where something logs already.
    let _ = match &args.log_file {
        Some(path) => {
            let file = File::options().create(true).append(true).open(path)?;
            logged.with_writer(file).try_init()
        }
        None => logged.with_writer(std::io::stderr).try_init(),
    };
    let announce = if args.announce { Announce::Stdout } else { Announce::Manager };
    run(&args.interface, announce).map_err(|error| explain(&error))?;
    Ok(Exit::Done)
}

/// The options of the background process.
fn background_options(args: &TunnelArgs) -> Vec<OsString> {
    let level = args.log_level.to_possible_value();
    let level = level.map(|value| value.get_name().to_owned()).unwrap_or_default();
    let mut options: Vec<OsString> = vec!["--log-level".into(), level.into()];
    if let Some(path) = &args.log_file {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        options.extend(["--log-file".into(), path.into()]);
    }
    options
}

fn explain(error: &TunnelError) -> CommandError {
    CommandError::new(Exit::Failed, error)
}
