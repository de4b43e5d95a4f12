//! The command line: one file for each subcommand, holding its arguments and its `run`.
//!
//! Data goes to stdout, everything else to stderr.

mod advice;
mod apply;
mod asking;
mod check;
mod compare;
mod completions;
mod context;
mod environment;
mod error;
mod exit;
mod explain;
mod export;
mod failure;
mod global;
mod guard;
mod helper;
mod history;
mod identity;
mod import;
mod init;
mod interrupt;
mod lab;
mod leaked;
mod lock;
mod login;
mod man;
mod multicall;
mod output;
mod passphrase;
mod peer;
mod plan;
mod quick;
mod render;
mod rotate;
mod rotated;
mod runtime;
mod saved;
mod schema;
mod secret_file;
mod show;
mod status;
mod tips;
mod tunnel;
mod vault;
mod wg;
mod why;

use context::Context;
pub use error::{CommandError, CommandResult};
pub use exit::Exit;
use failure::{fail, refuse};
use global::{Format, FormatArgs, Global};
pub use helper::helper_main;
use output::write_stdout;
use runtime::runtime;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

/// Declarative WireGuard fleets: proved before a packet moves, applied without dropping one.
#[derive(Debug, Parser)]
#[command(
    name = "wgfleet",
    version,
    max_term_width = 100,
    arg_required_else_help = true,
    after_help = "Examples:
  wgfleet init acme                     # begin a fleet: a folder with an inventory and a vault
  wgfleet check                         # what is wrong with the inventory
  wgfleet plan                          # what an apply would change
  wgfleet apply                         # change it
  wgfleet apply --help                  # the options of a command, with examples"
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Args),
    Import(import::ImportArgs),
    Check(check::CheckArgs),
    Why(why::WhyArgs),
    Explain(explain::ExplainArgs),
    Plan(plan::PlanArgs),
    Show(show::ShowArgs),
    Apply(apply::ApplyArgs),
    Status(status::StatusArgs),
    History(history::HistoryArgs),
    Lock(lock::LockArgs),
    Rotate(rotate::RotateArgs),
    Render(render::RenderArgs),
    Peer(peer::PeerArgs),
    Export(export::ExportArgs),
    Vault(vault::VaultArgs),
    Lab(lab::LabArgs),
    Tunnel(tunnel::TunnelArgs),
    Wg(wg::WgArgs),
    Quick(quick::QuickArgs),
    Schema(schema::Args),
    Man(man::ManArgs),
    Completions(completions::CompletionsArgs),
}

impl Command {
    /// What it prints on stdout. A command that has no `--format` prints for people.
    const fn format(&self) -> Format {
        match self {
            Self::Check(args) => args.format(),
            Self::Explain(args) => args.format.format,
            Self::Why(args) => args.format.format,
            Self::Plan(args) => args.format.format,
            Self::Show(args) => args.format.format,
            Self::Apply(args) => args.format.format,
            Self::Status(args) => args.format.format,
            Self::History(args) => args.format.format,
            Self::Lock(args) => args.format(),
            Self::Rotate(args) => args.format.format,
            Self::Vault(args) => args.format(),
            Self::Lab(args) => args.format(),
            Self::Init(args) => args.format.format,
            Self::Import(args) => args.format.format,
            Self::Render(args) => args.format.format,
            Self::Peer(args) => args.format(),
            Self::Export(args) => args.format.format,
            Self::Tunnel(_)
            | Self::Wg(_)
            | Self::Quick(_)
            | Self::Schema(_)
            | Self::Man(_)
            | Self::Completions(_) => Format::Human,
        }
    }
}

impl Cli {
    fn run(self, given: identity::Given) -> CommandResult {
        let Self { global, command } = self;
        let context = Context::new(global, given, command.format());
        match command {
            Command::Init(args) => init::run(&args, &context),
            Command::Import(args) => args.run(&context),
            Command::Check(args) => check::run(&args, &context),
            Command::Why(args) => args.run(&context),
            Command::Explain(args) => args.run(&context),
            Command::Plan(args) => args.run(&context),
            Command::Show(args) => args.run(&context),
            Command::Apply(args) => args.run(&context),
            Command::Status(args) => args.run(&context),
            Command::History(args) => args.run(&context),
            Command::Lock(args) => args.run(&context),
            Command::Rotate(args) => args.run(&context),
            Command::Render(args) => args.run(&context),
            Command::Peer(args) => args.run(&context),
            Command::Export(args) => args.run(&context),
            Command::Vault(args) => args.run(&context),
            Command::Lab(args) => lab::run(&context, args),
            Command::Tunnel(args) => tunnel::cmd_tunnel(&args),
            Command::Wg(args) => wg::cmd_wg(args),
            Command::Quick(args) => quick::cmd_quick(&args),
            Command::Schema(args) => schema::run(&args),
            Command::Man(args) => args.run(arguments(), &context),
            Command::Completions(args) => args.run(),
        }
    }
}

/// All commands with their arguments, as a value: for manual pages, completions and tests.
fn arguments() -> clap::Command {
    Cli::command()
}

/// Parses the arguments, runs the command and reports how it ended.
#[must_use]
pub fn main() -> ExitCode {
    // Before anything else: there is one thread yet, and nobody has inherited what is in it.
    let given = identity::Given::take();
    let arguments: Vec<_> = std::env::args_os().collect();
    if let Some(answered) = completions::answer(self::arguments(), &arguments) {
        return answered;
    }
    let arguments = multicall::arguments(arguments);
    if let Err(error) = leaked::refuse(&arguments, std::env::vars_os()) {
        return fail(&error);
    }
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => return refuse(&tips::added(self::arguments(), error, &arguments)),
    };
    match given.and_then(|given| cli.run(given)) {
        Ok(exit) => exit.into(),
        Err(error) => fail(&error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Visits every command that has no further ones, with all its names and the help text of it
    /// and those above it.
    pub(super) fn leaves(
        command: &clap::Command,
        (names, above): (&str, &str),
        visit: &mut dyn FnMut(&str, &str, &clap::Command),
    ) {
        let own = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let help = format!("{above}{own}");
        let mut inner = command.get_subcommands().filter(|inner| !inner.is_hide_set()).peekable();
        if inner.peek().is_none() {
            visit(names, &help, command);
        }
        for command in inner {
            leaves(command, (&format!("{names} {}", command.get_name()), &help), visit);
        }
    }

    #[test]
    fn arguments_are_consistent() {
        arguments().debug_assert();
    }

    /// Stands in for wg(8) down to its help; that manual page has the examples.
    const STAND_IN: &str = "wgfleet wg";

    #[test]
    fn every_command_shows_an_example_of_itself() {
        let mut missing = Vec::new();
        leaves(&arguments().after_help(""), ("wgfleet", ""), &mut |names, help, _| {
            let shown = help.contains("Example") && help.contains(names);
            if !shown && names != STAND_IN {
                missing.push(names.to_owned());
            }
        });
        assert!(missing.is_empty(), "add after_help = \"Example:\\n  {missing:?} …\"");
    }

    #[test]
    fn every_command_says_in_one_line_what_it_is_for() {
        leaves(&arguments(), ("wgfleet", ""), &mut |names, _, command| {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            assert!((10..=100).contains(&about.len()), "{names}: {about:?}");
        });
    }

    #[test]
    fn no_option_of_any_command_repeats_a_key() {
        let secrets = [
            "AGE-SECRET-KEY-1YX9K024AMDLZGXR3JT552MQRMNRYPP3AYJLAAK5NVW07H0F948QS2VECEM",
            "AGE-PLUGIN-YUBIKEY-1QYQSZQGPQYQSZQGPQYQSZ",
            "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=",
            "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA",
        ];
        let mut tried = 0;
        leaves(&arguments(), ("wgfleet", ""), &mut |names, _, command| {
            let all = arguments();
            for argument in command.get_arguments().chain(all.get_arguments()) {
                for secret in secrets {
                    let given = match argument.get_long() {
                        Some(long) => format!("--{long}={secret}"),
                        None => secret.to_owned(),
                    };
                    // A peer's public key looks like a private one.
                    if names == STAND_IN && given == secrets[2] {
                        continue;
                    }
                    let words = names.split(' ').map(Into::into).chain([given.into()]);
                    let words: Vec<std::ffi::OsString> = words.collect();
                    let error = leaked::refuse(&words, []).err().map(|error| error.to_string());
                    let error = error.unwrap_or_else(|| panic!("{names} takes it: {argument}"));
                    assert!(!error.contains(&secret[18..30]), "{error}");
                    tried += 1;
                }
            }
        });
        assert!(tried > 400, "{tried}");
    }
}
