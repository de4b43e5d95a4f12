//! `wgfleet completions`: the script with which a shell asks what can follow, and the answer.

mod line;
mod names;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use clap::ValueEnum;
use clap_complete::env::{Bash, Elvish, EnvCompleter, Fish, Powershell, Zsh};

pub(super) use names::{
    ends, hosts, key_holders, lab_hosts, labs, machines, nodes, peers, selections,
};

use super::{CommandResult, Exit, environment, write_stdout};
use crate::sys::take_variable;
use line::words;

/// What the program is called in the script.
const NAME: &str = "wgfleet";

/// Print the script that makes a shell complete commands, options, and the names of the fleet
///
/// The script asks `wgfleet` itself: for the hosts, sites, groups and networks of the inventory that
/// the line names with --file, or of fleet.yaml. That touches no host, needs no identity and asks no
/// question. Write the script anew after an update of wgfleet.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  wgfleet completions bash > /usr/local/share/bash-completion/completions/wgfleet
  wgfleet completions zsh > /usr/local/share/zsh/site-functions/_wgfleet
  wgfleet completions fish > ~/.config/fish/completions/wgfleet.fish
  source <(wgfleet completions bash)                     # for this shell only")]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// A shell that can complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Elvish,
    Fish,
    Powershell,
    Zsh,
}

impl Shell {
    fn completer(self) -> &'static dyn EnvCompleter {
        match self {
            Self::Bash => &Bash,
            Self::Elvish => &Elvish,
            Self::Fish => &Fish,
            Self::Powershell => &Powershell,
            Self::Zsh => &Zsh,
        }
    }

    /// What comes after the script: zsh reads the file only when it has to complete something, and
    /// then wants an answer.
    const fn end(self) -> &'static str {
        match self {
            Self::Zsh => {
                "\n[[ \"$funcstack[1]\" = _wgfleet ]] && _clap_dynamic_completer_wgfleet \"$@\"\n"
            }
            Self::Bash | Self::Elvish | Self::Fish | Self::Powershell => "",
        }
    }
}

impl CompletionsArgs {
    pub(super) fn run(&self) -> CommandResult {
        write_stdout(&script(self.shell)?)?;
        Ok(Exit::Done)
    }
}

fn script(shell: Shell) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let variable = environment::COMPLETE;
    shell.completer().write_registration(variable, NAME, NAME, NAME, &mut text)?;
    text.extend(shell.end().bytes());
    Ok(text)
}

/// Answers a shell that asks what can follow; `None` where none asks. `root` has all commands.
/// Nothing is ever said on stderr: it would show in the middle of the line that is being typed.
pub(super) fn answer(mut root: clap::Command, given: &[OsString]) -> Option<ExitCode> {
    let shell = take_variable(environment::COMPLETE)?;
    let shell = Shell::from_str(std::str::from_utf8(&shell).ok()?, false).ok()?;
    let words = words(given)?;
    std::panic::set_hook(Box::new(|_| {}));
    let folder = std::env::current_dir().ok();
    let mut text = Vec::new();
    let answered = shell.completer().write_complete(&mut root, words, folder.as_deref(), &mut text);
    let written = std::io::stdout().write_all(&text);
    let exit = if answered.and(written).is_ok() { Exit::Done } else { Exit::Failed };
    Some(exit.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_of_every_shell_asks_the_program() {
        for shell in Shell::value_variants() {
            let text = String::from_utf8(script(*shell).unwrap()).unwrap();
            for part in ["wgfleet", environment::COMPLETE, "--"] {
                assert!(text.contains(part), "{shell:?}: {part}: {text}");
            }
        }
    }
}
